"""The dropout family: torch's masks for a seed, scale, gradients, whole channels."""

import pytest

import numtorch as torch
from numtorch.ops import dropout as F


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_kept_elements_are_scaled_and_the_gradient_is_the_noise():
    x = torch.ones(1000, requires_grad=True)
    y = F.dropout(x, 0.75)
    assert set(y.tolist()) == {0.0, 4.0} and 150 < (y != 0).sum().item() < 350
    assert y.grad_fn.name() == "MulBackward0"
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()


def test_the_noise_is_bernoulli_of_the_kept_share():
    y = F.dropout(torch.ones(64), 0.3)
    torch.manual_seed(0)
    assert (y != 0).tolist() == torch.empty(64).bernoulli_(0.7).bool().tolist()


@pytest.mark.parametrize("fn", [F.dropout, F.alpha_dropout, F.feature_alpha_dropout, F.dropout1d, F.dropout3d])
def test_nothing_happens_in_evaluation_or_at_p_zero(fn):
    x = torch.ones(2, 3, 4, 5, 6) if fn is F.dropout3d else torch.ones(2, 3, 4)
    assert fn(x, 0.5, False) is x and fn(x, 0.0, True) is x


@pytest.mark.parametrize(
    "fn, shape", [(F.dropout1d, (9, 8, 5)), (F.dropout2d, (9, 8, 5, 2)), (F.dropout3d, (9, 8, 5, 2, 2))]
)
def test_whole_channels_are_dropped(fn, shape):
    channels = fn(torch.ones(shape), 0.5).flatten(2)
    assert ((channels == 0).all(2) | (channels == 2).all(2)).all()
    assert 0 < (channels == 0).sum().item() < channels.numel()


def test_channels_of_an_unbatched_input():
    y = F.dropout1d(torch.ones(50, 4), 0.5)
    assert y.shape == (50, 4) and set(y.sum(1).tolist()) == {0.0, 8.0}


def test_in_place():
    x = torch.ones(100)
    assert F.dropout(x, 0.5, True, True) is x and 0.0 in x.tolist()


def test_alpha_dropout_keeps_mean_and_variance():
    y = F.alpha_dropout(torch.randn(50000), 0.3, True)
    assert abs(y.mean().item()) < 0.03 and abs(y.std().item() - 1) < 0.03


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype):
    y = F.dropout(torch.ones(8, dtype=dtype), 0.5)
    assert y.dtype is dtype and set(y.tolist()) <= {0.0, 2.0}


def test_errors():
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1, but got 1.5"):
        F.dropout(torch.ones(2), 1.5)
    with pytest.raises(RuntimeError, match="dropout probability has to be between 0 and 1, but got 2"):
        torch.dropout(torch.ones(2), 2.0, True)
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        F.dropout(torch.arange(3))
    with pytest.raises(RuntimeError, match="dropout1d: Expected 2D or 3D input"):
        F.dropout1d(torch.ones(2))
