"""Between dtypes, devices, numpy and Python: to, type, item, tolist, numpy, copy_, fill_."""

from __future__ import annotations

import warnings

import numpy as np

from numtorch.graph import Node, mode, next_sequence
from numtorch.kernels.cpu.pointwise import PARALLEL_THRESHOLD

from .. import _copy, _dtype
from .._copy import cast as raw_cast
from .._copy import cast_array, contiguous, copy_elements, copy_flat, copy_into
from .._derivatives import reduce_to
from .._device import cpu, device, parse_device
from .._dtype import ALIASES, ALL, COMPLEX, FLOATING, dtype
from .._inplace import assign, check_apart, check_writable, make_room, old_self, rebase, resize
from .._primitive import primitive
from .._promotion import result_type
from .._registry import op, register
from .._size import broadcast_size, flatten_sizes, may_overlap
from .._tensor import Tensor, alias
from .._views import shares_elements, tracked
from .creation import filled, python_number

# -- dtype and device -------------------------------------------------------------------------------------------------


class ToCopyBackward0(Node):
    """Gradient of a cast or a move: cast and moved back."""

    def apply(self, grads) -> tuple:
        g = grads[0]
        if g is None:
            return (None,)
        if g._dtype.category == COMPLEX and self.dtype.category != COMPLEX:
            g = g.real
        return (to(g, self.device, self.dtype),)


def _converted(t: Tensor, d: dtype, where: device) -> Tensor:
    result = raw_cast(t.detach() if t._device is not cpu else t, d) if d is not t._dtype else t
    if where is not t._device and where != t._device:
        from ..cuda._transfer import move

        result = move(result, where)
    if t._requires_grad and mode.enabled and d.category >= FLOATING:
        node = ToCopyBackward0.__new__(ToCopyBackward0)
        node.sequence_nr = next_sequence()
        node.next_nodes = (t._edge(),)
        if t._output_nr:
            node.next_nrs = (t._output_nr,)
        node.dtype, node.device = t._dtype, t._device
        result._grad_fn, result._requires_grad = node, True
    return result


@op(function=False)
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None) -> Tensor:
    """This tensor in another dtype and/or on another device (or those of another tensor); itself if nothing changes."""
    if len(args) == 1 and dtype is None and device is None and not copy:
        # to(dtype) and to("cpu"), which are most calls and often ask for nothing.
        arg = args[0]
        if arg is self._dtype or (arg is cpu or arg.__class__ is str and arg == "cpu") and self._device is cpu:
            return self
        if arg.__class__ is Tensor and arg._dtype is self._dtype and arg._device is self._device:
            return self
        if arg.__class__ is _dtype.dtype and self._dtype.category != COMPLEX and self._device is cpu:
            return _converted(self, arg, cpu)
    for arg in args[:3]:
        if isinstance(arg, _dtype.dtype):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype, device = arg._dtype, arg._device
        elif isinstance(arg, (str, int, _device_class)) and not isinstance(arg, bool):
            device = arg
        elif arg is not None and not isinstance(arg, bool):
            raise TypeError(
                f"to() received an invalid combination of arguments - got ({type(arg).__name__}), but expected one of: "
                "(torch.device device, torch.dtype dtype, ...), (torch.dtype dtype, ...), (Tensor other, ...)"
            )
    where = self._device if device is None else parse_device(device)
    if where.type == "cuda":
        from ..cuda import _resolve

        where = _resolve(where)
    d = dtype or self._dtype
    if d is self._dtype and where == self._device:
        return self.clone() if copy else self
    if d.category != COMPLEX and self._dtype.category == COMPLEX and d.category != _dtype.BOOL:
        warnings.warn("Casting complex values to real discards the imaginary part", UserWarning, stacklevel=2)
    return _converted(self, d, where)


_device_class = device


def _dtype_method(name: str, d: dtype):
    def call(self, memory_format=None) -> Tensor:
        return self if self._dtype is d else to(self, d)

    call.__name__ = name
    call.__doc__ = f"This tensor as torch.{d.name}."
    return register(name, call, function=False)


for _name, _d in {
    **{d.name: d for d in ALL if d.name in ("bool", "bfloat16")},
    **ALIASES,
    "byte": _dtype.uint8,
    "char": _dtype.int8,
}.items():
    _dtype_method(_name, _d)


@op(function=False)
def chalf(self, memory_format=None) -> Tensor:
    """Not available: there is no complex32."""
    raise NotImplementedError("chalf: complex32 is not implemented")


@op(function=False)
def type_as(self, other) -> Tensor:
    """This tensor in the dtype of another."""
    return to(self, other._dtype)


