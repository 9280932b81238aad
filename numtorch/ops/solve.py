"""Linear systems: solve, inverse, triangular systems, least squares, and solutions from a factorization."""

from __future__ import annotations

import math

import numpy as np

from numtorch.kernels.cpu.factorizations import lu_forward, solve_triangular_forward

from .. import _dtype, _lapack
from .._compiled import Compiled
from .._copy import contiguous
from .._primitive import primitive
from .._registry import FUNCTIONS, op
from .._size import broadcast_sizes
from .._tensor import Tensor, wrap
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


def singular_at(A: np.ndarray) -> np.ndarray:
    """int32 (*): 0 for an invertible matrix, else k for the first zero U[k, k], counted from 1, of its LU."""
    *batch, n, _ = A.shape
    count = math.prod(batch)
    info = np.zeros(count, np.int32)
    lu_forward(A.reshape(-1).copy(), np.empty(count * n, np.int32), info, count, n, n, True)
    return info.reshape(batch)


# -- inverse ----------------------------------------------------------------------------------------------------------

_inv_ex_result = named("linalg_inv_ex", "inverse", "info")


@primitive(node="LinalgInvExBackward0", save=("result0",), namespace="linalg", method=False, out=True)
def inv_ex(A, *, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """(inverse, info) of square matrices (*, n, n); info 0, or k where the k-th pivot is zero."""
    check_square("linalg.inv", A)
    x = A._nd()
    try:
        inverse, info = _lapack.inv(x), np.zeros(x.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = singular_at(x)
        _check_inverted("linalg.inv", info, check_errors)
        inverse = np.full_like(x, math.nan)
        inverse[info == 0] = _lapack.inv(x[info == 0])
    return _inv_ex_result(from_array(inverse, A._dtype), from_array(info, _dtype.int32))


def _check_inverted(name, info, check):
    if check and np.count_nonzero(info):
        position = int(np.flatnonzero(info)[0])
        raise LinAlgError(
            f"{name}: {batch_element(position, info.ndim > 0)}The diagonal element {info.reshape(-1)[position]} is "
            "zero, the inversion could not be completed because the input matrix is singular."
        )


inv_ex.derivative(A=lambda ctx, grad: -(ctx.result0.mH.matmul(grad).matmul(ctx.result0.mH)))


@op(namespace="linalg", method=False, out=True)
def inv(A) -> Tensor:
    """The inverses of square matrices (*, n, n); LinAlgError for a singular one."""
    return inv_ex(A, check_errors=True)[0]


@op(out=True)
def inverse(input) -> Tensor:
    """`linalg.inv`."""
    return inv(input)


# -- solve ------------------------------------------------------------------------------------------------------------

_solve_ex_result = named("linalg_solve_ex", "result", "info")


@primitive(node="LinalgSolveExBackward0", save=("A", "result0"), public=False)
def _solve_matrices(A, B):
    """(X, info) of A X = B for (*, n, n) and (*, n, m) of equal batch sizes."""
    a, b = A._nd(), B._nd()
    try:
        x, info = _lapack.solve(a, b), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = singular_at(np.ascontiguousarray(a))
        x = np.full_like(b, math.nan)
        x[info == 0] = _lapack.solve(a[info == 0], b[info == 0])
    return from_array(x, A._dtype), from_array(info, _dtype.int32)


def _solve_backward(ctx, grad):
    grad_B = _solve_matrices(ctx.A.mH, grad)[0]
    grads = {"B": grad_B}
    if ctx.needs("A"):
        grads["A"] = -grad_B.matmul(ctx.result0.mH)
    return grads


_solve_matrices.derivative_of("A", "B")
_solve_matrices.backward(_solve_backward)


def _is_vector(A: Tensor, B: Tensor) -> bool:
    """B holds vectors: 1-D, or one dimension short of A with A's batch sizes."""
    return len(B._size) == 1 or len(B._size) == len(A._size) - 1 and B._size == A._size[:-1]


def _check_fits(name: str, A: Tensor, B: Tensor, left: bool) -> None:
    if A._size[-1] != B._size[-2 if left else -1]:
        n, m = A._size[-2:]
        p, q = B._size[-2:]
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {equation} ({n}x{m} and {p}x{q})")


@op(namespace="linalg", method=False, out=True)
def solve_ex(A, B, *, left: bool = True, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """(X, info) of A X = B, or X A = B with left=False; B may be a vector or a batch of them."""
    check_square("linalg.solve", A)
    check_same_dtype("linalg.solve", A, B)
    vector = _is_vector(A, B)
    right = B.unsqueeze(-1) if vector else B
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False")
    _check_fits("linalg.solve", A, right, left)
    if left:
        x, info = _solve_matrices(*broadcast_batches(A, right))
    else:
        a, b = broadcast_batches(A, right)
        x, info = _solve_matrices(a.mT, b.mT)
        x = x.mT
    if check_errors and np.count_nonzero(info._flat):
        position = int(np.flatnonzero(info._nd())[0])
        raise LinAlgError(
            f"torch.linalg.solve: {batch_element(position, info.dim() > 0)}The solver failed because the input "
            "matrix is singular."
        )
    return _solve_ex_result(x.squeeze(-1) if vector else x, info)


@op(namespace="linalg", method=False, out=True)
def solve(A, B, *, left: bool = True) -> Tensor:
    """X of A X = B (or X A = B with left=False) for square matrices; LinAlgError for a singular one."""
    return solve_ex(A, B, left=left, check_errors=True)[0]


# -- triangular systems -----------------------------------------------------------------------------------------------

_triangular = Compiled(solve_triangular_forward, "xxnnnbb")


@primitive(node="LinalgSolveTriangularBackward0", save=("A", "result"), public=False)
def _solve_triangular(A, B, upper, unitriangular):
    """X of A X = B for (*, n, n) and (*, n, m) of equal batch sizes; the other triangle of A is not read."""
    *batch, n, m = B._size
    a, x = contiguous(A).flat(), contiguous(B).flat().copy()
    if n and m:
        _triangular[x.dtype](a, x, math.prod(batch), n, m, upper, unitriangular)
    return wrap(x, B._size, B._dtype)


def _solve_triangular_backward(ctx, grad):
    grad_B = _solve_triangular(ctx.A.mH, grad, not ctx.upper, ctx.unitriangular)
    grads = {"B": grad_B}
    if ctx.needs("A"):
        grad_A = -grad_B.matmul(ctx.result.mH)
        offset = 1 if ctx.unitriangular else 0
        grads["A"] = grad_A.triu(offset) if ctx.upper else grad_A.tril(-offset)
    return grads


_solve_triangular.derivative_of("A", "B")
_solve_triangular.backward(_solve_triangular_backward)


@op(namespace="linalg", method=False, out=True)
def solve_triangular(A, B, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X of A X = B (X A = B with left=False) for triangular A: the other triangle is not read.

    `unitriangular` takes the diagonal as ones, whatever it holds.
    """
    check_square("linalg.solve_triangular", A)
    check_matrix("linalg.solve_triangular", B, "B")
    check_same_dtype("linalg.solve_triangular", A, B)
    _check_fits("linalg.solve_triangular", A, B, left)
    a, b = broadcast_batches(A, B)
    if left:
        return _solve_triangular(a, b, upper, unitriangular)
    return _solve_triangular(a.mT, b.mT, not upper, unitriangular).mT


_triangular_result = named("triangular_solve", "solution", "cloned_coefficient")


@op(out=True)
def triangular_solve(
    b, A, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Tensor, Tensor]:
    """(X, A) of A X = b or, with `transpose`, A^T X = b; the older form of `linalg.solve_triangular`."""
    if transpose:
        x = solve_triangular(A.mT, b, upper=not upper, unitriangular=unitriangular)
    else:
        x = solve_triangular(A, b, upper=upper, unitriangular=unitriangular)
    return _triangular_result(x, A.expand(*x._size[:-2], *A._size[-2:]).clone())


# -- solutions from a factorization -----------------------------------------------------------------------------------


@primitive(node="CholeskySolveBackward0", save=("L", "result"), public=False)
def _cholesky_solve(B, L, upper):
    lower = L.mH if upper else L
    y = _solve_triangular(lower, B, False, False)
    return _solve_triangular(lower.mH, y, True, False)


def _cholesky_solve_backward(ctx, grad):
    grad_B = _cholesky_solve(grad, ctx.L, ctx.upper)
    grads = {"B": grad_B}
    if ctx.needs("L"):
        both = grad_B.matmul(ctx.result.mH)
        both = both + both.mH
        grads["L"] = -(ctx.L.matmul(both) if ctx.upper else both.matmul(ctx.L))
    return grads


_cholesky_solve.derivative_of("B", "L")
_cholesky_solve.backward(_cholesky_solve_backward)


@op(out=True)
def cholesky_solve(B, L, upper: bool = False) -> Tensor:
    """X of A X = B given the Cholesky factor of A: A = L L^H, or U^H U with upper=True."""
    check_square("cholesky_solve", L)
    if L._size[-1] != B._size[-2]:
        n, m = L._size[-2:]
        p, q = B._size[-2:]
        raise RuntimeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {n} by {m} but each b matrix is {p} by {q}"
        )
    factor, right = broadcast_batches(L, B)
    return _cholesky_solve(right, factor, upper)


@op(out=True)
def cholesky_inverse(L, upper: bool = False) -> Tensor:
    """The inverse of A given its Cholesky factor: A = L L^H, or U^H U with upper=True."""
    check_square("cholesky_inverse", L)
    eye = FUNCTIONS[""]["eye"](L._size[-1], dtype=L._dtype)
    return cholesky_solve(eye.expand(L._size), L, upper)


def check_pivots(name: str, pivots: np.ndarray, n: int) -> None:
    """RuntimeError where a pivot names no row."""
    if pivots.size and not (pivots.min() >= 1 and pivots.max() <= n):
        raise RuntimeError(
            f"{name}: pivots must all be between 1 and {n}, the number of rows. Did you properly pass the result of "
            "lu_factor?"
        )


def permutation(pivots: np.ndarray, n: int) -> np.ndarray:
    """int64 (*, n): the row of A that stands in each row of P^T A, from LAPACK's sequence of swaps (from 1)."""
    *batch, k = pivots.shape
    count = math.prod(batch)
    order = np.tile(np.arange(n), (count, 1))
    for rows, swaps in zip(order, pivots.reshape(count, k), strict=True):
        for i, j in enumerate(swaps.tolist()):
            rows[[i, j - 1]] = rows[[j - 1, i]]
    return order.reshape(*batch, n)


@op("lu_solve", namespace="linalg", method=False, out=True)
def linalg_lu_solve(LU, pivots, B, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X of A X = B given `lu_factor(A)`; X A = B with left=False, A^H for A with `adjoint`."""
    check_square("linalg.lu_solve", LU, "LU")
    check_same_dtype("linalg.lu_solve", LU, B)
    if pivots._dtype is not _dtype.int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    if pivots._size != LU._size[:-1]:
        raise RuntimeError("linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix")
    _check_fits("linalg.lu_solve", LU, B, left)
    if not left:  # X A = B is A^H X^H = B^H
        return linalg_lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
    n = LU._size[-1]
    check_pivots("linalg.lu_solve", pivots._nd(), n)
    order = permutation(pivots._nd(), n)
    batch = broadcast_sizes(LU._size[:-2], B._size[:-2])
    if not adjoint:  # P L U X = B
        y = _take_rows(B.expand(*batch, *B._size[-2:]), order)
        y = solve_triangular(LU, y, upper=False, unitriangular=True)
        return solve_triangular(LU, y, upper=True)
    y = solve_triangular(LU.mH, B, upper=False)
    y = solve_triangular(LU.mH, y, upper=True, unitriangular=True)
    return _take_rows(y, np.argsort(order, -1))


def _take_rows(x: Tensor, order: np.ndarray) -> Tensor:
    """x[..., order, :] for batches of orders."""
    index = from_array(np.broadcast_to(order, x._size[:-1]), _dtype.int64)
    return x.gather(-2, index.unsqueeze(-1).expand(x._size))


@op(out=True)
def lu_solve(b, LU_data, LU_pivots) -> Tensor:
    """`linalg.lu_solve` in the older order of arguments."""
    return linalg_lu_solve(LU_data, LU_pivots, b)


# -- least squares ----------------------------------------------------------------------------------------------------

_lstsq_result = named("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


@primitive("_lstsq", node="LinalgLstsqBackward0", save=("A", "B", "result0"), public=False, nondifferentiable=(2, 3))
def _lstsq(A, B, rcond):
    """(X, residuals, rank, singular values) for (*, n, m) and (*, n, k) of equal batch sizes."""
    n, m = A._size[-2:]
    a, b = A._nd(), B._nd()
    real = A._dtype.to_real()
    x, ranks, values = _lapack.lstsq(a, b, rcond)
    if n > m and (ranks == m).all():
        residuals = (np.abs(a @ x - b) ** 2).sum(-2)
    else:
        residuals = np.zeros(0, real.np)
    return (
        from_array(x, A._dtype),
        from_array(residuals, real),
        from_array(np.asarray(ranks, np.int64), _dtype.int64),
        from_array(values, real),
    )


_lstsq.derivative_of("A", "B")


@_lstsq.backward
def _(ctx, grad_X, grad_residuals):
    from .singular_values import pinv, pinv_backward

    A, B = ctx.A, ctx.B
    grad_A = grad_B = None
    if grad_X is not None:
        pseudo = pinv(A)
        grad_B = pseudo.mH.matmul(grad_X)
        grad_A = pinv_backward(grad_X.matmul(B.mH), pseudo, A)
    if grad_residuals is not None and grad_residuals.numel():
        # X is where the residuals do not change with it, so only the A and B in |B - A X|^2 count.
        X = ctx.result0
        error = (B - A.matmul(X)) * (2 * grad_residuals).unsqueeze(-2)
        grad_B = error if grad_B is None else grad_B + error
        grad_A = -error.matmul(X.mH) if grad_A is None else grad_A - error.matmul(X.mH)
    return {"A": grad_A, "B": grad_B}


@op(namespace="linalg", method=False)
def lstsq(A, B, rcond: float | None = None, *, driver: str | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """X that minimises |A X - B| for (*, n, m) and (*, n, k): (solution, residuals, rank, singular_values).

    Drivers gelsy (the default), gels, gelsd and gelss; all run gelsd. `rank` is empty for gels, `singular_values`
    for all but gelsd and gelss, `residuals` for gelsy and unless n > m and every matrix has full rank.
    rcond: eps max(n, m) unless given.
    """
    check_matrix("torch.linalg.lstsq", A, "input")
    vector = len(B._size) == len(A._size) - 1 or len(B._size) == 1
    if driver not in (None, "gelsy", "gels", "gelsd", "gelss"):
        raise RuntimeError("torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    if B._size[-1 if vector else -2] != A._size[-2]:
        raise RuntimeError("torch.linalg.lstsq: input.size(-2) should match other.size(" + ("-1)" if vector else "-2)"))
    if A._dtype is not B._dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's dtype "
            f"{A._dtype.type_name} and other's dtype {B._dtype.type_name}"
        )
    a, b = broadcast_batches(A, B.unsqueeze(-1) if vector else B)
    if rcond is None:
        rcond = np.finfo(A._dtype.np).eps * max(A._size[-2:])
    solution, residuals, rank, values = _lstsq(a, b, float(rcond))
    empty = FUNCTIONS[""]["empty"]
    if driver in (None, "gelsy"):
        residuals = empty(0, dtype=A._dtype.to_real())
    if driver == "gels":
        rank = empty(0, dtype=_dtype.int64)
    if driver not in ("gelsd", "gelss"):
        values = empty(0, dtype=A._dtype.to_real())
    return _lstsq_result(solution.squeeze(-1) if vector else solution, residuals, rank, values)


# -- tensors as matrices ----------------------------------------------------------------------------------------------


@op(namespace="linalg", method=False, out=True)
def tensorinv(A, ind: int = 2) -> Tensor:
    """The inverse of A seen as a matrix of its first `ind` dimensions by the others."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    rows, columns = A._size[:ind], A._size[ind:]
    if math.prod(rows) != math.prod(columns):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(columns)} != {math.prod(rows)}"
        )
    return inv(A.reshape(math.prod(rows), -1)).reshape(*columns, *rows)


@op(namespace="linalg", method=False, out=True)
def tensorsolve(A, B, dims=None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(len(A._size) - len(dims), len(A._size))))
    rest = A._size[len(B._size) :]
    if math.prod(rest) != math.prod(B._size):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {math.prod(rest)} != {math.prod(B._size)}"
        )
    return solve(A.reshape(-1, math.prod(rest)), B.reshape(-1)).reshape(rest)
