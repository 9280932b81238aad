"""Frequencies, arguments and short-time transforms; the transforms themselves are in the op table."""

import numpy as np
import pytest

import numtorch as torch
from numtorch.autograd import gradcheck


def random(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def hann(n):
    return torch.from_numpy(np.sin(np.pi * np.arange(n) / n) ** 2)


def test_frequencies():
    np.testing.assert_allclose(torch.fft.fftfreq(5, 0.5).numpy(), np.fft.fftfreq(5, 0.5).astype("f4"))
    np.testing.assert_allclose(torch.fft.rfftfreq(6, dtype=torch.float64).numpy(), np.fft.rfftfreq(6))
    assert torch.fft.fftfreq(4).dtype == torch.float32


def test_integers_are_transformed_in_the_default_dtype():
    assert torch.fft.fft(torch.arange(4)).dtype == torch.complex64
    assert torch.fft.irfft(torch.arange(4)).dtype == torch.float32


REFUSED = [
    (lambda: torch.fft.fft(torch.ones(3), 0), RuntimeError, r"Invalid number of data points \(0\) specified"),
    (lambda: torch.fft.fft(torch.ones(3), norm="abc"), RuntimeError, 'Invalid normalization mode: "abc"'),
    (lambda: torch.fft.rfft(torch.ones(3, dtype=torch.complex64)), RuntimeError, "rfft expects a real input tensor"),
    (lambda: torch.fft.fftn(torch.ones(3, 3), dim=(0, 0)), RuntimeError, "FFT dims must be unique"),
    (lambda: torch.fft.fftn(torch.ones(3), s=(2, 2)), RuntimeError, "Got shape with 2 values but input tensor only"),
    (lambda: torch.fft.fft(torch.ones(3), dim=1), IndexError, "Dimension out of range"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_bad_arguments_are_refused_in_torchs_words(call, error, message):
    with pytest.raises(error, match=message):
        call()


def frames_by_hand(x, n, hop, window):
    """stft of one signal without padding, frame by frame."""
    starts = range(0, len(x) - n + 1, hop)
    return np.stack([np.fft.rfft(x[s : s + n] * window) for s in starts], -1)


def test_stft_is_the_transform_of_windowed_frames():
    x, window = random(40), hann(8)
    got = torch.stft(x, 8, 3, window=window, center=False, return_complex=True)
    np.testing.assert_allclose(got.numpy(), frames_by_hand(x.numpy(), 8, 3, window.numpy()), atol=1e-12)


def test_stft_centres_by_reflection_and_places_a_short_window_in_the_middle():
    x, window = random(2, 40), random(6).abs() + 0.1
    got = torch.stft(x, 8, 3, 6, window, normalized=True, return_complex=True)
    padded = np.pad(x.numpy(), ((0, 0), (4, 4)), "reflect")
    placed = np.concatenate([[0], window.numpy(), [0]])
    want = np.stack([frames_by_hand(row, 8, 3, placed) for row in padded]) / np.sqrt(8)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-12)


@pytest.mark.parametrize("onesided", [True, False])
def test_istft_inverts_stft(onesided):
    x, window = random(2, 60), hann(16)
    spectrum = torch.stft(x, 16, 4, window=window, onesided=onesided, return_complex=True)
    back = torch.istft(spectrum, 16, 4, window=window, onesided=onesided, length=60)
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-12)


def test_stft_has_derivatives():
    window = hann(4)
    x = random(10).requires_grad_()
    assert gradcheck(lambda x: torch.stft(x, 4, 2, window=window, return_complex=True), (x,))


def test_stft_of_a_real_signal_needs_return_complex():
    with pytest.raises(RuntimeError, match="stft requires the return_complex parameter be given for real inputs"):
        torch.stft(torch.ones(20), 4)
