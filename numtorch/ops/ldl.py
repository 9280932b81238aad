"""LDL factorizations of symmetric and Hermitian matrices, by LAPACK through scipy, which is imported when called."""

from __future__ import annotations

import math
from itertools import groupby

import numpy as np

from .._dtype import COMPLEX, INTEGRAL
from .._registry import op
from .._tensor import Tensor
from ..return_types import named
from .linalg import (
    LinAlgError,
    batch_element,
    broadcast_batches,
    check_matrix,
    check_same_dtype,
    check_square,
    from_array,
)

_factor_result = named("linalg_ldl_factor", "LD", "pivots")
_factor_ex_result = named("linalg_ldl_factor_ex", "LD", "pivots", "info")

_LETTER = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


def _lapack(A: Tensor, hermitian: bool, what: str):
    """LAPACK's ?sytrf or ?sytrs; for Hermitian complex matrices ?hetrf or ?hetrs."""
    from scipy.linalg import lapack

    kind = "he" if hermitian and A._dtype.category == COMPLEX else "sy"
    return getattr(lapack, f"{_LETTER[A._dtype.np.name]}{kind}{what}")


@op(namespace="linalg", method=False, out=True)
def ldl_factor_ex(A, *, hermitian: bool = False, check_errors: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """(LD, pivots, info) of (*, n, n), of which the lower triangle is read; pivots as LAPACK's ?sytrf has them.

    LD holds D on its diagonal (and below it, where a pivot is a 2 x 2 block) and the unit lower triangle L.
    """
    check_square("torch.linalg.ldl_factor_ex", A)
    x = A.detach()._nd()
    *batch, n, _ = x.shape
    factor = _lapack(A, hermitian, "trf")
    count = math.prod(batch)
    factors, pivots = np.zeros((count, n, n), x.dtype), np.zeros((count, n), np.int32)
    info = np.zeros(count, np.int32)
    for i, matrix in enumerate(x.reshape(count, n, n) if n else ()):
        lower, pivots[i], info[i] = factor(matrix, lower=1)
        factors[i] = np.tril(lower)
    if check_errors and info.any():
        position = int(np.flatnonzero(info)[0])
        raise LinAlgError(
            f"torch.linalg.ldl_factor_ex: {batch_element(position, bool(batch))}The diagonal element "
            f"{info[position]} is zero, the factorization could not be completed because the input matrix is singular."
        )
    return _factor_ex_result(
        from_array(factors.reshape(x.shape), A._dtype),
        from_array(pivots.reshape(*batch, n)),
        from_array(info.reshape(batch)),
    )


@op(namespace="linalg", method=False, out=True)
def ldl_factor(A, *, hermitian: bool = False) -> tuple[Tensor, Tensor]:
    """(LD, pivots): see ldl_factor_ex; LinAlgError for a singular D."""
    LD, pivots, _ = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return _factor_result(LD, pivots)


def _check_pivots(pivots: np.ndarray, n: int) -> None:
    """RuntimeError where LAPACK would leave its arrays: rows that are none, or half of a 2 x 2 block (two pivots below 0)."""
    if not (np.abs(pivots) <= n).all() or not pivots.all():
        raise RuntimeError(
            "Pivots given to ldl_solve must all satisfy |pivot| <= LD.size(-2). Did you properly pass the result of "
            "ldl_factor?"
        )
    for row in pivots.reshape(-1, n) if n else ():
        lengths = [len(list(run)) for negative, run in groupby(row < 0) if negative]
        if any(length % 2 for length in lengths):
            raise RuntimeError("Pivots given to ldl_solve must be negative in pairs.")


@op(namespace="linalg", method=False, out=True)
def ldl_solve(LD, pivots, B, *, hermitian: bool = False) -> Tensor:
    """X of A X = B (*, n, k), from ldl_factor(A)."""
    check_square("torch.linalg.ldl_solve", LD, "LD")
    check_matrix("torch.linalg.ldl_solve", B, "B")
    check_same_dtype("torch.linalg.ldl_solve", LD, B)
    if B._size[-2] != LD._size[-1]:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Incompatible matrix sizes for ldl_solve: each A matrix is {LD._size[-1]} by "
            f"{LD._size[-1]} but each b matrix is {B._size[-2]} by {B._size[-1]}"
        )
    if pivots._size != LD._size[:-1]:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots._size)} instead"
        )
    if pivots._dtype.category != INTEGRAL:
        raise RuntimeError(f"torch.linalg.ldl_solve: Expected pivots to be integers. Got {pivots._dtype.type_name}")
    _check_pivots(pivots._nd(), LD._size[-1])
    a, b = broadcast_batches(LD.detach(), B.detach())
    a, b = a._nd(), b._nd()
    n, k = b.shape[-2:]
    count = math.prod(b.shape[:-2])
    order = pivots.expand((*b.shape[:-2], n))._nd().reshape(count, n)
    solve = _lapack(LD, hermitian, "trs")
    found = np.zeros((count, n, k), b.dtype)
    for i in range(count if n and k else 0):
        found[i] = solve(a.reshape(count, n, n)[i], order[i], b.reshape(count, n, k)[i], lower=1)[0]
    return from_array(found.reshape(b.shape), LD._dtype)
