"""Register tiles: the innermost loops of matrix products and convolutions, written as explicit SIMD.

LLVM turns a numba loop into 256-bit code at best and does not keep a two-dimensional block of sums in
registers, so the two loops below are emitted as vector IR. Each holds a tile of sums in registers for the
whole of its reduction:

    gemm_tile   c[i, p] (+)= sum_k a[k, i] * b[offset[k] + p]     vectors run along p, a is broadcast
    dot_tile    c[i, j]  +=  sum_p a[i, p] * b[offset[j] + p]     vectors run along p, and are added up at the
    end

and two more move short rows in and out of the packed buffers with masked vectors, where a loop over slices
costs 100 cycles a row:

    load_row    row[e] = source[first + e * step], zero outside of the source
    store_row   target[e * step] = value[e] + shift

`b` is addressed through a table of offsets. A packed panel has offsets k * width; a convolution has, for each
(channel, tap), the place of that tap's first pixel, and so needs no im2col matrix.

Tile sizes: with 32 vector registers 8 x 3 vectors of sums leave room for 3 vectors of b and keep 24
independent chains in flight (two FMA a cycle at a latency of four need 8); with 16 registers 4 x 3.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .. import host

VECTOR_BYTES = host.vector_bytes()
WIDE_FILE = host.vector_registers() == 32
ROWS = 8 if WIDE_FILE else 4  # rows of a gemm tile
VECTORS = 3  # vectors along the row of a gemm tile
ROW_VECTORS = 8  # vectors of a gemm tile with a single row
DOT_ROWS = 4  # rows of a dot tile
DOT_COLUMNS = 6 if WIDE_FILE else 2  # columns of a dot tile


def lanes(itemsize: int) -> int:
    """Elements of `itemsize` bytes in one vector register of this machine."""
    return VECTOR_BYTES // itemsize


def _pointer(context, builder, array_type, array, start):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [start])


def _load_vector(builder, pointer, vector_type, itemsize):
    return builder.load(builder.bitcast(pointer, vector_type.as_pointer()), align=itemsize)


def _store_vector(builder, value, pointer, itemsize):
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=itemsize)


def _splat(builder, scalar, vector_type):
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), None)
    one = builder.insert_element(ir.Constant(vector_type, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(one, ir.Constant(vector_type, ir.Undefined), zeros)


def _multiply_add(builder, a, b, total):
    """a * b + total; the two contract flags let the backend fuse it where the machine has FMA, and only
    there."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), total, flags=("contract",))