@op(function=False, name="type")
def type_(self, dtype=None, non_blocking=False) -> Tensor | str:
    """The legacy name of this tensor's type, or the tensor converted to a dtype, a type or the name of one."""
    if dtype is None:
        place = "cuda." if self._device.type == "cuda" else ""
        return f"torch.{place}{self._dtype.type_name}Tensor"
    if isinstance(dtype, _dtype.dtype):
        return to(self, dtype)
    from .._legacy import parse_type

    d, where = parse_type(dtype)
    return to(self, d) if where is None else to(self, where, d)


@op(function=False, name="cpu")
def cpu_(self, memory_format=None) -> Tensor:
    """This tensor in the computer's memory."""
    return self if self._device is cpu else to(self, cpu)


@op(function=False)
def cuda(self, device=None, non_blocking=False, memory_format=None) -> Tensor:
    """A copy on a GPU."""
    if isinstance(device, int) and not isinstance(device, bool):
        from ..cuda import is_available

        if not is_available():
            raise RuntimeError("Cannot access accelerator device when none is available.")
    return to(self, parse_device("cuda" if device is None else device))


@op(function=False)
def is_floating_point(self) -> bool:
    """Whether the dtype is a real floating one."""
    return self._dtype.category == FLOATING


@op(function=False)
def is_complex(self) -> bool:
    """Whether the dtype is complex."""
    return self._dtype.category == COMPLEX


@op(function=False)
def is_signed(self) -> bool:
    """Whether the dtype has negative values."""
    return self._dtype.is_signed


register("is_floating_point", is_floating_point, method=False)
register("is_complex", is_complex, method=False)
register("is_signed", is_signed, method=False)


@op(function=False)
def get_device(self) -> int:
    """The number of the GPU, -1 for the CPU."""
    return -1 if self._device is cpu else self._device.index or 0


@op(function=False)
def is_pinned(self, device=None) -> bool:
    """Whether the memory is page-locked (never, without CUDA)."""
    return False


