"""Every scalar text of a pointwise operator, and every derivative, on CUDA against the same text run by plain Python."""

import inspect

import numpy as np
import pytest

import numtorch as torch
from numtorch._derivatives import Rule
from numtorch._registry import OPERATORS
from numtorch.kernels.cuda import pointwise
from numtorch.kernels.cuda.compiler import cuda

VALUES = {
    "float32": [-2.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.0, 3.75, np.inf, -np.inf, np.nan],
    "int64": [-7, -2, -1, 0, 1, 2, 3, 5, 11],
}
PARAMETERS = (0.5, 1.5, 2.0, 1.0)
TOLERANCE = {"float32": {"rtol": 3e-6, "atol": 1e-6}, "int64": {"rtol": 0, "atol": 0}}


def texts(dtype):
    """(name, loops) of the operators that compute in `dtype`, and of their derivatives."""
    d = getattr(torch, dtype)
    found = []
    for name, op in OPERATORS.items():
        spec = getattr(op, "pointwise", None)
        if spec is None:
            continue
        try:
            computed = spec.dtype_of((torch.ones(1, dtype=d),) * spec.arity)
        except RuntimeError:
            continue
        if computed is not d:
            continue
        found.append((name, spec.loops))
        if dtype == "float32":
            found += [
                (f"{name}'s derivative {i}", rule.loops)
                for i, rule in enumerate(spec.node_class.rules)
                if isinstance(rule, Rule) and 0 < rule.loops.arity <= 4
            ]
    return found


def operands(loops, dtype):
    """As many vectors as the text has operands, turned against each other."""
    values = np.array(VALUES[dtype], dtype)
    found = [np.roll(values, 3 * i) for i in range(loops.arity)]
    if dtype == "int64":
        # No integer divided by zero; and of powers, which numpy refuses, not the negative ones.
        found[1:] = [np.where(x == 0, 4, x) for x in found[1:]]
        if loops.text is OPERATORS["pow"].pointwise.text:
            found[1] = abs(found[1])
    if loops.mask:
        found[0] = found[0] > 0
    return found


def parameters(loops, dtype):
    count = len(inspect.signature(loops.text).parameters) - loops.arity
    return tuple(np.dtype(dtype).type(p) for p in PARAMETERS[: max(count, 0)])


CASES = [pytest.param(loops, dtype, id=f"{name}-{dtype}") for dtype in VALUES for name, loops in texts(dtype)]


@pytest.mark.parametrize("loops, dtype", CASES)
def test_text(loops, dtype):
    try:
        pointwise.contiguous_kernel(loops.text, loops.arity, np.dtype(dtype))
    except NotImplementedError as error:
        pytest.skip(str(error))
    xs, params = operands(loops, dtype), parameters(loops, dtype)
    out = np.empty(xs[0].size, loops.output(np.dtype(dtype)))
    with np.errstate(all="ignore"):
        expected = [loops.text(*row, *params) for row in zip(*xs, strict=True)]
    device_out = cuda.to_device(out)
    pointwise.contiguous(loops.text, np.dtype(dtype), [cuda.to_device(x) for x in xs], device_out, params)
    np.testing.assert_allclose(device_out.copy_to_host(), np.array(expected).astype(out.dtype), **TOLERANCE[dtype])


def test_all_but_special_functions_run_on_cuda():
    missing = set()
    for name, loops in texts("float32"):
        try:
            pointwise.contiguous_kernel(loops.text, loops.arity, np.dtype("float32"))
        except NotImplementedError:
            missing.add(name)
    special = (
        "polynomial",
        "bessel",
        "gamma",
        "digamma",
        "erfinv",
        "erfcx",
        "ndtr",
        "zeta",
        "i0",
        "i1",
        "airy",
        "entr",
    )
    assert not {name for name in missing if not any(part in name for part in special)}
