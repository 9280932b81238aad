"""Running sums, products and extremes; slopes and integrals."""

import numpy as np

from . import BOTH_FLOATS, INTEGERS, NUMERIC, Op, Sample

REALS = ("uint8", "int32", "int64", *BOTH_FLOATS)


def along(make):
    return [(make(3, 4), 1), (make(3, 4, 2), 0), (make(5), -1), (make(), 0), (make(0, 3), 0)]


def distinct(make):
    return [(make.distinct(3, 4), 1), (make.distinct(3, 4, 2), 0), (make.distinct(6), -1)]


def widened(dtype):
    return "int64" if dtype in INTEGERS else dtype


def _scan(ufunc):
    return lambda x, dim: ufunc.accumulate(x, dim) if x.ndim else x


def _running(ufunc):
    def reference(x, dim):
        values = ufunc.accumulate(x, dim)
        length = np.expand_dims(np.arange(x.shape[dim]), tuple(d for d in range(x.ndim) if d != dim % x.ndim))
        met = np.where(x == values, length, 0)
        return values, np.maximum.accumulate(np.broadcast_to(met, x.shape), dim)

    return reference


def _products(make):
    zeros = np.array([[1, 2, 0, 3], [0, 2, 0, 1], [1, 2, 3, 4]]).astype(make.np_dtype)
    return [(make(3, 4, low=1, high=3), 1), (zeros, 1), (zeros, 0), (make(), 0), (make(0, 3), 0)]


def _cumulative_trapezoid(y, x=None, dx=1, dim=-1):
    h = dx if x is None else np.diff(x)
    return np.cumsum((y[..., 1:] + y[..., :-1]) / 2 * h, -1)


# torch has second nodes for products and quotients with numbers, which only its own code in C++ can make.
NUMBERS = {"node": "torch scales by a number in C++"}

OPS = [
    Op("cumsum", along, _scan(np.add), NUMERIC, out=widened, covers=("cumsum_",)),
    Op("cumprod", _products, _scan(np.multiply), NUMERIC, out=widened, covers=("cumprod_",), rtol=4e-6),
    Op("logcumsumexp", along, _scan(np.logaddexp), BOTH_FLOATS, covers=("logcumsumexp_",)),
    Op("cummax", distinct, _running(np.maximum), REALS, out=("same", "int64"), covers=("cummax_",)),
    Op("cummin", distinct, _running(np.minimum), REALS, out=("same", "int64"), covers=("cummin_",)),
    Op(
        "trapezoid",
        lambda make: [(make(3, 5),), Sample(make(3, 5), dx=0.5, dim=0), (make(3, 5), np.sort(make(5)))],
        lambda y, x=None, dx=1, dim=-1: np.trapezoid(y, x, dx, dim),
        aliases=("trapz",),
        grad_of=(0,),
        skip=NUMBERS,
    ),
    Op(
        "cumulative_trapezoid",
        lambda make: [(make(3, 5),), Sample(make(5), dx=0.5), (make(3, 5), np.sort(make(5)))],
        _cumulative_trapezoid,
        grad_of=(0,),
        skip=NUMBERS,
    ),
    Op(
        "gradient",
        lambda make: [(make(6),), Sample(make(5), spacing=0.5), Sample(make(6), spacing=2.0, edge_order=2)],
        lambda x, spacing=1, edge_order=1: (np.gradient(x, spacing, edge_order=edge_order),),
        BOTH_FLOATS,
    ),
]
