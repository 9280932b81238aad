"""torch.Generator: a stream of random numbers, and the default one that every random operator draws from."""

from __future__ import annotations

import secrets

import numpy as np

from numtorch.kernels.cpu import random as _kernels

from ._device import cpu, device, parse_device
from ._dtype import uint8
from ._tensor import Tensor, wrap

#: The seed of a `Generator()` that nobody seeded (torch's default_rng_seed_val).
DEFAULT_SEED = 67280421310721

# torch.get_rng_state() is this record as bytes: the generator of torch 1.0, whose `state` held 64-bit words.
_STATE = np.dtype(
    [
        ("seed", np.uint64),
        ("left", np.int32),
        ("seeded", np.int32),
        ("next", np.uint64),
        ("words", np.uint64, 624),
        ("normal_x", np.float64),
        ("normal_y", np.float64),
        ("normal_rho", np.float64),
        ("normal_is_valid", np.int32),
        ("padding", np.int32),
        ("float_normal", np.float32),
        ("float_normal_is_valid", np.bool_),
    ],
    align=True,
)
_STATE_BYTES = _STATE.itemsize  # 5056


def seed_argument(seed) -> int:
    """`seed` as an unsigned 64-bit integer; a negative one counts from 2**64, as in torch."""
    if not -(2**63) <= seed < 2**64:
        raise ValueError("Overflow when unpacking long long")
    return seed % 2**64


class Generator:
    """A random stream on `device`: `Generator().manual_seed(0)` goes as `generator=` to any random operator."""

    __slots__ = ("_state", "_spare", "_seed", "_device", "__weakref__")

    def __init__(self, device="cpu"):
        self._device = parse_device(device)
        if self._device.type != "cpu":
            raise RuntimeError(f"Device type {self._device.type} has no random generator here.")
        self._state = None
        self._spare = None
        self._seed = DEFAULT_SEED

    @property
    def device(self) -> device:
        """The device of the stream."""
        return self._device

    def stream(self) -> tuple[np.ndarray, np.ndarray]:
        """(state, spare), the arrays that the kernels draw from; seeded when first asked for."""
        if self._state is None:
            self._state = np.empty(626, np.uint32)
            self._spare = np.zeros(2)
            _kernels.seed_state(self._state, self._spare, self._seed & 0xFFFFFFFF)
        return self._state, self._spare

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` anew."""
        if not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self._seed = seed_argument(seed.__index__())
        self._state = None
        return self

    def seed(self) -> int:
        """Seed with a number that the operating system deems random, and return it."""
        self._seed = secrets.randbits(53)
        self._state = None
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """The state as a ByteTensor of 5056 bytes, which torch can read too."""
        state, spare = self.stream()
        record = np.zeros(1, _STATE)
        record["seed"] = self._seed
        record["left"], record["next"] = state[_kernels.LEFT], state[_kernels.NEXT]
        record["seeded"] = 1
        record["words"] = state[:624]
        record["normal_y"] = spare[0] if spare[1] else 0.0
        record["normal_is_valid"] = spare[1] != 0
        return wrap(record.view(np.uint8), (_STATE_BYTES,), uint8)

    def set_state(self, new_state: Tensor) -> Generator:
        """Go on from a state that get_state() (ours or torch's) returned."""
        if not isinstance(new_state, Tensor) or new_state._dtype is not uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        flat = np.ascontiguousarray(new_state._nd()).reshape(-1)
        if flat.size != _STATE_BYTES:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_STATE_BYTES} but found the input RNG state size "
                f"to be {flat.size}"
            )
        record = flat.view(_STATE)[0]
        left, position = int(record["left"]), int(record["next"])
        # A block holds 624 words: left counts down from 624 while next counts up, and both are 1 and 0 after
        # seeding.
        consistent = left + position == 625 or (left, position) == (1, 0)
        if not record["seeded"] or not 0 < left <= 624 or not 0 <= position <= 624 or not consistent:
            raise RuntimeError("Invalid mt19937 state")
        state = np.empty(626, np.uint32)
        state[:624] = record["words"]
        state[_kernels.LEFT], state[_kernels.NEXT] = left, position
        spare = np.zeros(2)
        if record["normal_is_valid"]:
            spare[:] = record["normal_y"], 1.0
        self._state, self._spare, self._seed = state, spare, int(record["seed"])
        return self

    def clone_state(self) -> Generator:
        """Another generator that goes on from the same state."""
        result = Generator(self._device)
        result.set_state(self.get_state())
        return result

    def graphsafe_get_state(self) -> Generator:
        return self.clone_state()

    def graphsafe_set_state(self, state: Generator) -> Generator:
        return self.set_state(state.get_state())

    def get_offset(self) -> int:
        raise RuntimeError("CPU Generator does not use offset")

    def set_offset(self, offset: int) -> None:
        raise RuntimeError("CPU Generator does not use offset")

    def __reduce__(self):
        return (_restore, (self._device, self.get_state()))


def _restore(device, state: Tensor) -> Generator:
    return Generator(device).set_state(state)


#: What every random operator draws from unless it is given another generator.
default_generator = Generator(cpu)
default_generator.seed()
