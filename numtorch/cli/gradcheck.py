"""Check derivatives against finite differences, of first and second order, in
float64.

Without a target: those of every operator of numtorch, on the samples of its
test suite. With one, package.module:function or file.py:function (or a class
of nn.Module that needs no arguments): those of that function, on random inputs
made to the given specifications. The function may be written for PyTorch:
`import torch` means numtorch here.

An input is SHAPE[:DTYPE[:LOW..HIGH]]: `3,4` is a float64 matrix of standard
normal numbers, `5:float64:0.1..2` five numbers between 0.1 and 2,
`7:int64:0..9` seven integers that are passed but not differentiated, `scalar`
one number.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HELP = "check derivatives, of all operators or of a function of yours"

_DIRECTIONS = 4
_TOLERANCE = 1e-4  # of |analytic - numeric| / max(1, |numeric|)
_EPS = 1e-6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", help="package.module:function or file.py:function")
    parser.add_argument(
        "--input", action="append", default=[], metavar="SPEC", help="an input of the target; once for each"
    )
    parser.add_argument("--only", metavar="NAME", help="without a target: only operators whose name contains this")
    parser.add_argument("--tolerance", type=float, default=_TOLERANCE, help="largest error let pass (%(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs (%(default)s)")


class Case(NamedTuple):
    """A function and its inputs; those of float64 or complex128 that require grad are differentiated."""

    name: str
    function: Callable
    inputs: tuple
    twice: bool = True  # whether it has a second derivative


class Row(NamedTuple):
    """A line of the table: errors of first and second order, None where there is nothing to differentiate."""

    name: str
    dtype: str
    samples: int
    first: float | None
    second: float | None
    verdict: str


def main(options: argparse.Namespace) -> int:
    if options.target is None:
        if options.input:
            print("numtorch gradcheck: --input needs a target, package.module:function", file=sys.stderr)
            return 2
        try:
            groups = list(_operator_cases(options.only))
        except ModuleNotFoundError as error:
            print(f"numtorch gradcheck: {error}", file=sys.stderr)
            return 2
    else:
        if options.only:
            print("numtorch gradcheck: --only chooses among the operators, without a target", file=sys.stderr)
            return 2
        try:
            groups = [_target_case(options)]
        except (ValueError, ImportError, AttributeError, OSError) as error:
            print(f"numtorch gradcheck: {error}", file=sys.stderr)
            return 2
    rows = _check_all(groups, options.tolerance)
    bad = [row for row in rows if row.verdict not in ("ok", "not differentiable")]
    print(f"{len(rows) - len(bad)} of {len(rows)} pass" if rows else "nothing to check")
    return 1 if bad or not rows else 0


# -- what to check --------------------------------------------------------


def _target_case(options: argparse.Namespace) -> list[Case]:
    from numtorch import _alias

    if not options.input:
        raise ValueError("give the inputs of the function, for example --input 3,4 --input 4")
    module_name, colon, name = options.target.rpartition(":")
    if not colon or not module_name or not name:
        raise ValueError(f"expected package.module:function, but got {options.target!r}")
    _alias.install()
    sys.path.insert(0, os.getcwd())
    if module_name.endswith(".py"):
        spec = importlib.util.spec_from_file_location("__gradcheck__", module_name)
        module = importlib.util.module_from_spec(spec)
        sys.modules["__gradcheck__"] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(module_name)
    function = module
    for part in name.split("."):
        function = getattr(function, part)
    import numtorch

    numtorch.manual_seed(options.seed)
    if isinstance(function, type):
        function = function()
    if not callable(function):
        raise ValueError(f"{options.target} is no function, but of type {type(function).__name__}")
    if hasattr(function, "double"):  # a module: its parameters in float64 too
        function = function.double()
    return [Case(options.target, function, tuple(parse_input(spec) for spec in options.input))]


def _operator_cases(only: str | None) -> Iterator[list[Case]]:
    """The samples of each row of the op table, in float64 and where it has them in complex128."""
    for row in _op_table().all_ops():
        if (only is None or only in row.name) and row.gradcheck:
            cases = [
                Case(row.name, function, inputs, row.gradgradcheck)
                for dtype in ("float64", "complex128")
                if dtype in row.dtypes
                for sample in row.calls(dtype)
                if not sample.values_only
                for function, inputs in [_call(row, sample)]
            ]
            if cases:
                yield cases


def _op_table() -> Any:
    """The package with the rows: tests.op_db of the checkout that this file lies in."""
    root = Path(__file__).parents[2]
    if not (root / "tests" / "op_db").is_dir():
        raise ModuleNotFoundError("the samples of the operators come with a checkout, not with this installation")
    sys.path.insert(0, str(root))
    return importlib.import_module("tests.op_db")


def _call(row: Any, sample: Any) -> tuple[Callable, tuple]:
    """A sample as a function of its tensors alone, those to be differentiated requiring grad."""
    import numtorch as torch

    inputs: list = []

    def tensor(array: np.ndarray, differentiated: bool) -> _Slot:
        found = torch.from_numpy(np.array(array))
        inputs.append(found.requires_grad_(differentiated and found.dtype in (torch.float64, torch.complex128)))
        return _Slot(len(inputs) - 1)

    def differentiated(position: int) -> bool:
        return row.grad_of is None or position in row.grad_of

    args = [_map(lambda a, i=i: tensor(a, differentiated(i)), value) for i, value in enumerate(sample.args)]
    whole = row.grad_of is None
    kwargs = {name: _map(lambda a: tensor(a, whole), value) for name, value in sample.kwargs.items()}

    def call(*tensors: Any) -> Any:
        def fill(value: Any) -> Any:
            if isinstance(value, _Slot):
                return tensors[value.position]
            return type(value)(map(fill, value)) if type(value) in (list, tuple) else value

        function = torch
        for part in row.name.split("."):
            function = getattr(function, part)
        return function(*map(fill, args), **{name: fill(value) for name, value in kwargs.items()})

    return call, tuple(inputs)


class _Slot(NamedTuple):
    """Where a tensor goes."""

    position: int


def _map(fn: Callable, value: Any) -> Any:
    """`fn` of every array in `value`."""
    if isinstance(value, np.ndarray):
        return fn(value)
    return type(value)(_map(fn, each) for each in value) if type(value) in (list, tuple) else value


def parse_input(spec: str) -> Any:
    """The tensor of a specification SHAPE[:DTYPE[:LOW..HIGH]]; ValueError says what is wrong with it."""
    import numtorch as torch

    shape_text, _, rest = spec.partition(":")
    dtype_text, _, range_text = rest.partition(":")
    try:
        shape = () if shape_text == "scalar" else tuple(int(n) for n in shape_text.strip(",").split(","))
    except ValueError:
        raise ValueError(f"input {spec!r}: {shape_text!r} is not a shape such as 3,4") from None
    dtype = getattr(torch, dtype_text or "float64", None)
    if any(n < 0 for n in shape):
        raise ValueError(f"input {spec!r}: {shape_text!r} has a negative size")
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"input {spec!r}: {dtype_text!r} is not a dtype")
    low = high = None
    if range_text:
        try:
            low, high = (float(n) for n in range_text.split(".."))
        except ValueError:
            raise ValueError(f"input {spec!r}: {range_text!r} is not a range such as 0.1..2") from None
        if not low <= high:
            raise ValueError(f"input {spec!r}: {range_text!r} ends before it begins")
    if dtype.is_floating_point or dtype.is_complex:
        drawn = torch.randn(shape, dtype=dtype)
        if low is not None:
            drawn = low + (high - low) * torch.rand(shape, dtype=dtype)
        return drawn.requires_grad_(dtype in (torch.float64, torch.complex128))
    low, high = (0, 10) if low is None else (int(low), int(high) + 1)
    return torch.randint(low, high, shape).to(dtype)


# -- errors ---------------------------------------------------------------


def _check_all(groups: Sequence[list[Case]], tolerance: float) -> list[Row]:
    """Check each group and print its line of the table as soon as it is known."""
    from .progress import Progress, listening

    name = max([8, *(len(cases[0].name) for cases in groups)])
    line = f"{{:<{name}}}  {{:<18}}  {{:>7}}  {{:>9}}  {{:>9}}  {{}}"
    rows = []
    if groups:
        print(line.format("operator", "dtype", "samples", "1st order", "2nd order", "verdict"))
    with Progress("checking", len(groups)) as progress, listening(progress):
        for cases in groups:
            progress.tell(cases[0].name)
            row = _check(cases, tolerance)
            first, second = ("-" if error is None else f"{error:.1e}" for error in (row.first, row.second))
            progress.print(line.format(row.name, row.dtype, row.samples, first, second, row.verdict))
            progress.advance()
            rows.append(row)
    return rows


def _check(cases: list[Case], tolerance: float) -> Row:
    """The worst errors over the samples of one operator."""
    first = second = None
    verdict = "ok"
    dtypes: set[str] = set()
    for case in cases:
        try:
            dtypes |= {str(t.dtype).removeprefix("torch.") for t in _wanted(case.inputs)}
            found = errors(case.function, case.inputs, case.twice)
        except (
            ArithmeticError,
            AttributeError,
            ImportError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            verdict = f"{type(error).__name__}: {error}".splitlines()[0][:70]
            break
        if found is None:
            continue
        first = max(first or 0.0, found[0])
        if case.twice:
            second = max(second or 0.0, found[1])
    if verdict == "ok" and first is None:
        verdict = "not differentiable"
    elif verdict == "ok" and not max(first, second or 0.0) <= tolerance:  # a nan fails
        verdict = "FAIL"
    return Row(cases[0].name, "/".join(sorted(dtypes)), len(cases), first, second, verdict)


def _wanted(inputs: Sequence) -> list:
    import numtorch

    return [each for each in inputs if isinstance(each, numtorch.Tensor) and each.requires_grad]


def errors(function: Callable, inputs: Sequence, twice: bool = True) -> tuple[float, float] | None:
    """Largest errors of first and second derivatives, relative where the derivative is above 1; None if there is none.

    f(x) = Re <v, function(x)> for a fixed random v is differentiated by backward, and numerically along random
    directions d through all inputs at once, (f(x + eps d) - f(x - eps d)) / 2 eps; so is then g(x) = Re <u, grad f(x)>.
    """
    import numtorch as torch

    generator = torch.Generator().manual_seed(1)
    rng = np.random.default_rng(0)
    wanted = _wanted(inputs)
    if not wanted:
        return None

    def weights(tensors: Sequence) -> list:
        return [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in tensors]

    def projected(tensors: Sequence, by: Sequence) -> Any:
        products = [(t * w.conj()).sum() for t, w in zip(tensors, by, strict=True)]
        return sum(p.real if p.dtype.is_complex else p for p in products)

    outputs = _outputs(function(*inputs))
    if not outputs:
        return None
    v = weights(outputs)

    def f() -> Any:
        return projected(_outputs(function(*inputs)), v)

    def gradients(create_graph: bool = False) -> list:
        found = torch.autograd.grad(f(), wanted, create_graph=create_graph, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, wanted, strict=True)]

    first = _difference(f, gradients(), wanted, rng)
    if not twice:
        return first, 0.0
    u = weights(wanted)
    curved = projected(gradients(create_graph=True), u)
    if not curved.requires_grad:  # linear: the second derivative is zero, and so must be its numeric value
        second = [torch.zeros_like(x) for x in wanted]
    else:
        second = torch.autograd.grad(curved, wanted, allow_unused=True)
        second = [torch.zeros_like(x) if g is None else g for g, x in zip(second, wanted, strict=True)]
    return first, _difference(lambda: projected(gradients(), u), second, wanted, rng)


def _outputs(result: Any) -> list:
    import numtorch

    results = result if isinstance(result, (tuple, list)) else [result]
    return [
        each
        for each in results
        if isinstance(each, numtorch.Tensor) and each.requires_grad and each.dtype.itemsize >= 8
    ]


def _difference(f: Callable, analytic: Sequence, inputs: Sequence, rng: np.random.Generator) -> float:
    """The largest error of the gradients `analytic` of f at `inputs`, along a few random directions."""
    values = [x.detach().numpy() for x in inputs]  # the same memory: the inputs are moved in place
    exact = [gradient.detach().numpy() for gradient in analytic]
    before = [value.copy() for value in values]
    worst = 0.0
    for _ in range(_DIRECTIONS):
        direction = [_random(rng, value) for value in values]
        moved = []
        for step in (_EPS, -_EPS):
            for value, start, along in zip(values, before, direction, strict=True):
                value[...] = start + step * along
            moved.append(f().item())
        numeric = (moved[0] - moved[1]) / (2 * _EPS)
        given = sum(float((g.conj() * along).real.sum()) for g, along in zip(exact, direction, strict=True))
        error = abs(given - numeric) / max(1.0, abs(numeric))
        worst = worst if error <= worst else error  # so that a nan stays
    for value, start in zip(values, before, strict=True):
        value[...] = start
    return worst


def _random(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    drawn = rng.standard_normal(like.shape)
    return drawn + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else drawn
