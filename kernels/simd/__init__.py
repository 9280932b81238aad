"""Explicit vectors for the few kernels where LLVM's own vectoriser is not enough.

A vector holds as many elements as a register of this machine (`lanes(dtype)`: 16 float32 with AVX-512, 8 with AVX,
4 with SSE or NEON). Its type is made by `load` and `broadcast`; vectors take + - * / and comparisons like numbers.

    from numtorch.kernels.simd import add_up, broadcast, fma, lanes, load, load_part, store, store_part

    @jit
    def dot(x, y):
        width = lanes(x)
        total = broadcast(x, x.dtype.type(0))
        whole = x.size // width * width
        for i in range(0, whole, width):
            total = fma(load(x, i), load(y, i), total)
        rest = x.size - whole
        total = fma(load_part(x, whole, rest), load_part(y, whole, rest), total)
        return add_up(total)

    @jit
    def axpy(a, x, y):
        width = lanes(x)
        scale = broadcast(x, a)
        whole = x.size // width * width
        for i in range(0, whole, width):
            store(y, i, fma(scale, load(x, i), load(y, i)))
        rest = x.size - whole
        store_part(y, whole, rest, fma(scale, load_part(x, whole, rest), load_part(y, whole, rest)))

Nothing is checked: an index outside of the array reads and writes outside of it.
"""

import numba

from .arithmetic import bits_as, convert, fma, larger, pick, smaller, square_root
from .folding import add_up, lane, largest, smallest
from .halfs import bfloat16_to_single, half_to_single, single_to_bfloat16, single_to_half
from .memory import broadcast, lanes, load, load_at, load_every, load_part, store, store_part
from .order import evens, in_turn_high, in_turn_low, odds
from .vector import Vector
from .width import any_width, half_width

if numba.config.DISABLE_JIT:
    from .plain import (
        add_up,
        bits_as,
        broadcast,
        convert,
        evens,
        fma,
        in_turn_high,
        in_turn_low,
        lane,
        lanes,
        larger,
        largest,
        load,
        load_at,
        load_every,
        load_part,
        odds,
        pick,
        smaller,
        smallest,
        square_root,
        store,
        store_part,
    )
    from .width import width_python as any_width
    from .width import width_python as half_width

__all__ = [
    "Vector",
    "add_up",
    "any_width",
    "bfloat16_to_single",
    "bits_as",
    "broadcast",
    "convert",
    "evens",
    "fma",
    "half_to_single",
    "half_width",
    "in_turn_high",
    "in_turn_low",
    "lane",
    "lanes",
    "larger",
    "largest",
    "load",
    "load_at",
    "load_every",
    "load_part",
    "odds",
    "pick",
    "single_to_bfloat16",
    "single_to_half",
    "smaller",
    "smallest",
    "square_root",
    "store",
    "store_part",
]
