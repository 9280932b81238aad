"""Where the outputs of a pooling look: torch's checks of its arguments, and the table of windows they make.

Both are remembered for each size: they cost more than pooling a small image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numtorch.kernels.cpu import pooling as _kernels

from .. import _dtype
from .spatial import integers, triple

_COUNTS = {2: "two", 3: "three"}


class Windows(NamedTuple):
    """Where the outputs look: spatial sizes of input and output, and the kernels' table."""

    src: tuple
    dst: tuple
    table: np.ndarray
    step: tuple = (1, 1, 1)
    divisor: int = 0
    empty: np.ndarray | None = None  # where windows with gaps have no element, of shape dst in three dimensions
    kept: dict | None = None  # what the kernels find out about the table


# -- checks ----------------------------------------------------------------------------------------------------


def numbers_of(function: str, dims: int, argument: str, value, default=None) -> tuple[int, ...]:
    """An int or `dims` ints; an argument with a default may be None or empty."""
    if default is not None and (value is None or value == () or value == []):
        return default
    values = integers(value, function, argument)
    if len(values) not in (1, dims):
        omitted = "omitted, " if default is not None else ""
        either = "either be " if argument != "dilation" else "be either "
        allowed = f"{either if dims == 2 else 'be '}{omitted}a single int, or a tuple of {_COUNTS[dims]} ints"
        raise RuntimeError(f"{function}: {argument} must {allowed}")
    return values * dims if len(values) == 1 else values


def one_number(function: str, argument: str, value) -> int:
    values = integers(value, function, argument)
    if len(values) != 1:
        raise RuntimeError(f"{function}() argument '{argument}' should contain one int (got {len(values)})")
    return values[0]


EDGES = {2: ("H", "W"), 3: ("T", "H", "W")}


def check_pool(size, dims: int, kernel, stride, padding, dilation) -> None:
    """RuntimeError, in the words of torch, for windows that no input of this size has."""
    given = len(size)
    batch = f"{dims + 1}D or {dims + 2}D (batch mode) tensor"
    if given not in (dims + 1, dims + 2):
        raise RuntimeError(f"non-empty {batch} expected for input")
    if any(k <= 0 for k in kernel):
        each = " ".join(f"k{e}: {k}" for e, k in zip(EDGES[dims], kernel, strict=True))
        raise RuntimeError(
            "stride should not be zero" if 0 in stride else f"kernel size should be greater than zero, but got {each}"
        )
    if 0 in stride:
        raise RuntimeError("stride should not be zero")
    if any(s < 0 for s in stride):
        each = " ".join(f"d{e}: {s}" for e, s in zip(EDGES[dims], stride, strict=True))
        raise RuntimeError(f"stride should be greater than zero, but got {each}")
    if any(d <= 0 for d in dilation):
        each = " ".join(f"dilation{e}: {d}" for e, d in zip(EDGES[dims], dilation, strict=True))
        raise RuntimeError(f"dilation should be greater than zero, but got {each}")
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}"
            )
    if 0 in size[-dims - 1 :]:
        raise RuntimeError(f"Expected {batch} with optional 0 dim batch size for input, but got:{list(size)}")


def _out_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    out = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (out - 1) * s >= n + p:  # the last window must start inside of the input or its left padding
        out -= 1
    return out


def _out_sizes(size, dims: int, kernel, stride, padding, dilation, ceil_mode) -> tuple[int, ...]:
    src = size[-dims:]
    dst = tuple([_out_size(*each, ceil_mode) for each in zip(src, kernel, stride, padding, dilation, strict=True)])
    if any(n < 1 for n in dst):
        channels = size[-dims - 1]
        before, after = ("x".join(str(n) for n in (channels, *sizes)) for sizes in (src, dst))
        raise RuntimeError(f"Given input size: ({before}). Calculated output size: ({after}). Output size is too small")
    return dst


def _windows(src, dst, kernel, stride, padding, dilation, include_pad: bool, divisor: int = 0) -> Windows:
    # a unit dimension in front has one window over it
    table = _kernels.pool_windows(
        triple(src, 1),
        triple(dst, 1),
        triple(kernel, 1),
        triple(stride, 1),
        triple(padding, 0),
        triple(dilation, 1),
        include_pad,
    )
    return Windows(tuple(src), tuple(dst), table, tuple(dilation), divisor, kept={})


def check_dtype(input, name: str, *refused: _dtype.dtype) -> None:
    if input._dtype is not _dtype.float32 and input._dtype in refused:
        raise NotImplementedError(f"\"{name}\" not implemented for '{input._dtype.type_name}'")


COMPLEX = (_dtype.complex64, _dtype.complex128)
NOT_FLOATING = (_dtype.bool_, _dtype.uint8, _dtype.int8, _dtype.int16, _dtype.int32, _dtype.int64, *COMPLEX)
NOT_AVERAGED = tuple(d for d in NOT_FLOATING if d is not _dtype.int64)


def check_1d(function: str, size) -> None:
    if len(size) not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {len(size)}-dimensional tensor for argument "
            "#1 'self' "
            f"(while checking arguments for {function})"
        )


# -- geometries ------------------------------------------------------------------------------------------------


def hashable(value: int | list | tuple) -> int | tuple:
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=1024, typed=True)
def max_windows(function, dims, size, kernel_size, stride, padding, dilation, ceil_mode) -> Windows:
    """Checks and windows of max pooling, remembered: they cost more than pooling a small image."""
    kernel = numbers_of(function, dims, "kernel_size", kernel_size)
    stride = numbers_of(function, dims, "stride", stride, default=kernel)
    padding = numbers_of(function, dims, "padding", padding)
    dilation = numbers_of(function, dims, "dilation", dilation)
    check_pool(size, dims, kernel, stride, padding, dilation)
    dst = _out_sizes(size, dims, kernel, stride, padding, dilation, ceil_mode)
    windows = _windows(size[-dims:], dst, kernel, stride, padding, dilation, False)
    return (
        windows._replace(empty=_kernels.empty_windows(windows.table, triple(dst, 1))) if max(dilation) > 1 else windows
    )


