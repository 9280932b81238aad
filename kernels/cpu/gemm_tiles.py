"""The register tiles of matrix products, written as explicit SIMD: two intrinsics and their plain Python definitions.

    product_tile      out[i, j] = alpha * sum_p a[i, p] b[p, j] + beta * start[i, j]     a few rows, a few vectors of j
    transpose_tile    out[p, i] = a[i, p]                                                a square of vectors

A product tile keeps its sums in registers for the whole of `depth`. Elements of a are broadcast from wherever they
lie, so a is read in place whatever its strides; vectors of b run along j and need it dense in that direction. Rows
that the result does not have are computed from the last one that it has and not stored; columns that it does not
have are masked. With `masked` 1 all rows are there, with 0 all columns as well: what is sure costs nothing.

Where a and b are int32, each of their elements holds two bfloat16 that follow each other along p, and `depth` counts
those pairs; start and out are float32 then.

Every element of the result is one chain of fused multiply-adds over p in ascending order, whichever tile it falls
into: cutting the result up differently changes no bit of it.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..simd.emit import (
    add_products_of_pairs,
    counted_loop,
    element_pointer,
    first_lanes,
    load_vector,
    masked_memory,
    multiply_add,
    splat_like,
    store_vector,
)
from .tile_sizes import VECTOR_BYTES


def _load_masked(builder, pointer, vector, itemsize, mask):
    pointer = builder.bitcast(pointer, vector.as_pointer())
    return masked_memory(builder, "load", vector, [pointer, ir.IntType(32)(itemsize), mask, ir.Constant(vector, None)])


def _store_masked(builder, value, pointer, itemsize, mask):
    pointer = builder.bitcast(pointer, value.type.as_pointer())
    masked_memory(builder, "store", value.type, [value, pointer, ir.IntType(32)(itemsize), mask])


@intrinsic(prefer_literal=True)
def _product_tile(
    typingctx, rows, vectors, masked, a, a0, row_a, column_a, b, b0, row_b, depth,
    start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
):  # fmt: skip
    if not all(isinstance(n, types.IntegerLiteral) for n in (rows, vectors, masked)):
        return None
    mr, nv, is_masked, scalar = rows.literal_value, vectors.literal_value, masked.literal_value > 0, out.dtype
    in_pairs = a.dtype == types.int32
    may_lack_rows = masked.literal_value > 1
    word = types.int64
    signature = types.void(
        rows, vectors, masked, a, word, word, word, b, word, word, word,
        start, word, word, types.boolean, scalar, scalar, out, word, word, word, word,
    )  # fmt: skip

    def codegen(context, builder, sig, args):
        av, a0v, row_av, column_av, bv, b0v, row_bv, depthv = args[3:11]
        sv, s0v, row_sv, has_startv, alphav, betav, ov, o0v, row_outv, usedv, widthv = args[11:]
        element = context.get_data_type(scalar)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector = ir.VectorType(element, vl)
        index = depthv.type
        # Words that hold pairs are moved as what they are as long as: float32.
        pa = builder.bitcast(element_pointer(context, builder, a, av, a0v), element.as_pointer())
        pb = builder.bitcast(element_pointer(context, builder, b, bv, b0v), element.as_pointer())
        ps = element_pointer(context, builder, start, sv, s0v)
        po = element_pointer(context, builder, out, ov, o0v)
        last = builder.sub(usedv, index(1))
        a_rows = [pa]
        for i in range(1, mr):
            step = row_av
            if may_lack_rows:
                step = builder.select(builder.icmp_signed("<=", index(i), last), row_av, index(0))
            a_rows.append(builder.gep(a_rows[-1], [step]))
        mask = first_lanes(builder, builder.sub(widthv, index((nv - 1) * vl)), vl) if is_masked else None

        def load(pointer, v):
            pointer = builder.gep(pointer, [index(v * vl)])
            if is_masked and v == nv - 1:
                return _load_masked(builder, pointer, vector, itemsize, mask)
            return load_vector(builder, pointer, vector, itemsize)

        def store(value, pointer, v):
            pointer = builder.gep(pointer, [index(v * vl)])
            if is_masked and v == nv - 1:
                _store_masked(builder, value, pointer, itemsize, mask)
            else:
                store_vector(builder, value, pointer, itemsize)

        add_product = add_products_of_pairs if in_pairs else multiply_add

        def body(p, totals):
            row = builder.gep(pb, [builder.mul(p, row_bv)])
            bs = [load(row, v) for v in range(nv)]
            at = builder.mul(p, column_av)
            new = []
            for i in range(mr):
                ai = splat_like(builder, builder.load(builder.gep(a_rows[i], [at])), vector)
                new += [add_product(builder, ai, bs[v], totals[i * nv + v]) for v in range(nv)]
            return new

        sums = counted_loop(builder, depthv, [ir.Constant(vector, None)] * (mr * nv), body)
        alphas, betas = splat_like(builder, alphav, vector), splat_like(builder, betav, vector)

        def finish_row(i, with_start):
            target = builder.gep(po, [builder.mul(row_outv, index(i))])
            source = builder.gep(ps, [builder.mul(row_sv, index(i))])
            for v in range(nv):
                value = sums[i * nv + v]
                if with_start:
                    value = multiply_add(builder, alphas, value, builder.fmul(betas, load(source, v)))
                else:
                    value = builder.fmul(alphas, value)
                store(value, target, v)

        def finish(with_start):
            for i in range(mr):
                if may_lack_rows and i:
                    with builder.if_then(builder.icmp_signed("<", index(i), usedv)):
                        finish_row(i, with_start)
                else:
                    finish_row(i, with_start)

        with builder.if_else(has_startv) as (then, otherwise):
            with then:
                finish(True)
            with otherwise:
                finish(False)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _transpose_tile(typingctx, masked, a, a0, row_a, rows, columns, out, o0, row_out):
    if not isinstance(masked, types.IntegerLiteral):
        return None
    is_masked, word = masked.literal_value, types.int64
    signature = types.void(masked, a, word, word, word, word, out, word, word)

    def codegen(context, builder, sig, args):
        _, av, a0v, row_av, rowsv, columnsv, ov, o0v, row_outv = args
        element = context.get_data_type(a.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector = ir.VectorType(element, vl)
        index = rowsv.type
        pa = element_pointer(context, builder, a, av, a0v)
        po = element_pointer(context, builder, out, ov, o0v)
        lines = []
        inside = first_lanes(builder, columnsv, vl) if is_masked else None
        for i in range(vl):
            pointer = builder.gep(pa, [builder.mul(row_av, index(i))])
            if is_masked:
                exists = splat_like(builder, builder.icmp_signed("<", index(i), rowsv), inside.type)
                lines.append(_load_masked(builder, pointer, vector, itemsize, builder.and_(inside, exists)))
            else:
                lines.append(load_vector(builder, pointer, vector, itemsize))
        # Swap the off-diagonal halves of pairs of rows, then quarters, and so on down to single elements.
        half = vl // 2
        while half:
            low = [lane if lane // half % 2 == 0 else lane - half + vl for lane in range(vl)]
            high = [lane + half if lane // half % 2 == 0 else lane + vl for lane in range(vl)]
            word32 = ir.VectorType(ir.IntType(32), vl)
            for i in range(vl):
                if i // half % 2 == 0:
                    pair = lines[i], lines[i + half]
                    lines[i] = builder.shuffle_vector(*pair, ir.Constant(word32, low))
                    lines[i + half] = builder.shuffle_vector(*pair, ir.Constant(word32, high))
            half //= 2
        for p in range(vl):
            pointer = builder.gep(po, [builder.mul(row_outv, index(p))])
            if is_masked:
                with builder.if_then(builder.icmp_signed("<", index(p), columnsv)):
                    store_vector(builder, lines[p], pointer, itemsize)
            else:
                store_vector(builder, lines[p], pointer, itemsize)
        return context.get_dummy_value()

    return signature, codegen


def _low(words):
    """The bfloat16 in the lower halves of int32, as float32; the next gives those in the upper halves."""
    return (words << np.int32(16)).view(np.float32)


def _high(words):
    return (words & np.int32(-(2**16))).view(np.float32)


def _product_tile_python(
    rows, vectors, masked, a, a0, row_a, column_a, b, b0, row_b, depth,
    start, s0, row_s, has_start, alpha, beta, out, o0, row_out, used, width,
):  # fmt: skip
    """product_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    if masked < 2:
        used = rows
    if masked < 1:
        width = vectors * (VECTOR_BYTES // a.itemsize)
    for i in range(used):
        total = np.zeros(width, out.dtype)
        for p in range(depth):
            x, y = a[a0 + i * row_a + p * column_a], b[b0 + p * row_b : b0 + p * row_b + width]
            if a.dtype == np.int32:
                total += _low(x) * _low(y) + _high(x) * _high(y)
            else:
                total += x * y
        total *= alpha
        if has_start:
            total += beta * start[s0 + i * row_s : s0 + i * row_s + width]
        out[o0 + i * row_out : o0 + i * row_out + width] = total


def _transpose_tile_python(masked, a, a0, row_a, rows, columns, out, o0, row_out):
    """transpose_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    width = VECTOR_BYTES // a.itemsize
    if not masked:
        rows = columns = width
    for p in range(columns):
        for i in range(width):
            out[o0 + p * row_out + i] = a[a0 + i * row_a + p] if i < rows else 0


product_tile = _product_tile_python if numba.config.DISABLE_JIT else _product_tile
transpose_tile = _transpose_tile_python if numba.config.DISABLE_JIT else _transpose_tile
