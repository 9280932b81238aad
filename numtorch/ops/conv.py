"""Convolutions: conv1d/2d/3d, their transposes, and one primitive behind them, differentiable to any order.

    convolution   out[n, m, o] = bias[m] + sum_{c, t} weight[m, c, t] * input[n, c, o * stride - padding + t *
    dilation]

Its gradients are of its own kind: with respect to the input the transposed convolution of the gradient with
the same weight (and the other way round), with respect to the weight the correlation of input and gradient,
whose own gradients are convolutions again. So three linear maps close the circle. Shapes: input (N, C,
*spatial), weight (M, C / groups, *kernel), or for a transposed one (C, M / groups, *kernel).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from numtorch.kernels.cpu import conv as _kernels
from numtorch.kernels.cpu.conv_integers import conv_integers_forward

from .. import _dtype
from .._dtype import C_NAMES, COMPLEX, FLOATING
from .._primitive import primitive
from .._registry import op
from .._tensor import Tensor
from .complex_ops import complex_
from .spatial import compute_dtype, elements, integers, result, triple

# -- the three linear maps -----------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _geometry(image_size, weight_size, stride, padding, dilation, groups, other_size, transposed):
    """The kernels' arguments after the arrays. `image_size` is the input's size, `other_size` the spatial
    size of the result."""
    if transposed:
        channels, outputs = weight_size[0] // groups, weight_size[1]
    else:
        channels, outputs = weight_size[1], weight_size[0] // groups
    return (
        image_size[0],
        groups,
        channels,
        outputs,
        triple(image_size[2:], 1),
        triple(weight_size[2:], 1),
        triple(stride, 1),
        triple(padding, 0),
        triple(dilation, 1),
        triple(other_size, 1),
    )


@primitive(node="ConvolutionBackward0", save=("input", "weight"), public=False)
def convolution_to(input, weight, bias, size, stride, padding, dilation, transposed, groups) -> Tensor:
    """The convolution of the module's formula whose result has the spatial `size`; all sizes are checked by
    the caller.

    `padding` is what lies in front of each dimension; `size` decides how far the result goes behind. For a
    transposed one out[n, m, i * stride - padding + t * dilation] += weight[c, m, t] * input[n, c, i].
    """
    d = input._dtype
    geometry = _geometry(input._size, weight._size, stride, padding, dilation, groups, size, transposed)
    inner = compute_dtype(d)
    if d.category < FLOATING:
        zeros = np.zeros(groups * geometry[3], d.np)
        b = zeros if bias is None else elements(bias)
        out = conv_integers_forward(elements(input), elements(weight), b, *geometry, transposed)
    else:
        b = np.empty(0, inner.np) if bias is None else elements(bias, inner)
        kernel = _kernels.conv_transpose_forward if transposed else _kernels.conv_forward
        out = kernel(elements(input), elements(weight), b, *geometry)
    return result(out, (input._size[0], groups * geometry[3], *size), d)


def _input_rule(ctx, grad):
    size = ctx.input.shape[2:]
    return convolution_to(
        grad, ctx.weight, None, size, ctx.stride, ctx.padding, ctx.dilation, not ctx.transposed, ctx.groups
    )


def _weight_rule(ctx, grad):
    images, grads = (grad, ctx.input) if ctx.transposed else (ctx.input, grad)
    return weight_correlation(images, grads, ctx.weight.shape, ctx.stride, ctx.padding, ctx.dilation, ctx.groups)


convolution_to.derivative(
    input=_input_rule,
    weight=_weight_rule,
    bias=lambda ctx, grad: grad.sum((0, *range(2, grad.dim()))),
)


@primitive(node="ConvolutionBackwardBackward0", save=("input", "slope"), public=False)
def weight_correlation(input, slope, weight_size, stride, padding, dilation, groups) -> Tensor:
    """out[m, c, t] = sum_{n, o} slope[n, m, o] * input[n, c, o * stride - padding + t * dilation]: the
    weight's gradient."""
    geometry = _geometry(input._size, weight_size, stride, padding, dilation, groups, slope._size[2:], False)
    out = _kernels.conv_backward_weight(elements(input), elements(slope), *geometry)
    return result(out, weight_size, input._dtype)


