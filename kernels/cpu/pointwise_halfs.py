"""Scalar functions of float32 as functions of float16 or bfloat16, for the loops of `pointwise`.

    of_halfs[2](f, ...)(a, b, *params) = narrow(f(widen(a), widen(b), *params))    halfs are uint16, parameters float32

So every loop runs over halfs as it does over float32: they are widened in registers, and what is computed is rounded
once. Through arrays of float32 a product was four passes over memory for one.
"""

from __future__ import annotations

import numba
import numpy as np

from ..compiler import jit
from ..math.bits import select
from ..simd.halfs import bfloat16_to_single, half_to_single, single_to_bfloat16, single_to_half


@jit(inline=True)
def _as_it_is(x):
    return x


@jit(inline=True)
def _to_half(y):
    return single_to_half(np.float32(y))


@jit(inline=True)
def _to_bfloat16(y):
    return single_to_bfloat16(np.float32(y))


@jit(inline=True)
def _from_half_unseen(x):
    # The sum keeps LLVM from rounding a float16 to a whole number as such, which it does one by one, through a call: 1M
    # took 560 us for 110. It would lose the sign of -0.
    return select(x == np.uint16(0x8000), np.float32(-0.0), half_to_single(x) + np.float32(0.0))


#: Operations that LLVM would carry out in float16.
_NARROWED = {"round", "floor", "ceil", "trunc"}


def conversions(bfloat: bool, mask: bool, truth: bool, names: tuple) -> tuple:
    """How the first operand and the others are widened, and the result narrowed: none of the first where it is a mask,
    none of the result where it is a truth value. `names` are those of the functions that the text calls."""
    if bfloat:
        widen, narrow = bfloat16_to_single, _to_bfloat16
    elif numba.config.DISABLE_JIT:  # plain Python meets the float16 of numpy
        widen, narrow = np.float32, np.float16
    else:
        widen, narrow = _from_half_unseen if _NARROWED.intersection(names) else half_to_single, _to_half
    return (_as_it_is if mask else widen), widen, (_as_it_is if truth else narrow)


def _one(f, lead, widen, narrow):
    def on_halfs(x, *params):
        return narrow(f(lead(x), *params))

    return on_halfs


def _two(f, lead, widen, narrow):
    def on_halfs(a, b, *params):
        return narrow(f(lead(a), widen(b), *params))

    return on_halfs


def _three(f, lead, widen, narrow):
    def on_halfs(a, b, c, *params):
        return narrow(f(lead(a), widen(b), widen(c), *params))

    return on_halfs


def _four(f, lead, widen, narrow):
    def on_halfs(a, b, c, d, *params):
        return narrow(f(lead(a), widen(b), widen(c), widen(d), *params))

    return on_halfs


_by_arity = {1: _one, 2: _two, 3: _three, 4: _four}


def of_halfs(f, arity: int, bfloat: bool, mask: bool = False, truth: bool = False, names: tuple = ()):
    """The function of `arity` halfs for f of as many float32, which calls functions of these names. With `mask` its first
    argument is a bool, with `truth` its result."""
    return jit(_by_arity[arity](f, *conversions(bfloat, mask, truth, names)), inline=True)
