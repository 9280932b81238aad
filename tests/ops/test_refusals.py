"""Calls that must be refused before anything is read or written: sizes, indices and pivots that do not fit."""

import pytest

import numtorch as torch
from numtorch import linalg
from numtorch.nn import functional as F


def ones(*size, dtype=None):
    return torch.ones(*size, dtype=dtype)


def ints(*values):
    return torch.tensor(values, dtype=torch.int32)


REFUSED = {
    "as_strided: a negative size": (RuntimeError, lambda: ones(9).as_strided((2, -1), (1, 1))),
    "conv1d: a kernel of size 0": (RuntimeError, lambda: F.conv1d(ones(1, 2, 3), ones(3, 2, 0))),
    "conv3d: a kernel of size 0": (RuntimeError, lambda: F.conv3d(ones(1, 2, 3, 3, 3), ones(3, 2, 1, 0, 1))),
    "conv_transpose2d: no channels": (RuntimeError, lambda: F.conv_transpose2d(ones(1, 2, 3, 3), ones(2, 0, 1, 1))),
    "adaptive_max_pool2d: no channels": (RuntimeError, lambda: F.adaptive_max_pool2d(ones(2, 0, 4, 4), 2)),
    "fractional_max_pool2d: samples for fewer images": (
        RuntimeError,
        lambda: F.fractional_max_pool2d(ones(2, 3, 9, 9), 2, output_size=3, _random_samples=ones(1, 3, 2)),
    ),
    "fractional_max_pool2d: samples for fewer channels": (
        RuntimeError,
        lambda: F.fractional_max_pool2d(ones(2, 3, 9, 9), 2, output_size=3, _random_samples=ones(2, 2, 2)),
    ),
    "fractional_max_pool3d: samples for two dimensions": (
        RuntimeError,
        lambda: F.fractional_max_pool3d(ones(2, 3, 9, 9, 9), 2, output_size=3, _random_samples=ones(2, 3, 2)),
    ),
    "fractional_max_pool2d: samples of another dtype": (
        RuntimeError,
        lambda: F.fractional_max_pool2d(ones(1, 1, 9, 9), 2, output_size=3, _random_samples=ones(1, 1, 2).double()),
    ),
    "ormqr: tau of two dimensions": (RuntimeError, lambda: torch.ormqr(torch.eye(4), ones(2, 4), ones(4, 4))),
    "ormqr: tau of none": (IndexError, lambda: torch.ormqr(torch.eye(4), ones(()), ones(4, 4))),
    "ormqr: a tau that is too short": (RuntimeError, lambda: torch.ormqr(torch.eye(3), ones(2), ones(3, 2))),
    "ormqr: a vector": (RuntimeError, lambda: torch.ormqr(torch.eye(4, 2), ones(2), ones(4), left=False)),
    "ormqr: rows that do not fit": (RuntimeError, lambda: torch.ormqr(ones(4, 0), ones(0), ones(4, 3), left=False)),
    "ormqr: two dtypes": (RuntimeError, lambda: torch.ormqr(torch.eye(3), ones(3).double(), ones(3, 2))),
    "ormqr: other batches": (RuntimeError, lambda: torch.ormqr(ones(2, 3, 3), ones(2, 3), ones(3, 3, 2))),
    "scatter_reduce: the largest complex number": (
        NotImplementedError,
        lambda: ones(3).to(torch.complex64).scatter_reduce(0, torch.tensor([0]), ones(1).to(torch.complex64), "amax"),
    ),
    "index_reduce: complex numbers": (
        NotImplementedError,
        lambda: ones(3).to(torch.complex64).index_reduce(0, torch.tensor([0]), ones(1).to(torch.complex64), "prod"),
    ),
    "householder_product: two dtypes": (
        RuntimeError,
        lambda: linalg.householder_product(torch.eye(3), ones(3).double()),
    ),
    "avg_pool3d: windows larger than the image": (RuntimeError, lambda: F.avg_pool3d(ones(1, 1, 3, 3, 3), 4, 1, 1)),
    "adaptive_avg_pool3d: no channels": (RuntimeError, lambda: F.adaptive_avg_pool3d(ones(2, 0, 4, 4, 4), 2)),
    "householder_product: tau of two dimensions": (
        RuntimeError,
        lambda: linalg.householder_product(torch.eye(4), ones(1, 4)),
    ),
    "lu_solve: pivot 0": (RuntimeError, lambda: linalg.lu_solve(torch.eye(3), ints(1, 0, 3), ones(3, 1))),
    "lu_solve: a pivot behind the last row": (
        RuntimeError,
        lambda: linalg.lu_solve(torch.eye(3), ints(1, 2, 4), ones(3, 1)),
    ),
    "lu_unpack: a pivot below 0": (RuntimeError, lambda: torch.lu_unpack(torch.eye(3), ints(1, -2, 3))),
    "ldl_solve: a pivot behind the last row": (
        RuntimeError,
        lambda: linalg.ldl_solve(torch.eye(3), ints(1, 2, 1000), ones(3, 1)),
    ),
    "ldl_solve: half of a block": (RuntimeError, lambda: linalg.ldl_solve(torch.eye(3), ints(1, 2, -3), ones(3, 1))),
    "ldl_solve: too few pivots": (RuntimeError, lambda: linalg.ldl_solve(torch.eye(3), ints(1, 2), ones(3, 1))),
    "ldl_solve: pivots that are no integers": (
        RuntimeError,
        lambda: linalg.ldl_solve(torch.eye(3), ones(3), ones(3, 1)),
    ),
    "vecdot: two dtypes": (RuntimeError, lambda: linalg.vecdot(ones(3), ones(3).double())),
    "svd: an infinite element": (linalg.LinAlgError, lambda: linalg.svd(torch.full((4, 4), float("inf")))),
    "svdvals: one infinite element": (
        linalg.LinAlgError,
        lambda: linalg.svdvals(torch.eye(4).masked_fill(torch.eye(4) == 1, float("-inf"))),
    ),
    "narrow: a start of one dimension": (RuntimeError, lambda: ones(3).narrow(0, torch.tensor([1]), 1)),
    "sum: a dim that is no integer": (TypeError, lambda: ones(3).sum(0.5)),
    "huber_loss: delta nan": (RuntimeError, lambda: F.huber_loss(ones(3), ones(3), delta=float("nan"))),
    "soft_margin_loss: a target that is larger": (RuntimeError, lambda: F.soft_margin_loss(ones(3), ones(2, 3))),
    "soft_margin_loss: integers": (
        RuntimeError,
        lambda: F.soft_margin_loss(ones(3, dtype=torch.int64), ones(3)),
    ),
    "empty_strided: a negative stride": (RuntimeError, lambda: torch.empty_strided((2, 2), (-1, 1))),
    "new_empty_strided: a negative size": (RuntimeError, lambda: ones(3).new_empty_strided((2, -2), (1, 1))),
    "resize_: a negative size": (RuntimeError, lambda: ones(3).resize_(1, -2)),
    "set_: an offset below 0": (RuntimeError, lambda: ones(1).set_(ones(6), -1, (2,), (1,))),
    "set_: fewer strides than sizes": (RuntimeError, lambda: ones(1).set_(ones(6), 0, (2, 2), (1,))),
    "set_: a leaf": (RuntimeError, lambda: torch.ones(2, requires_grad=True).set_(ones(6))),
    "t_: a view of a leaf": (RuntimeError, lambda: torch.ones(2, 2, requires_grad=True)[:].t_()),
    "addr: beta True of floats": (RuntimeError, lambda: torch.addr(ones(2, 2), ones(2), ones(2), beta=True)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    error, call = REFUSED[name]
    with pytest.raises(error):
        call()


def test_storages_grow_for_set_():
    x = ones(1).set_(ones(6), 5, (2, 2), (3, 1))
    assert x.storage_offset() == 5 and x.untyped_storage().nbytes() == 4 * 10 and x[0, 0] == 1.0


def test_vecdot_broadcasts_what_is_no_vector():
    assert linalg.vecdot(ones(3, 1), ones(1, 4)).tolist() == [4.0] * 3


def test_losses_of_two_dtypes_keep_the_inputs():
    for loss in (F.huber_loss, F.soft_margin_loss):
        assert loss(ones(3), ones(3).double()).dtype is torch.float32


def test_products_times_zero_ignore_nan():
    nan = torch.full((2, 2), float("nan"))
    assert torch.addmm(ones(2, 2), nan, nan, alpha=0).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert torch.addmv(ones(2), nan, ones(2), alpha=0, beta=0).tolist() == [0.0, 0.0]
    assert torch.addbmm(ones(2, 2), nan[None], nan[None], alpha=0).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert ones(2, 2).addmm_(nan, nan, alpha=0).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert ones(2, 2).requires_grad_().addmm(nan, nan, alpha=0).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_addr_of_mixed_dtypes_scales_in_the_common_one():
    ring = torch.tensor([True, False])
    result = torch.addr(ring, ring, torch.tensor([2, 3]), beta=3, alpha=2)
    assert result.dtype is torch.int64 and result.tolist() == [[7, 6], [3, 0]]


def test_mT_of_a_tensor_without_dimensions_is_the_tensor():
    assert ones(()).mT.item() == ones(()).T.item() == ones(()).mH.item() == 1.0
    with pytest.raises(RuntimeError):
        ones(3).mT  # noqa: B018


@pytest.mark.parametrize(("reduce", "expected"), [("sum", [8j, 2j]), ("prod", [-12j, 2j]), ("mean", [8j / 3, 2j])])
def test_complex_numbers_are_reduced_at_an_index(reduce, expected):
    x, src = torch.tensor([1j, 2j], dtype=torch.complex128), torch.tensor([3j, 4j], dtype=torch.complex128)
    result = x.scatter_reduce(0, torch.tensor([0, 0]), src, reduce)
    assert [abs(r - e) < 1e-12 for r, e in zip(result.tolist(), expected, strict=True)] == [True, True]


def test_negative_integers_wrap_in_bytes_and_no_further():
    bytes_ = torch.zeros(3, dtype=torch.uint8)
    bytes_[1:] = -1
    assert bytes_.tolist() == [0, 255, 255] and torch.full((2,), -255, dtype=torch.uint8).tolist() == [1, 1]
    for value in (-256, -1.0, 256):
        with pytest.raises(RuntimeError):
            bytes_.fill_(value)


def test_tensors_without_dimensions_are_scattered_and_moved():
    one, zero = torch.tensor(1.0), torch.tensor([0])
    assert one.scatter_add(0, zero, torch.tensor(5.0)).item() == 6.0
    assert one.scatter(0, zero, torch.tensor(5.0)).item() == 5.0
    assert one.movedim(0, -1).item() == 1.0
    assert torch.tensor(1 + 2j).H.item() == 1 - 2j


def test_polynomials_of_no_order_end():
    for n in (float("inf"), float("nan"), 1e30):
        assert torch.special.chebyshev_polynomial_t(torch.tensor(2.0), torch.tensor(n)).item() == 0.0
        assert torch.special.laguerre_polynomial_l(torch.tensor(2.0), torch.tensor(n)).item() == 0.0


def test_gradients_of_logaddexp_at_infinity():
    x, y = torch.tensor(1.0, requires_grad=True), torch.tensor(float("inf"), requires_grad=True)
    torch.logaddexp(x, y).backward()
    assert (x.grad.item(), y.grad.item()) == (0.0, 1.0)


def test_complex_infinities_and_zeros():
    inf = float("inf")
    assert torch.cumsum(torch.tensor([complex(inf, 0), 1]), 0).imag.tolist() == [0.0, 0.0]
    zero = torch.zeros(2, dtype=torch.complex64)
    assert torch.pow(zero, torch.tensor([1 + 1j, 2 - 1j])).tolist() == [0j, 0j]
    zero.requires_grad_()
    zero.angle().sum().backward()
    assert zero.grad.tolist() == [0j, 0j]


@pytest.mark.parametrize("reduce", ["add", "multiply"])
def test_scatter_with_a_reduction_refuses_to_be_differentiated(reduce):
    x, index = torch.ones(3, 4, requires_grad=True), torch.zeros(2, 4, dtype=torch.int64)
    for result in (x.scatter(0, index, 2.0, reduce=reduce), x.clone().scatter_(0, index, 2.0, reduce=reduce)):
        with pytest.raises(RuntimeError, match="derivative for aten::scatter is not implemented"):
            result.sum().backward()
    assert not x.detach().scatter(0, index, 2.0, reduce=reduce).requires_grad


@pytest.mark.parametrize(
    ("of", "unique"),
    [
        ("_unique2", lambda x: x.unique()),
        ("unique_consecutive", lambda x: x.unique_consecutive()),
        ("unique_consecutive", lambda x: x.unique_consecutive(return_counts=True)[0]),
        ("unique_dim", lambda x: x.unique(dim=0)),
        ("unique_consecutive", lambda x: x.unique_consecutive(dim=1)),
    ],
)
def test_distinct_elements_refuse_to_be_differentiated(of, unique):
    x = torch.ones(3, 4, requires_grad=True)
    with pytest.raises(NotImplementedError, match=f"^the derivative for '{of}' is not implemented"):
        unique(x).sum().backward()
    assert not unique(x.detach()).requires_grad


def test_attention_names_the_dtypes_that_differ_as_torch_does():
    x = torch.zeros(1, 2, 2)
    with pytest.raises(RuntimeError, match="query.dtype: float key.dtype: double and value.dtype: long int instead"):
        torch.nn.functional.scaled_dot_product_attention(x, x.double(), x.long())