def _correlated_input(ctx, grad):
    size = ctx.input.shape[2:]
    return convolution_to(ctx.slope, grad, None, size, ctx.stride, ctx.padding, ctx.dilation, True, ctx.groups)


def _correlated_slope(ctx, grad):
    size = ctx.slope.shape[2:]
    return convolution_to(ctx.input, grad, None, size, ctx.stride, ctx.padding, ctx.dilation, False, ctx.groups)


weight_correlation.derivative(input=_correlated_input, slope=_correlated_slope)

# -- checks --------------------------------------------------------------------------------------------------


def _per_dimension(value, dims: int, function: str, argument: str) -> tuple[int, ...]:
    values = integers(value, function, argument)
    if len(values) == 1:
        return values * dims
    if len(values) != dims:
        raise RuntimeError(
            f"expected {argument} to be a single integer value or a list of {dims} values to match "
            "the convolution "
            f"dimensions, but got {argument}={list(values)}"
        )
    return values


def _by(values) -> str:
    return "(" + " x ".join(str(v) for v in values) + ")"


def _check(input_size, weight_size, bias_size, stride, padding, output_padding, dilation, transposed, groups) -> None:
    """torch's checks of a convolution, in torch's order."""
    size, kernel = list(weight_size), weight_size[2:]
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    if any(p < 0 for p in output_padding):
        raise RuntimeError("negative output_padding is not supported")
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if len(input_size) != len(size):
        raise RuntimeError(
            f"Expected {len(size)}-dimensional input for {len(size)}-dimensional weight {size}, but got "
            f"{len(input_size)}-dimensional input of size {list(input_size)} instead"
        )
    if size[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got "
            "weight of size "
            f"{size} instead"
        )
    if size[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but "
            "got weight of "
            f"size [{size}] instead"
        )
    channels = size[0] if transposed else size[1] * groups
    outputs = size[1] * groups if transposed else size[0]
    given = f"transposed={int(transposed)}" if transposed else f"groups={groups}"
    if 0 in kernel:
        raise RuntimeError(f"kernel size should be greater than zero, but got {_by(kernel)}")
    if input_size[1] != channels:
        raise RuntimeError(
            f"Given {given}, weight of size {size}, expected input{list(input_size)} to have "
            f"{channels} channels, "
            f"but got {input_size[1]} channels instead"
        )
    if bias_size is not None and bias_size != (outputs,):
        given = "transposed=1, " if transposed else ""
        raise RuntimeError(
            f"Given {given}weight of size {size}, expected bias to be 1-dimensional with {outputs} "
            "elements, but got "
            f"bias of size {list(bias_size)} instead"
        )
    if transposed and not outputs:
        raise RuntimeError(f"non-empty weight tensor expected, but got: {size}")
    spatial = input_size[2:]
    if not transposed:
        padded = [n + 2 * p for n, p in zip(spatial, padding, strict=True)]
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        if any(n < r for n, r in zip(padded, reach, strict=True)):
            raise RuntimeError(
                f"Calculated padded input size per channel: {_by(padded)}. Kernel size: {_by(reach)}. "
                "Kernel size "
                "can't be greater than actual input size"
            )
    if 0 in spatial:
        raise RuntimeError(
            f"Only zero batch or zero channel inputs are supported, but got input shape: {list(input_size)}"
        )


def _check_dtypes(input, weight, bias) -> None:
    if bias is not None and input._dtype is not bias._dtype:
        kinds = [C_NAMES[t._dtype.name] for t in (input, bias)]
        raise RuntimeError(f"Input type ({kinds[0]}) and bias type ({kinds[1]}) should be the same")
    if input._dtype is not weight._dtype:
        raise RuntimeError(f"expected scalar type {input._dtype.type_name} but found {weight._dtype.type_name}")
    if input._dtype is _dtype.bool_:
        raise NotImplementedError("\"slow_conv2d_cpu\" not implemented for 'Bool'")


