"""LDL factorizations: what they solve, what they refuse."""

import numpy as np
import pytest

import numtorch as torch

pytest.importorskip("scipy")


def matrices(dtype, *shape, hermitian=False):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    turned = np.swapaxes(x, -1, -2)
    return torch.from_numpy((x + (turned.conj() if hermitian else turned)).astype(dtype))


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3), (0, 2, 2), (0, 0)])
def test_solves_with_the_factorization(dtype, shape, hermitian):
    A = matrices(dtype, *shape, hermitian=hermitian)
    B = torch.ones(*shape[:-1], 2, dtype=A.dtype)
    LD, pivots = torch.linalg.ldl_factor(A, hermitian=hermitian)
    assert pivots.dtype == torch.int32 and not torch.triu(LD, 1).any()
    X = torch.linalg.ldl_solve(LD, pivots, B, hermitian=hermitian)
    assert X.shape == B.shape and torch.allclose(A @ X, B)


def test_names_the_singular_matrix_of_a_batch():
    A = torch.stack([torch.eye(2), torch.zeros(2, 2)])
    assert torch.linalg.ldl_factor_ex(A)[2].tolist()[0] == 0
    with pytest.raises(torch.linalg.LinAlgError, match="Batch element 1"):
        torch.linalg.ldl_factor(A)
