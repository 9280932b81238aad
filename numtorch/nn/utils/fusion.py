"""Batch normalisation folded into the layer before it, for evaluation."""

from __future__ import annotations

import copy

import numtorch
from numtorch._tensor import Tensor
from numtorch.nn.modules.module import Module
from numtorch.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _folded(w: Tensor, b: Tensor | None, mean, var, eps, bn_w, bn_b, shape) -> tuple[Parameter, Parameter]:
    b = numtorch.zeros_like(mean) if b is None else b
    bn_w = numtorch.ones_like(mean) if bn_w is None else bn_w
    bn_b = numtorch.zeros_like(mean) if bn_b is None else bn_b
    factor = bn_w * numtorch.rsqrt(var + eps)
    weight = (w * factor.reshape(shape)).to(w.dtype)
    bias = ((b - mean) * factor + bn_b).to(b.dtype)
    return Parameter(weight, w.requires_grad), Parameter(bias, b.requires_grad)


def fuse_conv_bn_weights(
    conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose: bool = False
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution that does what convolution and batch normalisation did."""
    shape = (1, -1) if transpose else (-1, 1)
    shape = (*shape, *(1,) * (conv_w.dim() - 2))
    return _folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape)


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear layer that does what linear layer and batch normalisation did."""
    return _folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (-1, 1))


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Module:
    """A copy of `conv` with `bn` folded in; both in evaluation mode."""
    if conv.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Module:
    """A copy of `linear` with `bn` folded in; both in evaluation mode."""
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