@lru_cache(maxsize=1024, typed=True)
def average_windows(function, dims, size, kernel_size, stride, padding, ceil_mode, include_pad, divisor) -> Windows:
    """Checks and windows of average pooling."""
    kernel = numbers_of(function, dims, "kernel_size", kernel_size)
    stride = numbers_of(function, dims, "stride", stride, default=kernel)
    padding = numbers_of(function, dims, "padding", padding)
    ones = (1,) * dims
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    check_pool(size, dims, kernel, stride, padding, ones)
    src = size[-dims:]
    if dims == 3 and any(n < k for n, k in zip(src, kernel, strict=True)):
        image, kernels = (
            " ".join(f"{prefix}{e}: {n}" for e, n in zip("THW", values, strict=True))
            for prefix, values in (("", src), ("k", kernel))
        )
        raise RuntimeError(f"input image ({image}) smaller than kernel size ({kernels})")
    dst = _out_sizes(size, dims, kernel, stride, padding, ones, ceil_mode)
    return _windows(src, dst, kernel, stride, padding, ones, bool(include_pad), divisor or 0)


@lru_cache(maxsize=1024, typed=True)
def adaptive_windows(function, dims, size, output_size) -> Windows:
    """Checks and bins of adaptive pooling."""
    colon = ":" if "max" in function else ""
    if isinstance(output_size, (tuple, list)) and len(size) <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}, got {len(size)}")
    if len(size) not in (dims + 1, dims + 2):
        raise RuntimeError(f"{function}(): Expected {dims + 1}D or {dims + 2}D tensor, but got{colon} {list(size)}")
    src = size[-dims:]
    for i in range(1 if "max" in function or dims == 3 else len(size) - dims, len(size)):
        if size[i] == 0:
            raise RuntimeError(
                f"{function}(): Expected input to have non-zero size for non-batch dimensions, but "
                "input has sizes "
                f"{list(size)} with dimension {i} being empty"
            )
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    if len(wanted) != dims:
        name = f"{function}:" if "avg" in function else f"{function}(): internal error:"
        given = "output_size" if "avg" in function else "output_size.size()"
        raise RuntimeError(f"{name} {given} must be {dims}")
    dst = integers(tuple(n if o is None else o for n, o in zip(src, wanted, strict=True)), function, "output_size")
    if any(n < 0 for n in dst):
        if "avg" in function:
            raise RuntimeError(
                f"{function}: elements of output_size must be greater than or equal to 0 but received "
                f"{{{', '.join(str(n) for n in dst)}}}"
            )
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(dst)}: {[*size[:-dims], *dst]}")
    return Windows(src, dst, _kernels.adaptive_windows(triple(src, 1), triple(dst, 1)), kept={})


# -- one dimension, which goes through two, as in torch --------------------------------------------------------------


@lru_cache(maxsize=1024, typed=True)
def max_windows_1d(function, dims, size, kernel_size, stride, padding, dilation, ceil_mode) -> Windows:
    """Checks and windows (of two dimensions) of max pooling over one dimension."""
    kernel = one_number(function, "kernel_size", kernel_size)
    step = kernel if stride is None or stride == () else one_number(function, "stride", stride)
    pad, dilation = one_number(function, "padding", padding), one_number(function, "dilation", dilation)
    if len(size) not in (2, 3) or 0 in size[-2:]:
        raise RuntimeError(
            f"{function}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:"
            f"{list(size)}"
        )
    for argument, value in (("kernel_size", kernel), ("stride", step), ("dilation", dilation)):
        if value <= 0:
            raise RuntimeError(f"{function}() {argument} must be greater than zero, but got {value}")
    if pad < 0:
        raise RuntimeError(f"{function}() padding must be non-negative, but got {pad}")
    if pad > kernel // 2:
        raise RuntimeError(
            f"{function}() padding should be at most half of kernel size, but got padding={pad} and "
            f"kernel_size={kernel}"
        )
    length = _out_size(size[-1], kernel, step, pad, dilation, ceil_mode)
    if length < 1:
        raise RuntimeError(f"{function}() Invalid computed output size: {length}")
    numbers = (1, kernel), (1, step), (0, pad), (1, dilation), ceil_mode
    return max_windows("max_pool2d", 2, (*size[:-1], 1, size[-1]), *numbers)


@lru_cache(maxsize=1024, typed=True)
def average_windows_1d(function, dims, size, kernel_size, stride, padding, ceil_mode, include_pad) -> Windows:
    """Checks and windows (of two dimensions) of average pooling over one dimension."""
    kernel = one_number(function, "kernel_size", kernel_size)
    step = kernel if stride is None or stride == () else one_number(function, "stride", stride)
    pad = one_number(function, "padding", padding)
    check_1d(function, size)
    numbers = (1, kernel), (1, step), (0, pad), ceil_mode, include_pad, None
    return average_windows("avg_pool2d", 2, (*size[:-1], 1, size[-1]), *numbers)


@lru_cache(maxsize=1024, typed=True)
def adaptive_windows_1d(function, dims, size, output_size) -> Windows:
    """Checks and bins (of two dimensions) of adaptive pooling over one dimension."""
    check_1d(function, size)
    length = one_number(function, "output_size", output_size)
    return adaptive_windows(function.replace("1d", "2d"), 2, (*size[:-1], 1, size[-1]), (1, length))
