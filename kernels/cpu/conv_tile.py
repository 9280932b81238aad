"""The innermost loops of convolutions as explicit SIMD: intrinsics and their plain Python definitions.

    conv_tile      c[i, p] (+)= sum_k a[row[i] + place[k, 0]] * b[place[k, 1] + p]     a block of sums in registers
    pixel_dot      c[i, j, lane] += sum_{r, x} g[i, r, x] * s[offset[j], r, x]         a few outputs, a few taps
    load_row       row[e] = source[first + e * step], zero outside of the source       a row of an image
    copy_row       row[e] = source[e * step]                                           the part of it that needs no check
    load_shifted   row[e] = source[e] where the bits of mask say so, else zero         a whole plane, moved
    load_mapped    row[e] = source[index[e]], zero where the index is negative         anything else
    store_row      target[e * step] = value[e] + shift

Neither operand of conv_tile is packed. Elements of a are broadcast from wherever they lie, which one table of places
for the rows and one for the depth tells; vectors of b run along p, and start where the table says. So a convolution
needs no im2col matrix, and its weights are read where they are.

Tile sizes: with 32 vector registers 8 x 3 vectors of sums leave room for 3 vectors of b and keep 24 independent chains
in flight (one AVX-512 FMA a cycle at a latency of four needs 4); with 16 registers 4 x 3.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..simd.emit import (
    counted_loop,
    element_pointer,
    element_pointers,
    load_vector,
    masked_memory,
    multiply_add,
    splat_like,
    store_vector,
)
from .tile_sizes import VECTOR_BYTES


@intrinsic(prefer_literal=True)
def _conv_tile(typingctx, rows, vectors, a, a0, row, r0, place, k0, depth, b, b0, c, c0, ldc, accumulate):
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        return None
    mr, nv, scalar = rows.literal_value, vectors.literal_value, a.dtype
    word = types.int64
    signature = types.void(
        rows, vectors, a, word, row, word, place, word, word, b, word, c, word, word, types.boolean
    )  # fmt: skip

    def codegen(context, builder, sig, args):
        _, _, av, a0v, rv, r0v, lv, k0v, depthv, bv, b0v, cv, c0v, ldcv, accv = args
        element = context.get_data_type(scalar)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector = ir.VectorType(element, vl)
        index = ldcv.type
        pa = element_pointer(context, builder, a, av, a0v)
        pr = element_pointer(context, builder, row, rv, r0v)
        pl = element_pointer(context, builder, place, lv, builder.mul(k0v, index(2)))
        pb = element_pointer(context, builder, b, bv, b0v)
        pc = element_pointer(context, builder, c, cv, c0v)
        a_rows = [builder.gep(pa, [builder.load(builder.gep(pr, [index(i)]))]) for i in range(mr)]

        def target(i, v):
            return builder.gep(pc, [builder.add(builder.mul(ldcv, index(i)), index(v * vl))])

        before = builder.block
        with builder.if_then(accv):
            old = [load_vector(builder, target(i, v), vector, itemsize) for i in range(mr) for v in range(nv)]
            loaded = builder.block
        sums = []
        for value in old:
            phi = builder.phi(vector)
            phi.add_incoming(ir.Constant(vector, None), before)
            phi.add_incoming(value, loaded)
            sums.append(phi)

        def body(k, totals):
            pair = builder.gep(pl, [builder.mul(k, index(2))])
            at = builder.load(pair)
            b_row = builder.gep(pb, [builder.load(builder.gep(pair, [index(1)]))])
            bs = [load_vector(builder, builder.gep(b_row, [index(v * vl)]), vector, itemsize) for v in range(nv)]
            new = []
            for i in range(mr):
                ai = splat_like(builder, builder.load(builder.gep(a_rows[i], [at])), vector)
                new += [multiply_add(builder, ai, bs[v], totals[i * nv + v]) for v in range(nv)]
            return new

        sums = counted_loop(builder, depthv, sums, body)
        for n, total in enumerate(sums):
            store_vector(builder, total, target(*divmod(n, nv)), itemsize)
        return context.get_dummy_value()

    return signature, codegen


def _span(builder, low, high, vl):
    """The mask of the lanes low .. high - 1 (None for a low of 0): bounds are clamped, so that small lanes do."""
    small = ir.IntType(32)
    numbers = ir.Constant(ir.VectorType(small, vl), list(range(vl)))

    def lanes_below(count):
        most = count.type(vl)
        count = builder.select(builder.icmp_signed("<", count, most), count, most)
        count = builder.select(builder.icmp_signed(">", count, count.type(0)), count, count.type(0))
        return builder.icmp_signed("<", numbers, splat_like(builder, builder.trunc(count, small), numbers.type))

    inside = lanes_below(high)
    return inside if low is None else builder.and_(inside, builder.not_(lanes_below(low)))


def _row_loop(builder, count, vl, body):
    """body(first element, mask of the lanes inside the row) for each vector of a row of `count`."""
    word = count.type
    with cgutils.for_range_slice(builder, word(0), count, word(vl), word) as (first, _):
        body(first, _span(builder, None, builder.sub(count, first), vl))


@intrinsic(prefer_literal=True)
def _load_row(typingctx, stride, source, s0, first, step, length, row, r0, count):
    if not isinstance(stride, types.IntegerLiteral):
        return None
    word, near = types.int64, stride.literal_value
    signature = types.void(stride, source, word, word, word, word, row, word, word)

    def codegen(context, builder, sig, args):
        _, sv, s0v, firstv, stepv, lengthv, rv, r0v, countv = args
        element = context.get_data_type(row.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align = ir.VectorType(element, vl), ir.IntType(32)(itemsize)
        zero = ir.Constant(vector, None)
        ps = element_pointer(context, builder, source, sv, s0v)
        pr = element_pointer(context, builder, row, rv, r0v)
        longs = ir.VectorType(countv.type, vl)
        numbers = ir.Constant(longs, list(range(vl)))

        def dense(start):
            """The vector at `start`, zero where that is outside of the source."""
            inside = _span(builder, builder.neg(start), builder.sub(lengthv, start), vl)
            pointer = builder.bitcast(builder.gep(ps, [start]), vector.as_pointer())
            return masked_memory(builder, "load", vector, [pointer, align, inside, zero])

        def body(at, active):
            if near == 1:
                value = dense(builder.add(at, firstv))
            elif near == 2:  # the even elements of two vectors
                start = builder.add(builder.mul(at, at.type(2)), firstv)
                even = ir.Constant(ir.VectorType(ir.IntType(32), vl), list(range(0, 2 * vl, 2)))
                value = builder.shuffle_vector(dense(start), dense(builder.add(start, at.type(vl))), even)
            else:
                lane = builder.add(splat_like(builder, at, longs), numbers)
                places = builder.add(
                    builder.mul(lane, splat_like(builder, stepv, longs)), splat_like(builder, firstv, longs)
                )
                inside = builder.and_(
                    builder.icmp_signed(">=", places, ir.Constant(longs, None)),
                    builder.icmp_signed("<", places, splat_like(builder, lengthv, longs)),
                )
                pointers = element_pointers(builder, ps, places, itemsize)
                value = masked_memory(builder, "gather", vector, [pointers, align, builder.and_(active, inside), zero])
            target = builder.bitcast(builder.gep(pr, [at]), vector.as_pointer())
            masked_memory(builder, "store", vector, [value, target, align, active])

        _row_loop(builder, countv, vl, body)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _copy_row(typingctx, step, source, s0, row, r0, count):
    if not isinstance(step, types.IntegerLiteral):
        return None
    word, near = types.int64, step.literal_value
    signature = types.void(step, source, word, row, word, word)

    def codegen(context, builder, sig, args):
        _, sv, s0v, rv, r0v, countv = args
        element = context.get_data_type(row.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align = ir.VectorType(element, vl), ir.IntType(32)(itemsize)
        zero, word = ir.Constant(vector, None), countv.type
        ps = element_pointer(context, builder, source, sv, s0v)
        pr = element_pointer(context, builder, row, rv, r0v)
        # of two vectors, the second one element early: so nothing behind the last element is read
        pick = [2 * lane if 2 * lane < vl else 2 * lane + 1 for lane in range(vl)]
        pick = ir.Constant(ir.VectorType(ir.IntType(32), vl), pick)

        def part(pointer, count):
            pointer = builder.bitcast(pointer, vector.as_pointer())
            return masked_memory(builder, "load", vector, [pointer, align, _span(builder, None, count, vl), zero])

        def whole(at):
            start = builder.gep(ps, [builder.mul(at, word(near))])
            value = load_vector(builder, start, vector, itemsize)
            if near == 2:
                second = load_vector(builder, builder.gep(start, [word(vl - 1)]), vector, itemsize)
                value = builder.shuffle_vector(value, second, pick)
            store_vector(builder, value, builder.gep(pr, [at]), itemsize)

        def vectors(i, nothing):
            whole(builder.mul(i, word(vl)))
            return []

        full = builder.ashr(countv, word(vl.bit_length() - 1))
        rest = builder.and_(countv, word(vl - 1))
        counted_loop(builder, full, [], vectors)
        some = builder.icmp_signed(">", rest, word(0))
        with builder.if_then(some), builder.if_else(builder.icmp_signed(">", full, word(0))) as (again, short):
            with again:  # the last vector, partly over what is written already
                whole(builder.sub(countv, word(vl)))
            with short:
                elements = builder.sub(builder.mul(rest, word(near)), word(near - 1))
                value = part(ps, elements)
                if near == 2:
                    second = part(builder.gep(ps, [word(vl - 1)]), builder.sub(elements, word(vl - 1)))
                    value = builder.shuffle_vector(value, second, pick)
                target = builder.bitcast(pr, vector.as_pointer())
                masked_memory(builder, "store", vector, [value, target, align, _span(builder, None, rest, vl)])
        return context.get_dummy_value()

    return signature, codegen


def _vector_loop(context, builder, row, rv, r0v, countv, value_at):
    """row[vector number i] = value_at(i, vector type), for i below count."""
    element = context.get_data_type(row.dtype)
    itemsize = context.get_abi_sizeof(element)
    vector = ir.VectorType(element, VECTOR_BYTES // itemsize)
    pr = element_pointer(context, builder, row, rv, r0v)

    def body(i, nothing):
        target = builder.gep(pr, [builder.mul(i, i.type(vector.count))])
        store_vector(builder, value_at(i, vector, itemsize), target, itemsize)
        return []

    counted_loop(builder, countv, [], body)
    return context.get_dummy_value()


@intrinsic
def _load_shifted(typingctx, source, s0, mask, m0, row, r0, count):
    word = types.int64
    signature = types.void(source, word, mask, word, row, word, word)

    def codegen(context, builder, sig, args):
        sv, s0v, mv, m0v, rv, r0v, countv = args
        ps = element_pointer(context, builder, source, sv, s0v)
        pm = element_pointer(context, builder, mask, mv, m0v)

        def value_at(i, vector, itemsize):
            bits = builder.trunc(builder.load(builder.gep(pm, [i])), ir.IntType(vector.count))
            inside = builder.bitcast(bits, ir.VectorType(ir.IntType(1), vector.count))
            at = builder.gep(ps, [builder.mul(i, i.type(vector.count))])
            pointer = builder.bitcast(at, vector.as_pointer())
            return masked_memory(
                builder, "load", vector, [pointer, ir.IntType(32)(itemsize), inside, ir.Constant(vector, None)]
            )

        return _vector_loop(context, builder, row, rv, r0v, countv, value_at)

    return signature, codegen


@intrinsic
def _load_mapped(typingctx, source, s0, index, i0, row, r0, count):
    word = types.int64
    signature = types.void(source, word, index, word, row, word, word)

    def codegen(context, builder, sig, args):
        sv, s0v, iv, i0v, rv, r0v, countv = args
        ps = element_pointer(context, builder, source, sv, s0v)
        pi = element_pointer(context, builder, index, iv, i0v)

        def value_at(i, vector, itemsize):
            longs = ir.VectorType(i.type, vector.count)
            places = load_vector(builder, builder.gep(pi, [builder.mul(i, i.type(vector.count))]), longs, 8)
            inside = builder.icmp_signed(">=", places, ir.Constant(longs, None))
            pointers = element_pointers(builder, ps, places, itemsize)
            return masked_memory(
                builder, "gather", vector, [pointers, ir.IntType(32)(itemsize), inside, ir.Constant(vector, None)]
            )

        return _vector_loop(context, builder, row, rv, r0v, countv, value_at)

    return signature, codegen


@intrinsic(prefer_literal=True)
def _store_row(typingctx, stride, value, v0, shift, target, t0, step, count):
    if not isinstance(stride, types.IntegerLiteral):
        return None
    word, near = types.int64, stride.literal_value
    signature = types.void(stride, value, word, value.dtype, target, word, word, word)

    def codegen(context, builder, sig, args):
        _, vv, v0v, shiftv, tv, t0v, stepv, countv = args
        element = context.get_data_type(value.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align = ir.VectorType(element, vl), ir.IntType(32)(itemsize)
        zero = ir.Constant(vector, None)
        pv = element_pointer(context, builder, value, vv, v0v)
        pt = element_pointer(context, builder, target, tv, t0v)
        shifts = splat_like(builder, shiftv, vector)
        longs = ir.VectorType(countv.type, vl)

        def body(at, active):
            pointer = builder.bitcast(builder.gep(pv, [at]), vector.as_pointer())
            sums = builder.fadd(masked_memory(builder, "load", vector, [pointer, align, active, zero]), shifts)
            if near == 1:
                place = builder.bitcast(builder.gep(pt, [at]), vector.as_pointer())
                masked_memory(builder, "store", vector, [sums, place, align, active])
            elif near == 2:  # every other lane of two vectors: a scatter costs 16 stores
                for half in range(2):
                    lanes = [half * (vl // 2) + lane // 2 for lane in range(vl)]
                    spread = builder.shuffle_vector(sums, sums, ir.Constant(ir.VectorType(ir.IntType(32), vl), lanes))
                    start = builder.add(builder.mul(at, at.type(2)), at.type(half * vl))
                    rest = builder.sub(builder.mul(countv, at.type(2)), start)
                    even = ir.Constant(ir.VectorType(ir.IntType(1), vl), [1 - lane % 2 for lane in range(vl)])
                    mask = builder.and_(_span(builder, None, rest, vl), even)
                    place = builder.bitcast(builder.gep(pt, [start]), vector.as_pointer())
                    masked_memory(builder, "store", vector, [spread, place, align, mask])
            else:
                lane = builder.add(splat_like(builder, at, longs), ir.Constant(longs, list(range(vl))))
                pointers = element_pointers(builder, pt, builder.mul(lane, splat_like(builder, stepv, longs)), itemsize)
                masked_memory(builder, "scatter", vector, [sums, pointers, align, active])

        _row_loop(builder, countv, vl, body)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _pixel_dot(typingctx, outputs, taps, g, g0, plane, line, s, s0, pitch, rows, width, offset, o0, c, c0, ldc):
    if not (isinstance(outputs, types.IntegerLiteral) and isinstance(taps, types.IntegerLiteral)):
        return None
    no, nt, word = outputs.literal_value, taps.literal_value, types.int64
    signature = types.void(
        outputs, taps, g, word, word, word, s, word, word, word, word, offset, word, c, word, word
    )  # fmt: skip

    def codegen(context, builder, sig, args):
        gv, g0v, planev, linev, sv, s0v, pitchv, rowsv, widthv, ov, o0v, cv, c0v, ldcv = args[2:]
        element = context.get_data_type(s.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align, index = ir.VectorType(element, vl), ir.IntType(32)(itemsize), planev.type
        zero = ir.Constant(vector, None)
        pg = element_pointer(context, builder, g, gv, g0v)
        ps = element_pointer(context, builder, s, sv, s0v)
        po = element_pointer(context, builder, offset, ov, o0v)
        pc = element_pointer(context, builder, c, cv, c0v)
        slopes = [builder.gep(pg, [builder.mul(planev, index(i))]) for i in range(no)]
        starts = [builder.gep(ps, [builder.load(builder.gep(po, [index(j)]))]) for j in range(nt)]

        def row(r, totals):
            g_row, s_row = builder.mul(r, linev), builder.mul(r, pitchv)

            def body(v, sums):
                x = builder.mul(v, index(vl))
                inside = _span(builder, None, builder.sub(widthv, x), vl)

                def part(start, row):
                    pointer = builder.bitcast(builder.gep(start, [builder.add(row, x)]), vector.as_pointer())
                    return masked_memory(builder, "load", vector, [pointer, align, inside, zero])

                left, right = [part(at, g_row) for at in slopes], [part(at, s_row) for at in starts]
                return [
                    multiply_add(builder, left[i], right[j], sums[i * nt + j]) for i in range(no) for j in range(nt)
                ]

            steps = builder.sdiv(builder.add(widthv, index(vl - 1)), index(vl))
            return counted_loop(builder, steps, totals, body)

        for n, total in enumerate(counted_loop(builder, rowsv, [zero] * (no * nt), row)):
            i, j = divmod(n, nt)
            at = builder.mul(builder.add(builder.mul(ldcv, index(i)), index(j)), index(vl))
            pointer = builder.gep(pc, [at])
            total = builder.fadd(load_vector(builder, pointer, vector, itemsize), total)
            store_vector(builder, total, pointer, itemsize)
        return context.get_dummy_value()

    return signature, codegen


def _conv_tile_python(rows, vectors, a, a0, row, r0, place, k0, depth, b, b0, c, c0, ldc, accumulate):
    """conv_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    width = vectors * (VECTOR_BYTES // a.itemsize)
    for i in range(rows):
        sums = c[c0 + i * ldc : c0 + i * ldc + width]
        if not accumulate:
            sums[:] = 0
        for k in range(k0, k0 + depth):
            start = b0 + place[2 * k + 1]
            sums += a[a0 + row[r0 + i] + place[2 * k]] * b[start : start + width]


def _pixel_dot_python(outputs, taps, g, g0, plane, line, s, s0, pitch, rows, width, offset, o0, c, c0, ldc):
    """pixel_dot in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition: ldc counts vectors."""
    vl = VECTOR_BYTES // s.itemsize
    for i in range(outputs):
        for j in range(taps):
            for r in range(rows):
                for x in range(width):
                    slope = g[g0 + i * plane + r * line + x]
                    c[c0 + (i * ldc + j) * vl + x % vl] += slope * s[s0 + offset[o0 + j] + r * pitch + x]


def _load_row_python(stride, source, s0, first, step, length, row, r0, count):
    """load_row in plain Python. `stride` is the step where that is 1 or 2, 0 for any other step."""
    for e in range(count):
        at = first + e * step
        row[r0 + e] = source[s0 + at] if 0 <= at < length else 0


def _copy_row_python(step, source, s0, row, r0, count):
    """copy_row in plain Python; `step` is 1 or 2."""
    for e in range(count):
        row[r0 + e] = source[s0 + e * step]


def _load_shifted_python(source, s0, mask, m0, row, r0, count):
    """load_shifted in plain Python: `count` vectors, and an integer of `mask` for each, a bit for a lane."""
    vl = VECTOR_BYTES // row.itemsize
    for e in range(count * vl):
        row[r0 + e] = source[s0 + e] if int(mask[m0 + e // vl]) >> e % vl & 1 else 0


def _load_mapped_python(source, s0, index, i0, row, r0, count):
    """load_mapped in plain Python: `count` vectors."""
    for e in range(count * (VECTOR_BYTES // row.itemsize)):
        row[r0 + e] = source[s0 + index[i0 + e]] if index[i0 + e] >= 0 else 0


def _store_row_python(stride, value, v0, shift, target, t0, step, count):
    """store_row in plain Python; `stride` as in load_row."""
    for e in range(count):
        target[t0 + e * step] = value[v0 + e] + shift


PLAIN = numba.config.DISABLE_JIT
conv_tile = _conv_tile_python if PLAIN else _conv_tile
pixel_dot = _pixel_dot_python if PLAIN else _pixel_dot
load_row = _load_row_python if PLAIN else _load_row
copy_row = _copy_row_python if PLAIN else _copy_row
load_shifted = _load_shifted_python if PLAIN else _load_shifted
load_mapped = _load_mapped_python if PLAIN else _load_mapped
store_row = _store_row_python if PLAIN else _store_row
