"""Activations, each against its formula in numpy."""

import numpy as np

from . import FLOATING, Op, Sample, unary
from ._reference import special

F = "nn.functional."


def _away_from(*kinks):
    """Samples at which an activation with kinks there is smooth."""

    def samples(make):
        shapes = ((5,), (2, 3), (67,), (0,))
        made = []
        for shape in shapes:
            x = make(*shape, low=-4, high=4)
            for kink in kinks:
                x = np.where(np.abs(x - kink) < 0.05, x + x.dtype.type(0.2), x)
            made.append((x,))
        return made

    return samples


def _elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softplus(x):
    return np.logaddexp(x, 0)


def _gelu_samples(make):
    return [
        (make(7, low=-3, high=3),),
        (make(0),),
        (make(),),
        Sample(make(2, 3, low=-3, high=3), approximate="tanh"),
    ]


def _gelu(x, approximate="none"):
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x * special.ndtr(x)


OPS = [
    Op("relu", _away_from(0), lambda x: np.maximum(x, 0), FLOATING),
    Op(
        F + "threshold",
        lambda make: [(make(7), 0.05, 3.0)],
        lambda x, t, v: np.where(x > t, x, v),
        covers=("threshold",),
    ),
    Op(F + "leaky_relu", _away_from(0), lambda x: np.where(x > 0, x, 0.01 * x), covers=("leaky_relu",)),
    Op(F + "elu", _away_from(0), _elu, covers=("elu",)),
    Op(F + "selu", _away_from(0), lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772)),
    Op(F + "celu", _away_from(0), _elu),
    Op(F + "gelu", _gelu_samples, _gelu, covers=("gelu", "gelu_tanh"), atol=2e-6),
    Op(F + "silu", unary(-3, 3), lambda x: x * special.expit(x), FLOATING, covers=("silu",)),
    Op(F + "mish", unary(-3, 3), lambda x: x * np.tanh(_softplus(x)), covers=("mish",)),
    Op(F + "softplus", unary(-3, 3), _softplus, covers=("softplus",)),
    Op(F + "hardtanh", _away_from(-1, 1), lambda x: np.clip(x, -1, 1), covers=("hardtanh",)),
    Op(F + "relu6", _away_from(0), lambda x: np.clip(x, 0, 6)),
    Op(F + "hardsigmoid", _away_from(-3, 3), lambda x: np.clip(x / 6 + 0.5, 0, 1), covers=("hardsigmoid",)),
    Op(F + "hardswish", _away_from(-3, 3), lambda x: x * np.clip(x + 3, 0, 6) / 6, covers=("hardswish",)),
    Op(F + "logsigmoid", unary(-3, 3), special.log_expit, covers=("log_sigmoid",)),
    Op(
        F + "softshrink",
        _away_from(-0.5, 0.5),
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        covers=("softshrink",),
    ),
    Op(
        F + "hardshrink",
        _away_from(-0.5, 0.5),
        lambda x: np.where(np.abs(x) > 0.5, x, 0),
        covers=("hardshrink",),
    ),
    Op(F + "softsign", _away_from(0), lambda x: x / (1 + np.abs(x))),
    Op(F + "tanhshrink", unary(-3, 3), lambda x: x - np.tanh(x)),
    Op(
        "prelu",
        lambda make: [
            (make.distinct(2, 3, 2) + make(1, low=0.1, high=0.3), make(3)),
            (make.distinct(5) + make(1, low=0.1, high=0.3), make(1)),
            (make.distinct(4, 3) + make(1, low=0.1, high=0.3), make(3)),
        ],
        lambda x, w: np.where(x > 0, x, x * (w.reshape(3, 1) if w.size == 3 and x.ndim == 3 else w)),
        covers=("prelu_kernel",),
    ),
    Op(
        F + "glu",
        lambda make: [(make(2, 4),), (make(3, 2, 6),)],
        lambda x: x[..., : x.shape[-1] // 2] * special.expit(x[..., x.shape[-1] // 2 :]),
    ),
]
