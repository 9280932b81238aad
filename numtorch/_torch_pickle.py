"""The pickles inside of checkpoints: written under torch's names, read back under numtorch's.

`dump` is Python's own pickler with other names for what is numtorch's; `load` is either the restricted
interpreter of `_unpickler` with the allowlist below, or, for files that are trusted, Python's own unpickler.
"""

from __future__ import annotations

import io
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any

from . import _dtype
from ._device import device
from ._size import Size
from ._tensor import Tensor
from ._torch_names import numtorch_object, torch_name
from ._unpickler import Global, RestrictedUnpickler, build_by_state
from ._utils import (
    StoredTensor,
    _rebuild_from_type_v2,
    _rebuild_parameter,
    _rebuild_parameter_with_state,
    _rebuild_tensor_v2,
    reduce_for_file,
)
from .storage import TypedStorage, UntypedStorage


class StorageType:
    """Stands for torch.FloatStorage and its kin, which in a pickle tell the dtype of a storage."""

    def __init__(self, name: str, dtype: _dtype.dtype | None):
        self.name = name
        self.dtype = dtype  # None: bytes (UntypedStorage)
        self.module = "torch" if dtype is not None else "torch.storage"

    def __repr__(self) -> str:
        return f"StorageType(dtype={self.dtype})"


_BY_DTYPE = {dtype: StorageType(dtype.type_name + "Storage", dtype) for dtype in _dtype.ALL}
_UNTYPED = StorageType("UntypedStorage", None)
STORAGE_TYPES = {kind.name: kind for kind in (*_BY_DTYPE.values(), _UNTYPED)}


class StorageTable:
    """Gives each storage that a pickle meets a key, and remembers what is to be written under it."""

    def __init__(self) -> None:
        self._keys: dict[tuple[int, int, int], str] = {}
        self._dtypes: dict[tuple[int, int, int], _dtype.dtype] = {}
        self.storages: dict[str, StoredTensor] = {}

    def persistent_id(self, value: Any) -> tuple | None:
        untyped = isinstance(value, UntypedStorage)
        if untyped or (isinstance(value, TypedStorage) and type(value) is not StoredTensor):
            value = StoredTensor(value._storage, _dtype.uint8 if untyped else value.dtype)
        if type(value) is not StoredTensor:
            return None
        storage = value._storage
        # Tensors share memory if their buffers are the same, whichever Storage objects stand before them.
        where = (value.data_ptr(), value.nbytes(), 0 if value.nbytes() else id(storage))
        dtype = self._dtypes.setdefault(where, value.dtype)
        if dtype is not value.dtype and value.nbytes():
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        key = self._keys.setdefault(where, str(len(self._keys)))
        self.storages.setdefault(key, value)
        kind = _UNTYPED if untyped else _BY_DTYPE[value.dtype]
        return ("storage", kind, key, str(storage.device), value.size())


class _TorchNames(pickle._Pickler):
    """Python's pickler (the one in Python: the one in C can not be told other names) that writes torch's names."""

    dispatch = pickle._Pickler.dispatch.copy()

    def __init__(self, file, protocol: int, persistent_id: Callable):
        super().__init__(file, protocol)
        self.persistent_id = persistent_id

    def reducer_override(self, value: Any) -> Any:
        return _reduce(value)

    def save_global(self, value: Any, name: str | None = None) -> None:
        qualname = name or getattr(value, "__qualname__", None) or value.__name__
        module = getattr(value, "__module__", None) or "__main__"
        new_module, new_name = torch_name(value, module, qualname)
        if new_module == module:
            super().save_global(value, name)
        else:
            self._write_global(value, new_module, new_name)

    def _write_global(self, value: Any, module: str, name: str) -> None:
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(value)

    dispatch[FunctionType] = save_global
    dispatch[type] = lambda self, value: (
        pickle._Pickler.save_type(self, value)
        if value in (type(None), type(NotImplemented), type(...))
        else self.save_global(value)
    )
    dispatch[_dtype.dtype] = lambda self, value: self._write_global(value, "torch", value.name)
    dispatch[StorageType] = lambda self, value: self._write_global(value, value.module, value.name)


def _reduce(value: Any) -> Any:
    """torch's way of taking tensors and devices apart; NotImplemented leaves it to pickle."""
    if isinstance(value, Tensor):
        return reduce_for_file(value)
    if type(value) is device:
        return device, (value.type,) if value.index is None else (value.type, value.index)
    return NotImplemented


def dump(value: Any, pickle_module, protocol: int, persistent_id: Callable) -> bytes:
    file = io.BytesIO()
    if pickle_module is pickle:
        _TorchNames(file, protocol, persistent_id).dump(value)
        return file.getvalue()

    class Pickler(pickle_module.Pickler):
        """Another module's pickler keeps its own ways, and so numtorch's names."""

        def persistent_id(self, value: Any) -> tuple | None:
            return persistent_id(value)

        def reducer_override(self, value: Any) -> Any:
            found = _reduce(value)
            inherited = getattr(super(), "reducer_override", None)
            return inherited(value) if found is NotImplemented and inherited is not None else found

    Pickler(file, protocol=protocol).dump(value)
    return file.getvalue()


