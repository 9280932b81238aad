"""One vector times as many short rows as it has lanes: a vector of sums, folded together instead of one by one."""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import plain
from .emit import element_pointer, first_lanes, masked_memory
from .memory import vector_of
from .vector import Vector


@intrinsic(prefer_literal=True)
def _products_with_rows(typingctx, clamped, vector, array, position, step, length, count):
    if not isinstance(clamped, types.IntegerLiteral) or not isinstance(vector, Vector) or vector_of(array) != vector:
        return None
    word = types.int64

    def codegen(context, builder, signature, args):
        _, value, rows, start, stepv, lengthv, countv = args
        lanes, index = vector.count, stepv.type
        bytes_of_one = vector.element.bitwidth // 8
        pointer = element_pointer(context, builder, array, rows, start)
        mask = first_lanes(builder, lengthv, lanes)
        last = builder.sub(countv, index(1))
        products = []
        for i in range(lanes):
            if i:
                further = stepv
                if clamped.literal_value:
                    further = builder.select(builder.icmp_signed("<=", index(i), last), stepv, index(0))
                pointer = builder.gep(pointer, [further])
            at = builder.bitcast(pointer, vector.ir.as_pointer())
            arguments = [at, ir.IntType(32)(bytes_of_one), mask, ir.Constant(vector.ir, None)]
            row = masked_memory(builder, "load", vector.ir, arguments)
            products.append(builder.fmul(value, row))
        size = lanes
        while len(products) > 1:
            # Each vector holds lanes / size rows of `size` terms: halves of those are added, for two vectors at once.
            lower = [g * size + e for g in range(2 * lanes // size) for e in range(size // 2)]
            upper = [number + size // 2 for number in lower]
            folded = []
            for pair in zip(products[::2], products[1::2], strict=True):
                halves = [builder.shuffle_vector(*pair, _order(numbers)) for numbers in (lower, upper)]
                folded.append(builder.fadd(*halves))
            products, size = folded, size // 2
        return products[0]

    return vector(clamped, vector, array, word, word, word, word), codegen


def _order(numbers):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)


def _products_with_rows_python(clamped, vector, array, position, step, length, count):
    """`products_with_rows` in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    sums = np.zeros_like(vector)
    for i in range(min(count, vector.size) if clamped else vector.size):
        sums[i] = plain.add_up(vector * plain.load_part(array, position + i * step, length))
    return sums


#: products_with_rows(clamped, vector, array, position, step, length, count): the sums over p < length of vector[p] *
#: array[position + i * step + p], in lane i. `length` is at most the number of lanes, and the vector is 0 behind it. With
#: `clamped`, a literal, rows from `count` on are not there, and their lanes hold anything.
products_with_rows = _products_with_rows_python if numba.config.DISABLE_JIT else _products_with_rows
