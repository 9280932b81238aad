"""Rows, samples and the arrays that fill them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

BOTH_FLOATS = ("float32", "float64")
FLOATING = ("float16", "bfloat16", "float32", "float64")
WITH_COMPLEX = ("float32", "float64", "complex64", "complex128")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
NUMERIC = (*INTEGERS, *WITH_COMPLEX)
EVERY = ("bool", *NUMERIC)


class Sample:
    """The arguments of one call."""

    skip: dict[str, str] = {}
    values_only = False  # not for differentiation: nan, infinities, ties

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def only_values(self) -> Sample:
        self.values_only = True
        return self

    def skipping(self, **reasons: str) -> Sample:
        """For this sample alone what a row's ``skip`` is for all: "compare" (with torch) or "node"."""
        self.skip = reasons
        return self

    def map(self, fn: Callable) -> Sample:
        """The same call with ``fn`` applied to every array, in lists and tuples too."""
        made = Sample(*(_map(fn, each) for each in self.args))
        made.kwargs = {name: _map(fn, each) for name, each in self.kwargs.items()}
        return made

    def arrays(self) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        self.map(lambda array: found.append(array) or array)
        return found

    def __repr__(self) -> str:
        def show(array: np.ndarray) -> Any:
            return _Shown(f"{array.dtype}{list(array.shape)}")

        shown = self.map(show)
        parts = [repr(each) for each in shown.args] + [f"{name}={each!r}" for name, each in shown.kwargs.items()]
        return f"({', '.join(parts)})"


class _Shown(str):
    __repr__ = str.__str__


def _map(fn: Callable, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return fn(value)
    if type(value) in (list, tuple):
        return type(value)(_map(fn, each) for each in value)
    return value


class Make:
    """Makes a sample's arrays: random, the same ones in every run."""

    def __init__(self, dtype: str, seed: str) -> None:
        self.dtype = dtype
        # numpy has no bfloat16: its samples are float32 arrays of values that bfloat16 holds.
        self.np_dtype = np.dtype("float32" if dtype == "bfloat16" else dtype)
        self.rng = np.random.default_rng(zlib.crc32(f"{seed} {dtype}".encode()))

    def __call__(self, *shape: int, low: float | None = None, high: float | None = None) -> np.ndarray:
        """Random values of the dtype under test, in [low, high)."""
        kind = self.np_dtype.kind
        if kind == "b":
            return self.bools(*shape)
        if kind in "iu":
            low = (0 if kind == "u" else -9) if low is None else int(np.ceil(low))
            high = 10 if high is None else max(int(high), low + 1)
            return np.asarray(self.rng.integers(0 if kind == "u" and low < 0 else low, high, shape)).astype(
                self.np_dtype
            )
        low, high = -1.0 if low is None else low, 1.0 if high is None else high
        values = self.rng.uniform(low, high, shape)
        if kind == "c":
            values = values + 1j * self.rng.uniform(low, high, shape)
        values = np.asarray(values).astype(self.np_dtype)
        return _round_to_bfloat16(values) if self.dtype == "bfloat16" else values

    def integers(self, *shape: int, low: int = 0, high: int = 10) -> np.ndarray:
        return np.asarray(self.rng.integers(low, high, shape), dtype=np.int64)

    def bools(self, *shape: int) -> np.ndarray:
        return np.asarray(self.rng.integers(0, 2, shape)).astype(np.bool_)

    def extremes(self) -> np.ndarray:
        return np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0], self.np_dtype)

    def distinct(self, *shape: int) -> np.ndarray:
        """Values with gaps between them, in random order: for sorting and extremes, whose derivative ties would spoil."""
        count = int(np.prod(shape))
        return (self.rng.permutation(count).reshape(shape) - count // 2).astype(self.np_dtype)


def _round_to_bfloat16(values: np.ndarray) -> np.ndarray:
    bits = np.atleast_1d(values).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32).reshape(values.shape)


