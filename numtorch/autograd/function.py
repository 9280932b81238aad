"""Function: an operation whose derivative you write yourself.

    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad_output):
            (y,) = ctx.saved_tensors
            return grad_output * y

    y = Exp.apply(x)        # y.grad_fn is an ExpBackward

``backward`` gets one gradient per output of ``forward`` and returns one per argument (None for what is no
tensor).  Written in differentiable operations, it can be differentiated in turn.
"""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from numtorch.graph import (
    RELEASED_MESSAGE,
    Node,
    mode,
    next_sequence,
    no_grad,
    save,
    stamp,
    unpack,
)

from .._dtype import COMPLEX, FLOATING
from .._inplace import rebase
from .._tensor import Tensor, alias


class FunctionCtx:
    """What ``forward`` leaves for ``backward``: tensors by ``save_for_backward``, anything else as attributes."""

    to_save: tuple = ()
    saved_for_forward: tuple = ()
    dirty_tensors: tuple = ()
    non_differentiable: tuple = ()
    materialize_grads = True
    needs_input_grad: tuple[bool, ...] = ()  # for each argument of forward, whether its gradient is wanted
    _node: Callable = staticmethod(lambda: None)  # weak reference to the node; the node holds the context

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward, where ``saved_tensors`` returns them (and notices in-place changes)."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Accepted for compatibility; there is no forward-mode differentiation that would read it."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Declare the arguments that forward changed in place; it must return them."""
        self.dirty_tensors = args
        for each in args:
            each._bump_version()

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Declare outputs that have no gradient (integer outputs have none in any case)."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether an output without a gradient has zeros in backward (the default) or None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple:
        node = self._node()
        if node is None:
            raise RuntimeError(RELEASED_MESSAGE)
        return node.saved_tensors

    @property
    def saved_variables(self) -> tuple:
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors


class BackwardCFunction(Node):
    """The node of a custom function; each function has a subclass ``<its name>Backward``.

    Attributes of the context (``saved_tensors``, ``needs_input_grad``, what forward stored) are readable here
    too, for in torch the context *is* the node.
    """

    takes_undefined = True  # backward sees zeros then, or None for each output without set_materialize_grads
    _forward_cls: type[Function]
    ctx: FunctionCtx
    positions: tuple[int, ...] = ()  # of the arguments that are tensors
    inputs: tuple = ()  # (size, dtype) of each of them
    outputs: tuple = ()  # (size, dtype, device) of each output, None for what is no tensor
    own: tuple = ()  # which saved tensors are outputs: their output numbers, None for others

    def apply(self, *grads: Any) -> tuple:
        """The gradients of the tensor arguments (called by the engine, with one tuple), or backward's own answer."""
        if len(grads) == 1 and type(grads[0]) is tuple:
            return self._checked(self._user_backward()(self.ctx, *self._materialized(grads[0])))
        results = self._user_backward()(self.ctx, *self._materialized(grads))
        return results if isinstance(results, tuple) else (results,)

    def _user_backward(self) -> Callable:
        cls = self._forward_cls
        if cls.vjp is not Function.vjp:
            if cls.backward is not Function.backward:
                raise RuntimeError(
                    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                    "implement one of them."
                )
            return cls.vjp
        return cls.backward

    def _materialized(self, grads: tuple) -> tuple:
        if not self.ctx.materialize_grads or not any(grad is None for grad in grads):
            return grads
        return tuple(
            _zeros(*meta) if grad is None and meta is not None else grad
            for grad, meta in zip(grads, self.outputs, strict=False)
        )

    def _checked(self, results: Any) -> tuple:
        """What backward returned, as one gradient of the right size and dtype for each tensor argument."""
        if not isinstance(results, tuple):
            results = (results,)
        expected = len(self.ctx.needs_input_grad)
        if len(results) > expected and all(each is None for each in results[expected:]):
            results = results[:expected]
        if len(results) != expected:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {expected}, got {len(results)})"
            )
        positions = self.positions
        if len(positions) != expected:
            for position, grad in enumerate(results):
                if grad is not None and position not in positions:
                    raise RuntimeError(
                        f"function {self.name()} returned a gradient different than None at position {position + 1}, "
                        "but the corresponding forward input was not a Variable"
                    )
        checked = []
        for index, (position, meta) in enumerate(zip(positions, self.inputs, strict=True)):
            grad = results[position]
            if grad is not None and not isinstance(grad, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})")
            if grad is not None and self.next_nodes[index] is not None:
                grad = self._fitted(grad, index, *meta)
            checked.append(grad)
        return tuple(checked)

    def _fitted(self, grad: Tensor, index: int, size: tuple, dtype: Any) -> Tensor:
        if grad._size != size:
            if not _expands_to(size, grad._size):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {index} - got {list(grad._size)} "
                    f"but expected shape compatible with {list(size)}"
                )
            grad = grad.sum_to_size(size)
        if grad._dtype is not dtype:
            if grad._dtype.category == COMPLEX and dtype.category != COMPLEX:
                grad = grad.real
            grad = grad.to(dtype)
        return grad

    @property
    def saved_tensors(self) -> tuple:
        """What forward saved.  An output among it is put back in its place in the graph."""
        if self.released:
            raise RuntimeError(RELEASED_MESSAGE)
        values = unpack(self)
        if not any(nr is not None for nr in self.own):
            return values
        values = list(values)
        for i, nr in enumerate(self.own):
            if nr is not None and self.outputs[nr][1].category >= FLOATING:
                values[i] = _attached(alias(values[i]), self, nr)
        return tuple(values)

    def __call__(self, *grads: Any) -> Any:
        raise TypeError(f"'{self.name()}' object is not callable")

    def __getattr__(self, name: str) -> Any:
        if name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {id(self):#x}>"


class FunctionMeta(type):
    """Makes the node class that goes with each Function."""

    def __init__(cls, name: str, bases: tuple, attributes: dict) -> None:
        super().__init__(name, bases, attributes)
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,), {"_forward_cls": cls})


