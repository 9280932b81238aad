"""The content of a kernel: a digest of everything that its machine code is made from.

That is its bytecode and constants, and those of all that it reaches through globals, closures and defaults: jitted
functions, overloads, intrinsics, plain functions, constants, and what it names in modules of ours. What ships with
Python, Numba or numpy counts by name; their versions are part of the cache's key.
"""

from __future__ import annotations

import functools
import hashlib
import struct
import sys
import types as python_types
from enum import Enum
from weakref import WeakKeyDictionary

import numpy as np
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.core.typing.templates import builtin_registry
from numba.extending import _Intrinsic

from .threads import ParallelKernel

_EXTERNAL = frozenset(sys.stdlib_module_names) - {"__main__"} | {"numba", "numpy", "llvmlite"}


class Unkeyable(Exception):
    """Something that a kernel refers to has no content that means the same in the next process."""


def is_external(module_name: str | None) -> bool:
    return module_name is not None and module_name.partition(".")[0] in _EXTERNAL


# code object -> (digest, names it may look up in its module); code objects never change
_code_memo: dict[python_types.CodeType, tuple[bytes, tuple[str, ...]]] = {}
# function -> (ids of what its names stood for when it was first seen, its digest, what it refers to)
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
    elif isinstance(getattr(value, "_numba_type_", None), types.Dispatcher):  # what stands for a dispatcher
        out.append(b"reference")
        refs.append(value._numba_type_.dispatcher)
    elif hasattr(value, "__wrapped__"):  # functools.cache and other decorations of a function
        _describe(value.__wrapped__, out, refs, names)
    elif isinstance(value, functools.partial):
        _describe((value.func, value.args, value.keywords), out, refs, names)
    elif isinstance(value, type):
        _describe_class(value, out, refs)
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
        out.append(b"type:" + type_text(value).encode())
    elif isinstance(value, Enum):
        out.append(f"enum:{kind.__qualname__}:{value.name}".encode())
        _describe(value.value, out, refs, names)
    elif is_external(kind.__module__):
        out.append(f"{kind.__module__}.{kind.__qualname__}:{_stable_text(value)}".encode())
    else:
        _describe_class(kind, out, refs)
        _describe(getattr(value, "__dict__", None) or _stable_text(value), out, refs, names)


def _stable_text(value) -> str:
    text = repr(value)
    if " at 0x" in text:
        raise Unkeyable(text)
    return text


def _describe_module(module, out: list[bytes], refs: list | None, names: tuple[str, ...]) -> None:
    """A module of ours counts with those of its globals that the code names (`tiles.WIDTH`)."""
    out.append(b"module:" + module.__name__.encode())
    if is_external(module.__name__):
        return
    content = vars(module)
    for name in names:
        found = content.get(name)
        if found is not None and found is not module:
            out.append(name.encode())
            # A package reaches its submodules by the same names; a module in a module is not followed back up.
            _describe(found, out, refs, () if isinstance(found, python_types.ModuleType) else names)


def _describe_class(cls: type, out: list[bytes], refs: list | None) -> None:
    out.append(f"class:{cls.__module__}.{cls.__qualname__}".encode())
    if not is_external(cls.__module__):
        refs.append(cls)


def overloads_of(value) -> list:
    """What stands for `value` in compiled code: our own `numba.extending.overload`s, formulas of `math`."""
    global _overloads_read
    registered = builtin_registry.globals
    for function, typ in registered[_overloads_read:]:
        for template in getattr(typ, "templates", ()):
            implementation = getattr(template, "_overload_func", None)
            reaches = getattr(template, "reaches", () if implementation is None else (implementation,))
            for reached in reaches:
                if not is_external(reached.__module__):
                    _overloads.setdefault(id(function), []).append((function, reached))
    _overloads_read = len(registered)
    return [reached for _, reached in _overloads.get(id(value), ())]


