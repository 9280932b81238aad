"""When a draw of numtorch's is torch's."""

import numpy as np

from numtorch.kernels import host


def assert_same_draw(got: np.ndarray, want: np.ndarray) -> None:
    """The same bits. Without fused multiply-adds, which torch's `mean + std * x` has, the last ones may differ."""
    if host.has_fma() or want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want)
    else:
        few = 8 * np.finfo(want.dtype).eps
        np.testing.assert_allclose(got, want, few, few)
