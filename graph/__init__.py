"""numtorch.graph: the autograd graph and the engine that runs it backward.

It drives any values that can be added, and knows nothing of arrays.  Read in this order:

    node.py         Node and its edges: what a forward call leaves behind
    hooks.py        functions that users hang on gradients and nodes
    accumulate.py   AccumulateGrad: where paths end
    grad_mode.py    whether nodes are recorded at all
    anomaly.py      debugging: forward tracebacks, nan checks, notes on errors
    saved.py        what nodes keep, version checks, pack and unpack hooks
    engine.py       run_backward

What a value must offer: ``+`` between values; ``_version`` and ``_describe()`` if it is saved;
``_accumulate_grad(grad, create_graph)`` and weak references if it is a leaf; ``_has_nan()`` in anomaly mode;
``detach()`` and the graph attributes listed in saved.py under pack hooks.
"""

from .accumulate import AccumulateGrad
from .anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled, rare, record, set_anomaly
from .engine import reached_by_backward, run_backward
from .grad_mode import (
    ContextDecorator,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    mode,
    no_grad,
    set_grad_enabled,
)
from .hooks import NodeHooks, RemovableHandle, add_tensor_hook, move_retain_grad, set_retain_grad
from .node import RELEASED_MESSAGE, Edge, GradientEdge, Node, hide_frames_of, next_sequence, stamp
from .saved import (
    active_hooks,
    changed_since_saved,
    disable_saved_tensors_hooks,
    save,
    saved_tensors_hooks,
    unpack,
)

__all__ = [
    "RELEASED_MESSAGE",
    "AccumulateGrad",
    "ContextDecorator",
    "Edge",
    "GradientEdge",
    "Node",
    "NodeHooks",
    "RemovableHandle",
    "active_hooks",
    "add_tensor_hook",
    "changed_since_saved",
    "disable_saved_tensors_hooks",
    "enable_grad",
    "hide_frames_of",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "mode",
    "move_retain_grad",
    "next_sequence",
    "no_grad",
    "rare",
    "reached_by_backward",
    "record",
    "run_backward",
    "save",
    "saved_tensors_hooks",
    "set_anomaly",
    "set_grad_enabled",
    "set_retain_grad",
    "stamp",
    "unpack",
]
