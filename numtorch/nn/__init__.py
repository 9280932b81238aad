"""Neural network layers: modules, their parameters, and the functions behind them."""

from __future__ import annotations

from numtorch.nn import functional, init, modules, parallel, utils
from numtorch.nn.modules import *  # noqa: F403  the public names are those of nn.modules.__all__
from numtorch.nn.parallel import DataParallel
from numtorch.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "modules",
    "parallel",
    "utils",
    *modules.__all__,
]
