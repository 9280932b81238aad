"""How one name serves kernels, plain Python and tensors.

A *formula* is a scalar function for one dtype, always inlined and without branches, so that the loop around it is
vectorised. A *public name* (`exp`) is a Python function that

- inside a kernel stands for the formula of its argument's type (integers count as weak, and as float64 alone);
- called with numbers computes with numpy, which is what runs under NUMBA_DISABLE_JIT;
- called with anything else asks `tensor_dispatch(name, *args)`.
"""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Callable

import numpy as np
from numba import config, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from ..compiler import Kernel, typed_literals

_FORMULA_OPTIONS = {
    "nopython": True,
    "boundscheck": None,
    "error_model": "numpy",
    "fastmath": {"contract"},
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_CALLED_OPTIONS = {**_FORMULA_OPTIONS, "forceinline": False}


class Formula:
    """A scalar function that kernels may call by name; its dispatcher is made when the first one does."""

    def __init__(self, fn, kinds, options=_FORMULA_OPTIONS):
        self.fn = fn
        self.kinds = kinds
        self.options = options
        functools.update_wrapper(self, fn)

    @functools.cached_property
    def kernel(self) -> Kernel:
        return Kernel(typed_literals(self.fn, self.kinds), targetoptions=dict(self.options))

    @property
    def _numba_type_(self):
        return types.Dispatcher(self.kernel)


def double(fn):
    """A formula in float64 (or one that holds for every type)."""
    return fn if config.DISABLE_JIT else Formula(fn, {})


def single(fn):
    """A formula in float32: its float literals are float32. Integer literals, for work on bits, stay integers."""
    return fn if config.DISABLE_JIT else Formula(fn, {float: np.float32})


any_type = double


def wide(fn):
    """A long function of float64 with branches and loops, which is called and not inlined."""
    return fn if config.DISABLE_JIT else Formula(fn, {}, _CALLED_OPTIONS)


def in_double(fn):
    """Make `fn`, a function of one or two float64, a public name: of float32 it is computed in double, then rounded."""
    compiled = wide(fn)
    if len(inspect.signature(fn).parameters) == 1:

        def narrow(x):
            return np.float32(compiled(np.float64(x)))
    else:

        def narrow(x, y):
            return np.float32(compiled(np.float64(x), np.float64(y)))

    def python(*args):
        value = fn(*(np.float64(arg) for arg in args))
        return np.float32(value) if any(isinstance(arg, np.float32) for arg in args) else np.float64(value)

    return formulas(double(narrow), compiled, python=python)(fn)


def tensor_dispatch(name: str, *args):
    """What a public name does with arguments that are no numbers: call the method of that name."""
    return getattr(args[0], name)(*args[1:])


def _common_type(args):
    """The type in which a formula computes for these argument types; None where there is none."""
    if any(not isinstance(arg, (types.Number, types.Boolean)) for arg in args):
        return None
    inexact = [arg for arg in args if isinstance(arg, (types.Float, types.Complex))]
    if not inexact:
        integers = [arg for arg in args if isinstance(arg, types.Integer)]
        return max(integers, key=lambda typ: (typ.bitwidth, typ.signed), default=types.boolean)
    wide = any(arg in (types.float64, types.complex128) for arg in inexact)
    if any(isinstance(arg, types.Complex) for arg in inexact):
        return types.complex128 if wide else types.complex64
    return types.float64 if wide else types.float32


def formulas(float32=None, float64=None, *, complex=None, integer=None, python: Callable, first: str = "common"):
    """Make the decorated function the public name of these formulas.

    `integer` is the formula for integers and booleans; without it they are computed in float64. `python` computes
    the same on numpy scalars. The decorated function's own body is never run: it gives signature and docstring.
    `first="boolean"` leaves the first argument out of the common type (the condition of `where`).
    """

    def decorate(declared):
        name = declared.__name__

        @functools.wraps(declared)
        def public(*args):
            if all(isinstance(arg, (numbers.Number, np.generic)) for arg in args):
                with np.errstate(all="ignore"):
                    return python(*args)
            from . import tensor_dispatch as dispatch

            return dispatch(name, *args)

        if not config.DISABLE_JIT:
            by_type = {
                types.float32: float32,
                types.float64: float64,
                types.complex64: complex,
                types.complex128: complex,
            }
            _register(public, name, by_type, integer, first == "boolean")
        return public

    return decorate


def _register(public, name, by_type, integer, first_is_boolean):
    class Formulas(AbstractTemplate):
        key = public
        # what the compile cache has to hash for a kernel that calls this name
        reaches = tuple(formula for formula in (*by_type.values(), integer) if formula is not None)

        def generic(self, args, kws):
            if kws:
                return None
            args = tuple(types.unliteral(arg) for arg in args)
            lead = (types.boolean,) if first_is_boolean else ()
            common = _common_type(args[len(lead) :])
            formula = by_type.get(common, integer)
            if formula is None and isinstance(common, (types.Integer, types.Boolean)):
                common = types.float64
                formula = by_type[common]
            if formula is None:
                return None
            wanted = lead + (common,) * (len(args) - len(lead))
            formula.kernel.compile(wanted)
            return signature(formula.kernel.overloads[wanted].signature.return_type, *wanted)

        def get_impl_key(self, sig):
            common = sig.args[-1]
            return (by_type.get(common) or integer).kernel.get_overload(sig.args)

    Formulas.__name__ = f"Formulas_{name}"
    infer_global(public, types.Function(Formulas))
