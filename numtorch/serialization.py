"""torch.save and torch.load, in torch's own format, both ways.

A file is a zip archive (`_zipfile`) with one pickle (`_torch_pickle`) and the bytes of every storage, so
tensors that share memory share it again after loading. `load` reads a file as data unless
`weights_only=False`: nothing in it is run. Files of torch before 1.6 (`_legacy_format`) load as well.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import re
import secrets
import stat
import sys
import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from . import _torch_pickle
from ._device import device as _device
from ._dtype import uint8
from ._storage import Storage
from ._unpickler import globals_named
from ._utils import StoredTensor
from ._zipfile import ALIGNMENT, ArchiveReader, ArchiveWriter
from .storage import UntypedStorage

DEFAULT_PROTOCOL = 2

_UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to "
    "`True`. Re-running `torch.load` with `weights_only` set to `False` (weights_only=False) will likely succeed, but "
    "it can result in arbitrary code execution. Do it only if you got the file from a trusted source."
)
_DOCS = (
    "\n\nCheck the documentation of torch.load to learn more about types accepted by default with weights_only "
    "https://pytorch.org/docs/stable/generated/torch.load.html."
)


class LoadEndianness(Enum):
    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Options:
    endianness: LoadEndianness | None = None
    crc32 = True


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order assumed for files that do not tell theirs (None: little)."""
    return _Options.endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _Options.endianness = endianness


def get_crc32_options() -> bool:
    """Whether `save` writes a checksum of every record."""
    return _Options.crc32


def set_crc32_options(compute_crc32: bool) -> None:
    _Options.crc32 = bool(compute_crc32)


# -- what an untrusted file may mention -----------------------------------


def add_safe_globals(safe_globals: list[Callable | tuple[Callable, str]]) -> None:
    """Let files loaded with weights_only=True use these classes and functions too (or `(object, "its.full.name")`)."""
    _torch_pickle._user_globals.update(_torch_pickle.safe_names(safe_globals))
    _declared.extend(entry for entry in safe_globals if entry not in _declared)


def get_safe_globals() -> list[Callable | tuple[Callable, str]]:
    """What `add_safe_globals` has been given."""
    return list(_declared)


def clear_safe_globals() -> None:
    """Forget all that `add_safe_globals` has been given."""
    _torch_pickle._user_globals.clear()
    _declared.clear()


class safe_globals:
    """`with safe_globals([MyClass]): torch.load(...)`: add_safe_globals for a block."""

    def __init__(self, safe_globals: list[Callable | tuple[Callable, str]]):
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        self._before = list(_declared)
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exception: object) -> None:
        clear_safe_globals()
        add_safe_globals(self._before)


_declared: list[Any] = []


def get_unsafe_globals_in_checkpoint(f) -> list[str]:
    """The names in a file that `load(weights_only=True)` would refuse, found without loading it."""
    with _opened(f) as file:
        if not _is_zipfile(file):
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        names = globals_named(io.BytesIO(ArchiveReader(file).read("data.pkl")))
    return [name for name in sorted(names) if _torch_pickle.lookup(name) is None]


# -- devices --------------------------------------------------------------

_packages: list[tuple[int, Callable, Callable]] = []


def register_package(priority: int, tagger: Callable, deserializer: Callable) -> None:
    """Add a kind of place: `tagger(storage)` names it or returns None, `deserializer(storage, location)` moves there."""
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda package: package[0])


def location_tag(storage) -> str:
    """The name under which a file tells where a storage was."""
    for _, tagger, _ in _packages:
        location = tagger(storage)
        if location:
            return location
    return str(storage.device)


def default_restore_location(storage: StoredTensor, location: str) -> StoredTensor:
    """`storage` moved to the place that `location` names; RuntimeError where there is no such place."""
    for _, _, deserializer in _packages:
        result = deserializer(storage, location)
        if result is not None:
            return result
    if location == "cpu":
        return storage
    if location.split(":")[0] == "cuda":
        import numtorch

        cuda = getattr(numtorch, "cuda", None)
        if cuda is None or not cuda.is_available():
            raise RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are "
                "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map "
                "your storages to the CPU."
            )
        index = _device(location).index or 0
        if index >= cuda.device_count():
            raise RuntimeError(
                f"Attempting to deserialize object on CUDA device {index} but torch.cuda.device_count() is "
                f"{cuda.device_count()}. Please use torch.load with map_location to map your storages to an "
                "existing device."
            )
        return storage.cuda(_device("cuda", index))
    raise RuntimeError(
        f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {location})"
    )


