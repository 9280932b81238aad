"""Linear algebra that is not a factorization nor a solver: determinants, powers, exponentials, small products.

Also what the modules of this family share: the checks that name the argument, the way into numpy and back, and
`LinAlgError`. The arithmetic of factorizations is LAPACK's, through numpy.linalg, or `kernels/cpu/factorizations.py`.
"""

from __future__ import annotations

import math
from functools import lru_cache, reduce
from itertools import pairwise

import numpy as np

from numtorch.graph import mode as grad_mode
from numtorch.kernels.cpu.cross import cross_forward

from .. import _dtype, _lapack
from .._compiled import Compiled
from .._copy import cast
from .._dtype import COMPLEX, FLOATING, promote_types
from .._primitive import primitive
from .._registry import FUNCTIONS, op
from .._size import broadcast_sizes, wrap_dim
from .._tensor import Tensor, wrap
from ..return_types import named
from .positions import block_of
from .reducing import compute_dtype, elements, finished


class LinAlgError(RuntimeError):
    """A matrix that cannot be inverted, factorized or decomposed."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"
LinAlgError.__module__ = "torch._C"

_DTYPES = (_dtype.float32, _dtype.float64, _dtype.complex64, _dtype.complex128)

# -- checks, and the way into numpy and back --------------------------------------------------------------------------


def check_matrix(name: str, A: Tensor, argument: str = "A") -> None:
    """TypeError, RuntimeError: a tensor of at least two dimensions in a dtype that LAPACK has."""
    if not isinstance(A, Tensor):
        raise TypeError(
            f"{name.replace('.', '_')}(): argument '{argument}' (position 1) must be Tensor, not {type(A).__name__}"
        )
    if len(A._size) < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    check_dtype(name, A)


def check_dtype(name: str, A: Tensor) -> None:
    """RuntimeError unless A is float32, float64, complex64 or complex128."""
    if A._dtype not in _DTYPES:
        if A._dtype.category < FLOATING:
            kind = A._dtype.type_name
            raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {kind}")
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {A._dtype.type_name}")


def check_square(name: str, A: Tensor, argument: str = "A") -> None:
    """RuntimeError, TypeError: batches of square matrices."""
    check_matrix(name, A, argument)
    n, m = A._size[-2:]
    if n != m:
        raise RuntimeError(f"{name}: {argument} must be batches of square matrices, but they are {n} by {m} matrices")


def check_same_dtype(name: str, A: Tensor, B: Tensor, second: str = "B") -> None:
    """RuntimeError unless both have one dtype."""
    if A._dtype is not B._dtype:
        raise RuntimeError(
            f"{name}: Expected A and {second} to have the same dtype, but found A of type {A._dtype.type_name} and "
            f"{second} of type {B._dtype.type_name} instead"
        )


def from_array(x, dtype=None) -> Tensor:
    """A fresh tensor with the elements of a numpy array."""
    if x.__class__ is np.ndarray and dtype is not None and x.dtype == dtype.np and x.flags.c_contiguous:
        return wrap(x.ravel(), x.shape, dtype)
    x = np.ascontiguousarray(x) if np.ndim(x) else np.asarray(x)
    dtype = dtype or _dtype.from_numpy_dtype(x.dtype)
    return wrap(np.ascontiguousarray(x, dtype.np).reshape(-1), x.shape, dtype)


def broadcast_batches(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the same batch sizes, the last two dimensions untouched."""
    if A._size[:-2] == B._size[:-2]:
        return A, B
    batch = broadcast_sizes(A._size[:-2], B._size[:-2])
    return A.expand(*batch, *A._size[-2:]), B.expand(*batch, *B._size[-2:])


def batch_element(position: int, batched: bool) -> str:
    """How a message names the matrix at fault."""
    return f"(Batch element {position}): " if batched else ""


# -- determinants -----------------------------------------------------------------------------------------------------


def cofactors(A: np.ndarray) -> np.ndarray:
    """The matrices of cofactors C with det(A) = sum_j A_ij C_ij, singular ones included.

    A = U S Vh gives C = conj(det(U) det(Vh)) conj(U) diag(prod_{k != i} S_k) conj(Vh), unitary factors being their
    own cofactors up to a phase.
    """
    u, s, vh = _lapack.svd(A, True)
    n = s.shape[-1]
    others = np.stack([np.delete(s, i, -1).prod(-1) for i in range(n)], -1) if n else s
    phase = _lapack.det(u) * _lapack.det(vh)
    return phase[..., None, None] * (u.conj() * others[..., None, :]) @ vh.conj()