class Function(metaclass=FunctionMeta):
    """Base of custom operations: subclass it with static methods ``forward`` and ``backward``, use ``apply``.

    ``forward(ctx, *args)`` computes; or ``forward(*args)`` computes and ``setup_context(ctx, inputs, output)`` saves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should "
            "invoke them on the class itself. Instantiating an autograd function will raise an error in a future "
            "version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs: ``forward(ctx, *args)``, or ``forward(*args)`` next to a ``setup_context``."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> Any:
        """Save what backward needs; only called if defined."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments from those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        """Another name for ``backward``."""
        raise NotImplementedError("vjp is not implemented.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward, outside the graph, and put its outputs into the graph as results of one node."""
        separate = cls.setup_context is not Function.setup_context
        if separate:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        elif kwargs:
            args = inspect.signature(cls.forward).bind(None, *args, **kwargs).args[1:]
        node_class = cls._backward_cls
        node = node_class.__new__(node_class)
        ctx = node.ctx = FunctionCtx()
        ctx._node = weakref.ref(node)
        ctx.needs_input_grad = tuple([isinstance(each, Tensor) and each._requires_grad for each in args])
        recorded = mode.enabled and True in ctx.needs_input_grad
        if recorded:
            _connect(node, args)
        # Forward runs with recording off, put back even if it fails.
        before, mode.enabled = mode.enabled, False
        try:
            if separate:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
            outputs = output if isinstance(output, tuple) else (output,)
            _check_context(ctx, outputs)
        finally:
            mode.enabled = before
        wrapped = tuple(
            [
                _wrap_output(node, nr, each, args, recorded) if isinstance(each, Tensor) else each
                for nr, each in enumerate(outputs)
            ]
        )
        if recorded:
            _finish(node, outputs, wrapped)
        return wrapped if isinstance(output, tuple) else wrapped[0]


def _connect(node: BackwardCFunction, args: tuple) -> None:
    """The node's edges to what made the arguments (before forward can change them in place)."""
    positions, metas, nodes, numbers = [], [], [], []
    for position, each in enumerate(args):
        if isinstance(each, Tensor):
            positions.append(position)
            metas.append((each._size, each._dtype))
            nodes.append(each._edge() if each._requires_grad else None)
            numbers.append(each._output_nr)
    node.positions, node.inputs, node.next_nodes = tuple(positions), tuple(metas), tuple(nodes)
    if any(numbers):
        node.next_nrs = tuple(numbers)