def restore_location(map_location) -> Callable[[StoredTensor, str], StoredTensor]:
    """`map_location` of whatever kind as a function of storage and location."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(storage, str(map_location.get(location, location)))
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, (str, _device)):
        return lambda storage, location: default_restore_location(storage, str(map_location))

    def by_function(storage: StoredTensor, location: str) -> StoredTensor:
        result = map_location(storage, location)
        return default_restore_location(storage, location) if result is None else result

    return by_function


# -- files ----------------------------------------------------------------


def _is_path(f) -> bool:
    return isinstance(f, (str, os.PathLike))


def _is_zipfile(file) -> bool:
    start = file.tell()
    magic = file.read(4)
    file.seek(start)
    return magic == b"PK\3\4"


@contextlib.contextmanager
def _opened(f):
    if _is_path(f):
        with open(f, "rb") as file:
            yield file
        return
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the data into a buffer "
            "like io.BytesIO and try to load from it instead."
        ) from error
    yield f


@contextlib.contextmanager
def _replacing(path: str):
    """A new file that takes the place of `path` when it is complete: whatever happens, `path` is whole, old or new."""
    target = os.path.realpath(path)
    parent = os.path.dirname(target)
    if not os.path.isdir(parent):
        raise RuntimeError(f"Parent directory {os.path.dirname(path) or parent} does not exist.")
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    if mode is not None and not stat.S_ISREG(mode):  # a device or a pipe is written to, not replaced
        with open(target, "wb") as file:
            yield file
        return
    temporary = os.path.join(parent, f".{os.path.basename(target)[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def save(
    obj: object,
    f,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write `obj` to `f`, a path or a binary file object, so that `load` here and torch.load in torch read it.

    Tensors may share memory and will share it again. A path is written whole or not at all. With another
    `pickle_module` than pickle its Pickler is used, and classes keep the names that they have here.
    """
    if not _is_path(f):
        if not hasattr(f, "write"):
            raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
        if not callable(f.write):
            raise TypeError(f"Buffer of {str(type(f)).strip('<>')} has no callable attribute 'write'")
    if not _use_new_zipfile_serialization:
        from ._legacy_format import legacy_save

        with _replacing(os.fspath(f)) if _is_path(f) else contextlib.nullcontext(f) as file:
            legacy_save(obj, file, pickle_module, pickle_protocol)
        return
    # The pickle first: what can not be pickled must not leave half a file.
    table = _torch_pickle.StorageTable()
    data = _torch_pickle.dump(obj, pickle_module, pickle_protocol, table.persistent_id)
    if _is_path(f):
        name = os.path.basename(os.fspath(f))
        with _replacing(os.fspath(f)) as file:
            _write_archive(file, name.rpartition(".")[0] or name, data, table, not _disable_byteorder_record)
    else:
        _write_archive(f, "archive", data, table, not _disable_byteorder_record)
        if hasattr(f, "flush"):
            f.flush()


def _write_archive(file, name: str, data: bytes, table, byteorder: bool) -> None:
    archive = ArchiveWriter(file.write, name, _Options.crc32)
    archive.record("data.pkl", data)
    archive.record(".format_version", b"1")
    archive.record(".storage_alignment", str(ALIGNMENT).encode())
    if byteorder:
        archive.record("byteorder", sys.byteorder.encode())
    for key, stored in table.storages.items():
        archive.record(f"data/{key}", np.ascontiguousarray(stored.cpu()._storage.buffer).view(np.uint8))
    archive.close()


