"""The persistent compile cache: machine code kept on disk under a key made of what went into it.

The key of a compiled kernel is a hash of its content: its bytecode and constants, and those of everything it
reaches through globals, closures and defaults (jitted functions, overloads, intrinsics, plain functions,
constants), together with the versions of Python, numba, llvmlite and numpy, the CPU, and the compile flags. So
an edit in a callee in another file makes a new key, and a closure over a jitted function finds its entry again;
both fail with Numba's own cache, which follows the time stamp of one source file.

A file is `<kernel>-<key>.nbc`: a magic line, the SHA-256 of the rest, and the pickle of a compile result. It is written
aside and renamed, so readers see a whole file or none; one that does not check out is compiled anew and replaced.
Since a pickle can run code when it is read, the folder has to belong to the user and to nobody else.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import re
import stat
import struct
import sys
import tempfile
import time
import types as python_types
import warnings
from enum import Enum
from weakref import WeakKeyDictionary

import llvmlite
import numba
import numpy as np
from numba.core import bytecode, config, types
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaWarning
from numba.core.serialize import dumps
from numba.core.typing.templates import builtin_registry
from numba.extending import _Intrinsic

from .threads import ParallelKernel

_MAGIC = b"numtorch kernel 1\n"
_HEADER = len(_MAGIC) + 32
_UNUSED_FOR = 60 * 86400.0  # files that nobody has loaded for this long are removed
_TOUCH_AFTER = 86400.0

# What ships with Python, Numba or numpy is described by name: the versions in the key stand for its content.
_EXTERNAL = frozenset(sys.stdlib_module_names) - {"__main__"} | {"numba", "numpy", "llvmlite"}


class Unkeyable(Exception):
    """Something that a kernel refers to has no content that means the same in the next process."""


def _is_external(module_name: str | None) -> bool:
    return module_name is not None and module_name.partition(".")[0] in _EXTERNAL


# ---------------------------------------------------------------------------------------------------------------
# Content of a kernel
# ---------------------------------------------------------------------------------------------------------------

# code object -> (digest, names it may look up in its module); code objects never change
_code_memo: dict[python_types.CodeType, tuple[bytes, tuple[str, ...]]] = {}
# function -> (local digest, what it refers to), as first seen, to notice a global that was rebound since
_first_seen: WeakKeyDictionary = WeakKeyDictionary()
_overloads: dict[int, list] = {}
_overloads_read = 0


def _code_content(code: python_types.CodeType) -> tuple[bytes, tuple[str, ...]]:
    memo = _code_memo.get(code)
    if memo is not None:
        return memo
    out = [
        code.co_code,
        repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)).encode(),
        repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode(),
        getattr(code, "co_exceptiontable", b""),
    ]
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            digest, inner = _code_content(constant)
            out.append(digest)
            names.update(dict.fromkeys(inner))
        else:
            _describe(constant, out, None, ())
    memo = _code_memo[code] = (hashlib.sha256(b"\0".join(out)).digest(), tuple(names))
    return memo


def _describe(value, out: list[bytes], refs: list | None, names: tuple[str, ...]) -> None:
    """Append bytes that stand for `value`; functions and the like go to `refs`, to be visited on their own."""
    kind = type(value)
    if kind in (int, str, bool, float, complex, bytes, python_types.NoneType, python_types.EllipsisType):
        out.append(f"{kind.__name__}:{value!r}".encode())
    elif kind in (tuple, list):
        out.append(f"{kind.__name__}:{len(value)}".encode())
        for item in value:
            _describe(item, out, refs, names)
    elif isinstance(value, python_types.ModuleType):
        _describe_module(value, out, refs, names)
    elif isinstance(value, (python_types.BuiltinFunctionType, np.ufunc)):
        out.append(f"builtin:{getattr(value, '__module__', None)}.{value.__name__}".encode())
    elif isinstance(value, (python_types.FunctionType, Dispatcher, _Intrinsic, ParallelKernel)):
        out.append(b"reference")
        refs.append(value)
    elif hasattr(value, "__wrapped__"):  # functools.cache and other decorations of a function
        _describe(value.__wrapped__, out, refs, names)
    elif isinstance(value, functools.partial):
        _describe((value.func, value.args, value.keywords), out, refs, names)
    elif isinstance(value, type):
        _describe_class(value, out, refs, names)
    elif isinstance(value, (np.generic, np.dtype)):
        content = value.tobytes() if isinstance(value, np.generic) else b""
        out.append(f"{kind.__name__}:{value!s}:".encode() + content)
    elif isinstance(value, np.ndarray):
        out.append(f"array:{value.dtype}:{value.shape}:{value.strides}".encode() + value.tobytes())
    elif isinstance(value, (frozenset, set)):
        members = []
        for item in value:
            member: list[bytes] = []
            _describe(item, member, refs, names)
            members.append(b"\1".join(member))
        out.append(b"set:" + b"\2".join(sorted(members)))
    elif isinstance(value, dict):
        out.append(f"dict:{len(value)}".encode())
        for key, item in value.items():
            _describe(key, out, refs, names)
            _describe(item, out, refs, names)
    elif isinstance(value, types.Type):
        out.append(b"type:" + _type_text(value).encode())
    elif isinstance(value, Enum):
        out.append(f"enum:{kind.__qualname__}:{value.name}".encode())
        _describe(value.value, out, refs, names)
    elif _is_external(kind.__module__):
        out.append(f"{kind.__module__}.{kind.__qualname__}:{_stable_text(value)}".encode())
    else:
        _describe_class(kind, out, refs, names)
        _describe(getattr(value, "__dict__", None) or _stable_text(value), out, refs, names)


def _stable_text(value) -> str:
    text = repr(value)
    if " at 0x" in text:
        raise Unkeyable(text)
    return text


def _describe_module(module, out: list[bytes], refs: list | None, names: tuple[str, ...]) -> None:
    """A module of ours counts with those of its globals that the code names (`tiles.WIDTH`)."""
    out.append(b"module:" + module.__name__.encode())
    if _is_external(module.__name__):
        return
    content = vars(module)
    for name in names:
        found = content.get(name)
        if found is not None and found is not module:
            out.append(name.encode())
            # A package reaches its submodules by the same names; a module in a module is not followed back up.
            _describe(found, out, refs, () if isinstance(found, python_types.ModuleType) else names)


def _describe_class(cls: type, out: list[bytes], refs: list | None, names: tuple[str, ...]) -> None:
    out.append(f"class:{cls.__module__}.{cls.__qualname__}".encode())
    if not _is_external(cls.__module__):
        refs.append(cls)


def _overloads_of(value) -> list:
    """What stands for `value` in compiled code: our own `numba.extending.overload`s, formulas of `math`."""
    global _overloads_read
    registered = builtin_registry.globals
    for function, typ in registered[_overloads_read:]:
        for template in getattr(typ, "templates", ()):
            implementation = getattr(template, "_overload_func", None)
            reaches = getattr(template, "reaches", () if implementation is None else (implementation,))
            for reached in reaches:
                if isinstance(reached, Dispatcher) or not _is_external(reached.__module__):
                    _overloads.setdefault(id(function), []).append((function, reached))
    _overloads_read = len(registered)
    return [reached for _, reached in _overloads.get(id(value), ())]


def _function_content(fn: python_types.FunctionType, out: list[bytes], refs: list) -> None:
    overloads = _overloads_of(fn)
    refs.extend(overloads)
    if overloads or _is_external(fn.__module__):  # then the body of `fn` itself is never compiled
        out.append(f"external:{fn.__module__}.{fn.__qualname__}".encode())
        return
    digest, names = _code_content(fn.__code__)
    out.append(digest)
    scope = fn.__globals__
    for name in names:
        if name in scope:
            out.append(name.encode())
            _describe(scope[name], out, refs, names)
    for cell in fn.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # a cell that is not filled yet
            out.append(b"empty cell")
        else:
            _describe(content, out, refs, names)
    _describe(fn.__defaults__, out, refs, names)
    _describe(fn.__kwdefaults__, out, refs, names)


def _local_content(node) -> tuple[bytes, list]:
    """Digest of one node without what it refers to, and the list of that."""
    out: list[bytes] = []
    refs: list = []
    if isinstance(node, python_types.FunctionType):
        _function_content(node, out, refs)
    elif isinstance(node, Dispatcher):
        out.append(b"jit:" + repr(sorted(node.targetoptions.items(), key=str)).encode())
        refs.append(node.py_func)
    elif isinstance(node, _Intrinsic):
        out.append(b"intrinsic")
        refs.append(node._defn)
    elif isinstance(node, type):
        for name, member in vars(node).items():
            if isinstance(member, python_types.FunctionType):
                out.append(name.encode())
                refs.append(member)
            elif not name.startswith("__") and isinstance(member, (int, float, str, tuple, np.generic)):
                out.append(name.encode())
                _describe(member, out, refs, ())
    else:
        refs.append(node.dispatcher)
    return hashlib.sha256(b"\0".join(out)).digest(), refs


def content_key(root) -> bytes:
    """Digest of `root` (a function or dispatcher) and of all that it reaches.

    Nodes are numbered in the order in which they are met, which makes recursion no special case and the digest
    independent of what was hashed before. Raises Unkeyable where no key holds beyond this process, also when a
    global has been rebound since it was compiled in: Numba would go on using the old callee.
    """
    order = [root]
    number = {id(root): 0}
    total = hashlib.sha256()
    for node in order:
        digest, refs = _local_content(node)
        total.update(digest)
        seen = _first_seen.setdefault(node, (digest, refs))
        if seen[0] != digest or list(map(id, seen[1])) != list(map(id, refs)):
            raise Unkeyable(f"{node} refers to globals that were changed after their first use")
        for ref in refs:
            position = number.get(id(ref))
            if position is None:
                position = number[id(ref)] = len(order)
                order.append(ref)
            total.update(struct.pack("<I", position))
    return total.digest()


def _type_text(typ) -> str:
    if isinstance(typ, types.Dispatcher):
        return "function " + content_key(typ.dispatcher).hex()
    if isinstance(typ, types.BaseTuple):
        return f"{type(typ).__name__}({', '.join(map(_type_text, typ))})"
    return _stable_text(typ) + str(typ)


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
            )
        )
    return _host_text


# ---------------------------------------------------------------------------------------------------------------
# The folder
# ---------------------------------------------------------------------------------------------------------------


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
            f"compiled kernels are not kept in {self.folder}: {reason}; "
            "set NUMTORCH_CACHE_DIR to a folder of your own",
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


# ---------------------------------------------------------------------------------------------------------------
# The cache of one dispatcher
# ---------------------------------------------------------------------------------------------------------------


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

    def file_name(self, sig, target_context) -> str:
        """Name of the file for one signature. Raises Unkeyable."""
        fn = self._dispatcher.py_func
        total = hashlib.sha256(content_key(self._dispatcher))
        # The module is part of the key because loading imports it again for the function's globals.
        args, returns = (sig, None) if isinstance(sig, tuple) else (sig.args, sig.return_type)
        total.update(f"{fn.__module__}.{fn.__qualname__}({', '.join(map(_type_text, args))}) {returns}".encode())
        total.update(_host(target_context).encode())
        return f"{self._file_base}-{total.hexdigest()[:40]}.nbc"

    def load_overload(self, sig, target_context) -> CompileResult | None:
        target_context.refresh()
        if not self._enabled:
            return None
        try:
            name = self._names[sig] = self.file_name(sig, target_context)
        except Unkeyable as reason:
            self._names[sig] = None
            warnings.warn(f"{self._file_base} is not kept between runs: {reason}", NumbaWarning, stacklevel=2)
            return None
        content = store().read(name)
        if content is None:
            return None
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(content))
        except (ImportError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, pickle.PickleError):
            return None  # whole, but not for this installation: compiled anew and replaced

    def save_overload(self, sig, data: CompileResult) -> None:
        name = self._names.pop(sig, None)
        # Addresses of this process are compiled in where a kernel uses ctypes pointers or large global arrays.
        if name is None or data.lifted or data.library.has_dynamic_globals:
            return
        # The annotation is the typed listing of the source, for people; it is the slowest thing to load.
        store().write(name, dumps(data._replace(type_annotation="")._reduce()))
