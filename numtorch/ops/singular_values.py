"""Singular values and eigenvalues of matrices, and what is made of them: the pseudo-inverse, rank and condition.

Forward LAPACK's (through numpy); backward the closed formulas, in differentiable operators. Sources: Giles, "Collected
matrix derivative results" (2008); Wan and Zhang, "Automatic differentiation for complex valued SVD" (2019); Golub and
Pereyra (1973) for the pseudo-inverse.
"""

from __future__ import annotations

import math

import numpy as np

from numtorch.graph import mode

from .. import _dtype, _lapack
from .._dtype import COMPLEX
from .._primitive import primitive
from .._registry import FUNCTIONS, op
from .._tensor import Tensor
from ..return_types import named
from .decompositions import linalg_qr
from .linalg import LinAlgError, check_matrix, check_square, from_array
from .solve import solve


def _with_diagonal(x: Tensor, value: float) -> Tensor:
    """x with `value` on the diagonal of its last two dimensions."""
    on_diagonal = FUNCTIONS[""]["eye"](x._size[-1], dtype=_dtype.bool_)
    return FUNCTIONS[""]["where"](on_diagonal, value, x)


def _skew(x: Tensor) -> Tensor:
    return x - x.mH


# -- SVD --------------------------------------------------------------------------------------------------------------

_svd_result = named("linalg_svd", "U", "S", "Vh")


@primitive("_svd", node="LinalgSvdBackward0", save=("result0", "result1", "result2"), public=False)
def _svd(A, full_matrices):
    try:
        u, s, vh = _lapack.svd(A._nd(), full_matrices)
    except np.linalg.LinAlgError as error:
        raise _no_convergence(A) from error
    d = A._dtype
    return from_array(u, d), from_array(s, d.to_real()), from_array(vh, d)


def _no_convergence(A: Tensor) -> LinAlgError:
    finite = np.isfinite(A._nd()).all()
    reason = "the input matrix is ill-conditioned or has too many repeated singular values"
    if not finite:
        reason = "the input matrix contained non-finite values"
    return LinAlgError(f"linalg.svd: The algorithm failed to converge because {reason}.")


def _svd_backward(ctx, grad_U, grad_S, grad_Vh):
    U, S, Vh = ctx.result0, ctx.result1, ctx.result2
    k = S._size[-1]
    U, Vh = U[..., :k], Vh[..., :k, :]
    if grad_U is None and grad_Vh is None:
        return (U * grad_S.unsqueeze(-2).to(U._dtype)).matmul(Vh)
    grad_U = None if grad_U is None else grad_U[..., :k]
    grad_V = None if grad_Vh is None else grad_Vh[..., :k, :].mH
    V = Vh.mH
    is_complex = U._dtype.category == COMPLEX
    squares = S * S
    gaps = _with_diagonal(squares.unsqueeze(-2) - squares.unsqueeze(-1), 1.0)
    turn_U = None if grad_U is None else U.mH.matmul(grad_U)
    turn_V = None if grad_V is None else V.mH.matmul(grad_V)
    if is_complex:
        _check_phase("svd_backward", "singular vectors", turn_U, turn_V)
    inner = None
    if turn_U is not None:
        inner = (_skew(turn_U) / gaps) * S.unsqueeze(-2)
        if is_complex:
            phase = _skew(turn_U).diagonal(0, -2, -1)
            # With the gap set to 1 the product above left skew * S on the diagonal; it is skew / (2 S) there.
            inner = inner + (phase / (2 * S) - phase * S).diag_embed()
    if turn_V is not None:
        part = S.unsqueeze(-1) * (_skew(turn_V) / gaps)
        if is_complex:
            part = part - part.diagonal(0, -2, -1).diag_embed()
        inner = part if inner is None else inner + part
    if grad_S is not None:
        inner = inner + grad_S.diag_embed().to(inner._dtype)
    result = U.matmul(inner).matmul(Vh)
    if grad_U is not None and U._size[-2] > k:
        outside = grad_U / S.unsqueeze(-2)
        result = result + (outside - U.matmul(U.mH.matmul(outside))).matmul(Vh)
    if grad_V is not None and V._size[-2] > k:
        outside = (grad_V / S.unsqueeze(-2)).mH
        result = result + U.matmul(outside - outside.matmul(V).matmul(Vh))
    return result


