"""The innermost loops of convolutions as explicit SIMD: intrinsics and their plain Python definitions.

    conv_tile      c[i, p] (+)= sum_k a[row[i] + place[k, 0]] * b[place[k, 1] + p]     a block of sums in registers; `ahead`
                   elements behind each row of b a line is asked for; with `to_out` out[i, p] = c[i, p] + shift[i],
                   and c stays as it was
    pixel_dot      c[i, j, lane] += sum_{r, x} g[i, r, x] * s[offset[j], r, x]         a few outputs, a few taps
    load_spans     region[near + e] = source[far + e] where the mask says so, else zero, for a list of vectors
    store_spans    target[far + e * step] = sums[near + e] + shift where the mask says so, for a list of vectors
    load_mapped    region[near + e] = source[place[e]], zero where the place is negative, for a list of vectors

Neither operand of conv_tile is packed. Elements of a are broadcast from wherever they lie, which one table of places
for the rows and one for the depth tells; vectors of b run along p, and start where the table says. So a convolution
needs no im2col matrix, and its weights are read where they are.

The lists come from conv_plan.py. A span is two integers: the far place, and the near place + mask * 2**32, where the mask
has a bit for each element between the vector's first and its last: `step` bits for a lane, of which the lowest counts.
A mapped vector is its near place, then the place of each lane. load_spans also asks for what lies `ahead` elements further
on, in the next channel: no hardware prefetcher follows from one row of a plane to the next.

Tile sizes: with 32 vector registers 8 x 3 vectors of sums leave room for 3 vectors of b and keep 24 independent chains
in flight (one AVX-512 FMA a cycle at a latency of four needs 4); with 16 registers 4 x 3.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..simd.emit import (
    counted_loop,
    element_pointer,
    element_pointers,
    first_lanes,
    lane_mask,
    load_vector,
    masked_memory,
    multiply_add,
    splat_like,
    store_vector,
)
from ..simd.prefetch import ask_for
from .tile_sizes import VECTOR_BYTES


@intrinsic(prefer_literal=True)
def _conv_tile(
    typingctx, rows, vectors, a, a0, row, r0, place, p0, depth, b, b0, ahead, c, c0, ldc, accumulate,
    to_out, out, o0, plane, shift, s0,
):  # fmt: skip
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        return None
    mr, nv, scalar = rows.literal_value, vectors.literal_value, a.dtype
    word = types.int64
    signature = types.void(
        rows, vectors, a, word, row, word, place, word, word, b, word, word, c, word, word, types.boolean,
        types.boolean, out, word, word, shift, word,
    )  # fmt: skip

    def codegen(context, builder, sig, args):
        _, _, av, a0v, rv, r0v, lv, p0v, depthv, bv, b0v, aheadv, cv, c0v, ldcv, accv = args[:16]
        to_outv, ov, o0v, planev, sv, s0v = args[16:]
        element = context.get_data_type(scalar)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector = ir.VectorType(element, vl)
        index = ldcv.type
        pa = element_pointer(context, builder, a, av, a0v)
        pr = element_pointer(context, builder, row, rv, r0v)
        pl = element_pointer(context, builder, place, lv, p0v)
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
            ask_for(builder, builder.gep(b_row, [aheadv]))
            bs = [load_vector(builder, builder.gep(b_row, [index(v * vl)]), vector, itemsize) for v in range(nv)]
            new = []
            for i in range(mr):
                ai = splat_like(builder, builder.load(builder.gep(a_rows[i], [at])), vector)
                new += [multiply_add(builder, ai, bs[v], totals[i * nv + v]) for v in range(nv)]
            return new

        sums = counted_loop(builder, depthv, sums, body)
        before = builder.block
        with builder.if_then(to_outv):
            ps = element_pointer(context, builder, shift, sv, s0v)
            shifts = [splat_like(builder, builder.load(builder.gep(ps, [index(i)])), vector) for i in range(mr)]
            shifted = [builder.fadd(total, shifts[n // nv]) for n, total in enumerate(sums)]
            after = builder.block
        phis = [builder.phi(vector) for _ in sums]
        for phi, total, value in zip(phis, sums, shifted, strict=True):
            phi.add_incoming(total, before)
            phi.add_incoming(value, after)
        pt = builder.select(to_outv, element_pointer(context, builder, out, ov, o0v), pc)
        ldt = builder.select(to_outv, planev, ldcv)
        for n, phi in enumerate(phis):
            i, v = divmod(n, nv)
            at = builder.gep(pt, [builder.add(builder.mul(ldt, index(i)), index(v * vl))])
            store_vector(builder, phi, at, itemsize)
        return context.get_dummy_value()

    return signature, codegen


def _spans(context, builder, array_type, table, t0, count, body):
    """body(far place, near place, bits of the mask) for each span of a list."""
    pt = element_pointer(context, builder, array_type, table, t0)
    word = count.type

    def step(i, nothing):
        pair = builder.gep(pt, [builder.mul(i, word(2))])
        both = builder.load(builder.gep(pair, [word(1)]))
        near = builder.and_(both, word(0xFFFFFFFF))
        body(builder.load(pair), near, builder.lshr(both, word(32)))
        return []

    counted_loop(builder, count, [], step)
    return context.get_dummy_value()


@intrinsic
def _load_spans(typingctx, source, s0, ahead, table, t0, count, region, r0):
    word = types.int64
    signature = types.void(source, word, word, table, word, word, region, word)

    def codegen(context, builder, sig, args):
        sv, s0v, aheadv, tv, t0v, countv, rv, r0v = args
        element = context.get_data_type(region.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align = ir.VectorType(element, vl), ir.IntType(32)(itemsize)
        zero = ir.Constant(vector, None)
        ps = element_pointer(context, builder, source, sv, s0v)
        pr = element_pointer(context, builder, region, rv, r0v)

        def body(far, near, bits):
            ask_for(builder, builder.gep(ps, [builder.add(far, aheadv)]))
            pointer = builder.bitcast(builder.gep(ps, [far]), vector.as_pointer())
            mask = lane_mask(builder, bits, vl)
            value = masked_memory(builder, "load", vector, [pointer, align, mask, zero])
            store_vector(builder, value, builder.gep(pr, [near]), itemsize)

        return _spans(context, builder, table, tv, t0v, countv, body)

    return signature, codegen


@intrinsic(prefer_literal=True)
def _store_spans(typingctx, step, sums, v0, shift, table, t0, count, target, o0):
    if not isinstance(step, types.IntegerLiteral):
        return None
    every, word = step.literal_value, types.int64
    signature = types.void(step, sums, word, sums.dtype, table, word, word, target, word)

    def codegen(context, builder, sig, args):
        _, vv, v0v, shiftv, tv, t0v, countv, ov, o0v = args
        element = context.get_data_type(sums.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align = ir.VectorType(element, vl), ir.IntType(32)(itemsize)
        pv = element_pointer(context, builder, sums, vv, v0v)
        po = element_pointer(context, builder, target, ov, o0v)
        index, shifts = v0v.type, splat_like(builder, shiftv, vector)

        def body(far, near, bits):
            value = builder.fadd(load_vector(builder, builder.gep(pv, [near]), vector, itemsize), shifts)
            for part in range(every):  # of two: every other lane, a scatter costs 16 stores
                lanes = [(part * vl + lane) // every for lane in range(vl)]
                spread = builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), vl), lanes))
                place = builder.bitcast(builder.gep(po, [builder.add(far, index(part * vl))]), vector.as_pointer())
                mask = lane_mask(builder, builder.lshr(bits, index(part * vl)), vl)
                masked_memory(builder, "store", vector, [spread, place, align, mask])

        return _spans(context, builder, table, tv, t0v, countv, body)

    return signature, codegen


@intrinsic
def _load_mapped(typingctx, source, s0, table, t0, count, region, r0):
    word = types.int64
    signature = types.void(source, word, table, word, word, region, word)

    def codegen(context, builder, sig, args):
        sv, s0v, tv, t0v, countv, rv, r0v = args
        element = context.get_data_type(region.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align, index = ir.VectorType(element, vl), ir.IntType(32)(itemsize), s0v.type
        longs = ir.VectorType(index, vl)
        ps = element_pointer(context, builder, source, sv, s0v)
        pt = element_pointer(context, builder, table, tv, t0v)
        pr = element_pointer(context, builder, region, rv, r0v)

        def body(i, nothing):
            entry = builder.gep(pt, [builder.mul(i, index(vl + 1))])
            places = load_vector(builder, builder.gep(entry, [index(1)]), longs, 8)
            inside = builder.icmp_signed(">=", places, ir.Constant(longs, None))
            pointers = element_pointers(builder, ps, places, itemsize)
            value = masked_memory(builder, "gather", vector, [pointers, align, inside, ir.Constant(vector, None)])
            store_vector(builder, value, builder.gep(pr, [builder.load(entry)]), itemsize)
            return []

        counted_loop(builder, countv, [], body)
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
                inside = first_lanes(builder, builder.sub(widthv, x), vl)

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


def _conv_tile_python(
    rows, vectors, a, a0, row, r0, place, p0, depth, b, b0, ahead, c, c0, ldc, accumulate,
    to_out, out, o0, plane, shift, s0
):  # fmt: skip
    """conv_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    width = vectors * (VECTOR_BYTES // a.itemsize)
    for i in range(rows):
        sums = c[c0 + i * ldc : c0 + i * ldc + width]
        if not accumulate:
            sums[:] = 0
        for k in range(depth):
            start = b0 + place[p0 + 2 * k + 1]
            sums += a[a0 + row[r0 + i] + place[p0 + 2 * k]] * b[start : start + width]
        if to_out:
            out[o0 + i * plane : o0 + i * plane + width] = sums + shift[s0 + i]


def _pixel_dot_python(outputs, taps, g, g0, plane, line, s, s0, pitch, rows, width, offset, o0, c, c0, ldc):
    """pixel_dot in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition: ldc counts vectors."""
    vl = VECTOR_BYTES // s.itemsize
    for i in range(outputs):
        for j in range(taps):
            for r in range(rows):
                for x in range(width):
                    slope = g[g0 + i * plane + r * line + x]
                    c[c0 + (i * ldc + j) * vl + x % vl] += slope * s[s0 + offset[o0 + j] + r * pitch + x]


def _load_spans_python(source, s0, ahead, table, t0, count, region, r0):
    """load_spans in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    for i in range(t0, t0 + 2 * count, 2):
        far, both = int(table[i]), int(table[i + 1])
        near, bits = both & 0xFFFFFFFF, both >> 32
        for e in range(VECTOR_BYTES // region.itemsize):
            region[r0 + near + e] = source[s0 + far + e] if bits >> e & 1 else 0


def _store_spans_python(step, sums, v0, shift, table, t0, count, target, o0):
    """store_spans in plain Python."""
    for i in range(t0, t0 + 2 * count, 2):
        far, both = int(table[i]), int(table[i + 1])
        near, bits = both & 0xFFFFFFFF, both >> 32
        for e in range(VECTOR_BYTES // sums.itemsize):
            if bits >> e * step & 1:
                target[o0 + far + e * step] = sums[v0 + near + e] + shift


def _load_mapped_python(source, s0, table, t0, count, region, r0):
    """load_mapped in plain Python."""
    vl = VECTOR_BYTES // region.itemsize
    for i in range(t0, t0 + (vl + 1) * count, vl + 1):
        for e in range(vl):
            place = table[i + 1 + e]
            region[r0 + table[i] + e] = source[s0 + place] if place >= 0 else 0


PLAIN = numba.config.DISABLE_JIT
conv_tile = _conv_tile_python if PLAIN else _conv_tile
pixel_dot = _pixel_dot_python if PLAIN else _pixel_dot
load_spans = _load_spans_python if PLAIN else _load_spans
store_spans = _store_spans_python if PLAIN else _store_spans
load_mapped = _load_mapped_python if PLAIN else _load_mapped