def _transposed_size(input_size, weight_size, stride, padding, output_padding, dilation) -> tuple[int, ...]:
    if any(o >= s and o >= d for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        dims = ("depth", "height", "width")[-max(2, len(stride)) :]
        named = [("output_padding", output_padding, 0), ("stride", stride, 1), ("dilation", dilation, 1)]
        parts = [
            f"{name}_{dim}: {value}"
            for name, values, fill in named
            for dim, value in zip(dims, triple(values, fill)[-len(dims) :], strict=True)
        ]
        raise RuntimeError("output padding must be smaller than either stride or dilation, but got " + " ".join(parts))
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1 + o
        for n, k, s, p, o, d in zip(
            input_size[2:], weight_size[2:], stride, padding, output_padding, dilation, strict=False
        )
    ]
    if any(n < 1 for n in size):
        raise RuntimeError(
            f"Given input size per channel: {_by(input_size[2:])}. Calculated output size per "
            f"channel: {_by(size)}. "
            "Output size is too small"
        )
    return tuple(size)


# -- public functions ----------------------------------------------------------------------------------------


def _complex_parts(input, weight, bias, *rest) -> Tensor:
    """A complex convolution through four real ones."""
    real, imag = (None, None) if bias is None else (bias.real, bias.imag)
    both = (
        convolution_to(input.real, weight.real, real, *rest),
        convolution_to(input.imag, weight.imag, None, *rest),
    )
    cross = (
        convolution_to(input.real, weight.imag, imag, *rest),
        convolution_to(input.imag, weight.real, None, *rest),
    )
    return complex_(both[0] - both[1], cross[0] + cross[1])


