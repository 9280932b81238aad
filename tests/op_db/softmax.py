"""softmax and its relatives."""

from . import BOTH_FLOATS, Op
from ._reference import special

F = "nn.functional."


def along(make):
    return [
        (make(3, 4, low=-5, high=5), 1),
        (make(3, 4, 2, low=-5, high=5), 1),
        (make(70, 3, low=-5, high=5), 0),
        (make(), 0),
        (make(0, 3), 1),
    ]


def _checked(fn):
    return lambda x, dim: fn(x, axis=dim) if x.size and x.ndim else fn(x.reshape(1)).reshape(()) if x.size else x


OPS = [
    Op("softmax", along, _checked(special.softmax), BOTH_FLOATS),
    Op("log_softmax", along, _checked(special.log_softmax), BOTH_FLOATS, atol=2e-6),
    Op(F + "softmin", along, _checked(lambda x, axis=None: special.softmax(-x, axis=axis)), BOTH_FLOATS),
]
