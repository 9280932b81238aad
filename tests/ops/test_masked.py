"""torch.masked against numpy.ma."""

import numpy as np
import pytest

import numtorch as torch
from numtorch import masked

X = np.array([[1.5, -2.0, 3.0], [0.5, 4.0, -1.0]])
MASK = np.array([[True, False, True], [False, False, True]])
LEFT = np.ma.array(X, mask=~MASK)


def call(name, *args, **kwargs):
    return getattr(masked, name)(torch.from_numpy(X), *args, mask=torch.from_numpy(MASK), **kwargs)


@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("sum", lambda x, dim: x.sum(dim)),
        ("prod", lambda x, dim: x.prod(dim)),
        ("mean", lambda x, dim: x.mean(dim)),
        ("amax", lambda x, dim: x.max(dim)),
        ("amin", lambda x, dim: x.min(dim)),
        ("norm", lambda x, dim: np.ma.sqrt((x * x).sum(dim))),
        ("logsumexp", lambda x, dim: np.ma.log(np.ma.exp(x).sum(dim))),
    ],
)
def test_reductions_count_what_the_mask_selects(name, reference, dim):
    args = (2.0, dim) if name == "norm" else (dim,)
    expected, found = np.ma.asarray(reference(LEFT, dim)), call(name, *args).numpy()
    counted = ~np.ma.getmaskarray(expected)
    np.testing.assert_allclose(found[counted], expected.compressed(), rtol=1e-13)


def test_variance_of_what_counts():
    np.testing.assert_allclose(call("var").item(), LEFT.var(ddof=1), rtol=1e-13)
    np.testing.assert_allclose(call("std", correction=0).item(), LEFT.std(), rtol=1e-13)


def test_softmax_gives_nothing_to_what_is_left_out():
    found = call("softmax", 1).numpy()
    np.testing.assert_array_equal(found[~MASK], 0)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(call("log_softmax", 1).numpy()), found, rtol=1e-13)


def test_running_sums_and_places():
    np.testing.assert_allclose(call("cumsum", 1).numpy(), np.where(MASK, X, 0).cumsum(1))
    np.testing.assert_allclose(call("cumprod", 1).numpy(), np.where(MASK, X, 1).cumprod(1))
    assert call("argmax", 1, dtype=torch.int64).tolist() == [2, 2]
    assert call("argmin", 0, dtype=torch.int64).tolist()[2] == 1
    assert call("median", 1).tolist() == [1.5, -1.0]


def test_the_gradient_is_zero_where_the_mask_is_false():
    x = torch.from_numpy(X.copy()).requires_grad_()
    masked.mean(x, mask=torch.from_numpy(MASK)).backward()
    np.testing.assert_allclose(x.grad.numpy(), MASK / 3)


def test_refuses_a_mask_of_more_dimensions_and_the_mean_of_integers():
    with pytest.raises(IndexError, match="broadcastable mask"):
        masked.sum(torch.ones(2), mask=torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="Could not infer output dtype"):
        masked.mean(torch.ones(2, dtype=torch.int64))
