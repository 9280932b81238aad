"""Padding: constant in any number of dimensions, and reflecting, replicating or circular in the last one to three.

constant_pad_nd   its gradient is itself with the amounts negated (a crop)
the others        out = x at a table of positions; the gradient is added where it was read
(kernels/cpu/padding.py)
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from numtorch.graph import mode as graph_mode
from numtorch.kernels.cpu import padding as _kernels
from numtorch.kernels.cpu.places import is_serial, serial_sum

from .. import _dtype
from .._copy import contiguous, copy_elements
from .._device import cpu
from .._dtype import FLOATING
from .._primitive import primitive
from .._size import Size, dense
from .._tensor import Tensor, _new, strided, wrap
from .creation import filled, python_number
from .reducing import check_cpu
from .spatial import elements, integers, result, triple

# Elements of an input that numpy pads sooner than a copy of ours is reached.
_FEW = 1 << 14


@lru_cache(maxsize=1024)
def _windows(size, pad):
    """(padded size, the part of the result that holds input, the part of the input that it holds), as slices."""
    padded, window, source = list(size), [slice(None)] * len(size), [slice(None)] * len(size)
    for i in range(len(pad) // 2):
        d, before, after = len(size) - 1 - i, pad[2 * i], pad[2 * i + 1]
        first, last = max(-before, 0), size[d] + min(after, 0)
        if last < first:
            raise RuntimeError("narrow(): length must be non-negative.")
        padded[d] += before + after
        source[d] = slice(first, last)
        window[d] = slice(max(before, 0), max(before, 0) + last - first)
    return Size(padded), tuple(window), tuple(source)


@primitive(node="ConstantPadNdBackward0", method=False)
def constant_pad_nd(input, pad, value=0) -> Tensor:
    """`input` with `value` around it: pad is (before, after) of the last dimension, then of the one before
    it, and so on.

    Negative amounts cut elements away.
    """
    check_cpu(input, "pad")
    pad = _amounts(input, pad)
    flat, d = input._flat, input._dtype
    # (Other dtypes than these may not hold the value.)
    plain = d.np is d.compute and (d.category == FLOATING or value.__class__ is int and value == 0)
    if flat is not None and flat.size <= _FEW and plain:
        size, window, source = _windows(input._size, pad)
        if value == 0:
            out = np.zeros(size, flat.dtype)
        else:
            out = np.empty(size, flat.dtype)
            out.fill(python_number(value, d))
        out[window] = flat.reshape(input._size)[source]
        return wrap(out.reshape(-1), size, d)
    size, stride = list(input._size), input._stride
    length, from_offset, to_start = list(size), input._offset, [0] * len(size)
    for i in range(len(pad) // 2):
        d, before, after = len(size) - 1 - i, pad[2 * i], pad[2 * i + 1]
        length[d] += min(before, 0) + min(after, 0)
        if length[d] < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        from_offset += max(-before, 0) * stride[d]
        to_start[d] = max(before, 0)
        size[d] += before + after
    # TypeError for a number that the dtype cannot hold
    out = filled(Size(size), value, input._dtype)
    if 0 not in length:
        start = sum(s * n for s, n in zip(out._stride, to_start, strict=True))
        window = strided(out._get_storage(), Size(length), out._stride, start, input._dtype)
        source = strided(input._get_storage(), Size(length), stride, from_offset, input._dtype)
        copy_elements(source, window)
    return out


constant_pad_nd.derivative(input=lambda ctx, grad: constant_pad_nd(grad, [-p for p in ctx.pad], 0))


def _amounts(input, pad) -> tuple[int, ...]:
    if pad.__class__ is not tuple or set(map(type, pad)) != {int}:
        pad = integers(pad, "pad", "pad")
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * len(input._size):
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(pad)} and input of dimension {len(input._size)}"
        )
    return pad


@lru_cache(maxsize=1024)
def _geometry(mode: str, size, pad):
    """(planes, src, dst, positions, their run, size of the result) of padding the last len(pad) / 2 dimensions of `size`."""
    dims = len(pad) // 2
    src = tuple(size[len(size) - dims :])
    before, after = pad[-2::-2], pad[::-2]
    dst = tuple(n + b + a for n, b, a in zip(src, before, after, strict=True))
    positions = _kernels.pad_positions(mode, triple(src, 1), triple(before, 0), triple(after, 0))
    planes = 1
    for n in size[: len(size) - dims]:
        planes *= n
    run = _kernels.longest_run(positions, len(positions) - dst[-1], dst[-1])
    return planes, triple(src, 1), triple(dst, 1), positions, run, Size((*size[: len(size) - dims], *dst))


@lru_cache(maxsize=1024)
def _small(mode: str, size, pad, dtype, back: bool):
    """(planes, table) of a small padding; (planes, None) of others."""
    planes, src, *_ = _geometry(mode, size, pad)
    amounts = triple(pad[-2::-2], 0), triple(pad[::-2], 0)
    return planes, _kernels.small_padding(mode, src, *amounts, dtype, back)


@lru_cache(maxsize=1024)
def _direct(mode: str, size, pad, d: _dtype.dtype):
    """Of a small padding that passes torch's checks: (planes, table, elements, size, strides, compiled kernel, no divisors);
    None for others."""
    _check(size, d, pad, mode)
    planes, places = _small(mode, size, pad, d.np, False)
    if places is None or d.np is not d.compute:
        return None
    padded, stride, count = dense(_geometry(mode, size, pad)[-1])
    if not count or not is_serial(prod(size) + count, planes):
        return None
    return planes, places, count, padded, stride, *serial_sum(d.np)


def _pad_primitive(name: str, node: str, mode: str):
    def padded(input, pad):
        planes, src, dst, positions, run, size = _geometry(mode, input._size, pad)
        flat = contiguous(input).flat()
        places = _small(mode, input._size, pad, flat.dtype, False)[1]
        if places is not None:
            out = _kernels.pad_small(flat, planes, places)
        else:
            out = _kernels.pad_forward(flat, planes, src, dst, positions, run=run)
        return wrap(out, size, input._dtype)

    padded.__doc__ = f"`input` with its last len(pad) / 2 dimensions padded by mode {mode}."
    padded = primitive(name, node=node, public=False)(padded)
    padded.derivative(input=lambda ctx, grad: add_padding(grad, ctx.pad, mode, ctx.input.shape))
    return padded


@primitive("add_padding", node="PadBackwardBackward0", public=False)
def add_padding(grad_output, pad, mode, size) -> Tensor:
    """The gradient of a padding: every element of grad_output is added to the element of a `size` tensor that
    was read there."""
    size, grad = tuple(size), elements(grad_output)
    planes, src, dst, positions, run, _ = _geometry(mode, size, pad)
    places = _small(mode, size, pad, grad.dtype, True)[1]
    if places is not None:
        out = _kernels.pad_small(grad, planes, places)
    else:
        out = _kernels.pad_backward(grad, planes, src, dst, positions, run)
    return result(out, size, grad_output._dtype)


add_padding.derivative(grad_output=lambda ctx, grad: _PADDED[ctx.mode][len(ctx.pad) // 2](grad, ctx.pad))

_PADDED = {
    mode: {d: _pad_primitive(f"{name}{d}d", node.format(d), mode) for d in (1, 2, 3)}
    for mode, name, node in (
        ("reflect", "reflection_pad", "ReflectionPad{}DBackward0"),
        ("replicate", "replication_pad", "ReplicationPad{}DBackward0"),
        ("circular", "circular_pad", "PadCircular{}DBackward0"),
    )
}
_ERROR_NAMES = {"reflect": "reflection_pad{}d", "replicate": "replication_pad{}d"}


@lru_cache(maxsize=1024)
def _check(size: tuple, d: _dtype.dtype, pad: tuple, mode: str) -> None:
    """torch's checks of a padding without a value; remembered where they pass."""
    dims, given = len(pad) // 2, len(size)
    if dims not in (1, 2, 3) or given not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {given}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if mode in _ERROR_NAMES and d is _dtype.bool_:
        raise NotImplementedError(f"\"{_ERROR_NAMES[mode].format(dims)}\" not implemented for 'Bool'")
    first = given - dims - 1  # of the dimensions behind the batch
    if 0 in size[first:] and mode != "circular":
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(size)}"
        )
    for i in range(dims):
        n, before, after = size[given - 1 - i], pad[2 * i], pad[2 * i + 1]
        if mode == "reflect" and (before >= n or after >= n):
            raise RuntimeError(
                f"Argument #{4 + 2 * i}: Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({before}, {after}) at dimension {given - 1 - i} of input {list(size)}"
            )
        if mode == "circular":
            if before > n or after > n:
                raise RuntimeError("Padding value causes wrapping around more than once.")
            if n + before + after < 0 or n + min(before, 0) + min(after, 0) < 1 <= n + before + after:
                raise RuntimeError("Negative padding value is resulting in an empty dimension")
        elif n + before + after < 1:
            edges = ("D", "H", "W")[-dims:]
            sizes = size[given - dims :]
            out = [s + b + a for s, b, a in zip(sizes, pad[-2::-2], pad[::-2], strict=True)]
            each = " ".join(f"{e}: {s}" for e, s in zip(edges, sizes, strict=True))
            too_small = " ".join(f"{e}: {s}" for e, s in zip(edges, out, strict=True))
            raise RuntimeError(f"input ({each}) is too small. Calculated output {too_small}")


def pad(input, pad, mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last dimensions of `input` by (before, after) pairs, the last dimension's first; negative amounts cut.

    mode: "constant" (with `value`, any number of dimensions), "reflect", "replicate" or "circular" (one to
    three dimensions).
    """
    amounts = _amounts(input, pad)
    if mode == "constant":
        return constant_pad_nd(input, amounts, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _PADDED:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    flat = input._flat
    if flat is not None and input._device is cpu and not (input._requires_grad and graph_mode.enabled):
        found = _direct(mode, input._size, amounts, input._dtype)
        if found is not None:
            planes, places, count, size, stride, kernel, none = found
            result = _new(Tensor)
            result._flat = out = np.empty(count, flat.dtype)
            kernel(0, planes, flat, out, none, *places)
            result._size, result._stride, result._dtype = size, stride, input._dtype
            return result
    _check(input._size, input._dtype, amounts, mode)
    check_cpu(input, "pad")
    return _PADDED[mode][len(amounts) // 2](input, amounts)