def _counted_loop(builder, count, sums, body):
    """for index in range(count): sums = body(index, sums), with `sums` in registers. Returns the last
    sums."""
    word = count.type
    entry = builder.block
    head, inside, after = (builder.append_basic_block(n) for n in ("tile.head", "tile.body", "tile.end"))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(word)
    index.add_incoming(word(0), entry)
    phis = [builder.phi(s.type) for s in sums]
    for phi, start in zip(phis, sums, strict=True):
        phi.add_incoming(start, entry)
    builder.cbranch(builder.icmp_signed("<", index, count), inside, after)
    builder.position_at_end(inside)
    new = body(index, phis)
    index.add_incoming(builder.add(index, word(1)), builder.block)
    for phi, value in zip(phis, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis


@intrinsic(prefer_literal=True)
def _gemm_tile(typingctx, rows, vectors, a, a0, offset, o0, depth, b, b0, c, c0, ldc, accumulate):
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(vectors, types.IntegerLiteral)):
        return None
    mr, nv, scalar = rows.literal_value, vectors.literal_value, a.dtype
    word = types.int64
    signature = types.void(rows, vectors, a, word, offset, word, word, b, word, c, word, word, types.boolean)

    def codegen(context, builder, sig, args):
        _, _, av, a0v, ov, o0v, depthv, bv, b0v, cv, c0v, ldcv, accv = args
        element = context.get_data_type(scalar)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector = ir.VectorType(element, vl)
        pa = _pointer(context, builder, a, av, a0v)
        po = _pointer(context, builder, offset, ov, o0v)
        pb = _pointer(context, builder, b, bv, b0v)
        pc = _pointer(context, builder, c, cv, c0v)
        index = ldcv.type

        def place(i, v):
            return builder.gep(pc, [builder.add(builder.mul(ldcv, index(i)), index(v * vl))])

        before = builder.block
        with builder.if_then(accv):
            old = [_load_vector(builder, place(i, v), vector, itemsize) for i in range(mr) for v in range(nv)]
            loaded = builder.block
        sums = []
        for value in old:
            phi = builder.phi(vector)
            phi.add_incoming(ir.Constant(vector, None), before)
            phi.add_incoming(value, loaded)
            sums.append(phi)

        def body(k, totals):
            row = builder.gep(pb, [builder.load(builder.gep(po, [k]))])
            bs = [_load_vector(builder, builder.gep(row, [index(v * vl)]), vector, itemsize) for v in range(nv)]
            column = builder.gep(pa, [builder.mul(k, index(mr))])
            new = []
            for i in range(mr):
                ai = _splat(builder, builder.load(builder.gep(column, [index(i)])), vector)
                new += [_multiply_add(builder, ai, bs[v], totals[i * nv + v]) for v in range(nv)]
            return new

        sums = _counted_loop(builder, depthv, sums, body)
        for n, total in enumerate(sums):
            _store_vector(builder, total, place(*divmod(n, nv)), itemsize)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _dot_tile(typingctx, rows, columns, a, a0, lda, length, b, b0, offset, o0, c, c0, ldc):
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(columns, types.IntegerLiteral)):
        return None
    mr, nr, scalar = rows.literal_value, columns.literal_value, a.dtype
    word = types.int64
    signature = types.void(rows, columns, a, word, word, word, b, word, offset, word, c, word, word)

    def codegen(context, builder, sig, args):
        _, _, av, a0v, ldav, lengthv, bv, b0v, ov, o0v, cv, c0v, ldcv = args
        element = context.get_data_type(scalar)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector = ir.VectorType(element, vl)
        index = ldcv.type
        pa = _pointer(context, builder, a, av, a0v)
        po = _pointer(context, builder, offset, ov, o0v)
        pb = _pointer(context, builder, b, bv, b0v)
        pc = _pointer(context, builder, c, cv, c0v)
        a_rows = [builder.gep(pa, [builder.mul(ldav, index(i))]) for i in range(mr)]
        b_rows = [builder.gep(pb, [builder.load(builder.gep(po, [index(j)]))]) for j in range(nr)]

        def body(step, totals):
            at = [builder.mul(step, index(vl))]
            va = [_load_vector(builder, builder.gep(p, at), vector, itemsize) for p in a_rows]
            vb = [_load_vector(builder, builder.gep(p, at), vector, itemsize) for p in b_rows]
            return [_multiply_add(builder, va[i], vb[j], totals[i * nr + j]) for i in range(mr) for j in range(nr)]

        zeros = [ir.Constant(vector, None)] * (mr * nr)
        totals = _counted_loop(builder, builder.sdiv(lengthv, index(vl)), zeros, body)
        name = f"llvm.vector.reduce.fadd.v{vl}f{itemsize * 8}"
        add_lanes = cgutils.get_or_insert_function(builder.module, ir.FunctionType(element, [element, vector]), name)
        for n, total in enumerate(totals):
            i, j = divmod(n, nr)
            place = builder.gep(pc, [builder.add(builder.mul(ldcv, index(i)), index(j))])
            # a tree over the lanes, always the same one
            lane_sum = builder.call(add_lanes, [element(-0.0), total], fastmath=("reassoc",))
            builder.store(builder.fadd(builder.load(place), lane_sum), place)
        return context.get_dummy_value()

    return signature, codegen


def _lane_numbers(vl, word):
    return ir.Constant(ir.VectorType(word, vl), list(range(vl)))


def _masked(builder, kind, vector, args):
    """Call llvm.masked.{load,store,gather,scatter} for `vector`."""
    count = f"v{vector.count}"
    element = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    many = f"{count}p0" if kind in ("gather", "scatter") else "p0"
    names = [f"{count}{element}", many]
    returns = vector if kind in ("load", "gather") else ir.VoidType()
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(returns, [a.type for a in args]),
        f"llvm.masked.{kind}.{'.'.join(names)}",
    )
    return builder.call(function, args)


def _pointers(builder, base, places, itemsize):
    """A vector of addresses base + places (llvmlite has no vector getelementptr)."""
    longs = places.type
    start = _splat(builder, builder.ptrtoint(base, longs.element), longs)
    size = ir.Constant(longs, [itemsize] * longs.count)
    return builder.inttoptr(builder.add(start, builder.mul(places, size)), ir.VectorType(base.type, longs.count))


def _row_loop(builder, count, vl, body):
    """body(first, lanes, active) for each vector of a row of `count`: its first element, all of them, those
    inside the row."""
    word = count.type
    numbers = _lane_numbers(vl, word)
    limit = _splat(builder, count, numbers.type)
    with cgutils.for_range_slice(builder, word(0), count, word(vl), word) as (first, _):
        lane = builder.add(_splat(builder, first, numbers.type), numbers)
        body(first, lane, builder.icmp_signed("<", lane, limit))


