"""gradcheck: derivatives against finite differences.

For every input x and output y the Jacobian is computed twice, by central differences

    J[i, j] = (y_j(x + eps e_i) - y_j(x - eps e_i)) / (2 eps)

and by one backward for each y_j, and the two must agree to  |analytical - numerical| <= atol + rtol
|numerical|. For complex x, J is dy/dRe(x) + i dy/dIm(x), which is what backward computes for a real y; a
complex y is checked as its real and its imaginary part.  In fast mode both sides are projected, v^T J u for
random u and v, so that one evaluation in each direction is enough.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numtorch.graph import run_backward

from .. import _dtype
from .._dtype import COMPLEX, FLOATING
from .._tensor import Tensor, wrap
from .differentiate import grad as _grad


class GradcheckError(RuntimeError):
    """The derivative does not pass the check."""


def gradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Tensor],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of ``func(*inputs)`` with respect to the inputs that require grad are right.

    True, or GradcheckError (False with ``raise_exception=False``).  The inputs should be of double precision.
    ``nondet_tol`` is by how much two backwards may differ; ``check_undefined_grad`` tries outputs without gradient.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    for wanted, name in (
        (check_forward_ad, "check_forward_ad"),
        (check_batched_grad, "check_batched_grad"),
        (check_batched_forward_grad, "check_batched_forward_grad"),
    ):
        if wanted:
            raise NotImplementedError(f"gradcheck: {name}=True is not implemented")
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    check = _Check(eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode)
    try:
        _check_inputs(inputs)
        _check_function(func, inputs, check, check_undefined_grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """gradcheck of the gradients of ``func``: with respect to the inputs and to ``grad_outputs`` (random if not given)."""
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: check_fwd_over_rev=True is not implemented")
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        grad_outputs = tuple(
            _random_gradient(each, rng, gen_non_contig_grad_outputs) for each in _differentiable_outputs(func(*inputs))
        )
    else:
        grad_outputs = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    count = len(grad_outputs)

    def gradients(*args: Any) -> tuple:
        points, vectors = args[: len(args) - count], args[len(args) - count :]
        outputs = _differentiable_outputs(func(*points))
        wanted = [each for each in points if isinstance(each, Tensor) and each._requires_grad]
        found = _grad(outputs, wanted, vectors, create_graph=True, allow_unused=True)
        return tuple(each for each in found if each is not None)

    return gradcheck(
        gradients,
        (*inputs, *grad_outputs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
    )


class _Check:
    """The settings of one gradcheck."""

    def __init__(
        self,
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
        check_grad_dtypes: bool,
        fast_mode: bool,
    ) -> None:
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.check_grad_dtypes, self.fast_mode = check_grad_dtypes, fast_mode


def _check_function(func: Callable, inputs: tuple, check: _Check, check_undefined_grad: bool) -> None:
    outputs = _as_tuple(func(*inputs))
    if not any(each._requires_grad for each in outputs if isinstance(each, Tensor)):
        _check_zero_derivative(func, inputs, check)
        return
    if any(isinstance(each, Tensor) and each._dtype.category == COMPLEX for each in outputs):
        prefix = "While considering the {} part of complex outputs only, "
        _check_real_function(_part_of(func, "imag"), inputs, check, prefix.format("imaginary"))
        _check_real_function(_part_of(func, "real"), inputs, check, prefix.format("real"))
    else:
        complex_input = any(each._dtype.category == COMPLEX for each in _wanted(inputs))
        prefix = "While considering the real part of complex outputs only, " if complex_input else ""
        _check_real_function(func, inputs, check, prefix)
    outputs = _differentiable_outputs(func(*inputs))
    _check_linear_in_grad_output(outputs, inputs)
    if check_undefined_grad and len(outputs) > 1:
        _check_undefined_gradients(func, inputs)


def _check_inputs(inputs: tuple) -> None:
    if not _wanted(inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i, each in enumerate(inputs):
        if not isinstance(each, Tensor) or not each._requires_grad:
            continue
        if each._dtype not in (_dtype.float64, _dtype.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=3,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(each._stride, each._size, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                ".contiguous on the input before passing it to gradcheck."
            )
        each.retain_grad()


def _part_of(func: Callable, part: str) -> Callable:
    """The real or imaginary part of every complex output (and, with the real parts, the real outputs)."""

    def fn(*inputs: Any) -> tuple:
        results = []
        for each in _as_tuple(func(*inputs)):
            if isinstance(each, Tensor) and each._dtype.category == COMPLEX:
                results.append(getattr(each, part))
            elif part == "real":
                results.append(each)
        return tuple(results)

    return fn


def _check_zero_derivative(func: Callable, inputs: tuple, check: _Check) -> None:
    """The outputs require no grad: then they must not depend on the inputs either."""
    for point in _wanted(inputs):
        values = _values(point)
        for index in np.ndindex(values.shape):
            for delta in _directions(values, check.eps):
                plus, minus = _both_sides(func, inputs, values, index, delta, everything=True)
                for a, b in zip(plus, minus, strict=True):
                    if np.abs((a - b) / (2 * check.eps)).max(initial=0.0) > check.atol:
                        raise GradcheckError("Numerical gradient for function expected to be zero")


def _check_real_function(func: Callable, inputs: tuple, check: _Check, prefix: str) -> None:
    """Compare the Jacobians of a function whose outputs are real."""
    outputs = _differentiable_outputs(func(*inputs))
    if not outputs:
        return
    wanted = _wanted(inputs)
    if check.fast_mode:
        _check_projections(func, inputs, outputs, wanted, check, prefix)
        return
    numerical = [_numerical_jacobians(func, inputs, point, outputs, check.eps) for point in wanted]
    for o, output in enumerate(outputs):
        analytical = _analytical_jacobians(output, wanted, check)
        for i, _ in enumerate(wanted):
            expected = numerical[i][o]
            if not np.allclose(analytical[i], expected, rtol=check.rtol, atol=check.atol):
                raise GradcheckError(prefix + _mismatch(o, i, _tensor(expected), _tensor(analytical[i])))


def _numerical_jacobians(func: Callable, inputs: tuple, point: Tensor, outputs: tuple, eps: float) -> list:
    """For each output a matrix (elements of the input, elements of the output), by central differences."""
    values = _values(point)
    jacobians = [np.zeros((values.size, each.numel()), values.dtype) for each in outputs]
    for row, index in enumerate(np.ndindex(values.shape)):
        for delta in _directions(values, eps):
            plus, minus = _both_sides(func, inputs, values, index, delta)
            for jacobian, a, b in zip(jacobians, plus, minus, strict=True):
                jacobian[row] += ((a - b) / (2 * eps)).ravel() * (delta / eps)
    return jacobians


def _directions(values: np.ndarray, eps: float) -> tuple:
    """Steps along the real and, for a complex input, the imaginary axis."""
    return (eps, eps * 1j) if values.dtype.kind == "c" else (eps,)


def _both_sides(
    func: Callable, inputs: tuple, values: np.ndarray, index: Any, delta: Any, everything: bool = False
) -> tuple:
    """The outputs with the input's element(s) at ``index`` moved by +delta and by -delta (written in place)."""
    before = values[index].copy()
    sides = []
    try:
        for step in (delta, -delta):
            values[index] = before + step
            outputs = _as_tuple(func(*inputs)) if everything else _differentiable_outputs(func(*inputs))
            sides.append([np.array(_values(each)) for each in outputs if isinstance(each, Tensor)])
    finally:
        values[index] = before
    return tuple(sides)


