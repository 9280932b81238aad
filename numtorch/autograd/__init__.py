"""numtorch.autograd: gradients of anything made of differentiable operations.

backward     adds gradients to the leaves' ``.grad``                     differentiate.py
grad         returns gradients instead                                   differentiate.py
Function     an operation with a derivative of your own                  function.py
functional   whole Jacobians and Hessians, and their products            functional.py
gradcheck    compares a derivative with finite differences               gradcheck.py
graph        the graph itself: nodes, edges, what nodes save             graph.py
"""

from __future__ import annotations

from . import anomaly_mode, function, functional, grad_mode, gradcheck, graph, variable
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .differentiate import backward, grad
from .function import Function
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled, set_multithreading_enabled
from .gradcheck import gradcheck, gradgradcheck  # noqa: F811 (as in torch, the function hides its module)
from .variable import Variable

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "variable",
]
