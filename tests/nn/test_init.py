"""nn.init: moments, bounds and shapes of what is drawn, and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn
from numtorch.nn import init


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# the call on a (60, 50) matrix, the standard deviation of what it draws
DRAWS = [
    (lambda w: init.uniform_(w, -1, 1), 2 / math.sqrt(12)),
    (lambda w: init.normal_(w, 0.0, 0.3), 0.3),
    (lambda w: init.xavier_uniform_(w), math.sqrt(2 / 110)),
    (lambda w: init.xavier_normal_(w, gain=2.0), 2 * math.sqrt(2 / 110)),
    (lambda w: init.kaiming_uniform_(w, a=1), math.sqrt(1 / 50)),
    (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 60)),
]


@pytest.mark.parametrize("draw, std", DRAWS)
def test_draws_have_the_wanted_spread(draw, std):
    w = torch.empty(60, 50)
    assert draw(w) is w
    assert w.std().item() == pytest.approx(std, rel=0.05)


def test_truncated_normals_stay_inside():
    for a, b in ((-1.0, 1.0), (1.5, 2.0)):
        w = init.trunc_normal_(torch.empty(400), a=a, b=b)
        assert a <= w.min().item() and w.max().item() <= b


def test_orthogonal_rows_or_columns():
    for rows, cols in ((3, 5), (5, 3)):
        w = init.orthogonal_(torch.empty(rows, cols), gain=2.0).numpy()
        gram = w @ w.T if rows < cols else w.T @ w
        np.testing.assert_allclose(gram, 4 * np.eye(3), atol=1e-5)


def test_constants_eye_dirac_sparse():
    np.testing.assert_array_equal(init.eye_(torch.empty(2, 3)).numpy(), np.eye(2, 3, dtype="f"))
    conv = nn.Conv1d(3, 3, 3, padding=1, bias=False)
    init.dirac_(conv.weight)
    x = torch.randn(2, 3, 5)
    np.testing.assert_array_equal(conv(x).detach().numpy(), x.numpy())
    sparse = init.sparse_(torch.empty(10, 4), sparsity=0.35)
    assert ((sparse == 0).sum(0) == 4).all()
    assert init.ones_(torch.empty(2)).tolist() == [1, 1] and init.constant_(torch.empty(1), 7).item() == 7


@pytest.mark.parametrize(
    "name, gain",
    [("linear", 1), ("sigmoid", 1), ("tanh", 5 / 3), ("relu", math.sqrt(2)), ("selu", 0.75), ("conv2d", 1)],
)
def test_gains(name, gain):
    assert init.calculate_gain(name) == gain
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="Fan in and fan out can not be computed"):
        init.xavier_uniform_(torch.empty(3))
    with pytest.raises(ValueError, match="Unsupported nonlinearity nonsense"):
        init.calculate_gain("nonsense")
    with pytest.raises(ValueError, match="Mode sideways not supported"):
        init.kaiming_normal_(torch.empty(2, 2), mode="sideways")
    with pytest.warns(FutureWarning, match="`nn.init.xavier_uniform` is now deprecated"):
        init.xavier_uniform(torch.empty(2, 2))