def _analytical_jacobians(output: Tensor, wanted: list, check: _Check) -> list:
    """For each input a matrix (elements of the input, elements of the output): one backward for each of the latter."""
    jacobians = [np.zeros((each.numel(), output.numel()), _values(each).dtype) for each in wanted]
    for column in range(output.numel()):
        unit = np.zeros(output.numel(), _values(output).dtype)
        unit[column] = 1
        vector = wrap(unit, output._size, output._dtype)
        first, again = (_vector_jacobian(output, wanted, vector) for _ in range(2))
        for jacobian, point, a, b in zip(jacobians, wanted, first, again, strict=True):
            if a is None:
                continue
            if a._size != point._size:
                raise GradcheckError("Analytical gradient has incorrect size")
            if check.check_grad_dtypes and a._dtype is not point._dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            jacobian[:, column] = _values(a).ravel()
            if np.abs(_values(a) - _values(b)).max(initial=0.0) > check.nondet_tol:
                raise GradcheckError(_NOT_REENTRANT.format(check.nondet_tol))
    return jacobians


def _vector_jacobian(output: Tensor, wanted: list, vector: Tensor) -> tuple:
    return _grad(output, wanted, vector, retain_graph=True, allow_unused=True)


def _check_projections(func: Callable, inputs: tuple, outputs: tuple, wanted: list, check: _Check, prefix: str) -> None:
    """Fast mode: compare v^T J u.  The tolerance is that of all the elements together."""
    rng = np.random.default_rng(0)
    vs = [_unit_vector(rng, each) for each in outputs]
    us = [_unit_vector(rng, each) for each in wanted]
    for o, (output, v) in enumerate(zip(outputs, vs, strict=True)):
        vector = wrap(v.ravel().astype(_values(output).dtype), output._size, output._dtype)
        first, again = (_vector_jacobian(output, wanted, vector) for _ in range(2))
        for i, (point, u) in enumerate(zip(wanted, us, strict=True)):
            values = _values(point)
            numerical = analytical = 0.0
            for delta in _directions(values, check.eps):
                plus, minus = _both_sides(func, inputs, values, ..., (u * delta).astype(values.dtype))
                numerical += ((plus[o] - minus[o]) / (2 * check.eps) * v).sum() * (delta / check.eps)
            if first[i] is not None:
                a, b = _values(first[i]), _values(again[i])
                if np.abs(a - b).max(initial=0.0) > check.nondet_tol:
                    raise GradcheckError(_NOT_REENTRANT.format(check.nondet_tol))
                analytical = (a * u).sum()
            if not np.isclose(analytical, numerical, rtol=check.rtol, atol=check.atol * max(1.0, u.sum() * v.sum())):
                message = prefix + _mismatch(o, i, numerical, analytical)
                raise GradcheckError(message + _in_slow_mode(func, inputs, point, outputs, o, check))


