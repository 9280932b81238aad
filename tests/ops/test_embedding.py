"""Embedding gradients: padding, frequency, double backward; renormalisation in place."""

import pytest

import numtorch as torch
from numtorch.autograd import gradcheck, gradgradcheck
from numtorch.ops.embedding import embedding, embedding_bag

INDEX = torch.tensor([[0, 2, 2], [3, 2, 0]])


def table():
    return torch.arange(12, dtype=torch.float64).reshape(4, 3).sin().requires_grad_()


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}])
def test_derivatives(options):
    assert gradcheck(lambda w: embedding(INDEX, w, **options), [table()])
    assert gradgradcheck(lambda w: embedding(INDEX, w, **options), [table()])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_derivatives_of_bags(mode):
    offsets = torch.tensor([0, 2, 2, 5])
    assert gradcheck(lambda w: embedding_bag(INDEX, w, mode=mode), [table()])
    assert gradcheck(lambda w: embedding_bag(INDEX.reshape(-1), w, offsets, mode=mode), [table()])


def test_derivatives_by_the_weights_of_samples():
    weights = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda w, s: embedding_bag(INDEX, w, mode="sum", per_sample_weights=s), [table(), weights])


def test_the_padding_row_gets_no_gradient():
    w = table()
    embedding(INDEX, w, padding_idx=2).sum().backward()
    assert w.grad.tolist() == [[2, 2, 2], [0, 0, 0], [0, 0, 0], [1, 1, 1]]
    w = table()
    embedding_bag(INDEX, w, mode="sum", padding_idx=-2).sum().backward()
    assert w.grad.tolist() == [[2, 2, 2], [0, 0, 0], [0, 0, 0], [1, 1, 1]]


def test_gradients_scaled_by_frequency():
    w = table()
    embedding(INDEX, w, scale_grad_by_freq=True).sum().backward()
    assert w.grad[:, 0].tolist() == pytest.approx([1, 0, 1, 1], rel=1e-14)


def test_long_rows_are_renormalised_in_place():
    w = torch.tensor([[3.0, 4], [0.3, 0.4], [6, 8]])
    version = w._version
    out = embedding(torch.tensor([0, 1]), w, max_norm=1.0)
    assert w._version > version and w[2].tolist() == [6, 8]
    assert w[0].tolist() == pytest.approx([0.6, 0.8], rel=1e-6)
    assert out[0].tolist() == w[0].tolist() and out[1].tolist() == [pytest.approx(0.3), pytest.approx(0.4)]


def test_sparse_gradients_are_refused_when_they_are_needed():
    out = embedding(INDEX, table(), sparse=True)
    with pytest.raises(NotImplementedError, match="sparse gradients are not implemented"):
        out.sum().backward()


def test_nodes():
    assert embedding(INDEX, table()).grad_fn.name() == "EmbeddingBackward0"
    assert embedding_bag(INDEX, table()).grad_fn.name() == "EmbeddingBagBackward0"
