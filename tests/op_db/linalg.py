"""Linear algebra, against numpy.linalg where a result is unique; tests/ops/test_linalg.py has the rest."""

import numpy as np

from . import BOTH_FLOATS, WITH_COMPLEX, Op, Sample
from ._reference import linalg


def _invertible(make, *shape):
    """A random matrix with its diagonal raised, far from singular."""
    return (make(*shape) + 3 * np.eye(*shape[-2:])).astype(make.np_dtype)


def _positive(make, *shape):
    x = make(*shape)
    return (x @ x.conj().swapaxes(-1, -2) + np.eye(shape[-1])).astype(make.np_dtype)


def _positives(make):
    return [(_positive(make, 2, 2),), (_positive(make, 2, 3, 3),), (_positive(make, 7, 7),)]


def _square(make):
    return [
        (_invertible(make, 2, 2),),
        (_invertible(make, 2, 3, 3),),
        (_invertible(make, 7, 7),),
        (make(0, 0),),
    ]


def _squares_and_empty(make):
    return [*_square(make), (make(0, 2, 2),)]


def _any_matrix(make):
    return [(make(2, 2),), (make(4, 3),), (make(2, 3, 4),), (make(7, 7),)]


def _systems(make):
    return [
        (_invertible(make, 2, 2), make(2, 2)),
        (_invertible(make, 2, 3, 3), make(3, 1)),
        (_invertible(make, 3, 3), make(3)),
        (_invertible(make, 2, 3, 3), make(2, 3)),
        Sample(_invertible(make, 3, 3), make(2, 3), left=False),
    ]


def _solve(a, b, left=True):
    if not left:
        return np.linalg.solve(a.swapaxes(-1, -2), b.swapaxes(-1, -2)).swapaxes(-1, -2)
    vector = b.ndim == 1 or b.shape == a.shape[:-1]
    return np.linalg.solve(a, b[..., None])[..., 0] if vector else np.linalg.solve(a, b)


def _triangular(make):
    return [
        Sample(_invertible(make, 2, 2), make(2, 2), upper=True),
        Sample(_invertible(make, 2, 3, 3), make(3, 2), upper=False),
        Sample(_invertible(make, 3, 3), make(2, 3), upper=True, left=False),
        Sample(_invertible(make, 3, 3), make(3, 1), upper=False, unitriangular=True),
        Sample(_invertible(make, 40, 40), make(40, 3), upper=True),
    ]


def _solve_triangular(a, b, upper, left=True, unitriangular=False):
    a = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        a = a - a * np.eye(len(a)) + np.eye(len(a))
    return _solve(a, b, left)


def _not_square(name):
    def errors(make):
        return [
            (
                Sample(make(2, 3)),
                RuntimeError,
                f"{name}: A must be batches of square matrices, but they are 2 by 3",
            ),
            (Sample(make(3)), RuntimeError, f"{name}: The input tensor A must have at least 2 dimensions"),
        ]

    return errors


def _inv_errors(make):
    singular, good = np.zeros((2, 2), "f4"), np.eye(2, dtype="f4")
    return [
        *_not_square("linalg.inv")(make),
        (Sample(singular), RuntimeError, "linalg.inv: The diagonal element 1 is zero"),
        (
            Sample(np.stack([good, singular])),
            RuntimeError,
            r"linalg.inv: \(Batch element 1\): The diagonal element 1",
        ),
        (
            Sample(np.ones((2, 2), "i8")),
            RuntimeError,
            "linalg.inv: Expected a floating point or complex tensor",
        ),
    ]


def _solve_errors(make):
    return [
        (Sample(np.zeros((2, 2), "f4"), make(2)), RuntimeError, "torch.linalg.solve: The solver failed"),
        (
            Sample(make(2, 2), make(3)),
            RuntimeError,
            r"Incompatible shapes of A and B for the equation AX = B \(2x2 and 3x1",
        ),
        (Sample(make(2, 2), np.ones((2, 2))), RuntimeError, "Expected A and B to have the same dtype"),
    ]


def _slogdet(x):
    sign, logabs = np.linalg.slogdet(x)
    return sign, logabs


def _lu(x):
    *batch, n, m = x.shape
    parts = [linalg.lu(each) for each in x.reshape(-1, n, m)]
    return tuple(np.stack(p).reshape(*batch, *p[0].shape) for p in zip(*parts, strict=True))


MATRIX = {"expanded": False}  # one row repeated is a singular matrix
HERMITIAN = {
    "dtypes": WITH_COMPLEX,
    "gradcheck": False,
    "gradgradcheck": False,
    "expanded": False,
    "rtol": 1e-5,
}
WIDE = {**MATRIX, "rtol": 1e-5, "atol": 1e-5}