def _function_content(fn: python_types.FunctionType) -> tuple[bytes, list]:
    """Digest and references of a function; the work is done once for as long as its names stand for the same."""
    overloads = overloads_of(fn)
    if overloads or is_external(fn.__module__):  # then the body of `fn` itself is never compiled
        refs = []
        for overload in overloads:
            _describe(overload, [], refs, ())
        return f"{fn.__module__}.{fn.__qualname__}".encode(), refs
    digest, names = _code_content(fn.__code__)
    scope = fn.__globals__
    values = [scope.get(name, _ABSENT) for name in names]
    for cell in fn.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # a cell that is not filled yet
            values.append(_ABSENT)
    values.append(fn.__defaults__)
    values.append(fn.__kwdefaults__)
    ids = list(map(id, values))
    seen = _first_seen.get(fn)
    if seen is not None and seen.ids == ids and seen.is_fixed:
        return seen.digest, seen.refs
    out: list[bytes] = [digest]
    refs: list = []
    for name, value in zip(names, values, strict=False):
        if value is not _ABSENT:
            out.append(name.encode())
            _describe(value, out, refs, names)
    for value in values[len(names) :]:
        _describe(value, out, refs, names)
    digest = hashlib.sha256(b"\0".join(out)).digest()
    if seen is None:
        _first_seen[fn] = _Seen(values, ids, digest, refs)
    elif seen.digest != digest or list(map(id, seen.refs)) != list(map(id, refs)):
        raise Unkeyable(f"{fn} refers to globals that were changed after their first use")
    return digest, refs


_ABSENT = b"absent"
_FIXED = (int, float, complex, str, bytes, bool, python_types.NoneType, np.generic, np.dtype, types.Type, type)
_FIXED += (
    python_types.FunctionType,
    python_types.BuiltinFunctionType,
    Dispatcher,
    _Intrinsic,
    ParallelKernel,
    np.ufunc,
)


class _Seen:
    """What a function's names stood for, and what came of it."""

    __slots__ = ("values", "ids", "digest", "refs", "is_fixed")

    def __init__(self, values, ids, digest, refs):
        self.values, self.ids, self.digest, self.refs = values, ids, digest, refs
        # the same list, dict, array or module of ours may hold something else the next time
        self.is_fixed = all(map(_is_fixed, values))


def _is_fixed(value) -> bool:
    if isinstance(value, python_types.ModuleType):
        return is_external(value.__name__)
    return isinstance(value, _FIXED) or hasattr(value, "_numba_type_")


def _node_content(node) -> tuple[bytes, list]:
    """Digest of one node without what it refers to, and the list of that."""
    if type(node) is python_types.FunctionType:
        return _function_content(node)
    if isinstance(node, Dispatcher):
        return repr(sorted(node.targetoptions.items(), key=str)).encode(), [node.py_func]
    if isinstance(node, _Intrinsic):
        return b"intrinsic", [node._defn]
    if isinstance(node, ParallelKernel):
        return b"parallel", [node.dispatcher]
    out: list[bytes] = []
    refs: list = []
    for name, member in vars(node).items():
        if isinstance(member, python_types.FunctionType):
            out.append(name.encode())
            refs.append(member)
        elif not name.startswith("__") and isinstance(member, (int, float, str, tuple, np.generic)):
            out.append(name.encode())
            _describe(member, out, refs, ())
    return hashlib.sha256(b"\0".join(out)).digest(), refs


def content_key(root) -> bytes:
    """Digest of `root` (a function or dispatcher) and of all that it reaches.

    Nodes are numbered in the order in which they are met, which makes recursion no special case and the digest
    independent of what was hashed before. Raises Unkeyable where no key holds beyond this process, also when a
    global has been rebound since it was compiled in: Numba would go on using the old callee.
    """
    order = [root]
    number = {id(root): 0}
    parts = []
    for node in order:
        digest, refs = _node_content(node)
        positions = []
        for ref in refs:
            position = number.get(id(ref))
            if position is None:
                position = number[id(ref)] = len(order)
                order.append(ref)
            positions.append(position)
        parts.append(struct.pack(f"<{len(positions) + 2}I", len(digest), *positions, 0xFFFFFFFF))
        parts.append(digest)
    return hashlib.sha256(b"".join(parts)).digest()


def type_text(typ) -> str:
    """A Numba type as text that means the same in another process."""
    if isinstance(typ, types.Dispatcher):
        return "function " + content_key(typ.dispatcher).hex()
    if isinstance(typ, types.BaseTuple):
        return f"{type(typ).__name__}({', '.join(map(type_text, typ))})"
    return _stable_text(typ) + str(typ)