@dataclass
class Op:
    """A row of the table; the fields are described in the package's docstring."""

    name: str
    samples: Callable[[Make], Iterable]
    reference: Callable | None = None
    dtypes: tuple[str, ...] = BOTH_FLOATS
    out: Any = "same"
    promotes: bool = False
    rtol: float = 2e-6
    atol: float = 1e-6
    gradcheck: bool = True
    gradgradcheck: bool = True
    grad_of: tuple[int, ...] | None = None
    expanded: bool = True
    strided: bool = True
    covers: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    errors: Callable[[Make], Iterable] | None = None
    torch_error: float = 0.0
    skip: dict[str, str] = field(default_factory=dict)
    least_tolerance: float = 0.0

    def against_torch(self) -> Op:
        """The row with a tolerance that torch meets."""
        return replace(self, least_tolerance=self.torch_error)

    def calls(self, dtype: str) -> list[Sample]:
        """The samples for one dtype."""
        made = self.samples(Make(dtype, self.name))
        return [each if isinstance(each, Sample) else Sample(*each) for each in made]

    def error_calls(self) -> list[tuple]:
        return [] if self.errors is None else list(self.errors(Make("float32", self.name)))

    def result_dtypes(self, dtype: str, count: int) -> list[str]:
        """The dtype names of ``count`` results."""
        rules = self.out if isinstance(self.out, tuple) else (self.out,) * count
        return [self._result_dtype(rule, dtype) for rule in rules]

    def _result_dtype(self, rule: Any, dtype: str) -> str:
        if callable(rule):
            return rule(dtype)
        if self.promotes and dtype in ("bool", *INTEGERS):
            dtype = "float32"
        if rule == "same":
            return dtype
        if rule == "real":
            return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
        return rule

    def tolerances(self, dtype: str) -> tuple[float, float]:
        """(rtol, atol) for a result of this dtype."""
        rtol, atol = self._tolerances(dtype)
        return max(rtol, self.least_tolerance), max(atol, self.least_tolerance)

    def _tolerances(self, dtype: str) -> tuple[float, float]:
        if dtype in ("float32", "complex64"):
            return self.rtol, self.atol
        if dtype in ("float64", "complex128"):
            return max(self.rtol * 1e-7, 1e-14), max(self.atol * 1e-7, 1e-14)
        if dtype == "float16":
            return 1e-3, 1e-3
        if dtype == "bfloat16":
            return 8e-3, 8e-3
        return 0.0, 0.0


def spoken_for(make: Make, shapes: tuple) -> bool:
    """Whether other dtypes speak for this one in a sample whose arrays have these shapes: where they broadcast.

    The loops over strides are one text, compiled for every operator and every dtype that broadcasts, a second each.
    """
    is_empty = any(0 in shape for shape in shapes)
    return make.dtype in ("uint8", "int8", "int16", "int32", "complex64") and len(set(shapes)) > 1 and not is_empty


def unary(low: float | None = None, high: float | None = None, *more: Any, **options: Any) -> Callable:
    """Samples of a pointwise operator of one tensor: vector, matrix, large, 0-d, empty, and in value tests nan and inf.

    ``more`` and ``options`` are further arguments.
    """

    def samples(make: Make) -> list:
        shapes = ((5,), (2, 3), (67,), (), (0,), (3, 0, 2))
        made = [Sample(make(*shape, low=low, high=high), *more, **options) for shape in shapes]
        if make.np_dtype.kind == "f":
            made.append(Sample(make.extremes(), *more, **options).only_values())
        return made

    return samples


def binary(low: float | None = None, high: float | None = None, number: float | None = 2, **options: Any) -> Callable:
    """Samples of a pointwise operator of two tensors: equal shapes, broadcasting, a number (unless None),
    0-d and empty.
    """

    def samples(make: Make) -> list:
        shapes = (
            ((5,), (5,)),
            ((2, 3), (3,)),
            ((2, 1, 3), (4, 1)),
            ((67,), (67,)),
            ((2, 3), ()),
            ((), (3,)),
            ((), ()),
            ((0,), (1,)),
            ((0, 3), (3,)),
        )
        made = [
            Sample(make(*a, low=low, high=high), make(*b, low=low, high=high), **options)
            for a, b in shapes
            if not spoken_for(make, (a, b))
        ]
        if number is not None and make.dtype != "bool":
            made.append(Sample(make(2, 3, low=low, high=high), number, **options))
        return made

    return samples
