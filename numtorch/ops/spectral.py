"""Short-time Fourier transforms: stft and istft."""

from __future__ import annotations

from .._dtype import COMPLEX, FLOATING
from .._registry import FUNCTIONS, op
from .._tensor import Tensor
from .padding import pad


def _window(window, n_fft: int, win_length: int, like, name: str) -> Tensor:
    """The window of win_length values (ones unless given), centred in n_fft."""
    if window is not None and (window.dim() != 1 or window._size[0] != win_length):
        raise RuntimeError(
            f"{name} expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
            f"{list(window._size)}"
        )
    window = FUNCTIONS[""]["ones"](win_length, dtype=like) if window is None else window
    left = (n_fft - win_length) // 2
    if win_length == n_fft:
        return window
    zeros = FUNCTIONS[""]["zeros"]
    right = n_fft - win_length - left
    return FUNCTIONS[""]["cat"]((zeros(left, dtype=window._dtype), window, zeros(right, dtype=window._dtype)))


def _check_frame(name: str, n_fft: int, hop: int, win: int) -> None:
    if hop <= 0:
        raise RuntimeError(f"{name} expected hop_length > 0, but got hop_length={hop}")
    if not 0 < win <= n_fft:
        raise RuntimeError(f"{name} expected 0 < win_length <= n_fft, but got win_length={win}")


@op()
def stft(
    input,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window=None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """X[f, t] = sum_k window[k] x[t hop + k] exp(-2 pi i f k / n_fft): (*, L) -> (*, frequencies, frames).

    hop_length n_fft // 4 and win_length n_fft unless given; `center` pads n_fft // 2 on both sides; `normalized`
    divides by sqrt(n_fft); `onesided` (the default for real input) keeps frequencies 0 .. n_fft // 2.
    `return_complex` must be given for real input; False gives a last dimension of real and imaginary parts.
    """
    from .. import fft

    hop = n_fft // 4 if hop_length is None else hop_length
    win = n_fft if win_length is None else win_length
    is_complex = input._dtype.category == COMPLEX or window is not None and window._dtype.category == COMPLEX
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that "
                "return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if input._dtype.category < FLOATING or input.dim() not in (1, 2):
        raise RuntimeError(
            f"stft: expected a 1D or 2D tensor of floating types, but got {input.dim()}D of {input._dtype}"
        )
    x = input.unsqueeze(0) if input.dim() == 1 else input
    if center:
        x = pad(x.unsqueeze(1), (n_fft // 2, n_fft // 2), pad_mode).squeeze(1)
    if not 0 < n_fft <= x._size[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {x._size[-1]}, but got n_fft={n_fft}")
    _check_frame("stft", n_fft, hop, win)
    frames = x.unfold(-1, n_fft, hop)
    if window is not None:
        frames = frames * _window(window, n_fft, win, input._dtype, "stft")
    elif win < n_fft:
        frames = frames * _window(None, n_fft, win, input._dtype, "stft")
    onesided = not is_complex if onesided is None else onesided
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    result = (fft.rfft if onesided else fft.fft)(frames, norm=norm).transpose(-1, -2)
    result = result.squeeze(0) if input.dim() == 1 else result
    return result if return_complex else FUNCTIONS[""]["view_as_real"](result)


@op()
def istft(
    input,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window=None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal whose `stft` is nearest to `input` (*, frequencies, frames): frames are added where they overlap, and
    divided by the sum of the squared windows (Griffin and Lim 1984).
    """
    from .. import fft

    hop = n_fft // 4 if hop_length is None else hop_length
    win = n_fft if win_length is None else win_length
    _check_frame("istft", n_fft, hop, win)
    if input._dtype.category != COMPLEX:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    frequencies, count = input._size[-2:]
    onesided = frequencies != n_fft if onesided is None else onesided
    expected = n_fft // 2 + 1 if onesided else n_fft
    if frequencies != expected:
        raise RuntimeError(
            f"istft expected the frequency dimension (3rd to the last) of the input tensor to match n_fft"
            f"{' / 2 + 1' if onesided else ''} when onesided={onesided}, but got {frequencies}"
        )
    spectrum = (input.unsqueeze(0) if input.dim() == 2 else input).transpose(-1, -2)
    norm = "ortho" if normalized else None
    if return_complex:
        if onesided:
            raise RuntimeError("Cannot have onesided output if window or input is complex")
        frames = fft.ifft(spectrum, norm=norm)
    else:
        frames = fft.irfft(spectrum if onesided else spectrum[..., : n_fft // 2 + 1], n=n_fft, norm=norm)
    real = input._dtype.to_real()
    w = _window(window, n_fft, win, real, "istft")
    total = n_fft + hop * (count - 1)
    signal = _overlap_add(frames * w, hop, total)
    envelope = _overlap_add((w * w).expand(1, count, n_fft), hop, total)
    start = n_fft // 2 if center else 0
    end = total - start if length is None else start + length
    stop = min(end, total)
    signal, envelope = signal[:, start:stop], envelope[:, start:stop]
    if envelope.numel() and float(envelope.abs().min().item()) < 1e-11:
        raise RuntimeError(f"window overlap add min: {envelope.abs().min().item()}, expected to be greater than 1e-11")
    signal = signal / envelope
    if end > total:
        more = FUNCTIONS[""]["zeros"](signal._size[0], end - total, dtype=signal._dtype)
        signal = FUNCTIONS[""]["cat"]((signal, more), -1)
    return signal.squeeze(0) if input.dim() == 2 else signal


def _overlap_add(frames: Tensor, hop: int, total: int) -> Tensor:
    """(B, frames, n) -> (B, total): frame t is added at t hop."""
    batch, count, n = frames._size
    arange = FUNCTIONS[""]["arange"]
    index = (arange(count).unsqueeze(-1) * hop + arange(n)).reshape(-1)
    zeros = FUNCTIONS[""]["zeros"](batch, total, dtype=frames._dtype)
    return zeros.index_add(1, index, frames.reshape(batch, -1))
