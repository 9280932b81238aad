"""Batch normalisation. Ioffe & Szegedy 2015."""

from __future__ import annotations

from numtorch._tensor import Tensor
from numtorch.nn import functional as F
from numtorch.nn.modules._normbase import _LazyNormBase, _NormBase, check_dims
from numtorch.nn.modules.module import Module

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _BatchNorm(_NormBase):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over all dimensions but 1.

    In training those of the batch (var biased), and running = (1 - momentum) running + momentum batch (var unbiased);
    momentum=None: the average over all batches. In evaluation the running ones, if they are tracked.
    """

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        training, tracked = self.training, self.track_running_stats
        factor = 0.0 if self.momentum is None else self.momentum
        buffers = self._buffers
        if training and tracked:
            count = buffers["num_batches_tracked"]
            if count is not None:
                count.add_(1)
                if self.momentum is None:
                    factor = 1.0 / float(count)
        if "running_mean" in buffers and "running_var" in buffers:
            running_mean, running_var = buffers["running_mean"], buffers["running_var"]
        else:
            running_mean, running_var = self.running_mean, self.running_var
        by_batch = training or (running_mean is None and running_var is None)
        use_running = not training or tracked
        return F.batch_norm(
            input,
            running_mean if use_running else None,
            running_var if use_running else None,
            self.weight,
            self.bias,
            by_batch,
            factor,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) over all but C."""

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims(input, 2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W) over N, H, W."""

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims(input, 4)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W) over N, D, H, W."""

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims(input, 5)


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A BatchNorm1d whose num_features is dimension 1 of its first input."""

    cls_to_become = BatchNorm1d
    _check_input_dim = BatchNorm1d._check_input_dim


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A BatchNorm2d whose num_features is dimension 1 of its first input."""

    cls_to_become = BatchNorm2d
    _check_input_dim = BatchNorm2d._check_input_dim


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A BatchNorm3d whose num_features is dimension 1 of its first input."""

    cls_to_become = BatchNorm3d
    _check_input_dim = BatchNorm3d._check_input_dim


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation with statistics over several processes; within one process that of its own batch."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None) -> Module:
        """`module` with every BatchNorm in it replaced by a SyncBatchNorm of the same state."""
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            converted._parameters.update(module._parameters)
            converted._buffers.update(module._buffers)
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