@primitive(node="LinalgDetBackward0", save=("A", "result"), namespace="linalg", method=False, out=True)
def det(A) -> Tensor:
    """The determinants of square matrices (*, n, n) -> (*)."""
    check_square("linalg.det", A)
    return from_array(_lapack.det(A._nd()), A._dtype)


def _det_backward(ctx, grad):
    A = ctx.A
    if not grad_mode.enabled:
        return grad.unsqueeze(-1).unsqueeze(-1) * from_array(cofactors(A._nd()).conj(), A._dtype)
    values = _lapack.svdvals(A._nd())
    eps = np.finfo(values.dtype).eps * max(1, A._size[-1])
    if (values[..., -1:] > eps * values[..., :1]).all():
        # d det = det tr(A^-1 dA), which is differentiable again where A is invertible.
        factor = (grad * ctx.result.conj()).unsqueeze(-1).unsqueeze(-1)
        return factor * FUNCTIONS["linalg"]["inv"](A).mH
    # `cofactors` in differentiable operators.
    U, S, Vh = FUNCTIONS["linalg"]["svd"](A)
    cat, stack = FUNCTIONS[""]["cat"], FUNCTIONS[""]["stack"]
    n = S._size[-1]
    others = stack([cat((S[..., :i], S[..., i + 1 :]), -1).prod(-1) for i in range(n)], -1)
    phase = (det(U) * det(Vh)).conj().unsqueeze(-1).unsqueeze(-1)
    return grad.unsqueeze(-1).unsqueeze(-1) * phase * (U * others.unsqueeze(-2)).matmul(Vh)


det.derivative(A=_det_backward)


@op("det")
def _det(input) -> Tensor:
    """`linalg.det` under its older name."""
    return det(input)


_slogdet_result = named("linalg_slogdet", "sign", "logabsdet")


@primitive(node="LinalgSlogdetBackward0", save=("A", "result0"), namespace="linalg", method=False, out=True)
def slogdet(A) -> tuple[Tensor, Tensor]:
    """(sign, log |det A|) of square matrices (*, n, n): a named tuple; sign 0 and -inf for a singular one."""
    check_square("linalg.slogdet", A)
    sign, logabs = _lapack.slogdet(A._nd())
    return _slogdet_result(from_array(sign, A._dtype), from_array(logabs, A._dtype.to_real()))


def _slogdet_backward(ctx, grad_sign, grad_logabs):
    A, sign = ctx.A, ctx.result0
    factor = grad_logabs
    if A._dtype.category == COMPLEX and grad_sign is not None:
        # The sign moves along the unit circle: d sign = i sign Im tr(A^-1 dA).
        turn = (grad_sign.conj() * sign).imag
        turn = FUNCTIONS[""]["complex"](FUNCTIONS[""]["zeros_like"](turn), -turn)
        factor = turn if factor is None else factor + turn
    if factor is None:
        return FUNCTIONS[""]["zeros_like"](A)
    return factor.unsqueeze(-1).unsqueeze(-1) * FUNCTIONS["linalg"]["inv"](A).mH


slogdet.derivative(A=_slogdet_backward)
_old_slogdet_result = named("slogdet", "sign", "logabsdet")


@op("slogdet")
def _slogdet(input) -> tuple[Tensor, Tensor]:
    """`linalg.slogdet` under its older name."""
    return _old_slogdet_result(*slogdet(input))


@op()
def logdet(input) -> Tensor:
    """log det A for matrices (*, n, n); nan for a negative determinant, -inf for 0."""
    check_square("logdet", input)
    sign, logabs = slogdet(input)
    if input._dtype.category == COMPLEX:
        return sign.log() + logabs
    return FUNCTIONS[""]["where"](sign == -1, math.nan, logabs)


# -- powers and exponentials ------------------------------------------------------------------------------------------


@op("matrix_power", namespace="linalg", method=False, out=True)
def linalg_matrix_power(A, n: int) -> Tensor:
    """A^n for square matrices by repeated squaring; a negative n inverts first. LinAlgError for a singular one."""
    check_square("linalg.matrix_power", A)
    if n == 0:
        eye = FUNCTIONS[""]["eye"](A._size[-1], dtype=A._dtype, device=A._device)
        return eye.expand(A._size).clone()
    if n < 0:
        A, n = FUNCTIONS["linalg"]["inv"](A), -n
    result = None
    while n:
        if n & 1:
            result = A if result is None else result.matmul(A)
        n >>= 1
        if n:
            A = A.matmul(A)
    return result.clone() if result is A else result


