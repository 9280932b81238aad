"""torch.storage: a tensor's flat memory as an object of its own."""

from __future__ import annotations

from ._device import cpu, device
from ._dtype import ALL, dtype
from ._storage import Storage
from ._tensor import Tensor, strided


class UntypedStorage:
    """The bytes behind a tensor; shared, not copied."""

    def __init__(self, storage: Storage):
        self._storage = storage

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._storage.address

    def nbytes(self) -> int:
        return self._storage.nbytes

    size = nbytes
    __len__ = nbytes

    @property
    def device(self) -> device:
        return self._storage.device

    def _bytes(self):
        return self._storage.buffer.view("uint8")

    def __getitem__(self, index):
        return self._bytes()[index].tolist()

    def __setitem__(self, index, value) -> None:
        self._bytes()[index] = value

    def tolist(self) -> list[int]:
        return self._bytes().tolist()

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and self._storage is other._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def __repr__(self) -> str:
        lines = "\n ".join(str(b) for b in self.tolist())
        return f" {lines}\n[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"


class TypedStorage:
    """The elements behind a tensor; `storage[i] = x` writes into every tensor that shares it."""

    def __init__(self, storage: Storage, d: dtype):
        self._storage = storage
        self.dtype = d

    def _buffer(self):
        return self._storage.buffer.view(self.dtype.np)

    def _as_tensor(self, d: dtype | None = None) -> Tensor:
        t = strided(self._storage, (self.size(),), (1,), 0, d or self.dtype)
        if t._device is cpu:
            t.flat()
        return t

    def size(self) -> int:
        return self._storage.nbytes // self.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        return self._storage.nbytes

    def element_size(self) -> int:
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        return self._storage.address

    @property
    def device(self) -> device:
        return self._storage.device

    def untyped(self) -> UntypedStorage:
        return UntypedStorage(self._storage)

    def tolist(self) -> list:
        return self._as_tensor().tolist()

    def __iter__(self):
        return iter(self.tolist())

    def __getitem__(self, index):
        found = self._as_tensor()[index]
        return found.item() if isinstance(index, int) else found.tolist()

    def __setitem__(self, index, value) -> None:
        self._as_tensor()[index] = value

    def fill_(self, value) -> TypedStorage:
        self._as_tensor().fill_(value)
        return self

    def __repr__(self) -> str:
        lines = "\n ".join(str(v) for v in self.tolist())
        return f" {lines}\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {self.size()}]"


class _StorageType(type):
    """torch.FloatStorage and its like: TypedStorage with the dtype in the name."""

    def __call__(cls, *args) -> TypedStorage:
        t = Tensor.new(_probe(cls.dtype), *args)
        return TypedStorage(t._get_storage(), cls.dtype)

    def __instancecheck__(cls, instance) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype


def _probe(d: dtype) -> Tensor:
    from ._tensor import empty

    return empty((0,), d)


def _legacy_class(d: dtype):
    return _StorageType(d.type_name + "Storage", (), {"dtype": d, "__module__": "torch"})


for _d in ALL:
    globals()[_d.type_name + "Storage"] = _legacy_class(_d)


def _storage(self: Tensor) -> TypedStorage:
    """The elements behind this tensor and its views."""
    return TypedStorage(self._get_storage(), self._dtype)


def _untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes behind this tensor and its views."""
    return UntypedStorage(self._get_storage())


Tensor.storage = Tensor._typed_storage = _storage
Tensor.untyped_storage = _untyped_storage
