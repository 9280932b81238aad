"""LAPACK for arrays of matrices (*, n, m), with less in front of it than numpy.linalg has.

A call of numpy.linalg spends 2-7 us in Python, mostly on checks that the operators here have made already. The compiled
loops behind it are ufuncs of a private module: they are called as numpy 2 calls them, and where they are not there
under those names the public functions serve. As in numpy.linalg the arithmetic is that of double precision, whatever
the precision of the matrices, which the results have again. LinAlgError where an iteration does not converge or
a matrix cannot be inverted.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.linalg import LinAlgError

try:
    from numpy.linalg import _umath_linalg as _loops
except ImportError:
    _loops = None

_NAMES = (
    "det",
    "eig",
    "eigh_lo",
    "eigh_up",
    "eigvalsh_lo",
    "eigvalsh_up",
    "eigvals",
    "inv",
    "lstsq",
    "slogdet",
    "solve",
)
_DIRECT = all(hasattr(_loops, name) for name in (*_NAMES, "svd", "svd_f", "svd_s"))

# What each precision is computed in, and its real and complex numbers.
_SINGLE, _DOUBLE = (np.dtype("f4"), np.dtype("c8")), (np.dtype("f8"), np.dtype("c16"))
_WIDE = {**dict(zip(_SINGLE, _DOUBLE)), **dict(zip(_DOUBLE, _DOUBLE))}
_REAL = {d: pair[0] for pair in (_SINGLE, _DOUBLE) for d in pair}
_COMPLEX = {d: pair[1] for pair in (_SINGLE, _DOUBLE) for d in pair}


def wide(a: np.ndarray) -> np.ndarray:
    """A fresh C array of the same numbers in double precision."""
    return a.astype(_WIDE[a.dtype], "C")


def _refuse(*_):
    raise LinAlgError("singular matrix, or no convergence")


_ERRORS = {"call": _refuse, "invalid": "call", "over": "ignore", "divide": "ignore", "under": "ignore"}
# Entering and leaving np.errstate takes 0.8 us; what it sets can be made once.
_state = getattr(np._core.umath, "_extobj_contextvar", None) if hasattr(np, "_core") else None
_REFUSING = np._core.umath._make_extobj(**_ERRORS) if hasattr(_state, "set") else None


def _run(loop, *operands):
    """A loop's results; LinAlgError where it sets the flag of invalid numbers, which is how these loops give up."""
    if _REFUSING is None:
        with np.errstate(**_ERRORS):
            return loop(*operands)
    before = _state.set(_REFUSING)
    try:
        return loop(*operands)
    finally:
        _state.reset(before)


def _finite(a: np.ndarray) -> np.ndarray:
    """`wide(a)`; LinAlgError where an element is inf or nan: LAPACK's divide and conquer may never end with them.

    The sum of squares of finite numbers is finite unless they are huge, and takes a third of what asking each does.
    """
    x = wide(a)
    if not math.isfinite(np.vdot(x, x).real) and not np.isfinite(x).all():
        _refuse()
    return x


def inv(a: np.ndarray) -> np.ndarray:
    """The inverses."""
    if not _DIRECT:
        return np.linalg.inv(a)
    return _run(_loops.inv, wide(a)).astype(a.dtype, copy=False)


def solve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x of a x = b for (*, n, n) and (*, n, m)."""
    if not _DIRECT:
        return np.linalg.solve(a, b)
    return _run(_loops.solve, wide(a), wide(b)).astype(a.dtype, copy=False)


def det(a: np.ndarray) -> np.ndarray:
    """The determinants."""
    if not _DIRECT:
        return np.linalg.det(a)
    return np.array(_loops.det(wide(a)), a.dtype)


def slogdet(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sign, log |det|)."""
    if not _DIRECT:
        return np.linalg.slogdet(a)
    sign, logabs = _loops.slogdet(wide(a))
    return np.array(sign, a.dtype), np.array(logabs, _REAL[a.dtype])


def svd(a: np.ndarray, full_matrices: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(u, s, vh), the singular values falling."""
    if not _DIRECT:
        return np.linalg.svd(_finite(a).astype(a.dtype), full_matrices)
    u, s, vh = _run(_loops.svd_f if full_matrices else _loops.svd_s, _finite(a))
    d = a.dtype
    return u.astype(d, copy=False), s.astype(_REAL[d], copy=False), vh.astype(d, copy=False)


def svdvals(a: np.ndarray) -> np.ndarray:
    """The singular values alone, a half to a third of the work."""
    if not _DIRECT:
        return np.linalg.svd(_finite(a).astype(a.dtype), compute_uv=False)
    return _run(_loops.svd, _finite(a)).astype(_REAL[a.dtype], copy=False)


def eigh(a: np.ndarray, uplo: str) -> tuple[np.ndarray, np.ndarray]:
    """(rising eigenvalues, eigenvectors) of Hermitian matrices of which the triangle `uplo` is read."""
    if not _DIRECT:
        return np.linalg.eigh(a, uplo)
    values, vectors = _run(_loops.eigh_lo if uplo in "Ll" else _loops.eigh_up, wide(a))
    return values.astype(_REAL[a.dtype], copy=False), vectors.astype(a.dtype, copy=False)


def eigvalsh(a: np.ndarray, uplo: str = "L") -> np.ndarray:
    """The eigenvalues of `eigh` alone."""
    if not _DIRECT:
        return np.linalg.eigvalsh(a, uplo)
    return _run(_loops.eigvalsh_lo if uplo in "Ll" else _loops.eigvalsh_up, wide(a)).astype(_REAL[a.dtype], copy=False)


def eig(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(eigenvalues, eigenvectors) of finite square matrices; complex, where numpy.linalg gives reals if it can."""
    if not _DIRECT:
        return np.linalg.eig(a)
    d = _COMPLEX[a.dtype]
    values, vectors = _run(_loops.eig, wide(a))
    return values.astype(d, copy=False), vectors.astype(d, copy=False)


def eigvals(a: np.ndarray) -> np.ndarray:
    """The eigenvalues of `eig` alone."""
    if not _DIRECT:
        return np.linalg.eigvals(a)
    return _run(_loops.eigvals, wide(a)).astype(_COMPLEX[a.dtype], copy=False)


def lstsq(a: np.ndarray, b: np.ndarray, rcond: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, ranks, singular values): the shortest of the x that minimise |a x - b|, for (*, n, m) and (*, n, k)."""
    if not _DIRECT or 0 in a.shape or 0 in b.shape:
        return _lstsq_one_by_one(a, b, rcond)
    x, _, rank, values = _run(_loops.lstsq, _finite(a), _finite(b), rcond)
    return x.astype(a.dtype), rank, values.astype(_REAL[a.dtype], copy=False)


def _lstsq_one_by_one(a, b, rcond):
    """`lstsq` by numpy's front end, which takes one matrix and knows the empty ones."""
    *batch, n, m = a.shape
    k = b.shape[-1]
    x = np.zeros((*batch, m, k), a.dtype)
    ranks, values = np.zeros(batch, np.int64), np.zeros((*batch, min(n, m)), _REAL[a.dtype])
    for i in np.ndindex(*batch):
        x[i], _, ranks[i], values[i] = np.linalg.lstsq(a[i], b[i], rcond=rcond)
    return x, ranks, values
