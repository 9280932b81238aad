"""The op table on CUDA: every sample of every operator gives what it gives on the CPU, or says that it is not there yet.

Nothing may fall back to the CPU in silence, end in another error, or read host memory.
"""

from __future__ import annotations

import math

import pytest

import numtorch as torch

from ..op_db import all_ops
from ..test_ops import as_tuple, resolve, tensors

# The simulator takes milliseconds an element: samples with more are left to the CPU's tests.
LARGEST = 12
OPS = all_ops()
#: What the issue asks for: every sample of these must run.
THERE = [
    "add",
    "sub",
    "mul",
    "div",
    "exp",
    "log",
    "sigmoid",
    "tanh",
    "sqrt",
    "where",
    "maximum",
    "minimum",
    "pow",
    "remainder",
    "eq",
    "lt",
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "max",
    "min",
    "argmax",
    "argmin",
    "any",
    "all",
    "gather",
    "scatter_add",
    "index_select",
    "index_add",
    "cat",
    "stack",
    "nn.functional.avg_pool2d",
    "nn.functional.max_pool2d",
    "nn.functional.embedding",
]


def on_cuda(value):
    if isinstance(value, torch.Tensor):
        return value.detach().cuda()
    if isinstance(value, (list, tuple)):
        return type(value)(on_cuda(v) for v in value)
    return value


def agree(got, expected):
    if not isinstance(expected, torch.Tensor):
        assert got == expected or expected != expected
        return
    assert got.device == torch.device("cuda:0")
    assert got.dtype is expected.dtype
    assert got.size() == expected.size()
    double = expected.dtype in (torch.float64, torch.complex128)
    if expected.dtype is torch.bool:
        got, expected = got.int(), expected.int()
    rtol = (
        1e-9
        if double
        else 1e-2
        if expected.dtype is torch.bfloat16
        else 1e-3
        if expected.dtype is torch.float16
        else 1e-5
    )
    assert torch.allclose(got.cpu(), expected, rtol=rtol, atol=rtol, equal_nan=True)


def outcome(op, dtype):
    """Run all samples; the names of what was missing."""
    fn = resolve(op.name)
    missing = set()
    for sample in op.calls(dtype):
        if sum(math.prod(a.shape) for a in sample.arrays()) > LARGEST:
            continue
        given = tensors(sample, dtype)
        args, kwargs = on_cuda(given.args), {k: on_cuda(v) for k, v in given.kwargs.items()}
        try:
            got = as_tuple(fn(*args, **kwargs))
        except NotImplementedError as error:
            assert "CUDA" in str(error), error
            missing.add(str(error))
            continue
        expected = as_tuple(fn(*given.args, **given.kwargs))
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            agree(g, e)
    return missing


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_same_as_on_the_cpu_or_a_clean_error(op):
    if "bernoulli" in op.name or "dropout" in op.name:
        pytest.skip("draws other random numbers in each call")
    missing = set()
    for dtype in op.dtypes:
        if dtype in ("float32", "int64", "bool", "complex64"):
            found = outcome(op, dtype)
            if dtype != "complex64":
                missing |= found
    if op.name in THERE:
        assert not missing, missing