@intrinsic(prefer_literal=True)
def _load_row(typingctx, strided, source, s0, first, step, length, row, r0, count):
    if not isinstance(strided, types.IntegerLiteral):
        return None
    word = types.int64
    signature = types.void(strided, source, word, word, word, word, row, word, word)

    def codegen(context, builder, sig, args):
        _, sv, s0v, firstv, stepv, lengthv, rv, r0v, countv = args
        element = context.get_data_type(row.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align = ir.VectorType(element, vl), ir.IntType(32)(itemsize)
        zero = ir.Constant(vector, None)
        ps = _pointer(context, builder, source, sv, s0v)
        pr = _pointer(context, builder, row, rv, r0v)
        longs = ir.VectorType(countv.type, vl)
        low, high = ir.Constant(longs, None), _splat(builder, lengthv, longs)

        def body(at, lane, active):
            steps = builder.mul(lane, _splat(builder, stepv, longs)) if strided.literal_value else lane
            place = builder.add(steps, _splat(builder, firstv, longs))
            inside = builder.and_(
                active,
                builder.and_(builder.icmp_signed(">=", place, low), builder.icmp_signed("<", place, high)),
            )
            if strided.literal_value:
                pointers = _pointers(builder, ps, place, itemsize)
                value = _masked(builder, "gather", vector, [pointers, align, inside, zero])
            else:
                pointer = builder.bitcast(builder.gep(ps, [builder.add(at, firstv)]), vector.as_pointer())
                value = _masked(builder, "load", vector, [pointer, align, inside, zero])
            target = builder.bitcast(builder.gep(pr, [at]), vector.as_pointer())
            _masked(builder, "store", vector, [value, target, align, active])

        _row_loop(builder, countv, vl, body)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def _store_row(typingctx, strided, value, v0, shift, target, t0, step, count):
    if not isinstance(strided, types.IntegerLiteral):
        return None
    word = types.int64
    signature = types.void(strided, value, word, value.dtype, target, word, word, word)

    def codegen(context, builder, sig, args):
        _, vv, v0v, shiftv, tv, t0v, stepv, countv = args
        element = context.get_data_type(value.dtype)
        itemsize = context.get_abi_sizeof(element)
        vl = VECTOR_BYTES // itemsize
        vector, align = ir.VectorType(element, vl), ir.IntType(32)(itemsize)
        zero = ir.Constant(vector, None)
        pv = _pointer(context, builder, value, vv, v0v)
        pt = _pointer(context, builder, target, tv, t0v)
        shifts = _splat(builder, shiftv, vector)
        longs = ir.VectorType(countv.type, vl)

        def body(at, lane, active):
            pointer = builder.bitcast(builder.gep(pv, [at]), vector.as_pointer())
            sums = builder.fadd(_masked(builder, "load", vector, [pointer, align, active, zero]), shifts)
            if strided.literal_value:
                pointers = _pointers(builder, pt, builder.mul(lane, _splat(builder, stepv, longs)), itemsize)
                _masked(builder, "scatter", vector, [sums, pointers, align, active])
            else:
                place = builder.bitcast(builder.gep(pt, [at]), vector.as_pointer())
                _masked(builder, "store", vector, [sums, place, align, active])

        _row_loop(builder, countv, vl, body)
        return context.get_dummy_value()

    return signature, codegen


def _load_row_python(strided, source, s0, first, step, length, row, r0, count):
    """load_row in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    for e in range(count):
        place = first + e * step
        row[r0 + e] = source[s0 + place] if 0 <= place < length else 0


def _store_row_python(strided, value, v0, shift, target, t0, step, count):
    """store_row in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    for e in range(count):
        target[t0 + e * step] = value[v0 + e] + shift


def _gemm_tile_python(rows, vectors, a, a0, offset, o0, depth, b, b0, c, c0, ldc, accumulate):
    """gemm_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    width = vectors * lanes(a.itemsize)
    for i in range(rows):
        row = c[c0 + i * ldc : c0 + i * ldc + width]
        if not accumulate:
            row[:] = 0
        for k in range(depth):
            start = b0 + offset[o0 + k]
            row += a[a0 + k * rows + i] * b[start : start + width]


def _dot_tile_python(rows, columns, a, a0, lda, length, b, b0, offset, o0, c, c0, ldc):
    """dot_tile in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    for i in range(rows):
        for j in range(columns):
            left = a[a0 + i * lda : a0 + i * lda + length]
            start = b0 + offset[o0 + j]
            c[c0 + i * ldc + j] += np.dot(left, b[start : start + length])


gemm_tile = _gemm_tile_python if numba.config.DISABLE_JIT else _gemm_tile
dot_tile = _dot_tile_python if numba.config.DISABLE_JIT else _dot_tile
load_row = _load_row_python if numba.config.DISABLE_JIT else _load_row
store_row = _store_row_python if numba.config.DISABLE_JIT else _store_row
