"""torch.device."""

from __future__ import annotations


class device:
    """Where a tensor lives: `device('cpu')`, `device('cuda:1')`, `device('cuda', 1)`."""

    __slots__ = ("type", "index", "__weakref__")

    def __new__(cls, type, index: int | None = None):
        # One object for each name: `d is cpu` is what most calls ask first.
        if type.__class__ is str and index is None:
            found = _named.get(type)
            if found is not None:
                return found
        self = object.__new__(cls)
        self._name(type, index)
        if type.__class__ is str and index is None:
            _named[type] = self
        return self

    def _name(self, type, index: int | None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        elif isinstance(type, int):
            type, index = "cuda", type
        elif ":" in type:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            type, _, number = type.partition(":")
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}:{number}'")
            index = int(number)
        if type not in ("cpu", "cuda", "meta"):
            raise RuntimeError(f"Expected one of cpu, cuda, meta device type at start of device string: {type}")
        object.__setattr__(self, "type", type)
        object.__setattr__(self, "index", index)

    def __setattr__(self, name, value):
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __eq__(self, other) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return (device, (self.type, self.index))


_named: dict[str, device] = {}
cpu = device("cpu")


def parse_device(d) -> device:
    """A `device=` argument as a device (None is the CPU)."""
    if d is None:
        return cpu
    return d if type(d) is device else device(d)