def load(
    f,
    map_location=None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `save`, or torch.save, wrote to `f` (a path or a seekable binary file).

    `map_location` says where storages go: a device or its name, a dict from old to new places, or a function
    of storage and place. With `weights_only=True` (what None means unless a pickle_module is given) the file
    is read as data: tensors, parameters, containers, numbers, strings and what `add_safe_globals` names;
    anything else raises pickle.UnpicklingError. `weights_only=False` unpickles fully and so runs whatever the
    file says. `mmap=True` leaves the storages in the file at path `f` until they are touched (copy-on-write).
    A damaged file raises RuntimeError.
    """
    weights_only = _weights_only(weights_only, pickle_module)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if weights_only and pickle_load_args:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    pickle_load_args.setdefault("encoding", "utf-8")
    if mmap and not _is_path(f):
        raise ValueError("f must be a file path in order to use the mmap argument")
    restore = restore_location(map_location)
    module = pickle if pickle_module is None else pickle_module
    with _opened(f) as file:
        try:
            if _is_zipfile(file):
                path = os.fspath(f) if mmap else None
                return _load_archive(file, restore, None if weights_only else module, path, pickle_load_args)
            if mmap:
                raise RuntimeError(
                    "mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True)`, "
                    "please torch.save your checkpoint with this option in order to use mmap."
                )
            from ._legacy_format import legacy_load

            return legacy_load(file, restore, None if weights_only else module, pickle_load_args)
        except pickle.UnpicklingError as error:
            if not weights_only:
                raise
            raise pickle.UnpicklingError(_refusal(str(error))) from None


def _weights_only(given: bool | None, pickle_module) -> bool:
    yes = ("1", "y", "yes", "true")
    force = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in yes
    force_not = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0").lower() in yes
    if force and force_not:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but both "
            "were set."
        )
    if force:
        return True
    if given is not None:
        return given
    if force_not:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the `weights_only` argument was not "
            "explicitly passed to `torch.load`, forcing weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        return False
    return pickle_module is None


def _refusal(message: str) -> str:
    if re.search(r"GLOBAL (\S+) was not an allowed global by default", message):
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two options, \033[1mdo those "
            f"steps only if you trust the source of the checkpoint\033[0m. \n\t(1) {_UNSAFE}\n\t(2) Alternatively, to "
            "load with `weights_only=True` please check the recommended steps in the following error "
            f"message.\n\tWeightsUnpickler error: {message}{_DOCS}"
        )
    return f"Weights only load failed. {_UNSAFE}\n\nWeightsUnpickler error: {message}{_DOCS}"


def _byte_order(archive: ArchiveReader) -> str:
    if "byteorder" in archive:
        order = bytes(archive.read("byteorder")).decode("ascii", "replace")
        if order not in ("little", "big"):
            raise ValueError(f"Unknown endianness type: {order}")
        return order
    if _Options.endianness is LoadEndianness.NATIVE:
        return sys.byteorder
    return "big" if _Options.endianness is LoadEndianness.BIG else "little"


def _load_archive(file, restore: Callable, pickle_module, map_path: str | None, pickle_load_args: dict) -> Any:
    """`pickle_module` None reads as data only; `map_path` maps the storages instead of reading them."""
    archive = ArchiveReader(file)
    if "constants.pkl" in archive:
        raise NotImplementedError("TorchScript archives (torch.jit.save) can not be loaded")
    swap = _byte_order(archive) != sys.byteorder
    loaded: dict[str, StoredTensor] = {}

    def persistent_load(key: Any) -> StoredTensor:
        kind, name, location, numel = storage_id(key)
        found = loaded.get(name)
        if found is None:
            dtype = kind.dtype or uint8
            record = f"data/{name}"
            if archive.size(record) != numel * dtype.itemsize:
                raise RuntimeError(
                    f"storage {name} should have {numel} elements of {dtype}, but its record has "
                    f"{archive.size(record)} bytes: corrupted file"
                )
            data = archive.map(map_path, record, False) if map_path else np.frombuffer(archive.read(record), np.uint8)
            buffer = np.asarray(data).view(dtype.np)
            if swap:
                buffer = buffer.byteswap()
            found = loaded[name] = restore(StoredTensor(Storage(buffer), dtype), location)
        return UntypedStorage(found._storage) if kind.dtype is None else found

    pickled = io.BytesIO(archive.read("data.pkl"))
    if pickle_module is None:
        unpickler = _torch_pickle.restricted_unpickler(pickled, persistent_load, **pickle_load_args)
    else:
        unpickler = _torch_pickle.trusted_unpickler(pickled, pickle_module, persistent_load, **pickle_load_args)
    return unpickler.load()


def storage_id(key: Any, extra: int = 0) -> tuple:
    """The parts of a persistent id `("storage", type, key, location, numel)`, checked."""
    if type(key) is not tuple or len(key) != 5 + extra or _text(key[0]) != "storage":
        raise RuntimeError(f"Unknown persistent id in file: {key!r:.100}")
    kind, name, location, numel = key[1], _text(key[2]), _text(key[3]), key[4]
    if (
        not isinstance(kind, _torch_pickle.StorageType)
        or not isinstance(name, str)
        or not isinstance(location, str)
        or type(numel) is not int
        or not 0 <= numel < 2**60
    ):
        raise RuntimeError("the description of a storage in the file is invalid: corrupted file")
    return kind, name, location, numel


def _text(value: Any) -> Any:
    """Files of Python 2 have bytes where there should be text."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value
