"""Batch, layer, group, instance, RMS and local response normalisation."""

import numpy as np

from . import BOTH_FLOATS, Op, Sample

F = "nn.functional."


def _normal(x, dims, eps):
    return (x - x.mean(dims, keepdims=True)) / np.sqrt(x.var(dims, keepdims=True) + eps)


def _per_channel(v, x):
    return v.reshape((1, -1) + (1,) * (x.ndim - 2))


def _affine(y, weight, bias):
    y = y if weight is None else y * _per_channel(weight, y)
    return y if bias is None else y + _per_channel(bias, y)


def _batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training:
        return _affine(_normal(x, tuple(d for d in range(x.ndim) if d != 1), eps), weight, bias)
    return _affine((x - _per_channel(mean, x)) / np.sqrt(_per_channel(var, x) + eps), weight, bias)


def _batches(make):
    """Channels of one value, of several, and in evaluation."""

    def positive(*shape):
        return make(*shape, low=0.5, high=2)

    return [
        Sample(make(5, 3), None, None, positive(3), make(3), training=True),
        Sample(make(4, 3, 2, 2), None, None, training=True),
        Sample(make(2, 3, 4), None, None, positive(3), make(3), training=True),
        Sample(make(2, 3, 4), make(3), positive(3), positive(3), make(3)),
        Sample(make(5, 3), make(3), positive(3)),
    ]


def _layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    y = _normal(x, tuple(range(-len(shape), 0)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _layers(make):
    return [
        (make(3, 4), (4,), make(4, low=0.5, high=2), make(4)),
        (make(2, 3, 4), (3, 4), make(3, 4)),
        (make(40, 5), (5,)),
    ]


def _rms_norm(x, shape, weight=None, eps=None):
    eps = np.finfo(x.dtype).eps if eps is None else eps
    y = x / np.sqrt((x * x).mean(tuple(range(-len(shape), 0)), keepdims=True) + eps)
    return y if weight is None else y * weight


def _group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    y = _normal(x.reshape(x.shape[0], groups, -1), 2, eps).reshape(x.shape)
    return _affine(y, weight, bias)


def _groups(make):
    return [
        (make(2, 4, 3), 2, make(4), make(4)),
        (make(3, 12), 3),
        (make(2, 4, 2, 2), 1, make(4)),
    ]


def _instance_norm(x, mean=None, var=None, weight=None, bias=None, eps=1e-5):
    return _affine(_normal(x, tuple(range(2, x.ndim)), eps), weight, bias)


def _instances(make):
    return [(make(2, 3, 4),), (make(2, 3, 4, 2), None, None, make(3), make(3))]


def _local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    before, after = size // 2, (size - 1) // 2
    padded = np.pad(x * x, [(0, 0), (before, after)] + [(0, 0)] * (x.ndim - 2))
    mean = sum(padded[:, i : i + x.shape[1]] for i in range(size)) / size
    return x / (k + alpha * mean) ** beta


LOOSE = {"rtol": 2e-5, "atol": 5e-6}

OPS = [
    Op(
        F + "batch_norm",
        _batches,
        _batch_norm,
        BOTH_FLOATS,
        covers=("native_batch_norm_",),
        grad_of=(0, 3, 4),
        **LOOSE,
    ),
    Op(F + "layer_norm", _layers, _layer_norm, BOTH_FLOATS, covers=("native_layer_norm_",), **LOOSE),
    Op(
        F + "rms_norm",
        lambda make: [(make(3, 4), (4,), make(4), 1e-5), (make(2, 3, 4), (3, 4), None, 1e-3)],
        _rms_norm,
        BOTH_FLOATS,
        covers=("fused_rms_norm_",),
        skip={"node": "torch builds it of small operators; one node here, as torch has for accelerators"},
        **LOOSE,
    ),
    Op(F + "group_norm", _groups, _group_norm, BOTH_FLOATS, covers=("native_group_norm_",), **LOOSE),
    Op(F + "instance_norm", _instances, _instance_norm, BOTH_FLOATS, **LOOSE),
    Op(
        F + "local_response_norm",
        lambda make: [(make(2, 5, 3), 3), (make(2, 4, 2, 2), 2, 0.1)],
        _local_response_norm,
        BOTH_FLOATS,
    ),
    Op(
        F + "normalize",
        lambda make: [(make(3, 4),), (make(3, 4), 1.0, 0)],
        lambda x, p=2, dim=1: x / np.linalg.norm(x, p, dim, keepdims=True),
        BOTH_FLOATS,
    ),
]
