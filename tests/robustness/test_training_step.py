"""A network trained for a few steps, with and without compiled kernels: every layer kind that the demo uses."""

from __future__ import annotations

import pytest

import numtorch as torch
from numtorch import nn

pytestmark = pytest.mark.nojit


def small_net():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(18, 8),
        nn.Tanh(),
        nn.Linear(8, 3),
    )


def test_a_convolutional_network_learns_its_labels():
    torch.manual_seed(0)
    model = small_net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x, y = torch.randn(6, 1, 6, 6), torch.tensor([0, 1, 2, 0, 1, 2])
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_recurrent_network_learns_a_sum():
    torch.manual_seed(0)
    rnn, head = nn.LSTM(1, 6), nn.Linear(6, 1)
    optimizer = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.2)
    x = torch.rand(4, 8, 1)
    target = x.sum(0)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = ((head(rnn(x)[0][-1]) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_gradients_agree_with_differences():
    torch.manual_seed(0)
    model = small_net().double()
    x = torch.randn(2, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: nn.functional.cross_entropy(model(x), torch.tensor([0, 2])), (x,))
