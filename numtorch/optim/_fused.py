"""Fused steps: the parameters of a group collected as rows of a table, and one kernel call over all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import types

import numtorch
from numtorch._tensor import Tensor
from numtorch.kernels.compiler import entry_point
from numtorch.kernels.cpu.optimizers import (
    BLOCK,
    COLUMNS,
    OWN,
    PARALLEL_THRESHOLD,
    all_squares,
    enter,
    some_squares,
)

_FLOATS = {numtorch.float32: types.float32, numtorch.float64: types.float64}
_NOTHING = {numtorch.float32: np.empty(0, np.float32), numtorch.float64: np.empty(0, np.float64)}
_INTEGERS, _DOUBLES = types.int64[::1], types.float64[::1]

_entries: dict = {}


def _enter(dtype):
    found = _entries.get(dtype)
    if found is None:
        signature = (_INTEGERS, types.int64) + (_FLOATS[dtype][::1],) * 5
        found = _entries[dtype] = entry_point(enter, signature)
    return found


class FusedStep:
    """A step kernel and its parallel twin, as `kernels.cpu.optimizers.over_rows` makes them."""

    def __init__(self, kernels: tuple) -> None:
        self.kernels = kernels
        self.entries: dict = {}

    def entry(self, dtype, parallel: bool) -> Callable:
        found = self.entries.get((dtype, parallel))
        if found is None:
            counts = (types.int64,) * (2 if parallel else 3)
            signature = (*counts, _INTEGERS, _DOUBLES, _DOUBLES, _FLOATS[dtype][::1])
            found = self.entries[dtype, parallel] = entry_point(self.kernels[parallel], signature)
        return found


def flat_array(t: Tensor, dtype) -> np.ndarray | None:
    """The 1-D array of a contiguous CPU tensor of `dtype`, or None."""
    array = t._flat
    if array is None:
        array = t.flat()
    return array if t._dtype is dtype and type(array) is np.ndarray else None


class Table:
    """Rows of arrays of one dtype, as the kernels over rows read them."""

    def __init__(self, dtype, most: int) -> None:
        self.dtype = dtype
        self.nothing = _NOTHING[dtype]
        self.enter = _enter(dtype)
        self.addresses = np.empty(COLUMNS * most, np.int64)
        self.own: list[float] = []
        self.kept: list = []  # what the kernel has the addresses of
        self.elements = self.blocks = 0

    def add(self, p, g, a, b, c) -> bool:
        """Enter five arrays; False if their lengths differ."""
        if not self.enter(self.addresses, len(self.kept), p, g, a, b, c):
            return False
        self.kept.append((p, g, a, b, c))
        size = p.size
        self.elements += size
        self.blocks += (size + BLOCK - 1) // BLOCK
        return True

    def parallel(self) -> bool:
        """Whether the threads may share the rows, and should. An array that is there twice is worked on in turn."""
        rows = len(self.kept)
        if self.elements < PARALLEL_THRESHOLD:
            return False
        return len(set(self.addresses[: COLUMNS * rows : COLUMNS].tolist())) == rows

    def run(self, step: FusedStep, shared: tuple) -> None:
        """Step all rows with the numbers that they share."""
        rows = len(self.kept)
        if rows == 0:
            return
        own = np.array(self.own or [0.0] * (OWN * rows))
        parallel = self.parallel()
        counts = (self.blocks, rows) if parallel else (0, self.blocks, rows)
        step.entry(self.dtype, parallel)(*counts, self.addresses, own, np.array(shared, np.float64), self.nothing)

    def sum_of_squares(self) -> float:
        """The sum of the squares of the first arrays, in float64; the same for any number of threads."""
        out = np.empty(self.blocks)
        blocks, rows = self.blocks, len(self.kept)
        if self.elements >= PARALLEL_THRESHOLD:
            all_squares(blocks, rows, self.addresses, out, self.nothing)
        else:
            some_squares(0, blocks, rows, self.addresses, out, self.nothing)
        return float(out.sum())


class Rows:
    """The parameters of a group that one kernel call will step, in a table for each dtype."""

    def __init__(self, step: FusedStep, most: int) -> None:
        self.step = step
        self.most = most
        self.tables: dict = {}
        #: What the last parameter's step count made of the numbers, for optimisers where it is the same for most.
        self.step_counted = 0.0
        self.corrections = 0.0, 0.0

    def add(
        self,
        param: Tensor,
        grad: Tensor,
        first: Tensor | None = None,
        second: Tensor | None = None,
        third: Tensor | None = None,
    ) -> bool:
        """Enter a parameter, its gradient and its state; `numbers` follows for all rows or for none.

        False, and nothing has happened, where they are not all contiguous, on the CPU, of one length and of one dtype
        that the kernel has.
        """
        dtype = param._dtype
        table = self.tables.get(dtype)
        if table is None:
            if dtype not in _FLOATS:
                return False
            table = self.tables[dtype] = Table(dtype, self.most)
        nothing = table.nothing
        # Dense tensors in memory of their own, without a call of flat_array: 0.1 us each.
        p, g = param._flat, grad._flat
        if p.__class__ is not np.ndarray:
            p = flat_array(param, dtype)
        if g.__class__ is not np.ndarray or grad._dtype is not dtype:
            g = flat_array(grad, dtype)
        a = nothing if first is None else flat_array(first, dtype)
        b = nothing if second is None else flat_array(second, dtype)
        c = nothing if third is None else flat_array(third, dtype)
        if p is None or g is None or a is None or b is None or c is None:
            return False
        if not table.add(p, g, a, b, c):
            return False
        self.current = table
        if (storage := param._storage) is not None:
            storage.version += 1
        else:
            param._bump_version()
        if first is not None:
            first._bump_version()
        if second is not None:
            second._bump_version()
        if third is not None:
            third._bump_version()
        return True

    def numbers(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        """The three numbers of the row that has just been added."""
        self.current.own += (x, y, z)

    def run(self, shared: tuple) -> None:
        """Step all rows, with the numbers that they share."""
        for table in self.tables.values():
            table.run(self.step, shared)
