"""Generated from the op table (tests/op_db): every operator, every sample, every dtype, against its reference.

A failure names the operator, the sample, the dtype and what differed.
"""

from __future__ import annotations

import inspect
import operator
import warnings

import numpy as np
import pytest

import numtorch as torch
from numtorch._registry import OPERATORS
from numtorch.autograd import gradcheck, gradgradcheck
from numtorch.autograd.gradcheck import GradcheckError

from .op_db import Op, Sample, all_ops

OPS = all_ops()
WITH_DTYPES = [pytest.param(op, dtype, id=f"{op.name}-{dtype}") for op in OPS for dtype in op.dtypes]
ROWS = [pytest.param(op, id=op.name) for op in OPS]
DIFFERENTIABLE = [
    pytest.param(op, dtype, id=f"{op.name}-{dtype}")
    for op in OPS
    for dtype in ("float64", "complex128")
    if op.gradcheck and dtype in op.dtypes
]


def resolve(name: str):
    """``torch.<name>``."""
    return operator.attrgetter(name)(torch)


for _op in OPS:  # modules such as torch.fft are imported when they are first asked for
    resolve(_op.name)
OWN_OPERATORS = frozenset(OPERATORS)  # as of now: tests and examples define operators of their own


def method_of(op: Op, suffix: str = ""):
    """The Tensor method of the same name, or None."""
    return (
        None
        if "." in op.name and not op.name.startswith("Tensor.")
        else getattr(torch.Tensor, op.name.removeprefix("Tensor.") + suffix, None)
    )


def to_tensor(array: np.ndarray, dtype: str | None = None, requires_grad: bool = False):
    """A contiguous tensor of our own memory; bfloat16 is asked for by name."""
    tensor = torch.from_numpy(np.array(array, order="C"))
    if dtype == "bfloat16" and array.dtype == np.float32:
        tensor = tensor.to(torch.bfloat16)
    if requires_grad and array.dtype.kind in "fc":
        tensor.requires_grad_()
    return tensor


def tensors(sample: Sample, dtype: str | None = None) -> Sample:
    return sample.map(lambda array: to_tensor(array, dtype))