@op(function=False)
def pin_memory(self, device=None) -> Tensor:
    """A page-locked copy; RuntimeError without CUDA."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


# -- Python and numpy -------------------------------------------------------------------------------------------------


def _as_numpy(t: Tensor) -> np.ndarray:
    """Elements as an array that numpy can calculate with (bfloat16 as float32)."""
    if t._dtype is _dtype.bfloat16:
        return cast_array(contiguous(t)._flat, t._dtype, _dtype.float32).reshape(t._size)
    return t._nd()


@op(function=False)
def item(self) -> float | complex | bool | int:
    """The value of a one-element tensor as a Python number."""
    flat = self._flat
    if flat is not None and flat.size == 1 and self._dtype is not _dtype.bfloat16:
        return flat.item()
    if flat is None and self._device is cpu and self._dtype is not _dtype.bfloat16 and self._size.numel() == 1:
        return self._buffer().item(self._offset)
    if self._size.numel() != 1:
        raise RuntimeError(f"a Tensor with {self._size.numel()} elements cannot be converted to Scalar")
    return _as_numpy(self.cpu()).item()


@op(function=False)
def tolist(self) -> list | float | complex | bool | int:
    """Nested lists of Python numbers (a number for a 0-d tensor)."""
    flat = self._flat
    if flat is not None and len(self._size) == 1 and self._dtype is not _dtype.bfloat16 and self._device is cpu:
        return flat.tolist()
    return _as_numpy(self.cpu()).tolist()


@op(function=False)
def numpy(self, *, force: bool = False) -> np.ndarray:
    """An array over the same memory; RuntimeError/TypeError where sharing is not possible unless `force`."""
    if force:
        self = self.detach().cpu().resolve_conj()
    if self._device.type != "cpu":
        raise TypeError(
            f"can't convert {self._device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
            "first."
        )
    if self._requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if self._dtype is _dtype.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    self._get_storage()
    if self._flat is not None:
        return self._flat.reshape(self._size)
    return self._nd()


def __array__(self, dtype=None, copy=None):
    array = numpy(self)
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return array.copy() if copy else array


def __array_wrap__(self, array, context=None, return_scalar=False):
    from .from_data import from_numpy

    array = np.asarray(array)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    return from_numpy(np.ascontiguousarray(array).reshape(array.shape))


Tensor.__array__ = __array__
Tensor.__array_wrap__ = __array_wrap__


def _to_python(kind, name):
    def convert(self):
        flat = self._flat
        if flat is not None and flat.size == 1 and self._dtype is not _dtype.bfloat16:
            return kind(flat.item())
        numel = self._size.numel()
        if numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return kind(item(self))

    convert.__name__ = name
    return convert


Tensor.__float__ = _to_python(float, "__float__")
Tensor.__int__ = _to_python(int, "__int__")
Tensor.__complex__ = _to_python(complex, "__complex__")


def _index(self) -> int:
    if self._dtype.category > _dtype.INTEGRAL or self._size.numel() != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


Tensor.__index__ = _index


def __dlpack__(self, *, stream=None, **kwargs):
    return numpy(self.detach()).__dlpack__()


def __dlpack_device__(self):
    return (1, 0)


Tensor.__dlpack__ = __dlpack__
Tensor.__dlpack_device__ = __dlpack_device__


@op(method=False)
def from_dlpack(ext_tensor) -> Tensor:
    """A tensor over the memory of any object that speaks DLPack."""
    from .from_data import from_numpy

    return from_numpy(np.from_dlpack(ext_tensor))


# -- writing ----------------------------------------------------------------------------------------------------------


class CopyBackwards(Node):
    """x.copy_(src): nothing flows to the old x, everything to src."""

    def apply(self, grads) -> tuple:
        g = grads[0]
        if g is None:
            return (None, None)
        from .creation import zeros

        old = zeros(self.size, dtype=g._dtype, device=g._device) if self.next_nodes[0] is not None else None
        src = reduce_to(g, *self.src_meta).to(self.src_device) if self.next_nodes[1] is not None else None
        return (old, src)


@op(function=False)
def copy_(self, src, non_blocking: bool = False) -> Tensor:
    """Write `src`, broadcast and cast, into this tensor."""
    if src.__class__ is Tensor and self._size == src._size and self._dtype is src._dtype:
        x, y = self._flat, src._flat
        if (
            x is not None
            and y is not None
            and self._device is cpu
            and src._device is cpu
            and not tracked(self)
            and not (src._requires_grad and mode.enabled)
            and (src._storage is None or src._storage is not self._storage or abs(src._offset - self._offset) >= x.size)
        ):
            if x.size < PARALLEL_THRESHOLD:
                x[:] = y
            else:
                copy_flat(x, y)
            self._get_storage().version += 1
            return self
        if (
            self._device is src._device is cpu
            and not tracked(self)
            and not (src._requires_grad and mode.enabled)
            and not may_overlap(self._size, self._stride)
            and not np.may_share_memory(self._buffer(), src._buffer())
        ):
            copy_elements(src, self)  # views, with nothing to broadcast, to record or to refuse
            self._get_storage().version += 1
            return self
    if not isinstance(src, Tensor):
        from .from_data import tensor

        src = tensor(src)
    check_writable(self)
    check_apart(self, (src,))
    if src._size != self._size and broadcast_size(self._size, src._size) != self._size:
        raise RuntimeError(
            f"output with shape {list(self._size)} doesn't match the broadcast shape "
            f"{list(broadcast_size(self._size, src._size))}"
        )
    recorded = mode.enabled and (src._requires_grad or self._requires_grad)
    if not recorded or self._dtype.category < FLOATING:
        _write(self, src)
        self._bump_version()
        return self
    node = CopyBackwards.__new__(CopyBackwards)
    node.sequence_nr = next_sequence()
    node.next_nodes = (self._edge() if self._requires_grad else None, src._edge())
    node.next_nrs = (self._output_nr, src._output_nr)
    node.size, node.src_meta, node.src_device = self._size, (src._size, src._dtype), src._device
    result = alias(self)
    result._grad_fn, result._requires_grad = node, True
    _write(self, src)
    self._bump_version()
    rebase(self, result)
    return self


def _write(dst: Tensor, src: Tensor) -> None:
    if dst._size == src._size and dst._dtype is src._dtype and dst._device is src._device is cpu:
        x, y = dst.flat(), src.flat()
        if x is not None and y is not None and x.size < PARALLEL_THRESHOLD and not shares_elements(x, y):
            x[:] = y
            return
    if dst._device is not cpu or src._device is not cpu:
        from ..cuda._transfer import copy_between

        copy_between(dst, src)
    else:
        copy_into(dst, src)


def fill_elements(t: Tensor, value) -> None:
    """t[...] = value, below autograd."""
    d = t._dtype
    if t._device is not cpu:
        from ..cuda._transfer import fill_on_cuda

        fill_on_cuda(t, value)
        return
    if d.np is not d.compute:
        value = cast_array(np.full(1, value, np.float32), _dtype.float32, d)[0]
    elif value.__class__ is not float or d.category != FLOATING:
        value = python_number(value, d)
    flat = t.flat()
    if flat is not None and flat.size < PARALLEL_THRESHOLD and d.category == FLOATING and d.np is d.compute:
        flat.fill(value)
    else:
        _copy.fill_elements(t, d.np.type(value))


@primitive(node="FillBackward0", public=False)
def _filled_like(self, value):
    if self._device is not cpu:
        return filled(self._size, value, self._dtype).to(self._device)
    return filled(self._size, value, self._dtype)


_filled_like.derivative(self=lambda ctx, grad: grad.new_zeros(grad.shape))


@primitive(node="FillBackward1", public=False)
def _filled_with(self, value):
    return _filled_like.__wrapped__(self, value.item())


def _filled_with_rule(ctx, grad):
    total = grad.sum()
    if total._dtype.category == COMPLEX and ctx.value.dtype.category != COMPLEX:
        total = total.real
    return total.to(ctx.value.dtype)


_filled_with.derivative(self=lambda ctx, grad: grad.new_zeros(grad.shape), value=_filled_with_rule)


@primitive(node="ZeroBackward0", public=False)
def _zeroed(self):
    return _filled_like.__wrapped__(self, 0)


_zeroed.derivative(self=lambda ctx, grad: grad.new_zeros(grad.shape))


def _filled_directly(self: Tensor, value) -> bool:
    """Fill a tensor of floats that the graph does not know; whether that was the case."""
    d = self._dtype
    if d.category != FLOATING or d.np is not d.compute or self._device is not cpu or tracked(self):
        return False
    flat = self._flat
    if flat is not None and flat.size < PARALLEL_THRESHOLD:
        flat.fill(value)
    else:
        _copy.fill_elements(self, d.np.type(value))
    self._get_storage().version += 1
    return True


@op(function=False)
def fill_(self, value) -> Tensor:
    """Write one value everywhere."""
    if (value.__class__ is float or value.__class__ is int) and _filled_directly(self, value):
        return self
    if isinstance(value, Tensor):
        if value._size:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {len(value._size)} dimensions."
            )
        if (value._requires_grad or self._requires_grad) and mode.enabled:
            check_writable(self, alike=True)
            return assign(self, _filled_with(old_self(self), value))
        value = value.item()
    check_writable(self, alike=True)
    if self._requires_grad and mode.enabled:
        return _fill_recorded(self, value, _filled_like, value)
    fill_elements(self, value)
    self._bump_version()
    return self


def _fill_recorded(self: Tensor, value, prim, *args) -> Tensor:
    """Write one value into a result of the graph, recorded as the primitive `prim`, which takes (self, *args)."""
    if self._base is None:
        fill_elements(self, value)
        self._bump_version()
        prim.primitive.record((self, *args), {}, self)
        self._output_nr = 0
        return self
    before = old_self(self)
    fill_elements(self, value)
    self._bump_version()
    rebase(self, prim.primitive.record((before, *args), {}, alias(self)))
    return self


register("fill_", fill_, method=False)


@op()
def fill(input, value) -> Tensor:
    """A copy of `input` with one value everywhere."""
    if isinstance(value, Tensor) and not value._size:
        return _filled_with(input, value)
    return input.clone().fill_(value)


@op()
def zero_(self) -> Tensor:
    """Write zeros."""
    if _filled_directly(self, 0):
        return self
    if self._requires_grad and mode.enabled:
        check_writable(self, alike=True)
        return _fill_recorded(self, 0, _zeroed)
    return fill_(self, 0)


@op(function=False)
def resize_(self, *sizes, memory_format=None) -> Tensor:
    """Change the size in place; memory is kept where it suffices, and what is new in it is undefined."""
    if self._requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    size = flatten_sizes(sizes)
    if size == self._size:  # as it lies
        return self
    if any(n < 0 for n in size):
        raise RuntimeError(f"Trying to resize a tensor to a negative dimension: {list(size)}")
    resize(self, size)
    return self


@op()
def resize_as_(self, the_template, memory_format=None) -> Tensor:
    """`self.resize_(the_template.size())`."""
    return resize_(self, the_template._size)


@op(function=False)
def set_(self, source=None, storage_offset=0, size=None, stride=None) -> Tensor:
    """Use the storage, size and strides of another tensor (or of a storage, which grows where it is too small)."""
    from .._size import contiguous_strides, extent

    if self._requires_grad and mode.enabled and self.is_leaf:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    if storage_offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {storage_offset}")
    if stride is not None and size is not None and len(stride) != len(size):
        raise RuntimeError(f"unequal size length ({len(size)}) and stride length ({len(stride)})")
    if source is None:
        from .creation import empty

        source = empty(0, dtype=self._dtype)
    if not isinstance(source, Tensor):
        source = source._as_tensor(self._dtype)
        size = source._size if size is None else size
    self._storage = source._get_storage()
    self._flat = None
    self._size = source._size if size is None else flatten_sizes((size,)) and source._size.__class__(size)
    self._stride = (
        tuple(stride) if stride is not None else (source._stride if size is None else contiguous_strides(self._size))
    )
    self._offset = storage_offset or source._offset
    if 0 not in self._size:
        make_room(self, self._offset + extent(self._size, self._stride))
    self.flat()
    return self


@op(method=False, name="result_type")
def result_type_(tensor1, tensor2) -> dtype:
    """The dtype that an operation between the two would have."""
    return result_type(tensor1, tensor2)