@op(out=True)
def matrix_power(input, n: int) -> Tensor:
    """`linalg.matrix_power`."""
    return linalg_matrix_power(input, n)


# exp(A) by the Pade approximant of order 13, exact to the last digit for a 1-norm up to this (Higham 2005).
_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
_PADE_NORM = 5.371920351148152


def expm(A: np.ndarray) -> np.ndarray:
    """The exponentials of square matrices, by scaling, a Pade approximant and squaring; float32 works in float64."""
    wide = A.astype(np.result_type(A.dtype, np.float64))
    n = A.shape[-1]
    flat = wide.reshape(math.prod(A.shape[:-2]), n, n)
    result = np.empty_like(flat)
    for i, x in enumerate(flat):
        norm = np.abs(x).sum(0).max(initial=0.0)
        if not np.isfinite(norm):
            result[i] = np.nan
            continue
        squarings = max(0, math.ceil(math.log2(norm / _PADE_NORM))) if norm else 0
        result[i] = _pade(x / 2.0**squarings)
        for _ in range(squarings):
            result[i] = result[i] @ result[i]
    return result.reshape(A.shape).astype(A.dtype)


def _pade(x):
    b = _PADE
    one = np.eye(len(x), dtype=x.dtype)
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = x @ (x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * one)
    even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * one
    return np.linalg.solve(even - odd, even + odd)


@primitive(node="LinalgMatrixExpBackward0", save=("A",), namespace="linalg", method=False)
def matrix_exp(A) -> Tensor:
    """exp(A) = sum_k A^k / k! for square matrices (*, n, n)."""
    check_square("linalg.matrix_exp", A)
    return from_array(expm(A._nd()), A._dtype)


def _matrix_exp_backward(ctx, grad):
    # The adjoint of the derivative at A in direction G is the upper right block of exp([[A^H, G], [0, A^H]]).
    adjoint, cat = ctx.A.mH, FUNCTIONS[""]["cat"]
    n = adjoint._size[-1]
    upper = cat((adjoint, grad), -1)
    lower = cat((FUNCTIONS[""]["zeros_like"](adjoint), adjoint), -1)
    return matrix_exp(cat((upper, lower), -2))[..., :n, n:]


matrix_exp.derivative(A=_matrix_exp_backward)


@op("matrix_exp")
def _matrix_exp(input) -> Tensor:
    """`linalg.matrix_exp` under its older name."""
    return matrix_exp(input)


# -- products ---------------------------------------------------------------------------------------------------------


@op(namespace="linalg", method=False, out=True)
def multi_dot(tensors) -> Tensor:
    """The product of two or more matrices (first and last may be vectors), in the order of fewest multiplications."""
    tensors = list(tensors)
    if len(tensors) == 2 and len(tensors[0]._size) == len(tensors[1]._size) == 2:
        first, second = tensors
        if first._dtype is second._dtype and first._size[1] == second._size[0]:
            return first.mm(second)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    for position, t in enumerate(tensors):
        allowed = (1, 2) if position in (0, len(tensors) - 1) else (2,)
        if len(t._size) not in allowed:
            which = "1D or 2D" if len(allowed) == 2 else "2D"
            raise RuntimeError(f"multi_dot(): tensor {position} must be {which} but got {t.dim()}D")
        if t._dtype is not tensors[0]._dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is {tensors[0]._dtype} and "
                f"tensor {position} {t._dtype}"
            )
    first_vector, last_vector = len(tensors[0]._size) == 1, len(tensors[-1]._size) == 1
    if first_vector and _fits(tensors) and not (grad_mode.enabled and any(t._requires_grad for t in tensors)):
        # From the vector on is the order of fewest multiplications.
        return reduce(Tensor.matmul, tensors)
    if first_vector:
        tensors[0] = tensors[0].unsqueeze(0)
    if last_vector:
        tensors[-1] = tensors[-1].unsqueeze(-1)
    for position in range(len(tensors) - 1):
        left, right = tensors[position]._size, tensors[position + 1]._size
        if left[1] != right[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {position} and {position + 1} with shapes {list(left)} and {list(right)} "
                "cannot be multiplied"
            )
    result = _product(tensors, _splits((*[t._size[0] for t in tensors], tensors[-1]._size[1])), 0, len(tensors) - 1)
    if first_vector:
        result = result.squeeze(0)
    return result.squeeze(-1) if last_vector else result


def _fits(tensors) -> bool:
    """Whether each of the tensors can be multiplied by the next one."""
    return all(a._size[-1] == b._size[0] for a, b in pairwise(tensors))