def to_array(tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def as_tuple(result) -> tuple:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def widened(op: Op, array: np.ndarray) -> np.ndarray:
    """In double precision, where the reference is right to the last digit that the comparison looks at."""
    if array.dtype.kind == "f" or op.promotes and array.dtype.kind in "biu":
        return array.astype(np.float64)
    return array.astype(np.complex128) if array.dtype.kind == "c" else array


def check_close(op: Op, where: str, got, expected, dtype: str) -> None:
    """``got`` (a tensor) has the dtype and, to its precision, the values of ``expected`` (an array)."""
    assert got.dtype == getattr(torch, dtype), f"{where}: expected dtype {dtype}, got {got.dtype}"
    got, expected = to_array(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{where}: expected shape {expected.shape}, got {got.shape}"
    rtol, atol = op.tolerances(dtype)
    with np.errstate(all="ignore"):
        expected = expected.astype(got.dtype) if got.dtype.kind in "biu" else expected
        right = np.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
    if not right.all():
        worst = tuple(int(i) for i in np.argwhere(~right)[0])
        raise AssertionError(
            f"{where}: {(~right).sum()} of {right.size} elements differ, first at {worst}: "
            f"expected {expected[worst]!r}, got {got[worst]!r}"
        )


def check_same(op: Op, where: str, got, expected) -> None:
    """Two results of ours are the same, to rounding."""
    for i, (a, b) in enumerate(zip(as_tuple(got), as_tuple(expected), strict=True)):
        check_close(op, f"{where}, result {i}", a, to_array(b), str(b.dtype).removeprefix("torch."))


def skip_if_declared(op: Op, test: str) -> None:
    if test in op.skip:
        pytest.skip(op.skip[test])


@pytest.mark.parametrize(("op", "dtype"), WITH_DTYPES)
def test_values(op: Op, dtype: str):
    """Values, shape and dtype are the reference's, as a function and as a method."""
    skip_if_declared(op, "test_values")
    if op.reference is None:
        pytest.skip("no reference")
    fn, method = resolve(op.name), None if "method" in op.skip else method_of(op)
    for i, sample in enumerate(op.calls(dtype)):
        where = f"{op.name}, {dtype}, sample {i} {sample}"
        wide = sample.map(lambda array: widened(op, array))
        with np.errstate(all="ignore"):
            expected = as_tuple(op.reference(*wide.args, **wide.kwargs))
        given = tensors(sample, dtype)
        got = as_tuple(fn(*given.args, **given.kwargs))
        assert len(got) == len(expected), f"{where}: expected {len(expected)} results, got {len(got)}"
        for a, b, result_dtype in zip(got, expected, op.result_dtypes(dtype, len(got)), strict=True):
            check_close(op, where, a, b, result_dtype)
        if method is not None and isinstance(given.args[0], torch.Tensor):
            check_same(op, f"{where} as a method", method(*given.args, **given.kwargs), got)


@pytest.mark.parametrize("op", ROWS)
def test_aliases(op: Op):
    """Other names give the same."""
    for name in op.aliases:
        for sample in op.calls(op.dtypes[0]):
            given = tensors(sample, op.dtypes[0])
            expected = resolve(op.name)(*given.args, **given.kwargs)
            check_same(op, f"{name} {sample}", resolve(name)(*given.args, **given.kwargs), expected)


def differentiable_call(op: Op, sample: Sample, fn=None):
    """The sample as (function of the tensors to differentiate, those tensors)."""
    chosen = []
    for position, each in enumerate([*sample.args, *sample.kwargs.values()]):
        wanted = op.grad_of is None or position in op.grad_of
        for array in Sample(each).arrays():
            if wanted and array.dtype.kind in "fc":
                chosen.append(array)
    points = [to_tensor(array, requires_grad=True) for array in chosen]
    target = fn or resolve(op.name)

    def call(*given):
        by_array = {id(array): tensor for array, tensor in zip(chosen, given, strict=True)}
        filled = sample.map(lambda array: by_array[id(array)] if id(array) in by_array else to_tensor(array))
        result = as_tuple(target(*filled.args, **filled.kwargs))
        return tuple(each for each in result if each.requires_grad)

    return call, points


def small(op: Op, dtype: str, limit: int) -> list[Sample]:
    """The samples that finite differences can afford."""
    calls = [each for each in op.calls(dtype) if not each.values_only]
    return [each for each in calls if sum(array.size for array in each.arrays()) <= limit]


@pytest.mark.parametrize(("op", "dtype"), DIFFERENTIABLE)
def test_gradients(op: Op, dtype: str):
    """First derivatives agree with finite differences."""
    skip_if_declared(op, "test_gradients")
    checked = 0
    for sample in small(op, dtype, 40):
        call, points = differentiable_call(op, sample)
        if points:
            checked += 1
            try:
                assert gradcheck(call, points)
            except GradcheckError as error:
                raise AssertionError(f"{op.name}, {dtype}, {sample}: {error}") from error
    assert checked, f"{op.name} has no sample of at most 40 elements to differentiate"


@pytest.mark.parametrize(("op", "dtype"), [each for each in DIFFERENTIABLE if each.values[0].gradgradcheck])
def test_second_gradients(op: Op, dtype: str):
    """Second derivatives agree with finite differences of the first."""
    skip_if_declared(op, "test_second_gradients")
    for sample in small(op, dtype, 16):
        call, points = differentiable_call(op, sample)
        if points:
            try:
                assert gradgradcheck(call, points)
            except GradcheckError as error:
                raise AssertionError(f"{op.name}, {dtype}, {sample}: {error}") from error


def strided(tensor):
    """The same values with gaps between the elements, beginning inside the storage."""
    if tensor.dim() == 0:
        return tensor
    roomy = torch.zeros([size + 1 for size in tensor.shape[:-1]] + [2 * tensor.shape[-1] + 1], dtype=tensor.dtype)
    part = roomy
    for dim, size in enumerate(tensor.shape[:-1]):
        part = part.narrow(dim, 1, size)
    part = part[..., 1::2]
    part.copy_(tensor)
    return part


@pytest.mark.parametrize("op", [each for each in ROWS if each.values[0].strided])
def test_strided_arguments(op: Op):
    """Arguments with gaps in memory give the same result as contiguous ones."""
    skip_if_declared(op, "test_strided_arguments")
    fn, dtype = resolve(op.name), op.dtypes[0]
    for sample in op.calls(dtype):
        given = tensors(sample, dtype)
        spread = sample.map(lambda array: strided(to_tensor(array, dtype)))
        check_same(op, f"{op.name} {sample}", fn(*spread.args, **spread.kwargs), fn(*given.args, **given.kwargs))


@pytest.mark.parametrize("op", [each for each in ROWS if each.values[0].strided])
def test_transposed_arguments(op: Op):
    """Arguments laid out in another order of dimensions give the same result."""
    skip_if_declared(op, "test_transposed_arguments")
    fn, dtype = resolve(op.name), op.dtypes[0]

    def turned(array):
        tensor = to_tensor(array, dtype)
        return tensor.transpose(0, -1).contiguous().transpose(0, -1) if tensor.dim() > 1 else tensor

    for sample in op.calls(dtype):
        given, other = tensors(sample, dtype), sample.map(turned)
        check_same(op, f"{op.name} {sample}", fn(*other.args, **other.kwargs), fn(*given.args, **given.kwargs))


@pytest.mark.parametrize("op", [each for each in ROWS if each.values[0].expanded])
def test_expanded_arguments(op: Op):
    """An argument whose rows are one row in memory gives the same result as its copy."""
    skip_if_declared(op, "test_expanded_arguments")
    fn, dtype = resolve(op.name), op.dtypes[0]

    def expanded(array):
        tensor = to_tensor(array, dtype)
        return tensor[:1].expand(tensor.shape) if tensor.dim() and tensor.shape[0] > 1 else tensor

    for sample in op.calls(dtype):
        views = sample.map(expanded)
        copies = sample.map(lambda array: expanded(array).clone())
        check_same(op, f"{op.name} {sample}", fn(*views.args, **views.kwargs), fn(*copies.args, **copies.kwargs))


def fits_in_place(sample: Sample, result) -> bool:
    """Whether the operator's result could be written over its first argument."""
    first = sample.args[0]
    return (
        isinstance(result, torch.Tensor)
        and isinstance(first, torch.Tensor)
        and result.shape == first.shape
        and torch.can_cast(result.dtype, first.dtype)
    )


@pytest.mark.parametrize("op", [each for each in ROWS if method_of(each.values[0], "_") is not None])
def test_in_place(op: Op):
    """``x.op_()`` is ``x.op()`` written over x; the write is noticed, also through views and in the graph."""
    skip_if_declared(op, "test_in_place")
    fn, in_place, dtype = resolve(op.name), method_of(op, "_"), op.dtypes[0]
    for sample in op.calls(dtype):
        where = f"{op.name}_ {sample}"
        given = tensors(sample, dtype)
        expected = fn(*given.args, **given.kwargs)
        if not fits_in_place(given, expected):
            continue
        for layout in (lambda tensor: tensor, strided):
            x = layout(given.args[0].clone())
            version = x._version
            result = in_place(x, *given.args[1:], **given.kwargs)
            assert result is x, f"{where}: did not return its argument"
            assert x._version > version, f"{where}: did not count the write"
            check_same(op, where, x, expected.to(x.dtype))


@pytest.mark.parametrize(
    "op", [each for each in ROWS if each.values[0].gradcheck and method_of(each.values[0], "_") is not None]
)
def test_gradients_in_place(op: Op):
    """The gradient passes through an in-place write, and through one to a part of a tensor."""
    skip_if_declared(op, "test_gradients_in_place")
    in_place = method_of(op, "_")

    def over_copy(x, *args, **kwargs):
        return in_place(x.clone(), *args, **kwargs)

    def over_part(x, *args, **kwargs):
        base = torch.stack([x, x])
        in_place(base[1], *args, **kwargs)
        return base

    for sample in small(op, "float64", 12):
        given = tensors(sample)
        if fits_in_place(given, resolve(op.name)(*given.args, **given.kwargs)):
            for fn in (over_copy, over_part):
                call, points = differentiable_call(op, sample, fn)
                if points:
                    assert gradcheck(call, points), f"{op.name}_ {sample}"


def takes_out(op: Op) -> bool:
    try:
        return "out" in inspect.signature(resolve(op.name)).parameters
    except (AttributeError, ValueError):
        return False


@pytest.mark.parametrize("op", [each for each in ROWS if takes_out(each.values[0])])
def test_out(op: Op):
    """``out=`` is written and returned: of the right size, strided, and empty (which is resized)."""
    skip_if_declared(op, "test_out")
    fn, dtype = resolve(op.name), op.dtypes[0]
    for sample in op.calls(dtype):
        where = f"{op.name}(out=) {sample}"
        given = tensors(sample, dtype)
        expected = fn(*given.args, **given.kwargs)
        several = not isinstance(expected, torch.Tensor)
        for make_out in (
            torch.empty_like,
            lambda each: strided(torch.zeros_like(each)),
            lambda each: each.new_empty(0),
        ):
            outs = [make_out(each) for each in as_tuple(expected)]
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # nothing here may be resized with a warning
                result = fn(*given.args, **given.kwargs, out=tuple(outs) if several else outs[0])
            for written, returned in zip(outs, as_tuple(result), strict=True):
                assert returned is written, f"{where}: did not return out"
            check_same(op, where, tuple(outs), as_tuple(expected))


@pytest.mark.parametrize("op", [each for each in ROWS if each.values[0].errors is not None])
def test_errors(op: Op):
    """What cannot be computed is refused, in torch's words."""
    fn = resolve(op.name)
    for sample, error, message in op.error_calls():
        given = tensors(sample)
        with pytest.raises(error, match=message):
            fn(*given.args, **given.kwargs)


def test_every_operator_has_samples():
    """An operator without a row (or a place in another row's ``covers``) fails the suite."""
    covered = {op.name.rpartition(".")[2] for op in OPS} | {name for op in OPS for name in op.covers}
    missing = sorted(OWN_OPERATORS - covered)
    assert not missing, f"operators without samples in tests/op_db: {', '.join(missing)}"


def test_no_two_rows_have_one_name():
    names = [op.name for op in OPS]
    assert sorted(set(names)) == sorted(names), sorted({name for name in names if names.count(name) > 1})


def test_rows_name_operators_that_exist():
    for op in OPS:
        assert callable(resolve(op.name)), op.name
        unknown = sorted(set(op.covers) - OWN_OPERATORS)
        assert not unknown, f"{op.name} covers operators that do not exist: {unknown}"
