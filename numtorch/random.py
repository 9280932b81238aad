"""torch.random: seeding and saving the default generator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ._generator import Generator, default_generator, seed_argument
from ._tensor import Tensor

__all__ = [
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
    "thread_safe_generator",
]


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the values that follow are torch's for this seed, bit for bit."""
    return default_generator.manual_seed(seed_argument(int(seed)))


def seed() -> int:
    """Seed the default generator with a non-deterministic number, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state as a ByteTensor, in torch's layout."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Go on from a state that get_rng_state() returned, here or in torch."""
    default_generator.set_state(new_state)


def thread_safe_generator() -> Generator | None:
    """The generator of the current DataLoader worker thread, if there is one (there never is)."""
    return None


@contextlib.contextmanager
def fork_rng(devices=None, enabled: bool = True, device_type: str | None = None) -> Iterator[None]:
    """A context at whose end the default generator goes on as if nothing had been drawn inside."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
