"""Sequences of different lengths: packed, padded, and between the two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numtorch
from numtorch._tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """The rows of several sequences, time step by time step.

    data (sum of lengths, *); batch_sizes: how many sequences reach each step (int64, on the CPU); sorted_indices puts
    the batch in decreasing order of length, unsorted_indices undoes that. Made by `pack_padded_sequence`.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequences in "
                "nn.utils.rnn. https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with `data.to(...)`."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [None if i is None else i.to(data.device) for i in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *indices)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On a CUDA device."""
        return self.to(*args, **{"device": "cuda", **kwargs})

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the CPU."""
        return self.to(*args, **{"device": "cpu", **kwargs})

    def double(self) -> PackedSequence:
        """In float64."""
        return self.to(dtype=numtorch.double)

    def float(self) -> PackedSequence:
        """In float32."""
        return self.to(dtype=numtorch.float)

    def half(self) -> PackedSequence:
        """In float16."""
        return self.to(dtype=numtorch.half)

    def long(self) -> PackedSequence:
        """In int64."""
        return self.to(dtype=numtorch.long)

    def int(self) -> PackedSequence:
        """In int32."""
        return self.to(dtype=numtorch.int)

    def pin_memory(self) -> PackedSequence:
        """With data in pinned memory."""
        return type(self)(self.data.pin_memory(), *self[1:])

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Is data in pinned memory?"""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`."""
    if permutation is None:
        return None
    output = numtorch.empty_like(permutation)
    output.scatter_(0, permutation, numtorch.arange(0, permutation.numel(), device=permutation.device))
    return output


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | list[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences (T, N, *) ((N, T, *) if batch_first) of the given lengths.

    With enforce_sorted lengths must not increase; otherwise the batch is sorted and the order kept in the result.
    """
    if not isinstance(lengths, Tensor):
        lengths = numtorch.as_tensor(lengths, dtype=numtorch.int64, device="cpu")
    elif lengths.device.type != "cpu":
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.dim()}D {lengths.device} {lengths.dtype} tensor"
        )
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = numtorch.sort(lengths, descending=True)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if batch_first:
        input = input.transpose(0, 1)
    sizes = [int(n) for n in lengths.tolist()]
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(sizes) != input.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} (batch_size={input.size(1)})"
        )
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if any(a < b for a, b in zip(sizes, sizes[1:], strict=False)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if sizes[0] > input.size(0):
        raise RuntimeError(
            f"Expected sequence length to be larger than or equal to the longest, but got {input.size(0)} < {sizes[0]}"
        )
    batch_sizes = _steps_of(sizes)
    # Runs of steps with the same batch size are contiguous in the result: one slice each.
    parts, start = [], 0
    for t in range(1, len(batch_sizes) + 1):
        if t == len(batch_sizes) or batch_sizes[t] != batch_sizes[start]:
            block = input[start:t, : batch_sizes[start]]
            parts.append(block.reshape((-1, *block.shape[2:])))
            start = t
    data = parts[0] if len(parts) == 1 else numtorch.cat(parts, 0)
    return PackedSequence(data, numtorch.tensor(batch_sizes, dtype=numtorch.int64), sorted_indices, None)


def _steps_of(lengths: list[int]) -> list[int]:
    """How many sequences reach each step, for lengths in decreasing order: [3, 1] -> [2, 1, 1]."""
    steps, active = [], len(lengths)
    for t in range(lengths[0]):
        while lengths[active - 1] <= t:
            active -= 1
        steps.append(active)
    return steps


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: padded (T, N, *), lengths (N)."""
    sizes = sequence.batch_sizes.tolist()
    max_len = len(sizes)
    if total_length is not None:
        if total_length < max_len:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {max_len}"
            )
        max_len = total_length
    batch = sizes[0]
    rest = tuple(sequence.data.shape[1:])
    rows, offset = [], 0
    for size in sizes:
        step = sequence.data[offset : offset + size]
        if size < batch:
            step = numtorch.cat([step, sequence.data.new_full((batch - size, *rest), padding_value)], 0)
        rows.append(step)
        offset += size
    padded = numtorch.stack(rows)
    if max_len > len(sizes):
        extra = sequence.data.new_full((max_len - len(sizes), batch, *rest), padding_value)
        padded = numtorch.cat([padded, extra], 0)
    lengths = numtorch.tensor([sum(1 for s in sizes if s > b) for b in range(batch)], dtype=numtorch.int64)
    if batch_first:
        padded = padded.transpose(0, 1)
    unsorted = sequence.unsorted_indices
    if unsorted is not None:
        padded = padded.index_select(0 if batch_first else 1, unsorted)
        lengths = lengths[unsorted.cpu()]
    return padded, lengths


def pad_sequence(
    sequences: Tensor | list[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (L_i, *) as one tensor (T, N, *), (N, T, *) if batch_first."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    sequences = sequences.unbind(0) if isinstance(sequences, Tensor) else list(sequences)
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    longest = max(s.size(0) for s in sequences)
    rest = tuple(sequences[0].shape[1:])
    padded = []
    for s in sequences:
        missing = longest - s.size(0)
        if missing:
            fill = s.new_full((missing, *rest), padding_value)
            s = numtorch.cat([s, fill] if padding_side == "right" else [fill, s], 0)
        padded.append(s)
    return numtorch.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded tensor, each with its own length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [seq[: int(n)] for seq, n in zip(padded_sequences.unbind(0), lengths.tolist(), strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (L_i, *)."""
    lengths = numtorch.as_tensor([s.size(0) for s in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