def find_class(module: str, name: str) -> Any:
    """What a name in a trusted pickle stands for; None where it is neither torch's nor numtorch's."""
    if module != "torch" and not module.startswith("torch."):
        return None
    found = lookup(f"{module}.{name}")
    if found is None or found.value is _rebuild_checked_type:
        return numtorch_object(module, name)
    return found.value


def trusted_unpickler(file, pickle_module, persistent_load: Callable, **pickle_load_args) -> pickle.Unpickler:
    class Unpickler(pickle_module.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = find_class(module, name)
            return super().find_class(module, name) if found is None else found

        def persistent_load(self, key: Any) -> Any:
            return persistent_load(key)

    return Unpickler(file, **pickle_load_args)


def _encode(text: str, encoding: str) -> bytes:
    """`_codecs.encode` as pickles of protocol 2 use it for bytes: latin-1 only."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
    return text.encode("latin-1")


def _bytearray(data: Any = b"", encoding: str = "latin-1") -> bytearray:
    """bytearray of bytes; never of a number, which would allocate whatever a file asks for."""
    return bytearray(data if type(data) is bytes else _encode(data, encoding))


def _parameter_from_state(parameter: Tensor, state: Any) -> None:
    raise pickle.UnpicklingError("a Parameter with the state of torch before 0.4 is not supported")


def _allowed() -> dict[str, Global]:
    from .nn import Parameter

    rebuild = (_rebuild_tensor_v2, _rebuild_parameter, _rebuild_parameter_with_state)
    table = {
        "collections.OrderedDict": Global(OrderedDict, call=True, make=True, build=build_by_state),
        "collections.Counter": Global(Counter, call=True, make=True),
        "builtins.bytearray": Global(_bytearray, call=True),
        "builtins.set": Global(set, call=True),
        "builtins.complex": Global(complex, call=True),
        "_codecs.encode": Global(_encode, call=True),
        "torch.Size": Global(Size, call=True, make=True),
        "torch.device": Global(device, call=True),
        "torch.Tensor": Global(Tensor),
        "torch._tensor.Tensor": Global(Tensor),
        "torch.nn.parameter.Parameter": Global(Parameter, call=True, build=_parameter_from_state),
        "torch._tensor._rebuild_from_type_v2": Global(_rebuild_checked_type, call=True),
    }
    table |= {f"torch._utils.{function.__name__}": Global(function, call=True) for function in rebuild}
    table |= {f"torch.{dtype.name}": Global(dtype) for dtype in _dtype.ALL}
    for kind in STORAGE_TYPES.values():
        for module in ("torch", "torch.storage", "torch.cuda"):
            table[f"{module}.{kind.name}"] = Global(kind)
    return table


def _rebuild_checked_type(function, cls, arguments, state):
    """`_rebuild_from_type_v2` where neither the function nor the class is of the file's own invention."""
    from .nn import Parameter

    rebuilds = (_rebuild_tensor_v2, _rebuild_parameter, _rebuild_parameter_with_state)
    known = (Tensor, Parameter, *_user_globals.values())
    if not any(function is rebuild for rebuild in rebuilds) or not any(cls is one for one in known):
        raise pickle.UnpicklingError("only tensors of known classes can be rebuilt from their type")
    return _rebuild_from_type_v2(function, cls, arguments, state)


# What the user has declared safe: full name -> object.
_user_globals: dict[str, Any] = {}
_table: dict[str, Global] = {}


def lookup(full_name: str) -> Global | None:
    """The Global that an untrusted file may use under this name, or None."""
    if not _table:
        _table.update(_allowed())
    found = _table.get(full_name)
    if found is None and full_name in _user_globals:
        found = Global(_user_globals[full_name], call=True, make=True, build=build_by_state)
    return found


def restricted_unpickler(file, persistent_load: Callable, encoding: str = "utf-8") -> RestrictedUnpickler:
    return RestrictedUnpickler(file, lookup, persistent_load, encoding)


def safe_names(entries: list) -> dict[str, Any]:
    """The names under which pickles mention these objects: their own, and torch's for numtorch's classes."""
    names = {}
    for entry in entries:
        if isinstance(entry, tuple):
            if len(entry) != 2:
                raise ValueError(
                    "Expected tuple of length 2 (global, str of callable full path), but got tuple of length: "
                    f"{len(entry)}"
                )
            value, name = entry
            if type(name) is not str:
                raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(name)}")
            names[name] = value
        else:
            names[f"{entry.__module__}.{entry.__qualname__}"] = entry
            names[".".join(torch_name(entry, entry.__module__, entry.__qualname__))] = entry
    return names
