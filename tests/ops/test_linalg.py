"""torch.linalg where results are unique only up to signs and phases, and what the op table cannot say."""

import numpy as np
import pytest

import numtorch as torch
from numtorch.autograd import gradcheck, gradgradcheck

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
WIDE = [torch.float64, torch.complex128]


def random(*shape, dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype.is_complex else 0)
    return torch.from_numpy(np.asarray(x)).to(dtype)


def close(a, b, dtype):
    tolerance = 2e-5 if dtype in (torch.float32, torch.complex64) else 1e-12
    assert a.dtype == b.dtype and a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def eye_like(q):
    return torch.eye(q.shape[-1], dtype=q.dtype).expand(*q.shape[:-2], q.shape[-1], q.shape[-1])


SHAPES = [(3, 3), (2, 5, 3), (2, 3, 5)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("full", [True, False])
def test_svd_gives_the_matrix_back_from_orthonormal_factors(dtype, shape, full):
    A = random(*shape, dtype=dtype)
    U, S, Vh = torch.linalg.svd(A, full_matrices=full)
    k = min(shape[-2:])
    close((U[..., :k] * S.unsqueeze(-2)) @ Vh[..., :k, :], A, dtype)
    close(U.mH @ U, eye_like(U), dtype)
    close(Vh @ Vh.mH, eye_like(Vh.mH), dtype)
    assert S.dtype == dtype.to_real() and bool((S[..., 1:] <= S[..., :-1]).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr_gives_the_matrix_back_from_orthonormal_and_triangular_factors(dtype, shape, mode):
    A = random(*shape, dtype=dtype)
    Q, R = torch.linalg.qr(A, mode)
    close(Q @ R, A, dtype)
    close(Q.mH @ Q, eye_like(Q), dtype)
    close(R.triu(), R, dtype)
    close(torch.linalg.qr(A, "r").R.abs(), torch.linalg.qr(A).R.abs(), dtype.to_real())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_householder_form_multiplies_out_to_q(dtype):
    A, other = random(2, 5, 3, dtype=dtype), random(2, 5, 5, dtype=dtype, seed=1)
    a, tau = torch.geqrf(A)
    Q, R = torch.linalg.qr(A, "complete")
    close(torch.linalg.householder_product(a, tau), Q[..., :3], dtype)
    close(a[..., :3, :].triu(), R[..., :3, :], dtype)
    close(torch.ormqr(a, tau, other), Q @ other, dtype)
    close(torch.ormqr(a, tau, other, transpose=True), Q.mH @ other, dtype)
    close(torch.ormqr(a, tau, other, left=False), other @ Q, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("uplo", ["L", "U"])
def test_eigh_diagonalises_and_reads_one_triangle(dtype, uplo):
    A = random(2, 4, 4, dtype=dtype)
    A = A + A.mH
    values, V = torch.linalg.eigh(A.tril() if uplo == "L" else A.triu(), uplo)
    close((V * values.unsqueeze(-2)) @ V.mH, A, dtype)
    close(torch.linalg.eigvalsh(A, uplo), values, dtype.to_real())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_eig_diagonalises(dtype):
    A = random(2, 4, 4, dtype=dtype)
    values, V = torch.linalg.eig(A)
    assert values.dtype == dtype.to_complex()
    close(A.to(V.dtype) @ V, V * values.unsqueeze(-2), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_multiplies_out_and_solves(dtype, upper):
    A = random(2, 4, 4, dtype=dtype)
    A = A @ A.mH + 4 * torch.eye(4, dtype=dtype)
    L = torch.linalg.cholesky(A, upper=upper)
    close(L.mH @ L if upper else L @ L.mH, A, dtype)
    B = random(2, 4, 2, dtype=dtype, seed=1)
    close(A @ torch.cholesky_solve(B, L, upper), B, dtype)
    close(A @ torch.cholesky_inverse(L, upper), eye_like(A), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lu_multiplies_out(dtype, shape):
    A = random(*shape, dtype=dtype)
    P, L, U = torch.linalg.lu(A)
    close(P @ L @ U, A, dtype)
    for a, b in zip(torch.lu_unpack(*torch.linalg.lu_factor(A)), (P, L, U), strict=True):
        close(a, b, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(dtype, left, adjoint):
    A, B = random(2, 4, 4, dtype=dtype), random(2, 4, 4, dtype=dtype, seed=1)
    X = torch.linalg.lu_solve(*torch.linalg.lu_factor(A), B, left=left, adjoint=adjoint)
    M = A.mH if adjoint else A
    close(M @ X if left else X @ M, B, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_lstsq_solves_the_normal_equations(dtype):
    A, B = random(2, 6, 3, dtype=dtype), random(2, 6, 2, dtype=dtype, seed=1)
    X, residuals, rank, values = torch.linalg.lstsq(A, B, driver="gelsd")
    close(A.mH @ A @ X, A.mH @ B, dtype)
    close(residuals, ((A @ X - B).abs() ** 2).sum(-2), dtype.to_real())
    assert rank.tolist() == [3, 3] and values.shape == (2, 3)
    assert torch.linalg.lstsq(A, B).residuals.shape == (0,)


def test_lstsq_of_a_wide_matrix_gives_the_shortest_solution():
    A, B = random(3, 5), random(3, seed=1)
    close(torch.linalg.lstsq(A, B).solution, torch.linalg.pinv(A) @ B, torch.float64)


def test_low_rank_svd_finds_a_matrix_of_low_rank():
    torch.manual_seed(0)
    A = random(20, 3) @ random(3, 30, seed=1)
    U, S, V = torch.svd_lowrank(A, q=5)
    close((U * S) @ V.mH, A, torch.float64)
    U, S, V = torch.pca_lowrank(A, q=5)
    close((U * S) @ V.mH, A - A.mean(0), torch.float64)


FUNCTIONS = {
    "svd": lambda A: [x.abs() for x in torch.linalg.svd(A, full_matrices=False)],
    "svd, product": lambda A: (lambda U, S, Vh: U @ Vh)(*torch.linalg.svd(A, full_matrices=False)),
    "qr": lambda A: [x.abs() for x in torch.linalg.qr(A)],
    "lu": lambda A: torch.linalg.lu(A)[1:],
    "pinv": lambda A: torch.linalg.pinv(A),
}
SQUARE = {
    "eigh": lambda A: [x.abs() for x in torch.linalg.eigh(A + A.mH)],
    "eig": lambda A: [x.abs() for x in torch.linalg.eig(A)],
    "cholesky": lambda A: torch.linalg.cholesky(A @ A.mH + torch.eye(A.shape[-1], dtype=A.dtype)),
    "slogdet": lambda A: list(torch.linalg.slogdet(A)),
    "det": lambda A: torch.linalg.det(A),
}


@pytest.mark.parametrize("dtype", WIDE, ids=str)
@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_factorizations(dtype, shape, name):
    A = random(*shape, dtype=dtype, seed=3).requires_grad_()

    def run(A):
        result = FUNCTIONS[name](A)
        return tuple(result) if isinstance(result, (list, tuple)) else result

    assert gradcheck(run, (A,)) and gradgradcheck(run, (A,), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("dtype", WIDE, ids=str)
@pytest.mark.parametrize("name", SQUARE)
def test_derivatives_of_functions_of_square_matrices(dtype, name):
    A = random(3, 3, dtype=dtype, seed=5).requires_grad_()

    def run(A):
        result = SQUARE[name](A)
        return tuple(result) if isinstance(result, list) else result

    assert gradcheck(run, (A,)) and gradgradcheck(run, (A,), rtol=1e-2, atol=1e-4)


def test_derivative_of_the_determinant_of_a_singular_matrix_is_its_cofactors():
    A = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    torch.linalg.det(A).backward()
    close(A.grad, torch.tensor([[4.0, -2.0], [-2.0, 1.0]], dtype=torch.float64), torch.float64)


def test_a_loss_of_the_phase_of_complex_singular_vectors_is_refused():
    A = random(3, 3, dtype=torch.complex128).requires_grad_()
    with pytest.raises(RuntimeError, match="depends on this phase term"):
        torch.linalg.svd(A)[0].imag.sum().backward()


MESSAGES = [
    ("cholesky", lambda: torch.linalg.cholesky(-torch.eye(2)), "the leading minor of order 1 is not positive-definite"),
    ("cholesky", lambda: torch.linalg.cholesky(torch.stack([torch.eye(2), -torch.eye(2)])), r"\(Batch element 1\)"),
    ("inv", lambda: torch.linalg.inv(torch.zeros(2, 2)), "The diagonal element 1 is zero, the inversion could not be"),
    ("solve", lambda: torch.linalg.solve(torch.zeros(2, 2), torch.ones(2)), "The solver failed because the input"),
    ("svd", lambda: torch.linalg.svd(torch.full((2, 2), np.nan)), "the input matrix contained non-finite values"),
]


@pytest.mark.parametrize(("name", "call", "message"), MESSAGES, ids=[f"{m[0]}-{i}" for i, m in enumerate(MESSAGES)])
def test_failures_are_linalg_errors(name, call, message):
    with pytest.raises(torch.linalg.LinAlgError, match=f"linalg.{name}: .*{message}") as caught:
        call()
    assert isinstance(caught.value, RuntimeError)


REFUSED = [
    (lambda: torch.linalg.eig(torch.full((2, 2), np.inf)), "input tensor should not contain infs or NaNs"),
    (lambda: torch.linalg.eigh(torch.eye(2), "X"), "Expected UPLO argument to be 'L' or 'U', but got X"),
    (lambda: torch.linalg.qr(torch.eye(2), "raw"), "qr received unrecognized mode 'raw'"),
    (lambda: torch.linalg.svd(torch.eye(2), driver="gesvd"), "only supported on CUDA"),
    (lambda: torch.linalg.inv(torch.ones(2, 2, dtype=torch.float16)), "Low precision dtypes not supported. Got Half"),
    (lambda: torch.linalg.lu_factor(torch.zeros(2, 2)), r"U\[1,1\] is zero and using it on lu_solve"),
    (lambda: torch.linalg.multi_dot([torch.eye(2)]), "expected at least 2 tensors but got 1"),
    (lambda: torch.linalg.cond(torch.eye(2), "abc"), "linalg.cond got an invalid norm type: abc"),
    (lambda: torch.linalg.cross(torch.ones(2), torch.ones(2)), "inputs dimension -1 must have length 3. Got 2 and 2"),
    (lambda: torch.linalg.lstsq(torch.ones(3, 2), torch.ones(2, 2)), r"input.size\(-2\) should match other.size"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_bad_arguments_are_refused_in_torchs_words(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_inv_ex_reports_the_pivot_and_inverts_the_others():
    A = torch.stack([torch.eye(2), torch.zeros(2, 2)])
    inverse, info = torch.linalg.inv_ex(A)
    assert info.tolist() == [0, 1] and info.dtype == torch.int32
    close(inverse[0], torch.eye(2), torch.float32)


def test_condition_number_of_a_singular_matrix_is_infinite():
    assert torch.linalg.cond(torch.ones(2, 2, dtype=torch.float64), 1).item() == float("inf")


@pytest.mark.parametrize("increasing", [False, True])
@pytest.mark.parametrize("n", [None, 0, 1, 2, 5])
def test_vander_is_numpys(n, increasing):
    for values in ([2.0, -1.0, 3.0], [4, 0], []):
        found = torch.vander(torch.tensor(values), n, increasing)
        expected = np.vander(np.array(values), n, increasing)
        assert tuple(found.shape) == expected.shape and found.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 3), (16, 16), (31, 32), (32, 31), (33, 33), (2, 7, 4)], ids=str)
def test_qr_has_the_signs_of_lapack_on_both_sides_of_the_size_at_which_it_takes_over(dtype, shape):
    A = random(*shape, dtype=dtype)
    Q, R = np.linalg.qr(A.numpy())
    found = torch.linalg.qr(A)
    close(found.Q, torch.from_numpy(Q), dtype)
    close(found.R, torch.from_numpy(R), dtype)


def test_qr_of_zero_columns_and_of_numbers_whose_squares_overflow():
    A = random(4, 4)
    A[1:, 0] = 0
    A[:, 2] = 0
    close(torch.linalg.qr(A).R, torch.from_numpy(np.linalg.qr(A.numpy()).R), torch.float64)
    Q, R = torch.linalg.qr(random(4, 4) * 1e200)
    close(Q @ (R / 1e200), random(4, 4), torch.float64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("n", [1, 15, 16, 17])
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_names_the_minor_at_fault_and_keeps_what_stands_before_it(dtype, n, upper):
    A = random(n, n, dtype=dtype)
    A = A @ A.mH + eye_like(A)
    bad = n - 1
    A[bad, bad] = -1
    L, info = torch.linalg.cholesky_ex(torch.stack([A, eye_like(A)]), upper=upper)
    L = L.mH if upper else L
    assert info.tolist() == [n, 0]
    close((L[0] @ L[0].mH)[:bad, :bad], A[:bad, :bad], dtype) if bad else None
    assert not L[0][bad:].any() and not L[0].triu(1).any()
    close(L[1], eye_like(A), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_alone_are_those_that_come_with_vectors(dtype):
    A = random(2, 4, 4, dtype=dtype)
    close(torch.linalg.svdvals(A), torch.linalg.svd(A).S, dtype.to_real())
    close(torch.linalg.eigvalsh(A), torch.linalg.eigh(A).eigenvalues, dtype.to_real())
    values, expected = torch.linalg.eigvals(A), torch.linalg.eig(A).eigenvalues
    order, other = np.lexsort((values.imag, values.real)), np.lexsort((expected.imag, expected.real))
    close(
        torch.from_numpy(np.take_along_axis(values.numpy(), order, -1)),
        torch.from_numpy(np.take_along_axis(expected.numpy(), other, -1)),
        dtype.to_complex(),
    )


def test_numpy_front_ends_serve_where_its_loops_have_other_names(monkeypatch):
    from numtorch import _lapack

    A, B = random(2, 4, 4), random(2, 4, 3)
    symmetric = A + A.mT
    calls = [
        lambda: torch.linalg.inv(A), lambda: torch.linalg.solve(A, B), lambda: torch.linalg.det(A),
        lambda: torch.linalg.slogdet(A).logabsdet, lambda: torch.linalg.svd(A).S, lambda: torch.linalg.svdvals(A),
        lambda: torch.linalg.eigh(symmetric).eigenvalues, lambda: torch.linalg.eigvalsh(symmetric),
        lambda: torch.linalg.eig(A).eigenvalues.abs().sum(), lambda: torch.linalg.eigvals(A).abs().sum(),
        lambda: torch.linalg.lstsq(A, B).solution,
    ]  # fmt: skip
    direct = [call() for call in calls]
    monkeypatch.setattr(_lapack, "_REFUSING", None)
    slower = [call() for call in calls]
    monkeypatch.setattr(_lapack, "_DIRECT", False)
    for call, first, second in zip(calls, direct, slower, strict=True):
        close(first, call(), first.dtype)
        close(second, first, first.dtype)
