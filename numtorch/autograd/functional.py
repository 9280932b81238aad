"""Whole Jacobians and Hessians, and their products with vectors.

For outputs y = func(x):

    vjp       v^T J              one backward
    jvp       J v                by two backwards: v^T d/du (u^T J), for u^T J is linear in u
    jacobian  J                  one backward for each element of y
    hessian   H, the Jacobian of the gradient of a scalar y
    vhp       v^T H              backward of the vjp of the gradient
    hvp       H v                by two backwards of the gradient

Every function takes a tensor or a tuple of tensors and answers in kind.  ``create_graph`` makes the results
differentiable; ``strict`` makes it an error, instead of zeros, that an output does not depend on an input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numtorch.graph import enable_grad

from .._tensor import Tensor
from .differentiate import grad as _grad


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """``(func(inputs), v^T J)``; ``v`` may be left out for a scalar output."""
    with enable_grad():
        many, points = _tensors(inputs, "inputs", "vjp")
        points = _fresh(points, create_graph)
        many_outputs, outputs = _tensors(func(*points), "outputs of the user-provided function", "vjp")
        _check_depends(outputs, "outputs", strict)
        vectors = _vectors(v, outputs, many_outputs, "vjp", "v")
        products = _gradients(outputs, points, vectors, create_graph, strict, "back")
    return _bare(outputs, many_outputs, create_graph), _bare(products, many, create_graph)


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """``(func(inputs), J v)``; ``v`` may be left out for an input of one element."""
    with enable_grad():
        many, points = _tensors(inputs, "inputs", "jvp")
        vectors = _vectors(v, points, many, "jvp", "v")
        points = _fresh(points, create_graph)
        many_outputs, outputs = _tensors(func(*points), "outputs of the user-provided function", "jvp")
        _check_depends(outputs, "outputs", strict)
        dummies = tuple(each.new_zeros(each._size).requires_grad_() for each in outputs)
        back = _gradients(outputs, points, dummies, True, strict, "back")
        _check_depends(back, "grad_inputs", strict)
        products = _gradients(back, dummies, vectors, create_graph, strict, "back_trick")
    return _bare(outputs, many_outputs, create_graph), _bare(products, many_outputs, create_graph)


def jacobian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """J of every output with respect to every input, of shape (*output.shape, *input.shape).

    A tensor for one output and one input, else a tuple over outputs and/or inputs.  ``vectorize`` is
    accepted: the result is the same.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has '
            'more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use '
            '"reverse-mode".'
        )
    if strategy == "forward-mode":
        raise NotImplementedError("jacobian: strategy='forward-mode' is not implemented")
    from .. import stack

    with enable_grad():
        many, points = _tensors(inputs, "inputs", "jacobian")
        points = _fresh(points, create_graph)
        many_outputs, outputs = _tensors(func(*points), "outputs of the user-provided function", "jacobian")
        _check_depends(outputs, "outputs", strict)
        result = []
        for i, output in enumerate(outputs):
            rows: tuple[list, ...] = tuple([] for _ in points)
            for element in output.reshape(-1):
                found = (None,) * len(points)
                if element._requires_grad:
                    found = _grad(element, points, retain_graph=True, create_graph=create_graph, allow_unused=True)
                for j, (row, each, point) in enumerate(zip(rows, found, points, strict=True)):
                    if each is None and strict:
                        raise RuntimeError(
                            f"Output {i} of the user-provided function is independent of input {j}. This is not "
                            "allowed in strict mode."
                        )
                    if strict and create_graph and not each._requires_grad:
                        raise RuntimeError(
                            "The jacobian of the user-provided function is independent of input "
                            f"{j}. This is not allowed in strict mode when create_graph=True."
                        )
                    row.append(point.new_zeros(point._size) if each is None else each)
            shape = tuple(output._size)
            result.append(
                tuple(
                    stack(row).reshape(shape + tuple(point._size))
                    if row
                    else point.new_zeros(shape + tuple(point._size))
                    for row, point in zip(rows, points, strict=True)
                )
            )
    answer = tuple(_bare(each, many, create_graph) for each in result)
    return answer if many_outputs else answer[0]


