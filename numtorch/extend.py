"""Operators of your own: a scalar function and its derivative become a differentiable operator with compiled kernels.

>>> import numtorch as torch
>>> from numtorch.extend import unary
>>> cube = unary("example_cube", lambda x: x * x * x, lambda g, x: g * (3 * x * x))
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> cube(x).sum().backward()
>>> x.grad
tensor([ 3., 12.])

`unary`, `binary` and `ternary` take the scalar text and one derivative for each operand; `primitive` is for everything
that is not pointwise. docs/adding_an_operator.md explains both. The functions that a text may call on numbers and
tensors alike are in `numtorch.kernels.math`.
"""

from __future__ import annotations

from ._binary import binary
from ._primitive import primitive
from ._registry import op, register
from ._tensor import wrap
from ._ternary import ternary
from ._unary import unary

__all__ = ["binary", "op", "primitive", "register", "ternary", "unary", "wrap"]