@lru_cache(maxsize=256)
def _splits(sizes):
    """Where to split each run of matrices i..j so that the product costs the fewest multiplications."""
    count = len(sizes) - 1
    cost = [[0] * count for _ in range(count)]
    split = [[0] * count for _ in range(count)]
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = [(cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i][j], split[i][j] = min(options)
    return split


def _product(tensors, splits, i, j):
    if i == j:
        return tensors[i]
    k = splits[i][j]
    return _product(tensors, splits, i, k).mm(_product(tensors, splits, k + 1, j))


@op("cross", namespace="linalg", method=False, out=True)
def linalg_cross(input, other, *, dim: int = -1) -> Tensor:
    """The cross product along a dimension of size 3; the others broadcast."""
    if len(input._size) != len(other._size):
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    d = wrap_dim(dim, len(input._size))
    if input._size[d] != 3 or other._size[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input._size[d]} and {other._size[d]}"
        )
    if input._size != other._size:
        size = broadcast_sizes(input._size, other._size)
        input, other = input.expand(size), other.expand(size)
    return _cross(input, other, d)


_cross_forward = Compiled(cross_forward, "xxnnx")


@primitive(node="LinalgCrossBackward0", save=("a", "b"), public=False)
def _cross(a, b, dim):
    """a x b for tensors of one size, 3 along `dim`."""
    d = a._dtype if a._dtype is b._dtype else promote_types(a._dtype, b._dtype)
    x, y = elements(cast(a, d)), elements(cast(b, d))
    out = np.empty(x.size, x.dtype)
    _, outer, _, inner = block_of(a._size, dim)
    _cross_forward[x.dtype](x, y, outer, inner, out)
    return finished(out, a._size, compute_dtype(d), d)


_cross.derivative(
    a=lambda ctx, grad: _cross(ctx.b.conj(), grad, ctx.dim), b=lambda ctx, grad: _cross(grad, ctx.a.conj(), ctx.dim)
)


@op(out=True)
def cross(input, other, dim: int | None = None) -> Tensor:
    """`linalg.cross` along `dim`, the first dimension of size 3 unless told."""
    if dim is None:
        found = [i for i, n in enumerate(input._size) if n == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    return linalg_cross(input, other, dim=dim)


@op(namespace="linalg", method=False, out=True)
def vecdot(x, y, *, dim: int = -1) -> Tensor:
    """sum(conj(x) y) along a dimension; the others broadcast."""
    check_dtype("linalg.vecdot", x)
    check_dtype("linalg.vecdot", y)
    if x._dtype is not y._dtype:
        raise RuntimeError(
            f"linalg.vecdot: Expected x and y to have the same dtype, but found x of type {x._dtype.type_name} and y of "
            f"type {y._dtype.type_name} instead"
        )
    if len(x._size) == len(y._size) == 1 and x._size != y._size:
        (n,), (m,) = x._size, y._size
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{n}] and src [{m}] to have the same number of elements, "
            f"but got {n} and {m} elements respectively"
        )
    return (x.conj() * y).sum(dim)


@op(namespace="linalg", method=False)
def diagonal(A, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of the diagonals of the last two dimensions."""
    return A.diagonal(offset, dim1, dim2)


@op("matmul", namespace="linalg", method=False, out=True)
def linalg_matmul(input, other) -> Tensor:
    """`matmul`."""
    return input.matmul(other)


@op(namespace="linalg", method=False)
def vander(x, *, N: int | None = None) -> Tensor:
    """Rows 1, x, x^2, ... x^(N-1) for each element of the last dimension."""
    if x._dtype.category < _dtype.INTEGRAL:
        raise RuntimeError("linalg.vander: bool input is not supported")
    x = x.unsqueeze(0) if not x._size else x
    n = x._size[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    ones = FUNCTIONS[""]["ones_like"](x).unsqueeze(-1)
    powers = x.unsqueeze(-1).expand(*x._size, n - 1).cumprod(-1)
    return FUNCTIONS[""]["cat"]((ones.to(powers._dtype), powers), -1)


@op("vander", method=False)
def vandermonde(x, N: int | None = None, increasing: bool = False) -> Tensor:
    """Rows x^(N-1), ... x, 1 for each element of a vector, or the other way round."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x._size[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    if x._dtype.category < _dtype.INTEGRAL:
        x = x.long()
    powers = vander(x, N=max(n, 2))[:, :n]
    return powers.contiguous() if increasing else powers.flip(1)