def _check_phase(name: str, what: str, *turns) -> None:
    """RuntimeError where a loss depends on the phase of complex singular or eigenvectors, which is arbitrary."""
    total = sum(t._nd().diagonal(0, -2, -1).imag for t in turns if t is not None)
    scale = max(np.abs(t._nd()).max(initial=1.0) for t in turns if t is not None)
    if np.abs(total).max(initial=0) > 1e-2 * scale:
        raise RuntimeError(
            f"{name}: The {what} in the complex case are specified up to multiplication by e^{{i phi}}. The specified "
            "loss function depends on this phase term, making it ill-defined."
        )


_svd.derivative(A=_svd_backward)


def _check_driver(driver) -> None:
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )


@op("svd", namespace="linalg", method=False, out=True)
def linalg_svd(A, full_matrices: bool = True, *, driver: str | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """A = U diag(S) Vh for (*, n, m), k = min(n, m): U (*, n, n or k), S (*, k) falling, Vh (*, m or k, m)."""
    check_matrix("linalg.svd", A)
    _check_driver(driver)
    return _svd_result(*_svd(A, full_matrices))


@op(namespace="linalg", method=False, out=True)
def svdvals(A, *, driver: str | None = None) -> Tensor:
    """The singular values of (*, n, m) matrices, falling."""
    check_matrix("linalg.svdvals", A)
    _check_driver(driver)
    if A._requires_grad and mode.enabled:
        return _svd(A, False)[1]
    try:
        return from_array(_lapack.svdvals(A._nd()), A._dtype.to_real())
    except np.linalg.LinAlgError as error:
        raise _no_convergence(A) from error


_old_svd_result = named("svd", "U", "S", "V")


@op(out=True)
def svd(input, some: bool = True, compute_uv: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) with A = U diag(S) V^H, thin with some=True; zeros for U and V without compute_uv."""
    check_matrix("linalg.svd", input)
    if not compute_uv:
        *batch, n, m = input._size
        zeros = FUNCTIONS[""]["zeros"]
        s = svdvals(input)
        return _old_svd_result(zeros(*batch, n, n, dtype=input._dtype), s, zeros(*batch, m, m, dtype=input._dtype))
    U, S, Vh = _svd(input, not some)
    return _old_svd_result(U, S, Vh.mH)


@op(method=False)
def svd_lowrank(A, q: int = 6, niter: int = 2, M=None) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) of the q leading singular triplets of A - M (M broadcast), by a random range finder of `niter` powers.

    Halko, Martinsson and Tropp, algorithms 4.4 and 5.1 (2009): Q spans the range of (A A^H)^niter A R, R random.
    """
    A = A if M is None else A - M
    n, m = A._size[-2:]
    if n < m:
        U, S, V = svd_lowrank(A.mH, q, niter)
        return V, S, U
    span = A.matmul(FUNCTIONS[""]["randn"](m, q, dtype=A._dtype))
    Q = linalg_qr(span)[0]
    for _ in range(niter):
        Q = linalg_qr(A.mH.matmul(Q))[0]
        Q = linalg_qr(A.matmul(Q))[0]
    U, S, Vh = linalg_svd(Q.mH.matmul(A), full_matrices=False)
    return Q.matmul(U), S, Vh.mH


@op(method=False)
def pca_lowrank(A, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) of the q (min(6, n, m) unless told) leading principal components of the rows of A."""
    n, m = A._size[-2:]
    q = min(6, n, m) if q is None else q
    if not 0 <= q <= min(n, m):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(n, m)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


# -- eigenvalues ------------------------------------------------------------------------------------------------------

_eigh_result = named("linalg_eigh", "eigenvalues", "eigenvectors")
_eig_result = named("linalg_eig", "eigenvalues", "eigenvectors")


def _check_triangle(uplo) -> None:
    if uplo not in ("L", "U", "l", "u"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")


@primitive("_eigh", node="LinalgEighBackward0", save=("result0", "result1"), public=False)
def _eigh(A, uplo):
    _check_triangle(uplo)
    values, vectors = _lapack.eigh(A._nd(), uplo)
    return from_array(values, A._dtype.to_real()), from_array(vectors, A._dtype)


def _eigh_backward(ctx, grad_values, grad_vectors):
    # V ((V^H V') / E + diag(w')) V^H with E_ij = w_j - w_i off the diagonal.
    values, V = ctx.result0, ctx.result1
    if grad_vectors is None:
        return (V * grad_values.unsqueeze(-2).to(V._dtype)).matmul(V.mH)
    turn = V.mH.matmul(grad_vectors)
    if V._dtype.category == COMPLEX:
        _check_phase("linalg_eigh_backward", "eigenvectors", turn)
    gaps = _with_diagonal(values.unsqueeze(-2) - values.unsqueeze(-1), math.inf)
    inner = turn / gaps
    if grad_values is not None:
        inner = inner + grad_values.diag_embed().to(inner._dtype)
    return V.matmul(inner).matmul(V.mH)


_eigh.derivative(A=_eigh_backward)


@op("eigh", namespace="linalg", method=False, out=True)
def eigh(A, UPLO: str = "L") -> tuple[Tensor, Tensor]:
    """Rising real eigenvalues and orthonormal eigenvectors (columns) of Hermitian matrices; one triangle is read."""
    check_square("linalg.eigh", A)
    return _eigh_result(*_eigh(A, UPLO))


@op("eigvalsh", namespace="linalg", method=False, out=True)
def eigvalsh(A, UPLO: str = "L") -> Tensor:
    """The rising real eigenvalues of Hermitian matrices."""
    check_square("linalg.eigvalsh", A)
    if A._requires_grad and mode.enabled:
        return _eigh(A, UPLO)[0]
    _check_triangle(UPLO)
    return from_array(_lapack.eigvalsh(A._nd(), UPLO), A._dtype.to_real())


def _check_finite(a: np.ndarray) -> None:
    if not np.isfinite(a).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")


@primitive("_eig", node="LinalgEigBackward0", save=("result0", "result1"), public=False)
def _eig(A):
    a = A._nd()
    _check_finite(a)
    values, vectors = _lapack.eig(a)
    d = A._dtype.to_complex()
    return from_array(values, d), from_array(vectors, d)


def _eig_backward(ctx, grad_values, grad_vectors):
    # V^-H (diag(w') + (V^H V' - V^H V diag(Re diag(V^H V'))) / conj(E)) V^H, eigenvectors being of unit length.
    values, V = ctx.result0, ctx.result1
    if grad_vectors is None:
        inner = grad_values.unsqueeze(-1) * V.mH
    else:
        turn = V.mH.matmul(grad_vectors)
        _check_phase("linalg_eig_backward", "eigenvectors", turn)
        gaps = values.conj().unsqueeze(-2) - values.conj().unsqueeze(-1)
        stretch = turn.diagonal(0, -2, -1).real.unsqueeze(-2)
        inner = (turn - V.mH.matmul(V * stretch)) / _with_diagonal(gaps, 1.0)
        inner = _with_diagonal(inner, 0.0)
        if grad_values is not None:
            inner = inner + grad_values.diag_embed()
        inner = inner.matmul(V.mH)
    result = solve(V.mH, inner)
    return result if ctx.A.dtype.category == COMPLEX else result.real


_eig.derivative(A=_eig_backward)


@op(namespace="linalg", method=False, out=True)
def eig(A) -> tuple[Tensor, Tensor]:
    """Complex eigenvalues and eigenvectors (columns of unit length) of square matrices."""
    check_square("linalg.eig", A)
    return _eig_result(*_eig(A))


@op(namespace="linalg", method=False, out=True)
def eigvals(A) -> Tensor:
    """The complex eigenvalues of square matrices."""
    check_square("linalg.eigvals", A)
    if A._requires_grad and mode.enabled:
        return _eig(A)[0]
    a = A._nd()
    _check_finite(a)
    return from_array(_lapack.eigvals(a), A._dtype.to_complex())


# -- the pseudo-inverse, rank and condition ---------------------------------------------------------------------------


def _tolerance(A: Tensor, values: np.ndarray, atol, rtol) -> np.ndarray:
    """max(atol, rtol * largest singular value) by matrix; rtol is eps max(n, m) where neither is given."""
    given_atol = atol is not None
    atol, rtol = (t._nd() if isinstance(t, Tensor) else t for t in (atol, rtol))
    if rtol is None:
        eps = float(np.finfo(A._dtype.np).eps) * max(A._size[-2:])
        rtol = np.where(np.asarray(atol) > 0, 0.0, eps) if given_atol else eps
    largest = values.max(-1, initial=0.0)
    return np.maximum(0.0 if atol is None else atol, rtol * largest)


def pinv_backward(grad: Tensor, P: Tensor, A: Tensor) -> Tensor:
    """A' of P = pinv(A) at constant rank, G = P'^H: -(P G P)^H + (I - A P) G P P^H + P^H P G (I - P A)."""
    G, Ph = grad.mH, P.mH
    left, right = G - A.matmul(P.matmul(G)), G - G.matmul(P).matmul(A)
    return -(P.matmul(G).matmul(P)).mH + left.matmul(P).matmul(Ph) + Ph.matmul(P.matmul(right))


@primitive("_pinv", node="LinalgPinvBackward0", save=("A", "result"), public=False)
def _pinv(A, atol, rtol, hermitian):
    a = A._nd()
    if a.size == 0:
        return from_array(np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype), A._dtype)
    if hermitian:
        w, v = _lapack.eigh(a, "L")
        keep = np.abs(w) > _tolerance(A, np.abs(w), atol, rtol)[..., None]
        inverse = np.where(keep, 1, 0) / np.where(keep, w, 1)
        return from_array((v * inverse[..., None, :]) @ v.conj().swapaxes(-1, -2), A._dtype)
    u, s, vh = _lapack.svd(a, False)
    keep = s > _tolerance(A, s, atol, rtol)[..., None]
    inverse = np.where(keep, 1, 0) / np.where(keep, s, 1)
    v = vh.conj().swapaxes(-1, -2)
    return from_array((v * inverse[..., None, :]) @ u.conj().swapaxes(-1, -2), A._dtype)


_pinv.derivative(A=lambda ctx, grad: pinv_backward(grad, ctx.result, ctx.A))


@op(namespace="linalg", method=False, out=True)
def pinv(A, rcond=None, hermitian: bool = False, *, atol=None, rtol=None) -> Tensor:
    """The Moore-Penrose inverse (*, m, n) of (*, n, m): singular values up to max(atol, rtol S_max) count as zero."""
    if len(A._size) < 2:
        raise RuntimeError(
            f"linalg.pinv({A._dtype.type_name}{{{list(A._size)}}}): expected a tensor with 2 or more dimensions of "
            "float, double, cfloat or cdouble types"
        )
    check_matrix("linalg.pinv", A)
    return _pinv(A, atol, rcond if rtol is None else rtol, hermitian)


@op()
def pinverse(input, rcond: float = 1e-15) -> Tensor:
    """`linalg.pinv` with a relative tolerance of 1e-15."""
    return pinv(input, rcond)


@op(namespace="linalg", method=False, out=True)
def matrix_rank(A, tol=None, hermitian: bool = False, *, atol=None, rtol=None) -> Tensor:
    """int64: how many singular values exceed max(atol, rtol S_max); `tol` is an atol that sets rtol to 0."""
    check_matrix("torch.linalg.matrix_rank", A, "input")
    if tol is not None:
        atol, rtol = tol, 0.0
    if 0 in A._size:
        return FUNCTIONS[""]["zeros"](A._size[:-2], dtype=_dtype.int64)
    a = A._nd()
    values = np.abs(_lapack.eigvalsh(a)) if hermitian else _lapack.svdvals(a)
    tolerance = _tolerance(A, values, atol, rtol)
    return from_array(np.asarray((values > np.asarray(tolerance)[..., None]).sum(-1), np.int64))


@op(namespace="linalg", method=False, out=True)
def cond(A, p=None) -> Tensor:
    """|A| |A^-1| in the norm p (2 unless told: S_max / S_min); inf for a singular matrix."""
    check_matrix("linalg.cond", A)
    if p is None or p == 2 or p == -2:
        values = svdvals(A)
        if values._size[-1] == 0:
            return FUNCTIONS[""]["zeros"](values._size[:-1], dtype=values._dtype)
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    if p not in ("fro", "nuc", math.inf, -math.inf, 1, -1):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    check_square("linalg.cond", A)
    norm = FUNCTIONS["linalg"]["matrix_norm"]
    if 0 in A._size[-2:]:
        return FUNCTIONS[""]["zeros"](A._size[:-2], dtype=A._dtype.to_real())
    inverse, info = FUNCTIONS["linalg"]["inv_ex"](A)
    result = norm(A, p) * norm(inverse, p)
    if info._nd().any():
        result = FUNCTIONS[""]["where"](info > 0, math.inf, result)
    return result
