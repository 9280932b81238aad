"""Tensor: storage, dtype, size, stride and offset, and its place in the autograd graph.

What is rare has a class-level default and costs a fresh tensor nothing: a result of an eager operator sets `_flat`,
`_size`, `_stride` and `_dtype`, and only those. `_flat` is the 1-D array of a contiguous tensor's elements, ready to be
handed to a kernel; it is None where nobody has asked yet or where the tensor is strided (`flat()` tells). `_storage` is
made when the first view or in-place write needs to share it.

Operators are added as methods by the registry (`numtorch/_registry.py`), not here.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from numtorch.graph import AccumulateGrad, Node, RemovableHandle, add_tensor_hook, mode, run_backward, set_retain_grad

from . import _allocator, _dtype
from ._device import cpu, device
from ._dtype import dtype
from ._ownership import ARGUMENT, ATTRIBUTE, alone
from ._size import EMPTY, Size, byte_strides, contiguous_numel, geometry, public_size
from ._storage import Storage

# A Tensor (or a node) with nothing set, for the modules that fill one in: calling the class would go by __new__ below.
_new = object.__new__


class Tensor:
    """An n-dimensional array with torch's semantics; made by `numtorch.tensor`, `numtorch.zeros` and so on."""

    # Autograd and layout, as they are for nearly every tensor.
    _storage: Storage | None = None
    _offset = 0
    _device = cpu
    _requires_grad = False
    _grad_fn = None
    _output_nr = 0
    _grad = None
    _acc = None  # the AccumulateGrad node of a leaf, made when the graph first reaches it
    _base = None  # the tensor that owns the memory, for a view
    _view_version = 0  # storage version at which a view's `_grad_fn` was made
    _retains_grad = False
    _inference = False
    _backward_hooks = None
    _construct = None  # what Tensor(...) means, set by _legacy.py
    __hash__ = object.__hash__
    __array_priority__ = 1000  # numpy's operators give way to ours

    if TYPE_CHECKING:  # what the registry adds, for type checkers

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __int__(self) -> int: ...
        def __float__(self) -> float: ...
        def __eq__(self, other: Any) -> Any: ...
        def __ne__(self, other: Any) -> Any: ...
        def __neg__(self) -> Tensor: ...
        def __add__(self, other: Any) -> Tensor: ...

        __pos__ = __invert__ = __abs__ = __neg__
        __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = __add__
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = __add__
        __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __imod__ = __ipow__ = __add__
        __and__ = __or__ = __xor__ = __lt__ = __le__ = __gt__ = __ge__ = __add__

    def __new__(cls, *args, device=None, **kwargs):
        return cls._construct(cls, args, device, kwargs)

    # -- memory ---------------------------------------------------------------------------------------------------

    def _get_storage(self) -> Storage:
        storage = self._storage
        if storage is None:
            storage = self._storage = Storage(self._flat, 0, self._device)
        return storage

    def _buffer(self):
        """The whole flat buffer of the storage, read in this tensor's dtype (index it from `_offset` on)."""
        storage = self._storage
        if storage is None:
            return self._flat
        buffer, d = storage.buffer, self._dtype.np
        return buffer if buffer.dtype is d or buffer.dtype == d else buffer.view(d)

    def flat(self) -> np.ndarray | None:
        """The 1-D array of the elements of a contiguous tensor (no copy), or None if it is not contiguous."""
        flat = self._flat
        if flat is None:
            n = contiguous_numel(self._size, self._stride)
            if n >= 0:
                start = self._offset
                flat = self._flat = self._buffer()[start : start + n]
        return flat

    def _nd(self) -> np.ndarray:
        """The elements as an n-dimensional numpy array that shares the memory (raw uint16 for bfloat16)."""
        flat, size = self._flat, self._size
        if flat.__class__ is np.ndarray:
            return flat.reshape(size)
        buffer = self._buffer()
        if 0 in size:
            return np.empty(size, buffer.dtype)
        item = buffer.itemsize
        return np.ndarray(size, buffer.dtype, buffer, self._offset * item, byte_strides(self._stride, item))

    @property
    def _version(self) -> int:
        storage = self._storage
        return 0 if storage is None else storage.version

    def _bump_version(self) -> None:
        """Note an in-place write, so that a backward that saved the old values refuses to use the new ones."""
        storage = self._storage
        if storage is None:
            storage = self._get_storage()
        storage.version += 1

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return public_size(self._size)

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return self._dtype

    @property
    def device(self) -> device:
        """The device that holds the elements."""
        return self._device

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._size)

    @property
    def is_cuda(self) -> bool:
        return self._device is not cpu and self._device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        return self._device.type == "cpu"

    @property
    def is_meta(self) -> bool:
        return False

    is_sparse = False
    is_quantized = False
    is_mkldnn = False
    is_nested = False
    layout = "torch.strided"

    @property
    def itemsize(self) -> int:
        return self._dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self._size.numel() * self._dtype.itemsize

    # -- autograd -------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded for `backward`."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._dtype.category < _dtype.FLOATING:
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` in place; RuntimeError for integer tensors and for results of the graph."""
        if self._grad_fn is not None:
            if not requires_grad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                    "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            return self
        if requires_grad and self._dtype.category < _dtype.FLOATING:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if requires_grad and self._inference and not mode.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        if requires_grad and self._base is not None and self._acc is None:
            self._acc = AccumulateGrad(self)  # for a view that asks itself, not only for its base
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """True for tensors made by the user, False for results that the graph computed."""
        return self._grad_fn is None if self._base is None else self.grad_fn is None

    @property
    def output_nr(self) -> int:
        return self._output_nr

    @property
    def grad_fn(self) -> Node | None:
        """The node that computed this tensor; None for a leaf."""
        if self._base is not None:
            self._refresh_view()
        return self._grad_fn

    def _refresh_view(self) -> None:
        """Remake a view's node if its base was written in place since (torch regenerates it as AsStridedBackward0)."""
        base = self._base
        if self._view_version != base._version and base._requires_grad and base._grad_fn is not None:
            self._grad_fn = _views.as_strided_node(base, self._size, self._stride, self._offset)
            self._output_nr = 0
            self._requires_grad = True
            self._view_version = base._version

    def _edge(self):
        """The node that receives this tensor's gradient: its grad_fn, or a leaf's AccumulateGrad; None if it needs none."""
        if self._base is not None:
            self._refresh_view()
        node = self._grad_fn
        if node is None and self._requires_grad:
            node = self._acc
            # (A view taken under no_grad needs gradients because its base does, and receives none.)
            if node is None and (self._base is None or not self._base._requires_grad):
                node = self._acc = AccumulateGrad(self)
        return node

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf, or of any tensor after `retain_grad()`; otherwise None."""
        if self._grad_fn is not None and self._grad is None and not self._retains_grad and self._requires_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't "
                "be populated during autograd.backward(). If you indeed want the .grad field to be populated for a "
                "non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by "
                "mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for "
                "more informations.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value._dtype is not self._dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{value._dtype.name}' to a tensor with grad_dtype "
                    f"'{self._dtype.name}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's "
                    "dtype)."
                )
            if value._size != self._size:
                raise RuntimeError(
                    f"assigned grad has data of a different size: expected {list(self._size)}, got {list(value._size)}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def _accumulate_grad(self, grad: Tensor, create_graph: bool) -> None:
        """Add a gradient that reached this leaf (called by its AccumulateGrad node).

        A gradient that nobody else holds becomes `.grad` itself; any other is copied, for `.grad` is written in place
        by later backwards and by optimisers. Ownership is judged by reference counts (see _ownership.py).
        """
        current = self._grad
        if grad._dtype is not self._dtype:  # of a rule whose operands were promoted
            both_complex = grad._dtype.category == self._dtype.category == _dtype.COMPLEX
            grad = (grad if both_complex or grad._dtype.category < _dtype.COMPLEX else grad.real).to(self._dtype)
        if current is None:
            if create_graph and grad._requires_grad:
                self._grad = grad if grad._size == self._size else grad.expand(self._size)
                return
            flat = grad._flat
            if (
                flat is not None
                and grad._storage is None
                and grad._size == self._size
                and getrefcount(flat) == ATTRIBUTE
                and getrefcount(grad) == ARGUMENT
                and alone(flat)
            ):
                self._grad = wrap(flat, self._size, grad._dtype)
            else:
                # On another device only where a 0-d CPU tensor was used among CUDA tensors.
                self._grad = _copy.clone(grad) if grad._device is self._device else grad.to(self._device)
        elif create_graph and (grad._requires_grad or current._requires_grad):
            self._grad = current + grad
        else:
            with_grad = current._requires_grad
            if with_grad or current._grad_fn is not None:
                self._grad = current.detach() + grad
            else:
                current.add_(grad)

    def _describe(self) -> str:
        """How a version error names this tensor: `[torch.FloatTensor [3]], which is output 0 of MulBackward0`."""
        text = f"[{self.type()} {list(self._size)}]"
        if self._grad_fn is not None:
            text += f", which is output {self._output_nr} of {self._grad_fn.name()}"
        return text

    def _check_replacement(self, new: Tensor, hook_name: str) -> None:
        """RuntimeError where a hook put something of another type or size in a gradient's place."""
        if new._dtype is not self._dtype:
            raise RuntimeError(f"hook '{hook_name}' has changed the type of value (was {self.type()} got {new.type()})")
        if new._size != self._size:
            raise RuntimeError(f"hook '{hook_name}' has changed the size of value")

    def _has_nan(self) -> bool:
        values = self._nd()
        return values.dtype.kind in "fc" and bool(np.isnan(values).any())

    def backward(self, gradient=None, retain_graph=None, create_graph: bool = False, inputs=None) -> None:
        """Compute the gradient of this tensor with respect to the graph's leaves and add it to their `.grad`.

        `gradient` has this tensor's shape and may be left out for a scalar (it is then 1). `retain_graph` keeps the
        graph for another backward, `create_graph` makes the gradients differentiable themselves, `inputs` limits the
        leaves that receive a gradient.
        """
        if (
            gradient is None
            and inputs is None
            and self._requires_grad
            and len(self._size) == 0
            and self._dtype.category == _dtype.FLOATING
        ):
            # The usual case, without the general one's lists: a loss that asks for every leaf's gradient.
            run_backward(
                [(self._edge(), self._output_nr)],
                [ones_like_flat(self)],
                create_graph if retain_graph is None else retain_graph,
                create_graph,
            )
            return
        from .autograd import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` whenever this tensor's gradient is computed; what it returns replaces the gradient."""
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return add_tensor_hook(self._edge(), self._output_nr, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(tensor)` after a backward has added to this leaf's `.grad`."""
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.grad_fn is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return self._edge().register_post_accumulate_hook(hook)

    def retain_grad(self) -> None:
        """Have `backward` fill in `.grad` of this tensor although it is not a leaf."""
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.grad_fn is None or self._retains_grad:
            return
        self._retains_grad = True
        ref = weakref.ref(self)

        def keep(grad):
            tensor = ref()
            if tensor is not None:
                tensor._grad = _copy.clone(grad) if tensor._grad is None else tensor._grad + grad

        set_retain_grad(self._grad_fn, self._output_nr, keep)

    @property
    def retains_grad(self) -> bool:
        return self._retains_grad

    def is_inference(self) -> bool:
        return self._inference

    @property
    def volatile(self) -> bool:
        warnings.warn("volatile was removed (Variable.volatile is always False)", UserWarning, stacklevel=2)
        return False

    @volatile.setter
    def volatile(self, value) -> None:
        warnings.warn(
            "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
            UserWarning,
            stacklevel=2,
        )

    def detach(self) -> Tensor:
        """The same memory outside the graph; shares the version counter, so writes to it are noticed."""
        return alias(self)

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph, in place; RuntimeError for a view."""
        if self._base is not None and self._base._requires_grad:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
                "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence "
                "detach_() cannot be called on these gradients. To fix this error, please refer to the Optimizer."
                "zero_grad() function in torch/optim/optimizer.py as a solution."
            )
        self._grad_fn = None
        self._requires_grad = False
        self._output_nr = 0
        return self

    @property
    def data(self) -> Tensor:
        """The same memory outside the graph with a version counter of its own: the graph does not notice writes to it."""
        storage = self._storage
        result = _new(Tensor)
        result._flat = self._flat
        result._size = self._size
        result._stride = self._stride
        result._dtype = self._dtype
        if storage is not None:  # (without one the buffer is all that is shared, and each makes a storage of its own)
            result._storage = storage.twin(0)
        if self._offset:
            result._offset = self._offset
        if self._device is not cpu:
            result._device = self._device
        return result

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
        if self._requires_grad and new._dtype.category < _dtype.FLOATING:
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        self._storage = new._get_storage().twin(self._version)
        self._flat, self._size, self._stride = new._flat, new._size, new._stride
        self._offset, self._dtype, self._device = new._offset, new._dtype, new._device

    # -- python ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if not self._size:
            raise TypeError("len() of a 0-d tensor")
        return self._size[0]

    def __bool__(self) -> bool:
        flat = self._flat
        if flat is not None and flat.size == 1 and self._dtype is not _dtype.bfloat16:
            return bool(flat.item())
        numel = self._size.numel()
        if numel != 1:
            raise RuntimeError(
                "Boolean value of Tensor with no values is ambiguous"
                if numel == 0
                else "Boolean value of Tensor with more than one value is ambiguous"
            )
        return bool(self.item())

    def __repr__(self, *, tensor_contents=None) -> str:
        from ._tensor_str import _str

        return _str(self, tensor_contents=tensor_contents)

    def __format__(self, spec: str) -> str:
        if not self._size and type(self) is Tensor:
            return self.item().__format__(spec)
        return object.__format__(self, spec)

    def __contains__(self, element) -> bool:
        if isinstance(element, (Tensor, int, float, complex, bool)):
            return bool((element == self).any().item())
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    def __setstate__(self, state) -> None:
        self.__dict__.update(state)

    def __reduce_ex__(self, protocol):
        from ._utils import reduce_tensor

        return reduce_tensor(self)

    def __deepcopy__(self, memo):
        from ._copy import deepcopy_tensor

        return deepcopy_tensor(self, memo)

    @staticmethod
    def _make_subclass(cls, data: Tensor, require_grad: bool = False) -> Tensor:
        """A `cls` (Parameter, say) over the memory of `data`."""
        result = alias(data, cls)
        result._requires_grad = require_grad
        return result

    def as_subclass(self, cls) -> Tensor:
        return alias(self, cls)


def wrap(flat, size, dtype: dtype) -> Tensor:
    """A fresh contiguous tensor over a 1-D array, without copying."""
    result = _new(Tensor)
    result._flat = flat
    result._size, result._stride = geometry[size]
    result._dtype = dtype
    return result


def wrap_as(flat, t: Tensor) -> Tensor:
    """A fresh tensor over a 1-D array, with the geometry and the dtype of a contiguous CPU tensor."""
    result = _new(Tensor)
    result._flat = flat
    result._size = t._size
    result._stride = t._stride
    result._dtype = t._dtype
    return result


def empty(size, dtype: dtype) -> Tensor:
    """A fresh contiguous tensor with whatever the memory held."""
    size = size if type(size) is Size else Size(size)
    return wrap(_allocator.empty(size.numel(), dtype.np), size, dtype)


def scalar(value, dtype: dtype) -> Tensor:
    """A 0-d tensor."""
    if dtype is _dtype.bfloat16:
        from ._copy import cast

        return cast(scalar(value, _dtype.float32), dtype)
    flat = np.empty(1, dtype.np)
    flat[0] = value
    return wrap(flat, EMPTY, dtype)


def alias(t: Tensor, cls=Tensor) -> Tensor:
    """Another tensor over the same storage and version counter, outside the graph."""
    storage = t._storage
    if storage is None:
        storage = t._storage = Storage(t._flat, 0, t._device)
    result = _new(cls)
    result._flat, result._size, result._stride, result._dtype = t._flat, t._size, t._stride, t._dtype
    result._storage = storage
    if t._offset:
        result._offset = t._offset
    if t._device is not cpu:
        result._device = t._device
    return result


def strided(storage: Storage, size, stride, offset: int, dtype: dtype) -> Tensor:
    """A tensor over part of a storage."""
    result = _new(Tensor)
    result._flat = None
    result._size = size if type(size) is Size else Size(size)
    result._stride = tuple(stride)
    result._dtype = dtype
    result._storage = storage
    result._offset = offset
    if storage.device is not cpu:
        result._device = storage.device
    return result


def ones_like_flat(t: Tensor) -> Tensor:
    """The gradient that `backward()` starts from."""
    if t._device is not cpu or t._dtype is _dtype.bfloat16:
        return t.detach().new_ones(t._size)
    flat = np.empty(t._size.numel(), t._dtype.np)
    flat.fill(1)  # np.ones takes 1.5 us
    return wrap(flat, t._size, t._dtype)


# They import Tensor from here; imported in the functions that call them, they would cost each call 0.7 us.
from . import _copy, _views  # noqa: E402