OPS = [
    Op(
        "linalg.inv",
        _square,
        np.linalg.inv,
        WITH_COMPLEX,
        covers=("inv_ex",),
        aliases=("inverse",),
        errors=_inv_errors,
        **WIDE,
    ),
    Op(
        "linalg.det",
        _squares_and_empty,
        np.linalg.det,
        WITH_COMPLEX,
        aliases=("det",),
        errors=_not_square("linalg.det"),
        rtol=1e-5,
        atol=1e-5,
    ),
    Op("linalg.slogdet", _square, _slogdet, BOTH_FLOATS, errors=_not_square("linalg.slogdet"), **WIDE),
    Op(
        "logdet",
        lambda make: [(_positive(make, 2, 2),), (_positive(make, 2, 3, 3),)],
        lambda x: np.log(np.linalg.det(x)),
        **WIDE,
    ),
    Op(
        "linalg.matrix_exp",
        _square,
        lambda x: np.stack([linalg.expm(m) for m in x]) if x.ndim > 2 else linalg.expm(x),
        WITH_COMPLEX,
        covers=("matrix_exp",),
        aliases=("matrix_exp",),
        rtol=1e-5,
        atol=1e-4,
    ),
    Op(
        "linalg.matrix_power",
        lambda make: [(_invertible(make, 3, 3), n) for n in (0, 1, 2, 5, -2)],
        np.linalg.matrix_power,
        WITH_COMPLEX,
        rtol=1e-5,
        atol=1e-4,
        expanded=False,
        skip={"node": "power 0 is a constant"},
    ),
    Op(
        "linalg.multi_dot",
        lambda make: [
            ([make(2, 3), make(3, 2), make(2, 2)],),
            ([make(3), make(3, 10), make(10, 4), make(4)],),
        ],
        np.linalg.multi_dot,
        WITH_COMPLEX,
        skip={"node": "torch multiplies into a buffer"},
    ),
    Op(
        "linalg.cross",
        lambda make: [(make(2, 3), make(2, 3)), (make(1, 3), make(4, 3))],
        np.cross,
        WITH_COMPLEX,
        covers=("_cross",),
    ),
    Op(
        "cross",
        lambda make: [(make(2, 3), make(2, 3)), (make(3, 2), make(3, 2), 0)],
        lambda a, b, dim=-1: np.cross(a, b, axis=dim),
    ),
    Op(
        "linalg.vecdot",
        lambda make: [(make(2, 3), make(2, 3)), (make(3), make(4, 3))],
        np.vecdot,
        WITH_COMPLEX,
    ),
    Op(
        "linalg.vander",
        lambda make: [Sample(make(4)), Sample(make(2, 3), N=5)],
        lambda x, N=None: np.stack([x**k for k in range(N or x.shape[-1])], -1),
    ),
    Op(
        "linalg.diagonal",
        lambda make: [Sample(make(3, 4)), Sample(make(2, 3, 3), offset=1)],
        lambda x, offset=0: np.diagonal(x, offset, -2, -1),
        WITH_COMPLEX,
    ),
    Op(
        "linalg.solve",
        _systems,
        _solve,
        WITH_COMPLEX,
        covers=("_solve_matrices",),
        errors=_solve_errors,
        **WIDE,
        skip={"node": "torch solves for vectors and from the right in one node"},
    ),
    Op(
        "linalg.solve_triangular",
        _triangular,
        _solve_triangular,
        WITH_COMPLEX,
        covers=("_solve_triangular",),
        **WIDE,
        skip={"node": "torch solves from the right in one node"},
    ),
    Op(
        "linalg.tensorinv",
        lambda make: [(_invertible(make, 6, 6).reshape(2, 3, 6),)],
        np.linalg.tensorinv,
        **WIDE,
        skip={"node": "torch reshapes by an alias"},
    ),
    Op(
        "linalg.tensorsolve",
        lambda make: [(_invertible(make, n, n).reshape(*s, n), make(*s)) for n, s in ((4, (2, 2)), (6, (2, 3)))],
        np.linalg.tensorsolve,
        **WIDE,
    ),
    Op(
        "cholesky_solve",
        lambda make: [(make(2, 2), np.linalg.cholesky(_positive(make, 2, 2)))],
        lambda b, factor: np.linalg.solve(factor @ factor.conj().T, b),
        WITH_COMPLEX,
        covers=("_cholesky_solve",),
        grad_of=(0,),
        **WIDE,
    ),
    Op(
        "linalg.svdvals",
        _any_matrix,
        lambda x: np.linalg.svd(x, compute_uv=False),
        WITH_COMPLEX,
        out="real",
        covers=("_svd",),
        **WIDE,
    ),
    Op(
        "linalg.pinv",
        _any_matrix,
        np.linalg.pinv,
        WITH_COMPLEX,
        covers=("_pinv",),
        expanded=False,
        rtol=2e-4,
        atol=2e-4,
    ),
    Op("linalg.lu", _any_matrix, _lu, BOTH_FLOATS, covers=("lu_factor_ex", "_lu"), **WIDE),
    Op(
        "linalg.eigvals",
        lambda make: [(np.diag(np.arange(1, 4)).astype(make.np_dtype) + make(3, 3, low=-0.1, high=0.1),)],
        None,
        BOTH_FLOATS,
        covers=("_eig",),
        expanded=False,
    ),
    Op(
        "linalg.lstsq",
        lambda make: [(make(5, 2), make(5, 2)), (make(2, 4, 3), make(2, 4))],
        None,
        BOTH_FLOATS,
        covers=("_lstsq",),
        expanded=False,
        skip={"node": "torch counts empty residuals"},
    ),
    Op(
        "linalg.qr",
        lambda make: [(make(3, 3),), (make(4, 2),), (make(2, 3),)],
        None,
        BOTH_FLOATS,
        expanded=False,
    ),
    Op(
        "linalg.matrix_rank",
        _any_matrix,
        np.linalg.matrix_rank,
        BOTH_FLOATS,
        out="int64",
        gradcheck=False,
        gradgradcheck=False,
    ),
    Op(
        "linalg.cond",
        _any_matrix,
        np.linalg.cond,
        BOTH_FLOATS,
        expanded=False,
        rtol=1e-4,
        atol=1e-4,
        skip={"node": "torch squeezes singular values"},
    ),
    # Only one triangle is read, so finite differences of single elements say nothing: tests/ops/test_linalg.py.
    Op("linalg.cholesky", _positives, np.linalg.cholesky, covers=("cholesky_ex",), **HERMITIAN),
    Op("linalg.eigvalsh", _positives, np.linalg.eigvalsh, covers=("_eigh",), out="real", **HERMITIAN),
]
