"""The functions behind the layers, under torch's names.

Each family lives in `numtorch.ops`; here are its public names, and the few compositions that have no other home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# ruff: noqa: F401  what is imported here is what this module publishes
from numtorch._registry import FUNCTIONS
from numtorch.nn._bilinear import bilinear
from numtorch.nn._randomised import gumbel_softmax, rrelu, rrelu_
from numtorch.nn.attention import (
    _canonical_mask,
    _in_projection_packed,
    _mha_shape_check,
    multi_head_attention_forward,
    scaled_dot_product_attention,
)
from numtorch.ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
)
from numtorch.ops.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from numtorch.ops.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from numtorch.ops.embedding import embedding, embedding_bag, one_hot
from numtorch.ops.fractional_pooling import (
    fractional_max_pool2d,
    fractional_max_pool3d,
)
from numtorch.ops.grid_sample import affine_grid, grid_sample
from numtorch.ops.padding import pad
from numtorch.ops.pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
)
from numtorch.ops.unfold import fold, unfold
from numtorch.ops.unpooling import (
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from numtorch.ops.upsample import (
    channel_shuffle,
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)

native_channel_shuffle = channel_shuffle

# Activations, losses, normalisations and softmaxes announce themselves to the registry under this module's name.
globals().update(FUNCTIONS["nn.functional"])

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