@lru_cache(maxsize=1024, typed=True)
def _checked(
    function, input_size, weight_size, bias_size, stride, padding, dilation, groups, transposed, output_padding
):  # fmt: skip
    """What convolution_to needs after the tensors: all that the sizes say is checked and worked out once for each."""
    dims = len(weight_size) - 2
    stride = _per_dimension(stride, dims, function, "stride")
    dilation = _per_dimension(dilation, dims, function, "dilation")
    output_padding = _per_dimension(output_padding, dims, function, "output_padding")
    same = padding == "same"
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if same and any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        # of an odd total the larger half goes behind
        padding = [d * (k - 1) // 2 if same else 0 for k, d in zip(weight_size[2:], dilation, strict=True)]
    padding = _per_dimension(padding, dims, function, "padding")
    behind = padding
    if same:
        behind = [d * (k - 1) - p for k, d, p in zip(weight_size[2:], dilation, padding, strict=True)]
    _check(input_size, weight_size, bias_size, stride, behind, output_padding, dilation, transposed, groups)
    if transposed:
        size = _transposed_size(input_size, weight_size, stride, padding, output_padding, dilation)
    elif same:
        size = tuple(input_size[2:])
    else:
        size = tuple(
            [
                (n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, k, s, p, d in zip(input_size[2:], weight_size[2:], stride, padding, dilation, strict=True)
            ]
        )
    return size, stride, padding, dilation, transposed, groups


def _hashable(value, function: str, argument: str):
    """An int, a string or a tuple of ints as it is; another sequence as a tuple of ints."""
    kind = value.__class__
    return value if kind is int or kind is str else integers(value, function, argument)


def _without_channels(input, weight, bias, size) -> Tensor:
    """The convolution of an input without channels: torch's result has none either, and zeros for gradients."""
    reached = input.sum() + weight.sum()
    reached = reached if bias is None else reached + bias.sum()
    return input.new_empty((input._size[0], 0, *size)) * reached


def _convolve(function, input, weight, bias, stride, padding, dilation, groups, transposed=False, output_padding=0):
    """Any of the public convolutions, on a batch."""
    rest = _checked(
        function,
        tuple(input._size),
        tuple(weight._size),
        None if bias is None else tuple(bias._size),
        _hashable(stride, function, "stride"),
        _hashable(padding, function, "padding"),
        _hashable(dilation, function, "dilation"),
        groups,
        transposed,
        _hashable(output_padding, function, "output_padding"),
    )
    d = input._dtype
    if d is not weight._dtype or bias is not None and d is not bias._dtype or d is _dtype.bool_:
        _check_dtypes(input, weight, bias)
    if d.category == COMPLEX:
        return _complex_parts(input, weight, bias, *rest)
    if weight._size[1] == 0 and not transposed:
        return _without_channels(input, weight, bias, rest[0])
    return convolution_to(input, weight, bias, *rest)


def _batched(function: str, dims: int, input, *rest, **named) -> Tensor:
    """Add and take away a batch dimension where there is none; RuntimeError for any other number of
    dimensions."""
    given = len(input._size)
    if given == dims + 2:
        return _convolve(function, input, *rest, **named)
    if given != dims + 1:
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {function}, but got "
            "input of size: "
            f"{list(input._size)}"
        )
    return _convolve(function, input.unsqueeze(0), *rest, **named).squeeze(0)


@op(method=False)
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """Convolution of input (N, C, L) or (C, L) with weight (M, C / groups, K): out (N, M, L').

    L' = (L + 2 padding - dilation (K - 1) - 1) // stride + 1; padding may be "valid" (none) or "same" (L' =
    L, stride 1).
    """
    return _batched("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@op(method=False)
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """Convolution of input (N, C, H, W) or (C, H, W) with weight (M, C / groups, KH, KW); sizes as in
    conv1d."""
    return _batched("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@op(method=False)
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """Convolution of input (N, C, D, H, W) or (C, D, H, W) with weight (M, C / groups, KD, KH, KW); sizes as
    in conv1d."""
    return _batched("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _transposed(function, dims, input, weight, bias, stride, padding, output_padding, groups, dilation):
    return _batched(
        function,
        dims,
        input,
        weight,
        bias,
        stride,
        padding,
        dilation,
        groups,
        transposed=True,
        output_padding=output_padding,
    )


@op(method=False)
def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> Tensor:
    """Transposed convolution of input (N, C, L) or (C, L) with weight (C, M / groups, K): out (N, M, L').

    L' = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1: the gradient of a conv1d with
    respect to its input.
    """
    return _transposed("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op(method=False)
def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> Tensor:
    """Transposed convolution of input (N, C, H, W) or (C, H, W) with weight (C, M / groups, KH, KW); as
    conv_transpose1d."""
    return _transposed("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op(method=False)
def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1) -> Tensor:
    """Transposed convolution of input (N, C, D, H, W) or (C, D, H, W) with weight (C, M / groups, KD, KH,
    KW)."""
    return _transposed("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


@op(method=False)
def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups) -> Tensor:
    """The convolution behind all of the above, for a batch; the number of dimensions follows from the
    weight."""
    return _convolve("convolution", input, weight, bias, stride, padding, dilation, groups, transposed, output_padding)


@op(method=False)
def conv_tbc(input, weight, bias, pad: int = 0) -> Tensor:
    """Convolution over time of input (T, N, C) with weight (K, C, M): out (T + 2 pad - K + 1, N, M)."""
    return _conv_tbc(input, weight, bias, pad)


@primitive("conv_tbc", node="ConvTbcBackward0", save=("input", "weight"), public=False)
def _conv_tbc(input, weight, bias, pad):
    out = conv1d(input.detach().permute(1, 2, 0), weight.detach().permute(2, 1, 0), bias.detach(), 1, pad)
    return out.permute(2, 0, 1).contiguous()


_conv_tbc.derivative_of("input", "weight", "bias")


@_conv_tbc.backward
def _(ctx, grad):
    found = {"bias": grad.sum((0, 1))}
    images, weight, slope = ctx.input.permute(1, 2, 0), ctx.weight.permute(2, 1, 0), grad.permute(1, 2, 0)
    if ctx.needs("input"):
        size = images._size[2:]
        found["input"] = convolution_to(slope, weight, None, size, (1,), (ctx.pad,), (1,), True, 1).permute(2, 0, 1)
    if ctx.needs("weight"):
        size = weight._size
        found["weight"] = weight_correlation(images, slope, size, (1,), (ctx.pad,), (1,), 1).permute(2, 1, 0)
    return found
