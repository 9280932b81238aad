"""Pointwise operators on the GPU: the CPU's rules for sizes and layouts, the same scalar texts."""

from __future__ import annotations

import functools

from numtorch.kernels.cuda import pointwise as _kernels

from .. import _dtype
from .._device import cpu
from .._dtype import dtype
from .._layout import output_strides, plan
from .._size import broadcast_sizes, expanded_strides, is_dense
from .._tensor import Tensor, strided
from ._devices import activate
from ._memory import allocate
from ._tensors import common_device, elements, memory, on_device
from ._transfer import move


@functools.cache
def _swapped(text):
    """The text with its first two arguments in the other order."""

    def swapped(b, a, *params):
        return text(a, b, *params)

    return swapped


def run_on_cuda(loops, operands: tuple, params: tuple, compute: dtype) -> Tensor:
    """Apply the text of `loops` to tensors of broadcastable sizes: a fresh tensor."""
    text = _swapped(loops.text) if loops.swapped else loops.text
    where = common_device(operands)
    operands = tuple(move(t, where) if t._device is cpu else t for t in operands)
    out_np = loops.output(compute.np)
    out_dtype = compute if out_np is compute.np else _dtype.FROM_NUMPY[out_np]
    size, stride = operands[0]._size, operands[0]._stride
    params = tuple(compute.np.type(p) for p in params)
    activate(where)
    if all(t._size == size and t._stride == stride for t in operands) and is_dense(size, stride):
        result = strided(allocate(size.numel(), out_np, where), size, stride, 0, out_dtype)
        if size.numel():
            flats = tuple(elements(t) for t in operands)
            _kernels.contiguous(text, compute.np, flats, elements(result), params)
        return result
    size = broadcast_sizes(*[t._size for t in operands])
    strides = tuple(expanded_strides(t._size, t._stride, size) for t in operands)
    out_stride = output_strides(size, *strides)
    result = strided(allocate(size.numel(), out_np, where), size, out_stride, 0, out_dtype)
    if size.numel():
        meta = on_device(plan(size, *strides, out_stride), where)
        buffers, offsets = [memory(t) for t in operands], [t._offset for t in operands]
        _kernels.strided(text, compute.np, buffers, offsets, elements(result), meta, size.numel(), params)
    return result
