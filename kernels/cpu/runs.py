"""Runs of adjacent elements moved with whole vectors: what every kernel that copies rows by an index is made of.

    copy_run(target, t, source, s, count)      target[t : t + count] = source[s : s + count]
    add_run(target, t, source, s, count)       target[t : t + count] += source[s : s + count]

The two runs do not overlap. A loop over slices costs 10 to 20 ns a row before the first element moves (aliasing checks
and a scalar remainder); a row of 64 floats is four loads and four stores here. They are intrinsics and not kernels
since Numba counts references to the arrays at every call of a kernel: 80 cycles a row, more than the row itself.

Arrays are flat, of one integer, float or complex dtype, positions count elements, and nothing is checked.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .. import host
from ..simd.emit import element_pointer
from ..simd.vector import Vector, declare, element_ir, is_float, splat

_WORD = ir.IntType(64)

#: Bytes from which a run is left to the C library, which can write a line without reading it first: rows of 4 KB copied
#: by an index take 10 to 30 % less, shorter ones the same.
LONG_RUN = 4096


class _Mover:
    """Loads, combines and stores vectors of one dtype at distances from two pointers."""

    def __init__(self, builder, element, target, source, add: bool):
        self.builder, self.add = builder, add
        self.vector = Vector(element, host.vector_bytes() * 8 // element.bitwidth)
        self.align = element.bitwidth // 8
        # A complex number is two real ones in memory.
        if target.type.pointee != element_ir(element):
            kind = element_ir(element).as_pointer()
            target, source = builder.bitcast(target, kind), builder.bitcast(source, kind)
        self.target, self.source = target, source
        self.plus = builder.fadd if is_float(element) else builder.add

    def _place(self, pointer, at):
        return self.builder.bitcast(self.builder.gep(pointer, [at]), self.vector.ir.as_pointer())

    def whole(self, at) -> None:
        """One full vector."""
        b, target = self.builder, self._place(self.target, at)
        value = b.load(self._place(self.source, at), align=self.align)
        if self.add:
            value = self.plus(b.load(target, align=self.align), value)
        b.store(value, target, align=self.align)

    def part(self, at, count) -> None:
        """The first `count` lanes of one."""
        b, v = self.builder, self.vector
        numbers = ir.Constant(ir.VectorType(_WORD, v.count), list(range(v.count)))
        mask = b.icmp_signed("<", numbers, splat(b, count, v.count))
        value = self._masked("load", self._place(self.source, at), mask)
        if self.add:
            value = self.plus(self._masked("load", self._place(self.target, at), mask), value)
        self._masked("store", self._place(self.target, at), mask, value)

    def _masked(self, kind, pointer, mask, value=None):
        b, v = self.builder, self.vector
        align = ir.IntType(32)(self.align)
        if kind == "load":
            arguments, result = [pointer, align, mask, ir.Constant(v.ir, None)], v.ir
        else:
            arguments, result = [value, pointer, align, mask], ir.VoidType()
        name = f"llvm.masked.{kind}.{v.suffix}.p0"
        return b.call(declare(b.module, name, result, [a.type for a in arguments]), arguments)


def _run(target, source, add: bool):
    """Signature and code of one of the two intrinsics."""
    if not isinstance(target, types.Array) or not isinstance(source, types.Array):
        return None
    if target.dtype != source.dtype or target.layout != source.layout or not target.mutable:
        return None  # the source may be an array that must not be written
    element, parts = target.dtype, 1
    if isinstance(element, types.Complex):
        element, parts = element.underlying_float, 2
    if not isinstance(element, (types.Float, types.Integer)):
        return None
    place = types.int64

    def codegen(context, builder, signature, args):
        pt = element_pointer(context, builder, target, args[0], args[1])
        ps = element_pointer(context, builder, source, args[2], args[3])
        count = builder.mul(args[4], _WORD(parts))
        mover = _Mover(builder, element, pt, ps, add)
        lanes = _WORD(mover.vector.count)
        zero = _WORD(0)
        if add:
            _by_vectors(builder, mover, count, lanes, zero)
            return context.get_dummy_value()
        is_long = builder.icmp_signed(">=", count, _WORD(LONG_RUN // mover.align))
        with builder.if_else(is_long) as (by_library, here):
            with by_library:
                cgutils.raw_memcpy(builder, mover.target, mover.source, count, mover.align)
            with here:
                _by_vectors(builder, mover, count, lanes, zero)
        return context.get_dummy_value()

    return types.void(target, place, source, place, place), codegen


def _by_vectors(builder, mover, count, lanes, zero) -> None:
    """Whole vectors, then what is left of the run."""
    rest = builder.srem(count, lanes)
    whole = builder.sub(count, rest)
    with cgutils.for_range_slice(builder, zero, whole, lanes, _WORD) as (at, _):
        mover.whole(at)
    with builder.if_then(builder.icmp_signed(">", rest, zero)):
        if mover.add:
            mover.part(whole, rest)
        else:
            with builder.if_else(builder.icmp_signed(">", whole, zero)) as (long, short):
                with long:  # the last vector overlaps the one before: cheaper than a mask
                    mover.whole(builder.sub(count, lanes))
                with short:
                    mover.part(zero, rest)


@intrinsic
def _copy_run(typingctx, target, t, source, s, count):
    return _run(target, source, False)


@intrinsic
def _add_run(typingctx, target, t, source, s, count):
    return _run(target, source, True)


def _copy_run_python(target, t, source, s, count):
    """copy_run in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    target[t : t + count] = source[s : s + count]


def _add_run_python(target, t, source, s, count):
    """add_run in plain Python, for NUMBA_DISABLE_JIT=1 and as its definition."""
    target[t : t + count] += source[s : s + count]


copy_run = _copy_run_python if numba.config.DISABLE_JIT else _copy_run
add_run = _add_run_python if numba.config.DISABLE_JIT else _add_run
