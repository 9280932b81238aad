"""The op table's samples against torch itself: dtype, values and gradients of every row."""

from __future__ import annotations

import dataclasses
import operator

import numpy as np
import pytest

import numtorch

from ..op_db import Op, Sample
from ..test_ops import OPS, WITH_DTYPES, as_tuple, check_close, tensors

torch = pytest.importorskip("torch", minversion="2.13")


def torch_tensors(sample: Sample, dtype: str) -> Sample:
    def convert(array: np.ndarray):
        tensor = torch.from_numpy(np.array(array, order="C"))
        return tensor.bfloat16() if dtype == "bfloat16" and array.dtype == np.float32 else tensor

    return sample.map(convert)


def torch_array(tensor) -> np.ndarray:
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(force=True)


def name_of(dtype) -> str:
    return str(dtype).removeprefix("torch.")


@pytest.mark.parametrize(("op", "dtype"), WITH_DTYPES)
def test_values_are_those_of_torch(op: Op, dtype: str):
    if "compare" in op.skip:
        pytest.skip(op.skip["compare"])
    ours, theirs = operator.attrgetter(op.name)(numtorch), operator.attrgetter(op.name)(torch)
    for i, sample in enumerate(op.calls(dtype)):
        if "compare" in sample.skip:
            continue
        where = f"{op.name}, {dtype}, sample {i} {sample}"
        given, other = tensors(sample, dtype), torch_tensors(sample, dtype)
        expected = as_tuple(theirs(*other.args, **other.kwargs))
        got = as_tuple(ours(*given.args, **given.kwargs))
        assert len(got) == len(expected), f"{where}: expected {len(expected)} results, got {len(got)}"
        for a, b in zip(got, expected, strict=True):
            check_close(op.against_torch(), where, a, torch_array(b), name_of(b.dtype))


def differentiable_outputs(fn, sample: Sample) -> list:
    return [each for each in as_tuple(fn(*sample.args, **sample.kwargs)) if each.requires_grad]


def gradients(library, fn, sample: Sample, points: list, rng: np.random.Generator) -> tuple:
    """The gradients for random (but repeatable) output gradients."""
    outputs = differentiable_outputs(fn, sample)
    vectors = [library.from_numpy(np.asarray(rng.uniform(-1, 1, tuple(each.shape)))).to(each.dtype) for each in outputs]
    return library.autograd.grad(outputs, points, vectors, allow_unused=True)


def first_floating(op: Op) -> str:
    return next(dtype for dtype in ("float32", "float64", "complex64", "complex128") if dtype in op.dtypes)


def differentiable(op: Op, sample: Sample) -> list:
    """The sample's tensors to differentiate, which from now on require gradients."""
    found = []
    for position, each in enumerate((*sample.args, *sample.kwargs.values())):
        if op.grad_of is not None and position not in op.grad_of:
            continue
        for part in each if type(each) in (list, tuple) else (each,):
            if hasattr(part, "requires_grad_") and (part.is_floating_point() or part.is_complex()):
                found.append(part.requires_grad_())
    return found


def differentiated(op: Op, but_for: str) -> list[tuple[int, Sample]]:
    calls = enumerate(op.calls(first_floating(op)))
    return [(i, each) for i, each in calls if not each.values_only and but_for not in each.skip]


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in OPS if op.gradcheck])
def test_gradients_are_those_of_torch(op: Op):
    if "compare" in op.skip:
        pytest.skip(op.skip["compare"])
    ours, theirs = operator.attrgetter(op.name)(numtorch), operator.attrgetter(op.name)(torch)
    # Gradients are sums, even where the operator itself only moves elements.
    summing = dataclasses.replace(op.against_torch(), rtol=max(op.rtol, 5e-6), atol=max(op.atol, 2e-6))
    for i, sample in differentiated(op, "compare"):
        where = f"{op.name}, sample {i} {sample}, gradient"
        given, other = tensors(sample), torch_tensors(sample, "float32")
        points, other_points = differentiable(op, given), differentiable(op, other)
        got = gradients(numtorch, ours, given, points, np.random.default_rng(i))
        expected = gradients(torch, theirs, other, other_points, np.random.default_rng(i))
        for position, (a, b) in enumerate(zip(got, expected, strict=True)):
            if a is None or b is None:
                assert (a is None or not a.any()) and (b is None or not b.any()), f"{where} {position}: one is None"
            else:
                check_close(summing, f"{where} {position}", a, torch_array(b), name_of(b.dtype))


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in OPS if op.gradcheck])
def test_nodes_have_the_names_of_torch(op: Op):
    if "node" in op.skip:
        pytest.skip(op.skip["node"])
    ours, theirs = operator.attrgetter(op.name)(numtorch), operator.attrgetter(op.name)(torch)
    for i, sample in differentiated(op, "node"):
        found = []
        for fn, given in ((ours, tensors(sample)), (theirs, torch_tensors(sample, "float32"))):
            differentiable(op, given)
            outputs = differentiable_outputs(fn, given)
            found.append([None if each.grad_fn is None else each.grad_fn.name() for each in outputs])
        assert found[0] == found[1], f"{op.name}, sample {i} {sample}: expected nodes {found[1]}, got {found[0]}"


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in OPS if op.errors is not None])
def test_errors_are_those_of_torch(op: Op):
    theirs = operator.attrgetter(op.name)(torch)
    for sample, error, message in op.error_calls():
        if "compare" in sample.skip:
            continue
        other = torch_tensors(sample, "float32")
        with pytest.raises(error, match=message):
            theirs(*other.args, **other.kwargs)
