"""The file format of torch before 1.6: pickles one after the other, then the bytes of the storages.

magic number, protocol version, facts about the machine, the object, the list of storage keys; then for each
key eight bytes with the number of elements, and the elements.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _torch_pickle
from ._dtype import uint8
from ._storage import Storage
from ._utils import StoredTensor
from .storage import UntypedStorage

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def legacy_save(obj: object, file, pickle_module, protocol: int) -> None:
    """Write `obj` in the format that torch had before 1.6: five pickles, then the bytes of the storages."""
    table = _torch_pickle.StorageTable()

    def persistent_id(value: Any) -> tuple | None:
        key = table.persistent_id(value)
        return None if key is None else (*key, None)  # None: not a view of another storage

    data = _torch_pickle.dump(obj, pickle_module, protocol, persistent_id)
    facts = {
        "protocol_version": _PROTOCOL,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for head in (_MAGIC, _PROTOCOL, facts):
        file.write(pickle.dumps(head, protocol))
    file.write(data)
    file.write(pickle.dumps(list(table.storages), protocol))
    for stored in table.storages.values():
        file.write(struct.pack("<q", stored.size()))
        file.write(np.ascontiguousarray(stored.cpu()._storage.buffer).view(np.uint8).data)


def legacy_load(file, restore: Callable, pickle_module, pickle_load_args: dict) -> Any:
    """`pickle_module` None reads the file as data only."""
    start = file.tell()
    left = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    if not left:
        raise EOFError("Ran out of input: the file is empty")

    def unpickled(persistent_load: Callable = _no_storage) -> Any:
        if pickle_module is None:
            return _torch_pickle.restricted_unpickler(file, persistent_load, **pickle_load_args).load()
        return _torch_pickle.trusted_unpickler(file, pickle_module, persistent_load, **pickle_load_args).load()

    try:
        # Reading as data is enough for a number, and a file that is something else must not be run to find
        # that out.
        magic = _torch_pickle.restricted_unpickler(file, _no_storage).load()
    except pickle.UnpicklingError as error:
        raise RuntimeError(f"Invalid magic number; corrupt file? ({error})") from None
    if magic != _MAGIC:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = unpickled()
    if version != _PROTOCOL:
        raise RuntimeError(f"Invalid protocol version: {version!r:.100}")
    facts = unpickled()
    if not isinstance(facts, dict) or facts.get("little_endian", True) != (sys.byteorder == "little"):
        raise RuntimeError("files of the other byte order can not be loaded in the format of torch before 1.6")
    roots: dict[str, tuple[StoredTensor, StoredTensor]] = {}  # as read from the file, and where it has been put

    def persistent_load(key: Any) -> Any:
        from .serialization import storage_id

        if pickle_module is not None and isinstance(key, tuple) and key[:1] == ("module",):
            return key[1]  # a class whose source the file carries to warn of changes
        if type(key) is tuple and len(key) == 6 and key[5] is not None:
            raise NotImplementedError("views of storages in files of torch before 0.4 are not supported")
        kind, name, location, numel = storage_id(key, extra=1)
        if name not in roots:
            dtype = kind.dtype or uint8
            if numel * dtype.itemsize > left:
                raise RuntimeError(f"storage {name} has more elements ({numel}) than the file: corrupted file")
            stored = StoredTensor(Storage(np.zeros(numel, dtype.np)), dtype)
            roots[name] = stored, restore(stored, location)
        placed = roots[name][1]
        return UntypedStorage(placed._storage) if kind.dtype is None else placed

    result = unpickled(persistent_load)
    keys = unpickled()
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in roots for key in keys):
        raise RuntimeError("the list of storages does not fit the tensors: corrupted file")
    for key in keys:
        stored, placed = roots[key]
        count = file.read(8)
        data = file.read(stored.nbytes())
        if len(count) != 8 or struct.unpack("<q", count)[0] != stored.size() or len(data) != stored.nbytes():
            raise RuntimeError(f"storage {key} is not complete: corrupted file")
        stored._storage.buffer.view(np.uint8)[:] = np.frombuffer(data, np.uint8)
        if placed._storage is not stored._storage:
            placed._storage.buffer = stored._to(placed.device)._storage.buffer
    return result


def _no_storage(key: Any) -> Any:
    raise pickle.UnpicklingError("a storage where none is expected")
