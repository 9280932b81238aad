"""Packed and padded sequences, recurrent layers over them, and attention."""

from __future__ import annotations

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn
from numtorch.nn.utils import rnn


def _sequences(*lengths):
    torch.manual_seed(2)
    return [torch.randn(n, 3) for n in lengths]


def test_packing_there_and_back():
    sequences = _sequences(2, 4, 1)
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    for a, b in zip(rnn.unpack_sequence(packed), sequences, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1.0, total_length=5)
    assert padded.shape == (3, 5, 3) and lengths.tolist() == [2, 4, 1]
    assert padded[0, 2:].unique().tolist() == [-1.0]


def test_padding_on_either_side():
    assert rnn.pad_sequence(_sequences(1, 2), padding_side="left")[0, 0].tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="`lengths` array must be sorted in decreasing order"):
        rnn.pack_padded_sequence(torch.ones(3, 2, 1), [1, 3])


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_a_packed_batch_gives_what_each_sequence_alone_gives(layer, options):
    net, sequences = layer(3, 4, **options), _sequences(2, 5, 3)
    packed, state = net(rnn.pack_sequence(sequences, enforce_sorted=False))
    hidden = state[0] if layer is nn.LSTM else state
    for i, (got, sequence) in enumerate(zip(rnn.unpack_sequence(packed), sequences, strict=True)):
        alone, last = net(sequence)
        np.testing.assert_allclose(got.detach().numpy(), alone.detach().numpy(), atol=1e-6)
        last = last[0] if layer is nn.LSTM else last
        np.testing.assert_allclose(hidden[:, i].detach().numpy(), last.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: nn.LSTM(0, 1), ValueError, "input_size must be greater than zero"),
        (lambda: nn.GRU(1, 1, proj_size=1), ValueError, "proj_size argument is only supported for LSTM"),
        (lambda: nn.RNN(1, 1, nonlinearity="x"), ValueError, "Unknown nonlinearity 'x'"),
        (lambda: nn.LSTM(3, 2)(torch.ones(2, 2, 5)), RuntimeError, "must be equal to input_size. Expected 3, got 5"),
        (lambda: nn.GRU(3, 2)(torch.ones(4)), ValueError, "GRU: Expected input to be 2D or 3D, got 1D"),
        (lambda: nn.LSTM(3, 2)(torch.ones(1, 1, 3).double()), ValueError, "does not match weight dtype"),
        (
            lambda: nn.GRU(3, 2)(torch.ones(1, 1, 3), torch.ones(1, 2, 2)),
            RuntimeError,
            "Expected hidden size (1, 1, 2)",
        ),
    ],
)
def test_wrong_recurrent_arguments(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


def test_causal_attention_does_not_look_ahead():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 5, 4) for _ in range(3))
    attend = nn.functional.scaled_dot_product_attention
    whole = attend(q, k, v, is_causal=True).numpy()
    start = attend(q[:, :3], k[:, :3], v[:, :3], is_causal=True).numpy()
    np.testing.assert_allclose(whole[:, :3], start, atol=1e-6)


def test_a_query_with_nothing_to_attend_to_is_zero_and_has_a_gradient():
    q, k, v = (torch.ones(1, 2, 3, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[True, True], [False, False]])
    out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert out[0, 1].tolist() == [0, 0, 0]
    out.sum().backward()
    assert bool(q.grad.isfinite().all())


def test_multihead_attention_averages_its_weights():
    torch.manual_seed(0)
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(3, 5, 8)
    out, weights = layer(x, x, x)
    assert out.shape == (3, 5, 8) and weights.shape == (3, 5, 5)
    np.testing.assert_allclose(weights.sum(-1).detach().numpy(), 1.0, rtol=1e-5)
    fast, none = layer(x, x, x, need_weights=False)
    assert none is None
    np.testing.assert_allclose(fast.detach().numpy(), out.detach().numpy(), atol=1e-6)
