"""Factorizations of matrices: Cholesky, QR and Householder reflections, LU. (Spectra: singular_values.py.)

Forward our own kernels up to some size, LAPACK's above (through numpy); backward the closed formulas, in differentiable
operators. Sources: Murray, "Differentiation of the Cholesky decomposition" (2016); Walter and Lehmann, "Algorithmic
differentiation of linear algebra functions" (2018).
"""

from __future__ import annotations

import math

import numpy as np

from numtorch.kernels.cpu.factorizations import cholesky_forward, lu_forward, qr_forward

from .. import _dtype, _lapack
from .._compiled import Compiled
from .._dtype import COMPLEX, FLOATING
from .._primitive import primitive
from .._registry import FUNCTIONS, op
from .._tensor import Tensor, wrap
from ..return_types import named
from .linalg import LinAlgError, batch_element, check_matrix, check_square, from_array
from .solve import check_pivots, permutation, solve_triangular

# Up to this many rows our kernels take less time than what stands in front of LAPACK, above they take longer.
_SMALL_CHOLESKY = 16
_SMALL_QR = 32

_cholesky = Compiled(cholesky_forward, "xjnn")
_qr = Compiled(qr_forward, "xxxnnn")
_lu_forward = Compiled(lu_forward, "xjjnnnb")

# -- Cholesky ---------------------------------------------------------------------------------------------------------

_cholesky_ex_result = named("linalg_cholesky_ex", "L", "info")