def _check_context(ctx: FunctionCtx, outputs: tuple) -> None:
    for i, each in enumerate(ctx.to_save):
        if each is not None and not isinstance(each, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {i} is of type {type(each).__name__}"
            )
    for dirty in ctx.dirty_tensors:
        if not _among(dirty, outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that "
                "are modified inplace must all be outputs of the Function."
            )


def _among(tensor: Tensor, values: tuple) -> bool:
    """Whether this very tensor is one of the values (``in`` would compare elements)."""
    for each in values:  # noqa: SIM110 (any() of a generator takes three times as long)
        if each is tensor:
            return True
    return False


def _wrap_output(node: BackwardCFunction, nr: int, output: Tensor, args: tuple, recorded: bool) -> Tensor:
    """The output as a result of the node."""
    ctx = node.ctx
    is_input, dirty = _among(output, args), _among(output, ctx.dirty_tensors)
    excluded = _among(output, ctx.non_differentiable)
    if not recorded or excluded or output._dtype.category < FLOATING:
        if is_input and not dirty:
            return alias(output)
        if output._requires_grad and not dirty:
            output._grad_fn, output._requires_grad, output._output_nr = None, False, 0
        return output
    if dirty:
        if output._requires_grad and output.grad_fn is None:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        rebase(output, _attached(alias(output), node, nr))
        return output
    if is_input:
        output = alias(output)
    output._base = None  # what forward did to make it is none of the graph's business
    return _attached(output, node, nr)


def _finish(node: BackwardCFunction, outputs: tuple, wrapped: tuple) -> None:
    """Number the node, and keep what forward saved: outputs without their history, which would close a cycle."""
    node.sequence_nr = next_sequence()
    if len(outputs) != 1:
        node.num_outputs = len(outputs)
    node.outputs = tuple(
        [(each._size, each._dtype, each._device) if isinstance(each, Tensor) else None for each in wrapped]
    )
    ctx = node.ctx
    own, values = [], []
    for tensor in ctx.to_save:
        nr = None
        if tensor is not None and _among(tensor, outputs):
            nr = next(i for i, each in enumerate(outputs) if each is tensor)
            tensor = alias(tensor)
        own.append(nr)
        values.append(tensor)
    node.own = tuple(own)
    ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ()
    save(node, tuple(values))
    stamp(node)


def _attached(tensor: Tensor, node: Node, nr: int) -> Tensor:
    tensor._grad_fn, tensor._output_nr, tensor._requires_grad = node, nr, True
    return tensor


def _zeros(size: tuple, dtype: Any, device: Any) -> Tensor:
    from numtorch import zeros

    return zeros(size, dtype=dtype, device=device)


def _expands_to(size: tuple, target: tuple) -> bool:
    """Whether a tensor of ``size`` broadcasts to ``target``."""
    return len(size) <= len(target) and all(
        a == b or a == 1 for a, b in zip(reversed(size), reversed(target), strict=False)
    )


class _DifferentiatedTwice(Node):
    """Stands where a once_differentiable backward would have to be differentiated."""

    def name(self) -> str:
        return "Error"

    def apply(self, grads: tuple) -> tuple:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(fn: Callable) -> Callable:
    """For a ``backward`` that is not made of differentiable operations: it runs unrecorded, on plain tensors.

    Differentiating its results is an error, not a silent zero.
    """

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = fn(ctx, *args)
        sources = [each for each in args if isinstance(each, Tensor) and each._requires_grad]
        if not mode.enabled or not sources:
            return outputs
        several = isinstance(outputs, tuple)
        results = outputs if several else (outputs,)
        node = _DifferentiatedTwice()
        node.sequence_nr = next_sequence()
        node.next_nodes = tuple(each._edge() for each in sources)
        node.next_nrs = tuple(each._output_nr for each in sources)
        node.num_outputs = len(results)
        results = tuple(
            _attached(alias(each), node, nr) if isinstance(each, Tensor) else each for nr, each in enumerate(results)
        )
        return results if several else results[0]

    return wrapper


class InplaceFunction(Function):
    """A Function with an ``inplace`` flag; kept for old code."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]