def hessian(
    func: Callable,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function, of shape (*input.shape, *input.shape); a tuple of tuples
    for several.
    """
    many, points = _tensors(inputs, "inputs", "hessian")

    def gradient(*args: Tensor) -> tuple:
        output = _scalar_output(func, args, strict)
        return _gradients((output,), args, (None,), True, strict, "jacobian")

    found = jacobian(gradient, points, create_graph, strict, vectorize=vectorize, strategy=outer_jacobian_strategy)
    return found if many else found[0][0]


def vhp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """``(func(inputs), v^T H)`` for a scalar function."""
    with enable_grad():
        many, points = _tensors(inputs, "inputs", "vhp")
        vectors = _vectors(v, points, many, "vhp", "v")
        points = _fresh(points, create_graph)
        output = _scalar_output(func, points, strict)
        gradient = _gradients((output,), points, (None,), True, strict, "jacobian")
        _check_depends(gradient, "jacobian", strict)
        products = _gradients(gradient, points, vectors, create_graph, strict, "double_back")
    return _bare((output,), False, create_graph), _bare(products, many, create_graph)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """``(func(inputs), H v)`` for a scalar function; slower than ``vhp``, which equals it where H is symmetric."""
    with enable_grad():
        many, points = _tensors(inputs, "inputs", "hvp")
        vectors = _vectors(v, points, many, "hvp", "v")
        points = _fresh(points, create_graph)
        output = _scalar_output(func, points, strict)
        gradient = _gradients((output,), points, (None,), True, strict, "jacobian")
        dummies = tuple(each.new_zeros(each._size).requires_grad_() for each in gradient)
        back = _gradients(gradient, points, dummies, True, strict, "double_back")
        _check_depends(back, "hessian", strict)
        products = _gradients(back, dummies, vectors, create_graph, strict, "double_back_trick")
    return _bare((output,), False, create_graph), _bare(products, many, create_graph)


def _tensors(values: Any, what: str, name: str) -> tuple[bool, tuple]:
    """Whether there were several, and a tuple of them."""
    many = isinstance(values, tuple)
    found = values if many else (values,)
    for i, each in enumerate(found):
        if not isinstance(each, Tensor):
            if many:
                raise TypeError(
                    f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the value at index "
                    f"{i} has type {type(each)}."
                )
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the given {what} has "
                f"type {type(each)}."
            )
    return many, found


def _fresh(points: tuple, create_graph: bool) -> tuple:
    """Inputs of our own: cut off from the caller's graph, or views in it if the results are to stay connected."""
    return tuple(each.view_as(each) if create_graph else each.detach().requires_grad_() for each in points)


def _bare(results: tuple, many: bool, create_graph: bool) -> Any:
    if not create_graph:
        results = tuple(each.detach() for each in results)
    return results if many else results[0]


def _vectors(v: Any, like: tuple, many: bool, name: str, what: str) -> tuple:
    """The vectors, checked against what they multiply."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            user = "user-provided function"
            condition = f"{user} returns" if name == "vjp" else f"input to the {user} is"
            raise RuntimeError(
                f"The vector v can only be None if the {condition} a single Tensor with a single element."
            )
        return (like[0].new_ones(like[0]._size),)
    _, vectors = _tensors(v, what, name)
    if len(vectors) != len(like):
        if many:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (vector, each) in enumerate(zip(vectors, like, strict=True)):
        if vector._size != each._size:
            prefix = f"Entry {i} in " if many else ""
            raise RuntimeError(f"{prefix}v has invalid size: should be {each._size} but got {vector._size}.")
    return tuple(each.detach() if not each._requires_grad else each for each in vectors)


def _scalar_output(func: Callable, points: tuple, strict: bool) -> Tensor:
    name = "outputs of the user-provided function"
    many, outputs = _tensors(func(*points), name, "hessian")
    _check_depends(outputs, "outputs", strict)
    if many or not isinstance(outputs[0], Tensor):
        raise RuntimeError("The function given to hessian should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError("The Tensor returned by the function given to hessian should contain a single element")
    return outputs[0].squeeze()


def _check_depends(values: tuple, kind: str, strict: bool) -> None:
    """In strict mode: what was computed from the inputs must require grad."""
    if not strict:
        return
    for i, each in enumerate(values):
        if each is not None and each._requires_grad:
            continue
        if kind == "outputs":
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in "
                "a differentiable manner from the input when running in strict mode."
            )
        subject = {
            "hessian": "The hessian of the user-provided function with respect to input",
            "jacobian": "The jacobian of the user-provided function with respect to input",
            "grad_inputs": "The gradient with respect to input",
        }[kind]
        raise RuntimeError(f"{subject} {i} is independent of the inputs. This is not allowed in strict mode.")


_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}.",
    "back_trick": "The gradient with respect to the input is independent of entry {} in the grad_outputs "
    "when using the double backward trick to compute forward mode gradients.",
    "jacobian": "The output of the user-provided function is independent of input {}.",
    "double_back": "The jacobian of the user-provided function is independent of input {}.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {} in the grad_jacobian.",
}


def _gradients(outputs: tuple, points: tuple, vectors: tuple, create_graph: bool, strict: bool, stage: str) -> tuple:
    """``grad`` that passes over outputs without a graph and answers zeros for inputs that were not used."""
    pairs = [
        (output, vector)
        for output, vector in zip(outputs, vectors, strict=True)
        if output is not None and output._requires_grad
    ]
    wanted = [each for each in points if each._requires_grad]
    found: dict[int, Tensor | None] = {}
    if pairs and wanted:
        results = _grad(
            [output for output, _ in pairs],
            wanted,
            [vector for _, vector in pairs],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
        found = {id(each): result for each, result in zip(wanted, results, strict=True)}
    answers = []
    for i, each in enumerate(points):
        result = found.get(id(each))
        if result is None and strict:
            raise RuntimeError(_INDEPENDENT[stage].format(i) + " This is not allowed in strict mode.")
        answers.append(each.new_zeros(each._size) if result is None else result)
    return tuple(answers)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
