"""backward and grad: from tensors to the roots of the graph, and back from what arrived to tensors.

Both compute a vector-Jacobian product.  For outputs y_i with given gradients v_i (1 for a scalar that has
none):

    gradient of x = sum_i v_i^T (dy_i / dx)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from numtorch.graph import GradientEdge, run_backward

from .._dtype import COMPLEX, FLOATING
from .._size import Size
from .._tensor import Tensor, ones_like_flat


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add to the ``.grad`` of every leaf its part in the gradient of ``tensors`` (a tensor or a sequence of them).

    ``grad_tensors`` holds a gradient of the same shape for each tensor; None for a scalar, whose gradient is
    1. ``inputs`` limits the leaves that receive a gradient; ``retain_graph`` keeps the graph for another
    backward and ``create_graph`` makes the gradients differentiable.  RuntimeError for a tensor without a
    graph.
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only "
                "use `grad_tensors`."
            )
        grad_tensors = grad_variables
    captures = None
    if inputs is not None:
        inputs = _as_tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for each in inputs:
            if isinstance(each, Tensor):
                each.retain_grad()  # an input inside the graph keeps what arrives there
        captures = [_edge(each) for each in inputs]
    roots, grads = _roots(_as_tuple(tensors), grad_tensors)
    run_backward(roots, grads, create_graph if retain_graph is None else retain_graph, create_graph, captures)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    is_grads_batched: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``, one for each input; ``.grad`` is left alone.

    ``grad_outputs`` is as for ``backward``; with ``is_grads_batched`` each has an extra first dimension, and
    so have the results.  An input that no output depends on is an error, unless ``allow_unused`` (then None)
    or ``materialize_grads`` (then zeros).
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outputs, inputs = _as_tuple(outputs), _as_tuple(inputs)
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    keep_graph = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        results = _batched(outputs, inputs, grad_outputs, keep_graph, create_graph)
    else:
        results = _grad(outputs, inputs, grad_outputs, keep_graph, create_graph)
    for position, result in enumerate(results):
        if result is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {position} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
    if materialize_grads:
        if any(isinstance(each, GradientEdge) for each in inputs):
            raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
        results = [
            each.new_zeros(each._size) if result is None else result
            for each, result in zip(inputs, results, strict=True)
        ]
    return tuple(results)


def _grad(outputs: tuple, inputs: tuple, grad_outputs: Any, keep_graph: bool, create_graph: bool) -> list:
    captures = []
    for each in inputs:
        if isinstance(each, Tensor) and not each._requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        captures.append(_edge(each))
    roots, grads = _roots(outputs, grad_outputs)
    return run_backward(roots, grads, keep_graph, create_graph, captures, accumulate=False)


def _batched(outputs: tuple, inputs: tuple, grad_outputs: Any, keep_graph: bool, create_graph: bool) -> list:
    """One backward for each row of the gradients; the graph may go with the last."""
    grad_outputs = _as_tuple(grad_outputs)
    (count,) = {len(each) for each in grad_outputs}
    rows = []
    for row in range(count):
        vectors = tuple(each[row] for each in grad_outputs)
        rows.append(_grad(outputs, inputs, vectors, keep_graph or row + 1 < count, create_graph))
    from numtorch import stack

    return [None if column[0] is None else stack(list(column)) for column in zip(*rows, strict=True)]


def _as_tuple(values: Any) -> tuple:
    return (values,) if isinstance(values, (Tensor, GradientEdge)) else tuple(values)


def _edge(value: Any) -> tuple:
    """Where in the graph the gradient of this input arrives."""
    if isinstance(value, GradientEdge):
        return value.node, value.output_nr
    if not isinstance(value, Tensor):
        raise TypeError(f"expected a Tensor or a GradientEdge to differentiate, but got {type(value).__name__}")
    return value._edge(), value._output_nr


def _roots(outputs: tuple, grad_outputs: Any) -> tuple[list, list]:
    """The edges that backward starts from, and a checked gradient for each."""
    if grad_outputs is None:
        grad_outputs = (None,) * len(outputs)
    elif isinstance(grad_outputs, Tensor):
        grad_outputs = (grad_outputs,)
    else:
        grad_outputs = tuple(grad_outputs)
    if len(grad_outputs) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grad_outputs)} gradients")
    roots, grads = [], []
    given = [
        _given_gradient(position, output, grad)
        for position, (output, grad) in enumerate(zip(outputs, grad_outputs, strict=True))
    ]
    for position, (output, grad) in enumerate(zip(outputs, given, strict=True)):
        if isinstance(output, GradientEdge):
            node, nr = output.node, output.output_nr
        else:
            node, nr = output._edge(), output._output_nr
        if node is None:
            raise RuntimeError(f"element {position} of tensors does not require grad and does not have a grad_fn")
        roots.append((node, nr))
        grads.append(grad)
    return roots, grads


def _given_gradient(position: int, output: Any, grad: Any) -> Tensor | None:
    """The gradient of one output: the one given, if it fits, or the 1 of a scalar."""
    if isinstance(output, GradientEdge):
        if grad is None:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return grad
    if not isinstance(output, Tensor):
        raise TypeError(f"expected a Tensor or a GradientEdge, but element {position} is {type(output).__name__}")
    if grad is None:
        if not output._requires_grad:
            return None
        if output._size.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if output._dtype.category != FLOATING:
            raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {output._dtype}")
        return ones_like_flat(output)
    if not isinstance(grad, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
    if grad._size != output._size:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{position}] has a shape of {Size(grad._size)} and "
            f"output[{position}] has a shape of {Size(output._size)}."
        )
    if (grad._dtype.category == COMPLEX) != (output._dtype.category == COMPLEX):
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{position}] has a dtype of {grad._dtype} and output[{position}] has a dtype of "
            f"{output._dtype}."
        )
    return grad if grad._dtype is output._dtype else grad.to(output._dtype)


__all__: Sequence[str] = ["backward", "grad"]