@primitive(node="LinalgCholeskyExBackward0", save=("result0",), namespace="linalg", method=False, out=True)
def cholesky_ex(A, *, upper: bool = False, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    """(L, info) with A = L L^H (U^H U with `upper`) for Hermitian positive-definite A; only that triangle is read.

    info is 0, or the order of the first leading minor that is not positive-definite.
    """
    factor, info = _cholesky_factor(A, upper, check_errors)
    return _cholesky_ex_result(factor, from_array(info, _dtype.int32))


def _cholesky_factor(A: Tensor, upper: bool, check_errors: bool) -> tuple[Tensor, np.ndarray]:
    check_square("linalg.cholesky", A)
    size = A._size
    a = A._nd() if upper else A._nd().swapaxes(-1, -2)
    if not upper and A._dtype.category == COMPLEX:
        a = a.conj()
    if size[-1] <= _SMALL_CHOLESKY:
        a = _lapack.wide(a)
        info = np.empty(size[:-2], np.int32)
        _cholesky[a.dtype](a.ravel(), info.ravel(), info.size, size[-1])
        factor = a
    else:
        factor, info = _cholesky_of_large(a)
    if check_errors and np.count_nonzero(info):
        position = int(np.flatnonzero(info)[0])
        order = info.reshape(-1)[position]
        raise LinAlgError(
            f"linalg.cholesky: {batch_element(position, info.ndim > 0)}The factorization could not be completed "
            f"because the input is not positive-definite (the leading minor of order {order} is not positive-definite)."
        )
    if not upper:
        factor = factor.swapaxes(-1, -2)
        if A._dtype.category == COMPLEX:
            factor = factor.conj()
    return from_array(factor.astype(A._dtype.np, "C"), A._dtype), info


def _cholesky_of_large(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U, info) of Hermitian matrices of which the upper triangle is read, by LAPACK."""
    a = a.swapaxes(-1, -2)
    if a.dtype.kind == "c":
        a = a.conj()
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        factor = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(a)
        for index in np.ndindex(a.shape[:-2]):
            info[index] = _first_bad_minor(a[index])
            n = info[index] - 1 if info[index] else a.shape[-1]
            factor[index][:n, :n] = np.linalg.cholesky(a[index][:n, :n])
    return factor.swapaxes(-1, -2).conj(), info


def _first_bad_minor(a: np.ndarray) -> int:
    """The order of the first leading minor that is not positive-definite, 0 if all are; by bisection."""
    good, bad = 0, len(a) + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            np.linalg.cholesky(a[:middle, :middle])
            good = middle
        except np.linalg.LinAlgError:
            bad = middle
    return bad if bad <= len(a) else 0


def _cholesky_backward(ctx, grad):
    # A' = 1/2 L^-H (P + P^H) L^-1 with P the lower triangle of L^H L', its diagonal halved (Murray 2016).
    L = ctx.result0
    if ctx.upper:
        L, grad = L.mH, grad.mH
    phi = L.mH.matmul(grad).tril()
    phi = phi - phi.diagonal(0, -2, -1).diag_embed() * 0.5
    phi = phi + phi.mH
    left = solve_triangular(L.mH, phi, upper=True)
    return solve_triangular(L, left, upper=False, left=False) * 0.5


cholesky_ex.derivative(A=_cholesky_backward)


@op("cholesky", namespace="linalg", method=False, out=True)
def linalg_cholesky(A, *, upper: bool = False) -> Tensor:
    """L of A = L L^H (U of U^H U with `upper`); LinAlgError where A is not positive-definite."""
    if isinstance(A, Tensor) and A._requires_grad:
        return cholesky_ex(A, upper=upper, check_errors=True)[0]
    return _cholesky_factor(A, upper, True)[0]


@op(out=True)
def cholesky(input, upper: bool = False) -> Tensor:
    """`linalg.cholesky`."""
    return linalg_cholesky(input, upper=upper)


# -- QR ---------------------------------------------------------------------------------------------------------------

_qr_result = named("linalg_qr", "Q", "R")


@primitive("qr", node="LinalgQrBackward0", save=("A", "result0", "result1"), namespace="linalg", method=False, out=True)
def linalg_qr(A, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """A = Q R for (*, n, m), k = min(n, m): Q (*, n, k), R (*, k, m).

    mode "complete" gives Q (*, n, n), R (*, n, m); mode "r" an empty Q.
    """
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    *batch, n, m = A._size
    k, d = min(n, m), A._dtype
    if mode == "r":
        q, r = np.empty(0, d.np), np.linalg.qr(A._nd(), "r")
    elif max(n, m) <= _SMALL_QR and d.category != COMPLEX and k and (mode == "reduced" or n <= m):
        a = _lapack.wide(A._nd())
        q = np.empty((*batch, n, k))
        _qr[a.dtype](a.ravel(), q.ravel(), np.empty(m), math.prod(batch), n, m)
        q, r = q.astype(d.np, copy=False), a[..., :k, :].astype(d.np, "C", copy=False)
    else:
        q, r = np.linalg.qr(A._nd(), mode)
    return _qr_result(from_array(q, A._dtype), from_array(r, A._dtype))


def _qr_backward(ctx, grad_Q, grad_R):
    n, m = ctx.A._size[-2:]
    if ctx.mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. "
            "Please use linalg.qr(A, mode='reduced') if you are going to require gradients"
        )
    if ctx.mode == "complete" and n > m:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    Q, R = ctx.result0, ctx.result1
    zeros_like, cat = FUNCTIONS[""]["zeros_like"], FUNCTIONS[""]["cat"]
    grad_Q = zeros_like(Q) if grad_Q is None else grad_Q
    grad_R = zeros_like(R) if grad_R is None else grad_R
    if n >= m:
        return {"A": _qr_backward_tall(Q, R, grad_Q, grad_R)}
    # A = [X | Y], X = Q U square, V = Q^H Y: Y' = Q V', and Q gains Y V'^H.
    grad_U, grad_V = grad_R[..., :n], grad_R[..., n:]
    grad_Q = grad_Q + ctx.A[..., n:].matmul(grad_V.mH)
    return {"A": cat((_qr_backward_tall(Q, R[..., :n], grad_Q, grad_U), Q.matmul(grad_V)), -1)}


def _qr_backward_tall(Q, R, grad_Q, grad_R):
    """(Q' + Q sym(triu(R' R^H - Q^H Q'))) R^-H, where sym(X) = X + X^H with the diagonal once (Walter, Lehmann)."""
    m = (grad_R.matmul(R.mH) - Q.mH.matmul(grad_Q)).triu()
    m = m + m.mH - _real_diagonal(m)
    return solve_triangular(R.mH, grad_Q + Q.matmul(m), upper=False, left=False)


def _real_diagonal(x: Tensor) -> Tensor:
    d = x.diagonal(0, -2, -1)
    return ((d + d.conj()) * 0.5).diag_embed()


linalg_qr.derivative_of("A")
linalg_qr.backward(_qr_backward)
_old_qr_result = named("qr", "Q", "R")


@op(out=True)
def qr(input, some: bool = True) -> tuple[Tensor, Tensor]:
    """`linalg.qr`, reduced with some=True, complete otherwise."""
    return _old_qr_result(*linalg_qr(input, "reduced" if some else "complete"))


# -- Householder reflections ------------------------------------------------------------------------------------------

_geqrf_result = named("geqrf", "a", "tau")


@op(out=True)
def geqrf(input) -> tuple[Tensor, Tensor]:
    """QR as LAPACK keeps it: (a, tau), R on and above the diagonal of a, the reflectors' vectors below it."""
    check_matrix("geqrf", input, "input")
    h, tau = np.linalg.qr(input._nd(), "raw")
    return _geqrf_result(from_array(h.swapaxes(-1, -2), input._dtype), from_array(tau, input._dtype))


def _reflectors(name: str, A: Tensor, tau: Tensor):
    """(v_i, tau_i) for H_i = I - tau_i v_i v_i^H, v_i being 1 at i and column i of A below."""
    if len(A._size) < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if not tau._size:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    n, m = A._size[-2:]
    if tau._size[-1] > m:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if len(tau._size) != len(A._size) - 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {len(tau._size)} and "
            f"input.ndim is equal to {len(A._size)}"
        )
    if A._size[:-2] != tau._size[:-1]:
        raise RuntimeError(f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2]")
    if A._dtype.category < FLOATING or A._dtype.np is not A._dtype.compute:
        kernel = "ormqr_cpu" if "ormqr" in name else "orgqr_cpu"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{A._dtype.type_name}'")
    lower = A.tril(-1)[..., : tau._size[-1]]
    unit = FUNCTIONS[""]["eye"](n, tau._size[-1], dtype=A._dtype)
    vectors = lower + unit
    return [(vectors[..., i : i + 1], tau[..., i : i + 1].unsqueeze(-1)) for i in range(tau._size[-1])]


@op(namespace="linalg", method=False, out=True)
def householder_product(A, tau) -> Tensor:
    """The first m columns of H_1 H_2 ... H_k, H_i = I - tau_i v_i v_i^H, for A (*, n, m) and tau (*, k)."""
    n, m = A._size[-2:] if len(A._size) > 1 else (0, 0)
    if n < m:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    name = "torch.linalg.householder_product"
    if tau._dtype is not A._dtype:
        raise RuntimeError(f"{name}: tau dtype {tau._dtype.type_name} does not match input dtype {A._dtype.type_name}")
    steps = _reflectors(name, A, tau)
    result = FUNCTIONS[""]["eye"](n, m, dtype=A._dtype).expand(A._size)
    for v, t in reversed(steps):
        result = result - t * v.matmul(v.mH.matmul(result))
    return result.clone() if not steps else result


@op()
def orgqr(input, tau) -> Tensor:
    """`linalg.householder_product` under its older name."""
    return householder_product(input, tau)


def _check_ormqr(input, tau, other, left: bool) -> None:
    for name, t in (("input", input), ("other", other)):
        if len(t._size) < 2:
            raise RuntimeError(f"torch.ormqr: {name} must have at least 2 dimensions.")
    side = -2 if left else -1
    n, m = input._size[-2:]
    if other._size[side] != n:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if tau._size and tau._size[-1] != min(n, m):
        raise RuntimeError(f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])")
    if tau._size and len(tau._size) == len(input._size) - 1:
        if len(other._size) != len(input._size):
            raise RuntimeError(
                "torch.ormqr: Expected other to have the same number of dimensions as input, but got other.ndim equal to "
                f"{len(other._size)} and input.ndim is equal to {len(input._size)}"
            )
        if tau._size[:-1] == input._size[:-2] != other._size[:-2]:
            raise RuntimeError(
                "torch.ormqr: Expected batch dimensions of other to be equal to input.shape[:-2], but got "
                f"{list(other._size[:-2])}"
            )
    for name, t in (("tau", tau), ("other", other)):
        if t._dtype is not input._dtype:
            raise RuntimeError(
                f"torch.ormqr: Expected input and {name} to have the same dtype, but input has dtype "
                f"{input._dtype.type_name} and {name} has dtype {t._dtype.type_name}"
            )