def _in_slow_mode(func: Callable, inputs: tuple, point: Tensor, outputs: tuple, o: int, check: _Check) -> str:
    numerical = _numerical_jacobians(func, inputs, point, outputs, check.eps)[o]
    relaxed = _Check(check.eps, check.atol, check.rtol, np.inf, False, False)
    (analytical,) = _analytical_jacobians(outputs[o], [point], relaxed)
    return (
        "\nThe above quantities relating the numerical and analytical jacobians are computed \nin fast mode. See: "
        "https://github.com/pytorch/pytorch/issues/53876 for more background \nabout fast mode. Below, we recompute "
        "numerical and analytical jacobians in slow mode:\n\n"
        f"Numerical:\n {_tensor(numerical)}\nAnalytical:\n{_tensor(analytical)}\n\n"
        f"The max per-element difference (slow mode) is: {np.abs(numerical - analytical).max(initial=0.0)}.\n"
    )


def _check_linear_in_grad_output(outputs: tuple, inputs: tuple) -> None:
    """A zero gradient going in must give zero gradients, of the inputs' sizes and dtypes."""
    wanted = _wanted(inputs)
    zeros = [each.new_zeros(each._size) for each in outputs]
    found = _grad(outputs, wanted, zeros, retain_graph=True, allow_unused=True)
    if all(each is None for each in found):
        raise GradcheckError("no Tensors requiring grad found in input")
    for each, point in zip(found, wanted, strict=True):
        if each is None:
            continue
        if np.any(_values(each) != 0):
            raise GradcheckError("backward not multiplied by grad_output")
        if each._dtype is not point._dtype:
            raise GradcheckError(f"grad is incorrect type: expected {point._dtype}, got {each._dtype}")
        if each._size != point._size:
            raise GradcheckError("grad is incorrect size")


def _check_undefined_gradients(func: Callable, inputs: tuple) -> None:
    """Backward must accept that any one of several outputs has no gradient at all."""
    wanted = _wanted(inputs)
    outputs = _differentiable_outputs(func(*inputs))
    roots = [(each._edge(), each._output_nr) for each in outputs]
    captures = [(each._edge(), each._output_nr) for each in wanted]
    for missing in range(len(outputs)):
        vectors = [None if i == missing else each.new_zeros(each._size) for i, each in enumerate(outputs)]
        try:
            found = run_backward(roots, vectors, True, False, captures, accumulate=False)
        except (RuntimeError, TypeError, AttributeError) as error:  # what treating None as a tensor leads to
            raise GradcheckError(
                "Expected backward function to handle undefined output grads. Please look at the notes about "
                "'Undefined tensor gradients' in \"tools/autograd/derivatives.yaml\""
            ) from error
        for each in found:
            if each is not None and np.any(_values(each) != 0):
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are undefined "
                    "or zero. "
                    "Please look at the notes about 'Undefined tensor gradients' in "
                    '"tools/autograd/derivatives.yaml"'
                )


def _as_tuple(outputs: Any) -> tuple:
    if isinstance(outputs, Tensor):
        return (outputs,)
    return tuple(outputs)


def _differentiable_outputs(outputs: Any) -> tuple:
    return tuple(each for each in _as_tuple(outputs) if isinstance(each, Tensor) and each._requires_grad)


def _wanted(inputs: tuple) -> list:
    return [each for each in inputs if isinstance(each, Tensor) and each._requires_grad]


def _values(t: Tensor) -> np.ndarray:
    """The tensor's own memory as an array: writing to it changes the tensor, unseen by autograd."""
    return t._nd() if t._device.type == "cpu" else t.detach().cpu()._nd()


def _tensor(array: np.ndarray) -> Tensor:
    return wrap(np.ascontiguousarray(array).ravel(), array.shape, _dtype.FROM_NUMPY[array.dtype])


def _unit_vector(rng: np.random.Generator, t: Tensor) -> np.ndarray:
    """A random positive vector of length 1, in the tensor's shape."""
    vector = rng.random(tuple(t._size))
    return vector / max(np.sqrt((vector**2).sum()), np.finfo(float).tiny)


def _random_gradient(output: Tensor, rng: np.random.Generator, noncontiguous: bool) -> Tensor:
    shape = tuple(output._size)
    dtype = output._dtype if output._dtype.category >= FLOATING else _dtype.float64
    values = rng.uniform(-1, 1, shape)
    if dtype.category == COMPLEX:
        values = values + 1j * rng.uniform(-1, 1, shape)
    result = _tensor(np.asarray(values).astype(dtype.np))
    if noncontiguous and result.numel() > 1:
        from numtorch import stack

        result = stack([result, result], -1)[..., 0].detach()
    return result.requires_grad_()


def _mismatch(output: int, position: int, numerical: Any, analytical: Any) -> str:
    return (
        f"Jacobian mismatch for output {output} with respect to input {position},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


_NOT_REENTRANT = (
    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different "
    "values, although analytical gradient matches numerical gradient.The tolerance for nondeterminism was {}."
)
