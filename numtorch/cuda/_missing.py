"""The error of an operator that has no CUDA kernels: nothing falls back to the CPU in silence."""

from __future__ import annotations

import sys


def not_on_cuda() -> NotImplementedError:
    """The error, with the name of the operator that the user called."""
    return NotImplementedError(f"{_operator()} is not implemented for CUDA tensors yet")


def _operator() -> str:
    """The outermost operator among the calls in progress."""
    names = _names_by_code()
    found = "this operator"
    frame = sys._getframe(2)
    while frame is not None:
        found = names.get(frame.f_code, found)
        frame = frame.f_back
    return found


def _names_by_code() -> dict:
    """The code of every operator, but for what the operators of one kind share."""
    from .._registry import FUNCTIONS, OPERATORS

    names: dict = {}
    shared = set()
    for table in (OPERATORS, *FUNCTIONS.values()):
        for name, fn in table.items():
            while hasattr(fn, "__wrapped__"):
                fn = fn.__wrapped__
            code = getattr(fn, "__code__", None)
            if code is not None and names.setdefault(code, name) != name and code.co_name == "call":
                shared.add(code)
    for code in shared:
        del names[code]
    return names