@op(out=True)
def ormqr(input, tau, other, left: bool = True, transpose: bool = False) -> Tensor:
    """Q other (other Q with left=False), Q or its adjoint being the whole product of the reflectors of `geqrf`."""
    _check_ormqr(input, tau, other, left)
    steps = _reflectors("torch.ormqr", input, tau)
    # Q x takes the last reflector first, Q^H x the first; from the right it is the other way round.
    for v, t in reversed(steps) if left != transpose else steps:
        t = t.conj() if transpose else t
        step = v.matmul(v.mH.matmul(other)) if left else other.matmul(v).matmul(v.mH)
        other = other - t * step
    return other


# -- LU ---------------------------------------------------------------------------------------------------------------

_lu_factor_ex_result = named("linalg_lu_factor_ex", "LU", "pivots", "info")
_lu_factor_result = named("linalg_lu_factor", "LU", "pivots")
_lu_result = named("linalg_lu", "P", "L", "U")
_lu_unpack_result = named("lu_unpack", "P", "L", "U")


@primitive(node="LinalgLuFactorExBackward0", save=("result0", "result1"), namespace="linalg", method=False, out=True)
def lu_factor_ex(A, *, pivot: bool = True, check_errors: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """(LU, pivots, info) of A = P L U: both triangles in one matrix, LAPACK's row swaps from 1, first zero pivot."""
    check_matrix("torch.linalg.lu_factor", A)
    *batch, n, m = A._size
    count, k = math.prod(batch), min(n, m)
    data = np.array(A._nd(), order="C").ravel()
    pivots, info = np.empty(count * k, np.int32), np.zeros(count, np.int32)
    _lu_forward[data.dtype](data, pivots, info, count, n, m, bool(pivot))
    if check_errors and np.count_nonzero(info):
        position = int(np.flatnonzero(info)[0])
        i = info[position]
        raise RuntimeError(
            f"torch.linalg.lu_factor: {batch_element(position, bool(batch))}U[{i},{i}] is zero and using it on "
            "lu_solve would result in a division by zero. If you still want to perform the factorization, consider "
            "calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )
    return _lu_factor_ex_result(
        wrap(data, A._size, A._dtype),
        wrap(pivots, (*batch, k), _dtype.int32),
        wrap(info, tuple(batch), _dtype.int32),
    )


def _unit_lower(LU: Tensor) -> Tensor:
    """L (*, n, k) of a packed LU (*, n, m)."""
    n, m = LU._size[-2:]
    k = min(n, m)
    return LU[..., :k].tril(-1) + FUNCTIONS[""]["eye"](n, k, dtype=LU._dtype)


def _permutation_matrix(pivots: np.ndarray, n: int, dtype) -> Tensor:
    """P (*, n, n) of A = P L U."""
    order = permutation(pivots, n)
    return from_array((order[..., None, :] == np.arange(n)[:, None]).astype(dtype.np), dtype)


def _lu_backward(P, L, U, grad_L, grad_U):
    """P L^-H [tril(L^H L', -1) + triu(U' U^H)] U^-H for square A; the rest of a wide or tall A follows by blocks."""
    n, m = L._size[-2], U._size[-1]
    k = min(n, m)
    cat, zeros_like = FUNCTIONS[""]["cat"], FUNCTIONS[""]["zeros_like"]
    grad_L = zeros_like(L) if grad_L is None else grad_L
    grad_U = zeros_like(U) if grad_U is None else grad_U
    square_L, square_U, d_L, d_U = L[..., :k, :], U[..., :k], grad_L[..., :k, :], grad_U[..., :k]
    phi = square_L.mH.matmul(d_L)
    psi = d_U.matmul(square_U.mH)
    if m > k:  # wide: U_2 = L^-1 P^T A_2
        phi = phi - grad_U[..., k:].matmul(U[..., k:].mH)
        beside = solve_triangular(L.mH, grad_U[..., k:], upper=True, unitriangular=True)
    if n > k:  # tall: L_2 = A_2 U^-1
        psi = psi - L[..., k:, :].mH.matmul(grad_L[..., k:, :])
        below = solve_triangular(U.mH, grad_L[..., k:, :], upper=False, left=False)
    inner = phi.tril(-1) + psi.triu()
    inner = solve_triangular(square_U.mH, inner, upper=False, left=False)
    inner = solve_triangular(square_L.mH, inner, upper=True, unitriangular=True)
    if m > k:
        inner = cat((inner, beside), -1)
    if n > k:
        inner = cat((inner, below), -2)
    return P.matmul(inner)


def _lu_factor_backward(ctx, grad):
    LU = ctx.result0
    n, m = LU._size[-2:]
    k = min(n, m)
    P = _permutation_matrix(ctx.result1._nd(), n, LU._dtype)
    return _lu_backward(P, _unit_lower(LU), LU[..., :k, :].triu(), grad[..., :k].tril(-1), grad[..., :k, :].triu())


lu_factor_ex.derivative(A=_lu_factor_backward)


@op(namespace="linalg", method=False, out=True)
def lu_factor(A, *, pivot: bool = True) -> tuple[Tensor, Tensor]:
    """(LU, pivots) of A = P L U; RuntimeError for a zero pivot."""
    return _lu_factor_result(*lu_factor_ex(A, pivot=pivot, check_errors=True)[:2])


@primitive(
    "_lu", node="LinalgLuBackward0", save=("result0", "result1", "result2"), public=False, nondifferentiable=(0,)
)
def _lu(A, pivot):
    LU, pivots, _ = lu_factor_ex(A.detach(), pivot=pivot)
    P = _permutation_matrix(pivots._nd(), A._size[-2], A._dtype)
    return P, _unit_lower(LU), LU[..., : min(A._size[-2:]), :].triu()


_lu.derivative(A=lambda ctx, dL, dU: _lu_backward(ctx.result0, ctx.result1, ctx.result2, dL, dU))


@op("lu", namespace="linalg", method=False, out=True)
def linalg_lu(A, *, pivot: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """A = P L U for (*, n, m), k = min(n, m): P (*, n, n), L (*, n, k) with unit diagonal, U (*, k, m)."""
    if len(A._size) < 2:
        raise RuntimeError(f"linalg.lu: Expected tensor with 2 or more dimensions. Got size: {list(A._size)} instead")
    P, L, U = _lu(A, pivot)
    return _lu_result(P if pivot else FUNCTIONS[""]["empty"](0, dtype=A._dtype), L, U)


@op(out=True)
def lu_unpack(
    LU_data, LU_pivots, unpack_data: bool = True, unpack_pivots: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """(P, L, U) from `lu_factor`; empty tensors for what is not asked for."""
    if LU_pivots._dtype is not _dtype.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
            "Note: this function is intended to be used with the output produced by torch.linalg.lu_factor"
        )
    nothing = FUNCTIONS[""]["empty"](0, dtype=LU_data._dtype)
    n, m = LU_data._size[-2:]
    P = nothing
    if unpack_pivots:
        check_pivots("lu_unpack", LU_pivots._nd(), n)
        P = _permutation_matrix(LU_pivots._nd(), n, LU_data._dtype)
    if not unpack_data:
        return _lu_unpack_result(P, nothing, nothing)
    return _lu_unpack_result(P, _unit_lower(LU_data), LU_data[..., : min(n, m), :].triu())


_lu_with_info_result = named("_lu_with_info", "LU", "pivots", "info")


@op()
def lu(A, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """(LU, pivots) of `linalg.lu_factor`, or with `get_infos` (LU, pivots, info), where a zero pivot is no error."""
    result = lu_factor_ex(A, pivot=pivot, check_errors=not get_infos)
    return _lu_with_info_result(*result) if get_infos else tuple(result[:2])
