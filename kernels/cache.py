"""The persistent compile cache: machine code kept on disk under a key made of what went into it.

The key of a compiled kernel is a hash of its content: its bytecode and constants, and those of everything it
reaches through globals, closures and defaults (jitted functions, overloads, intrinsics, plain functions,
constants), together with the versions of Python, numba, llvmlite and numpy, the CPU, and the compile flags. So
an edit in a callee in another file makes a new key, and a closure over a jitted function finds its entry again;
both fail with Numba's own cache, which follows the time stamp of one source file.

A file is `<kernel>-<key>.nbc`: a magic line, the SHA-256 of the rest, and the pickle of a compile result behind the names
of the files that it needs: of the kernels that its code calls through their addresses (`callees`). It is written aside and
renamed, so readers see a whole file or none; one that does not check out is compiled anew and replaced.
Since a pickle can run code when it is read, the folder has to belong to the user and to nobody else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import re
import stat
import sys
import tempfile
import time
import warnings

import llvmlite
import numba
import numpy as np
from numba.core import bytecode, config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaWarning
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from . import callees
from .complex_division import divide
from .content import Unkeyable, content_key, type_text

_MAGIC = b"numtorch kernel 2\n"
_HEADER = len(_MAGIC) + 32
_UNUSED_FOR = 60 * 86400.0  # files that nobody has loaded for this long are removed
_TOUCH_AFTER = 86400.0

_host_text: str | None = None


def _host(target_context) -> str:
    """What the compiler is and what it compiles for."""
    global _host_text
    if _host_text is None:
        _host_text = repr(
            (
                sys.implementation.cache_tag,
                sys.version_info[:3],
                numba.__version__,
                llvmlite.__version__,
                np.__version__,
                target_context.codegen().magic_tuple(),
                [config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.BOUNDSCHECK],
                config.DEBUGINFO_DEFAULT,
                content_key(divide).hex(),  # what complex division is compiled to, which no kernel names
            )
        )
    return _host_text


# -- The folder ----------------------------------------------------------------------------------------------


def cache_folder() -> str:
    """NUMTORCH_CACHE_DIR, or numtorch's place in the user's cache folder; kernels lie in `kernels` below it."""
    base = os.environ.get("NUMTORCH_CACHE_DIR")
    if not base:
        if sys.platform == "win32":
            parent = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~\\AppData\\Local")
        elif sys.platform == "darwin":
            parent = os.path.expanduser("~/Library/Caches")
        else:
            parent = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        base = os.path.join(parent, "numtorch")
    return os.path.join(base, "kernels")


class _Store:
    """Files of one private folder: read, written whole, and pruned. Never raises: a cache may be lost."""

    def __init__(self, folder: str):
        self.folder = folder
        self.usable = self._prepare()
        self._pruned = False

    def _prepare(self) -> bool:
        try:
            os.makedirs(os.path.dirname(self.folder), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.folder, 0o700)
            status = os.lstat(self.folder)
            if not stat.S_ISDIR(status.st_mode):
                return self._give_up("it is not a folder")
            if hasattr(os, "geteuid"):
                if status.st_uid != os.geteuid():
                    return self._give_up("it belongs to another user")
                if status.st_mode & 0o077:
                    os.chmod(self.folder, 0o700)
        except OSError as error:
            return self._give_up(str(error))
        return True

    def _give_up(self, reason: str) -> bool:
        self.usable = False
        warnings.warn(
            f"compiled kernels are not kept in {self.folder}: {reason}; set NUMTORCH_CACHE_DIR to a folder of your own",
            NumbaWarning,
            stacklevel=2,
        )
        return False

    def read(self, name: str) -> bytes | None:
        """The content stored under `name`, or None where there is none or it is damaged."""
        if not self.usable:
            return None
        path = os.path.join(self.folder, name)
        try:
            with open(path, "rb") as file:
                data = file.read()
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        content = memoryview(data)[_HEADER:]
        if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(content).digest() != data[len(_MAGIC) : _HEADER]:
            return None
        if age > _TOUCH_AFTER:
            with contextlib.suppress(OSError):
                os.utime(path)
        return content

    def write(self, name: str, content: bytes) -> None:
        if not self.usable:
            return
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix="writing-")
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC)
                file.write(hashlib.sha256(content).digest())
                file.write(content)
            os.replace(temporary, os.path.join(self.folder, name))
            temporary = None
            self._prune()
        except IsADirectoryError:
            return  # not of our making: that one entry stays without a file
        except OSError as error:
            self._give_up(str(error))
        finally:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def _prune(self) -> None:
        """Once a process that compiles anyway: remove what has not been loaded for long."""
        if self._pruned:
            return
        self._pruned = True
        oldest = time.time() - _UNUSED_FOR
        with os.scandir(self.folder) as entries:
            for entry in entries:
                try:
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)
                except OSError:  # another process was faster
                    continue


_store: _Store | None = None


def store() -> _Store:
    """The store of this process; follows a change of NUMTORCH_CACHE_DIR."""
    global _store
    folder = cache_folder()
    if _store is None or _store.folder != folder:
        _store = _Store(folder)
    return _store


# -- The cache of one dispatcher -----------------------------------------------------------------------------


def renumber_symbols() -> None:
    """Start Numba's numbering of functions at a random place, once a process.

    The number is what tells the symbols of two closures of one template apart. Counted from 1 in each process,
    two kernels compiled by different processes could carry one symbol, and a third process that loads both files
    would silently run one for the other.
    """
    from itertools import count

    bytecode.FunctionIdentity._unique_ids = count(int.from_bytes(os.urandom(6), "little") << 12)


renumber_symbols()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renumber_symbols)


def _load(name: str, target_context) -> CompileResult | None:
    """The compile result in the file `name`, with all that its code needs; None where something is missing."""
    found = callees.published(name)
    if found is not None:
        return found._replace(metadata=None)  # to which Numba adds the times of a compilation, once
    content = store().read(name)
    if content is None:
        return None
    try:
        needs, state = pickle.loads(content)
        if not all(_load_needed(need, target_context) for need in needs):
            return None
        if state[0][1] == "copied":
            return callees.rebuild_copied(target_context, state)
        return CompileResult._rebuild(target_context, *state)
    except (ImportError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, pickle.PickleError):
        return None  # whole, but not for this installation: compiled anew and replaced


def _load_needed(name: str, target_context) -> bool:
    found = _load(name, target_context)
    if found is None:
        return False
    callees.publish(found, name, target_context)
    return True


class KernelCache(NullCache):
    """Numba's cache protocol (`load_overload`, `save_overload`) over the store, for one dispatcher."""

    def __init__(self, dispatcher: Dispatcher):
        self._dispatcher = dispatcher
        self._names: dict = {}
        self._enabled = True
        name = dispatcher.py_func.__qualname__.replace(".<locals>", "")
        self._file_base = re.sub(r"[^A-Za-z0-9_.]", "", name)[-60:]

    @property
    def cache_path(self) -> str:
        return cache_folder()

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def file_name(self, sig, target_context, copied: bool = False) -> str:
        """Name of the file for one signature. Raises Unkeyable."""
        fn = self._dispatcher.py_func
        total = hashlib.sha256(content_key(self._dispatcher))
        # The module is part of the key because loading imports it again for the function's globals.
        args, returns = (sig, None) if isinstance(sig, tuple) else (sig.args, sig.return_type)
        total.update(f"{fn.__module__}.{fn.__qualname__}({', '.join(map(type_text, args))}) {returns}".encode())
        total.update(_host(target_context).encode())
        return f"{self._file_base}-{total.hexdigest()[:40]}{'-copied' * copied}.nbc"

    def load_overload(self, sig, target_context) -> CompileResult | None:
        # What code on disk needs of Numba: its allocator. To compile takes all that it knows about types, for which it
        # imports scipy.linalg and cffi: a quarter of a second that a process which only loads kernels does not spend.
        rtsys.initialize(target_context)
        found = self._find(sig, target_context) if self._enabled else None
        if found is None:
            target_context.refresh()
        return found

    def _find(self, sig, target_context) -> CompileResult | None:
        try:
            name = self._names[sig] = self.file_name(sig, target_context, self._dispatcher._compiler.copied)
        except Unkeyable as reason:
            self._names[sig] = None
            warnings.warn(f"{self._file_base} is not kept between runs: {reason}", NumbaWarning, stacklevel=2)
            return None
        return _load(name, target_context)

    def name_of(self, sig) -> str:
        """The name of the file for a signature that has been asked for, or one that nothing else ever has."""
        return self._names.get(sig) or f"{self._file_base}-{os.urandom(16).hex()}"

    def save_overload(self, sig, data: CompileResult) -> None:
        name = self._names.get(sig)
        # Addresses of this process are compiled in where a kernel uses ctypes pointers or large global arrays.
        code = data._asdict()["library"]
        if name is None or data.lifted or code.has_dynamic_globals:
            return
        # The annotation is the typed listing of the source, for people; it is the slowest thing to load.
        store().write(name, dumps((callees.names_needed(data), data._replace(type_annotation="")._reduce())))
