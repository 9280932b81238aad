"""The innermost loops of depthwise convolutions as explicit SIMD, and their plain Python definitions.

    plane_tile   out[r, e] = bias + sum_{j, i < n[j]} w[j, i] * s[offset[j] + (r + i) * pitch + e]     a few rows of a plane
    plane_dot    c[j, lane] += sum_{r, x} g[r, x] * s[offset[j] + r * pitch + x]                 a few taps of a plane
    flat_tile    out[p] = bias + sum_j w[j] * s[offset[j] + p] where mask[j] has p, for p < count    a few vectors of a plane
    flat_dot     c[j, lane] += sum_{p < count} g[p] * s[offset[j] + p] where mask[j] has p
    copy_row     row[e] = source[e * step]                                                        a row of a plane
    spread_row   target[2 * e] = value[e]                                                         a row among zeros

A depthwise convolution has one multiply-add for every element that it loads, so loads decide. plane_tile computes
four rows of the output at once, and where three taps or more of a column follow each other row by row it uses each vector
that it has loaded for up to four of them: 18 loads for 36 multiply-adds with a 3 x 3 kernel. The `table` from t0 has the
offset of each column, `tall` ones of several taps and then `singles` of one, and the number of taps of the tall ones;
`taps` is that number if it is the same for all, else 0.

The flat ones are for planes of few columns: where output and input have the same size and the steps are one, a tap
moves the whole plane by a constant, and a bit for each pixel and tap says what lies outside.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..simd.emit import counted_loop, multiply_add, splat_like
from .tile_sizes import VECTOR_BYTES
from .tile_vectors import TileVectors


@intrinsic(prefer_literal=True)
def _copy_row(typingctx, step, source, s0, row, r0, count):
    if not isinstance(step, types.IntegerLiteral):
        return None
    word, near = types.int64, step.literal_value
    signature = types.void(step, source, word, row, word, word)

    def codegen(context, builder, sig, args):
        _, sv, s0v, rv, r0v, countv = args
        vectors, word = TileVectors(context, builder, row.dtype), countv.type
        vl = vectors.lanes
        ps, pr = vectors.address(source, sv, s0v), vectors.address(row, rv, r0v)
        # of two vectors, the second one element early: so nothing behind the last element is read
        pick = vectors.order([2 * lane if 2 * lane < vl else 2 * lane + 1 for lane in range(vl)])

        def whole(at):
            start = builder.gep(ps, [builder.mul(at, word(near))])
            value = vectors.load(start)
            if near == 2:
                value = builder.shuffle_vector(value, vectors.load(builder.gep(start, [word(vl - 1)])), pick)
            vectors.store(value, builder.gep(pr, [at]))

        def body(i, nothing):
            whole(builder.mul(i, word(vl)))
            return []

        full = builder.ashr(countv, word(vl.bit_length() - 1))
        rest = builder.and_(countv, word(vl - 1))
        counted_loop(builder, full, [], body)
        some = builder.icmp_signed(">", rest, word(0))
        with builder.if_then(some), builder.if_else(builder.icmp_signed(">", full, word(0))) as (again, short):
            with again:  # the last vector, partly over what is written already
                whole(builder.sub(countv, word(vl)))
            with short:
                elements = builder.sub(builder.mul(rest, word(near)), word(near - 1))
                value = vectors.load_where(vectors.first(elements), ps)
                if near == 2:
                    behind = vectors.first(builder.sub(elements, word(vl - 1)))
                    second = vectors.load_where(behind, builder.gep(ps, [word(vl - 1)]))
                    value = builder.shuffle_vector(value, second, pick)
                vectors.store_where(vectors.first(rest), value, pr)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _spread_row(typingctx, value, v0, target, t0, count):
    word = types.int64
    signature = types.void(value, word, target, word, word)

    def codegen(context, builder, sig, args):
        vv, v0v, tv, t0v, countv = args
        vectors, index = TileVectors(context, builder, value.dtype), countv.type
        vl = vectors.lanes
        pv, pt = vectors.address(value, vv, v0v), vectors.address(target, tv, t0v)
        even = ir.Constant(ir.VectorType(ir.IntType(1), vl), [1 - lane % 2 for lane in range(vl)])

        def body(i, nothing):
            at = builder.mul(i, index(vl))
            part = vectors.load_where(vectors.first(builder.sub(countv, at)), builder.gep(pv, [at]))
            for half in range(2):  # every other lane of two vectors: a scatter costs 16 stores
                apart = builder.shuffle_vector(
                    part, part, vectors.order([half * (vl // 2) + lane // 2 for lane in range(vl)])
                )
                start = builder.add(builder.mul(at, index(2)), index(half * vl))
                rest = builder.sub(builder.mul(countv, index(2)), start)
                vectors.store_where(builder.and_(vectors.first(rest), even), apart, builder.gep(pt, [start]))
            return []

        counted_loop(builder, builder.sdiv(builder.add(countv, index(vl - 1)), index(vl)), [], body)
        return context.get_dummy_value()

    return signature, codegen


def _column(builder, vectors, start, shift, weights, count, rows, totals):
    """Add a column of `count` taps, three at least, to `rows` rows of sums (row by row, a tuple of vectors each).

    Line i of the plane belongs to tap i of the first row, to tap i - 1 of the second, ...: the weights of the last taps
    move from row to row while the lines go by, and each vector is loaded once."""
    index, nv, vl = count.type, len(totals) // rows, vectors.lanes

    def weight(i):
        return splat_like(builder, builder.load(builder.gep(weights, [i])), vectors.type)

    def line(i):
        at = builder.gep(start, [builder.mul(i, shift)])
        return [vectors.load(builder.gep(at, [index(v * vl)])) for v in range(nv)]

    def add(sums, values, recent, first):
        """recent[k] is the weight of the tap k lines back, for the rows from `first`."""
        sums = list(sums)
        for r in range(first, rows):
            if r < len(recent) and recent[r] is not None:
                for v in range(nv):
                    sums[r * nv + v] = multiply_add(builder, recent[r], values[v], sums[r * nv + v])
        return sums

    recent = []
    for i in range(rows - 1):  # the first lines, which only some rows see
        recent = [weight(index(i)), *recent]
        totals = add(totals, line(index(i)), recent, 0)

    def body(i, carried):
        i = builder.add(i, index(rows - 1))
        now = [weight(i), *carried[: rows - 1]]
        return [*now[: rows - 1], *add(carried[rows - 1 :], line(i), now, 0)]

    carried = counted_loop(builder, builder.sub(count, index(rows - 1)), [*recent, *totals], body)
    recent, totals = carried[: rows - 1], carried[rows - 1 :]
    for i in range(rows - 1):  # the last ones
        recent = [None, *recent]
        totals = add(totals, line(builder.add(count, index(i))), recent, i + 1)
    return totals


def _short_column(builder, vectors, start, shifts, weights, taps, totals):
    """_column without a loop, for a number of taps that is known here: 3 x 3 takes four fifths of the time."""
    index, rows = shifts[0].type, len(shifts) - taps + 1
    nv, sums = len(totals) // rows, list(totals)
    ws = [splat_like(builder, builder.load(builder.gep(weights, [index(i)])), vectors.type) for i in range(taps)]
    for line, shift in enumerate(shifts):
        for v in range(nv):
            value = vectors.load(builder.gep(start, [builder.add(shift, index(v * vectors.lanes))]))
            for i in range(max(0, line - rows + 1), min(taps, line + 1)):
                n = (line - i) * nv + v
                sums[n] = multiply_add(builder, ws[i], value, sums[n])
    return sums


@intrinsic(prefer_literal=True)
def _plane_tile(
    typingctx, rows, taps, vectors, w, table, t0, tall, singles, s, s0, pitch, bias, out, out0, ldo, count
):  # fmt: skip
    if not all(isinstance(n, types.IntegerLiteral) for n in (rows, taps, vectors)):
        return None
    nr, nt, nv, scalar, word = rows.literal_value, taps.literal_value, vectors.literal_value, s.dtype, types.int64
    signature = types.void(
        rows, taps, vectors, w, table, word, word, word, s, word, word, scalar, out, word, word, word
    )  # fmt: skip

    def codegen(context, builder, sig, args):
        wv, tv, t0v, tallv, singlesv, sv, s0v, pitchv, biasv, outv, out0v, ldov, countv = args[3:]
        vectors, index = TileVectors(context, builder, scalar), pitchv.type
        vl = vectors.lanes
        pw, po = vectors.address(w, wv, index(0)), vectors.address(table, tv, t0v)
        ps, pt = vectors.address(s, sv, s0v), vectors.address(out, outv, out0v)
        sums, used = [splat_like(builder, biasv, vectors.type)] * (nr * nv), index(0)
        counts = builder.gep(po, [builder.add(tallv, singlesv)])
        shifts = [builder.mul(pitchv, index(i)) for i in range(nr + nt - 1)]

        def column(j, carried):
            start, weights = builder.gep(ps, [builder.load(builder.gep(po, [j]))]), builder.gep(pw, [carried[0]])
            if nt:
                number, totals = index(nt), _short_column(builder, vectors, start, shifts, weights, nt, carried[1:])
            else:
                number = builder.load(builder.gep(counts, [j]))
                totals = _column(builder, vectors, start, pitchv, weights, number, nr, carried[1:])
            return [builder.add(carried[0], number), *totals]

        if nr > 1:
            used, *sums = counted_loop(builder, tallv, [used, *sums], column)
        offsets, weights = builder.gep(po, [tallv]), builder.gep(pw, [used])

        def single(j, totals):
            start = builder.gep(ps, [builder.load(builder.gep(offsets, [j]))])
            weight = splat_like(builder, builder.load(builder.gep(weights, [j])), vectors.type)
            new = []
            for n, total in enumerate(totals):
                r, v = divmod(n, nv)
                at = builder.add(builder.mul(pitchv, index(r)), index(v * vl))
                new.append(multiply_add(builder, weight, vectors.load(builder.gep(start, [at])), total))
            return new

        sums = counted_loop(builder, singlesv, sums, single)

        def write(part):
            for n, total in enumerate(sums):
                r, v = divmod(n, nv)
                to = builder.gep(pt, [builder.add(builder.mul(ldov, index(r)), index(v * vl))])
                if part:
                    vectors.store_where(vectors.first(builder.sub(countv, index(v * vl))), total, to)
                else:
                    vectors.store(total, to)

        # masked stores cost several plain ones
        with builder.if_else(builder.icmp_signed(">=", countv, index(nv * vl))) as (whole, part):
            with whole:
                write(False)
            with part:
                write(True)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _plane_dot(typingctx, columns, g, g0, ldg, s, s0, pitch, rows, width, offset, o0, c, c0):
    if not isinstance(columns, types.IntegerLiteral):
        return None
    nc, word = columns.literal_value, types.int64
    signature = types.void(columns, g, word, word, s, word, word, word, word, offset, word, c, word)

    def codegen(context, builder, sig, args):
        _, gv, g0v, ldgv, sv, s0v, pitchv, rowsv, widthv, ov, o0v, cv, c0v = args
        vectors, index = TileVectors(context, builder, s.dtype), pitchv.type
        vl = vectors.lanes
        pg, ps = vectors.address(g, gv, g0v), vectors.address(s, sv, s0v)
        po, pc = vectors.address(offset, ov, o0v), vectors.address(c, cv, c0v)
        offsets = [builder.load(builder.gep(po, [index(j)])) for j in range(nc)]
        starts = [builder.gep(ps, [at]) for at in offsets]
        steps = builder.sdiv(builder.add(widthv, index(vl - 1)), index(vl))

        def row(r, totals):
            g_row = builder.gep(pg, [builder.mul(r, ldgv)])
            s_row = builder.mul(r, pitchv)

            def body(i, sums):
                x = builder.mul(i, index(vl))
                mask = vectors.first(builder.sub(widthv, x))
                slope, at = vectors.load_where(mask, builder.gep(g_row, [x])), builder.add(s_row, x)
                return [
                    multiply_add(builder, slope, vectors.load_where(mask, builder.gep(start, [at])), total)
                    for start, total in zip(starts, sums, strict=True)
                ]

            return counted_loop(builder, steps, totals, body)

        for j, total in enumerate(counted_loop(builder, rowsv, [vectors.zero] * nc, row)):
            vectors.add_to(total, builder.gep(pc, [index(j * vl)]))
        return context.get_dummy_value()

    return signature, codegen


def _moved(builder, vectors, start, at, masks, number):
    """The vector at start + at, zero where the bits of masks[number] say so."""
    bits = builder.trunc(builder.load(builder.gep(masks, [number])), ir.IntType(vectors.lanes))
    inside = builder.bitcast(bits, ir.VectorType(ir.IntType(1), vectors.lanes))
    return vectors.load_where(inside, builder.gep(start, [at]))


@intrinsic(prefer_literal=True)
def _flat_tile(typingctx, vectors, w, offset, taps, mask, m0, step, s, s0, bias, out, out0, count):
    if not isinstance(vectors, types.IntegerLiteral):
        return None
    nv, scalar, word = vectors.literal_value, s.dtype, types.int64
    signature = types.void(vectors, w, offset, word, mask, word, word, s, word, scalar, out, word, word)

    def codegen(context, builder, sig, args):
        _, wv, ov, tapsv, mv, m0v, stepv, sv, s0v, biasv, outv, out0v, countv = args
        vectors, index = TileVectors(context, builder, scalar), stepv.type
        vl = vectors.lanes
        pw, po = vectors.address(w, wv, index(0)), vectors.address(offset, ov, index(0))
        pm, ps = vectors.address(mask, mv, m0v), vectors.address(s, sv, s0v)
        pt = vectors.address(out, outv, out0v)

        def body(j, totals):
            start = builder.gep(ps, [builder.load(builder.gep(po, [j]))])
            masks = builder.gep(pm, [builder.mul(j, stepv)])
            weight = splat_like(builder, builder.load(builder.gep(pw, [j])), vectors.type)
            moved = [_moved(builder, vectors, start, index(v * vl), masks, index(v)) for v in range(nv)]
            return [multiply_add(builder, weight, value, total) for value, total in zip(moved, totals, strict=True)]

        sums = counted_loop(builder, tapsv, [splat_like(builder, biasv, vectors.type)] * nv, body)
        for v, total in enumerate(sums):
            inside = vectors.first(builder.sub(countv, index(v * vl)))
            vectors.store_where(inside, total, builder.gep(pt, [index(v * vl)]))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _flat_dot(typingctx, columns, g, g0, s, s0, offset, o0, mask, m0, step, count, c, c0):
    if not isinstance(columns, types.IntegerLiteral):
        return None
    nc, word = columns.literal_value, types.int64
    signature = types.void(columns, g, word, s, word, offset, word, mask, word, word, word, c, word)

    def codegen(context, builder, sig, args):
        _, gv, g0v, sv, s0v, ov, o0v, mv, m0v, stepv, countv, cv, c0v = args
        vectors, index = TileVectors(context, builder, s.dtype), stepv.type
        vl = vectors.lanes
        pg, ps, po = vectors.address(g, gv, g0v), vectors.address(s, sv, s0v), vectors.address(offset, ov, o0v)
        pm, pc = vectors.address(mask, mv, m0v), vectors.address(c, cv, c0v)
        starts = [builder.gep(ps, [builder.load(builder.gep(po, [index(j)]))]) for j in range(nc)]
        masks = [builder.gep(pm, [builder.mul(stepv, index(j))]) for j in range(nc)]

        def body(v, totals):
            at = builder.mul(v, index(vl))
            slope = vectors.load_where(vectors.first(builder.sub(countv, at)), builder.gep(pg, [at]))
            moved = [_moved(builder, vectors, starts[j], at, masks[j], v) for j in range(nc)]
            return [multiply_add(builder, slope, value, total) for value, total in zip(moved, totals, strict=True)]

        steps = builder.sdiv(builder.add(countv, index(vl - 1)), index(vl))
        for j, total in enumerate(counted_loop(builder, steps, [vectors.zero] * nc, body)):
            vectors.add_to(total, builder.gep(pc, [index(j * vl)]))
        return context.get_dummy_value()

    return signature, codegen


def _copy_row_python(step, source, s0, row, r0, count):
    """copy_row in plain Python; `step` is 1 or 2."""
    for e in range(count):
        row[r0 + e] = source[s0 + e * step]


def _spread_row_python(value, v0, target, t0, count):
    """spread_row in plain Python."""
    for e in range(count):
        target[t0 + 2 * e] = value[v0 + e]


def _plane_tile_python(rows, taps, vectors, w, table, t0, tall, singles, s, s0, pitch, bias, out, out0, ldo, count):
    """plane_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition. `count` elements of a row are
    written."""
    for r in range(rows):
        for e in range(min(count, vectors * (VECTOR_BYTES // s.itemsize))):
            total, n = bias, 0
            for j in range(tall + singles):
                for i in range(table[t0 + tall + singles + j] if j < tall else 1):
                    total += w[n] * s[s0 + table[t0 + j] + (r + i) * pitch + e]
                    n += 1
            out[out0 + r * ldo + e] = total


def _plane_dot_python(columns, g, g0, ldg, s, s0, pitch, rows, width, offset, o0, c, c0):
    """plane_dot in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    vl = VECTOR_BYTES // s.itemsize
    for j in range(columns):
        for r in range(rows):
            for x in range(width):
                c[c0 + j * vl + x % vl] += g[g0 + r * ldg + x] * s[s0 + offset[o0 + j] + r * pitch + x]


def _flat_tile_python(vectors, w, offset, taps, mask, m0, step, s, s0, bias, out, out0, count):
    """flat_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    vl = VECTOR_BYTES // s.itemsize
    for p in range(min(count, vectors * vl)):
        total = bias
        for j in range(taps):
            if int(mask[m0 + j * step + p // vl]) >> p % vl & 1:
                total += w[j] * s[s0 + offset[j] + p]
        out[out0 + p] = total


def _flat_dot_python(columns, g, g0, s, s0, offset, o0, mask, m0, step, count, c, c0):
    """flat_dot in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    vl = VECTOR_BYTES // s.itemsize
    for j in range(columns):
        for p in range(count):
            if int(mask[m0 + j * step + p // vl]) >> p % vl & 1:
                c[c0 + j * vl + p % vl] += g[g0 + p] * s[s0 + offset[o0 + j] + p]


copy_row = _copy_row_python if numba.config.DISABLE_JIT else _copy_row
spread_row = _spread_row_python if numba.config.DISABLE_JIT else _spread_row
plane_tile = _plane_tile_python if numba.config.DISABLE_JIT else _plane_tile
plane_dot = _plane_dot_python if numba.config.DISABLE_JIT else _plane_dot
flat_tile = _flat_tile_python if numba.config.DISABLE_JIT else _flat_tile
flat_dot = _flat_dot_python if numba.config.DISABLE_JIT else _flat_dot
