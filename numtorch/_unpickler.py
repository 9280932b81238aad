"""Read the pickles of checkpoints as data: an interpreter of the pickle language that runs nothing but what
it was given.

Python's own unpickler imports whatever a file names and calls it. This one knows only the globals of an
allowlist handed to it by the caller, and each opcode that could act (REDUCE, NEWOBJ, BUILD, APPEND, SETITEM)
acts on the exact classes written down for it. Malformed input of any kind raises pickle.UnpicklingError.
"""

from __future__ import annotations

import pickle
import struct
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

UnpicklingError = pickle.UnpicklingError

# Never to be had, not even by add_safe_globals.
_BLOCKED_MODULES = frozenset({"sys", "os", "posix", "nt"})

# A pickle of protocol 2 names the modules of Python 2.
_PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}

_MALFORMED = (
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    struct.error,
    EOFError,
)


class Global:
    """Something that a file may name: `value`, and whether it may be called (REDUCE), made (NEWOBJ), filled (BUILD)."""

    __slots__ = ("value", "call", "make", "build")

    def __init__(self, value: Any, call: bool = False, make: bool = False, build: Callable | None = None):
        self.value = value
        self.call = call
        self.make = make
        self.build = build


def build_by_state(instance: Any, state: Any) -> None:
    """What pickle does with the state of an object: __setstate__, or else its attributes."""
    setstate = getattr(instance, "__setstate__", None)
    if setstate is not None:
        setstate(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        instance.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(instance, name, value)


def read_global_name(readline: Callable[[], bytes]) -> tuple[str, str]:
    module = readline()[:-1].decode("utf-8")
    name = readline()[:-1].decode("utf-8")
    return _PYTHON2_MODULES.get(module, module), name


_MARK = object()


class RestrictedUnpickler:
    """`load()` gives the object in `file`.

    `lookup(full_name)` returns the Global of a name, or None where it is not allowed; `persistent_load(id)`
    the storage of an id. `encoding` is for the byte strings of Python 2.
    """

    def __init__(self, file, lookup: Callable, persistent_load: Callable, encoding: str = "utf-8"):
        self._read = file.read
        self._readline = file.readline
        self._lookup = lookup
        self._persistent_load = persistent_load
        self._encoding = encoding
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._known: list[Global] = []  # the globals this file has named

    def load(self) -> Any:
        read, actions = self._read, _ACTIONS
        while True:
            key = read(1)
            if not key:
                raise UnpicklingError("the pickle ends before its STOP opcode")
            if key == b".":
                if len(self._stack) != 1 or self._stack[0] is _MARK:
                    raise UnpicklingError("the pickle does not end with one object")
                return self._stack.pop()
            action = actions.get(key[0])
            if action is None:
                raise UnpicklingError(f"Unsupported operand {key[0]}")
            try:
                action(self)
            except UnpicklingError:
                raise
            except _MALFORMED as error:
                raise UnpicklingError(f"malformed pickle: {type(error).__name__}: {error}") from error

    # -- the opcodes that act ----------------------------------------

    def _global(self) -> None:
        self._push_global(*read_global_name(self._readline))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(module) is not str or type(name) is not str:
            raise UnpicklingError("STACK_GLOBAL needs two strings")
        self._push_global(_PYTHON2_MODULES.get(module, module), name)

    def _push_global(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if module in _BLOCKED_MODULES:
            raise UnpicklingError(f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked.")
        found = self._lookup(full)
        if found is None:
            shown = full[len("builtins.") :] if full.startswith("builtins.") else full
            raise UnpicklingError(
                f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
                f"`torch.serialization.add_safe_globals([{shown}])` or the "
                f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this global if you trust "
                "this class/function."
            )
        self._known.append(found)
        self._stack.append(found.value)

    def _find(self, value: Any) -> Global | None:
        return next((g for g in self._known if g.value is value), None)

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._top()
        found = self._find(function)
        if found is None or not found.call:
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {_shown(function)}")
        if type(arguments) is not tuple:
            raise UnpicklingError(f"REDUCE needs a tuple of arguments, but got {type(arguments)}")
        self._stack[-1] = function(*arguments)

    def _newobj(self) -> None:
        arguments, cls = self._pop(), self._pop()
        found = self._find(cls)
        if found is None or not found.make or not isinstance(cls, type) or type(arguments) is not tuple:
            raise UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got "
                f"{_shown(cls)}"
            )
        self._stack.append(cls.__new__(cls, *arguments))

    def _build(self) -> None:
        state, instance = self._pop(), self._top()
        if type(instance) is OrderedDict:
            instance.__dict__.update(state)
            return
        found = next((g for g in self._known if g.value is type(instance)), None)
        if found is None or found.build is None:
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got "
                f"{type(instance)}"
            )
        found.build(instance, state)

    def _persistent_id(self) -> None:
        key = self._pop()
        if type(key) is not tuple or not key or key[0] not in ("storage", b"storage"):
            raise UnpicklingError(f"Only persistent_load of storage is allowed, but got {type(key)}")
        self._stack.append(self._persistent_load(key))

    # -- containers ----------------------------------------

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise UnpicklingError("unexpected MARK")
        return value

    def _top(self) -> Any:
        value = self._stack[-1]
        if value is _MARK:
            raise UnpicklingError("unexpected MARK")
        return value

    def _pop_mark(self) -> list[Any]:
        stack, at = self._stack, len(self._stack) - 1
        while stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise UnpicklingError("no MARK on the stack")
        items = stack[at + 1 :]
        del stack[at:]
        return items

    def _mark(self) -> None:
        self._stack.append(_MARK)

    def _append(self) -> None:
        value, target = self._pop(), self._top()
        if type(target) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(target)}")
        target.append(value)

    def _appends(self) -> None:
        values, target = self._pop_mark(), self._top()
        if type(target) is not list:
            raise UnpicklingError(f"Can only extend lists, but got {type(target)}")
        target.extend(values)

    def _setitem(self) -> None:
        value, key = self._pop(), self._pop()
        self._fill("SETITEM", [key, value])

    def _setitems(self) -> None:
        self._fill("SETITEMS", self._pop_mark())

    def _fill(self, opcode: str, items: list[Any]) -> None:
        target = self._top()
        if type(target) not in (dict, OrderedDict, Counter):
            raise UnpicklingError(
                f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but got {type(target)}"
            )
        if len(items) % 2:
            raise UnpicklingError("a key without its value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            _check_key(key)
            target[key] = value

    def _additems(self) -> None:
        values, target = self._pop_mark(), self._top()
        if type(target) is not set:
            raise UnpicklingError(f"Can only add items to sets, but got {type(target)}")
        for value in values:
            _check_key(value)
        target.update(values)

    def _frozenset(self) -> None:
        values = self._pop_mark()
        for value in values:
            _check_key(value)
        self._stack.append(frozenset(values))

    def _tuple_of(self, count: int) -> None:
        items = tuple(self._pop() for _ in range(count))[::-1]
        self._stack.append(items)

    # -- memo and atoms ----------------------------------------

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    def _exactly(self, count: int) -> bytes:
        data = self._read(count)
        if len(data) != count:
            raise UnpicklingError("the pickle ends inside of a value")
        return data

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._exactly(struct.calcsize(layout)))[0]

    def _text(self, layout: str) -> None:
        self._stack.append(str(self._exactly(self._number(layout)), "utf-8", "surrogatepass"))

    def _bytes(self, layout: str) -> None:
        self._stack.append(self._exactly(self._number(layout)))

    def _python2_string(self, layout: str) -> None:
        data = self._exactly(self._number(layout))
        self._stack.append(data if self._encoding == "bytes" else data.decode(self._encoding))

    def _long(self, layout: str) -> None:
        self._stack.append(int.from_bytes(self._exactly(self._number(layout)), "little", signed=True))

    def _proto(self) -> None:
        protocol = self._number("B")
        if protocol > pickle.HIGHEST_PROTOCOL:
            raise UnpicklingError(f"unsupported pickle protocol: {protocol}")
        if protocol != 2:
            warnings.warn(
                f"Detected pickle protocol {protocol} in the checkpoint, which was not the default pickle protocol "
                "used by `torch.load` (2). The weights_only Unpickler might not support all instructions implemented "
                "by this protocol, please file an issue for adding support if you encounter this.",
                stacklevel=4,
            )


def _check_key(key: Any) -> None:
    """Refuse tuples nested so deep that hashing them would overflow the C stack, which ends the process."""
    level, depth = [key], 0
    while level:
        depth += 1
        if depth > 100:
            raise UnpicklingError("a key is nested too deep")
        level = [item for value in level if type(value) is tuple for item in value]


def _shown(value: Any) -> str:
    """A text of something unknown that does not run its __repr__."""
    return getattr(value, "__qualname__", None) or f"an object of {type(value)}"


def _push(make: Callable[[], Any]) -> Callable[[RestrictedUnpickler], None]:
    return lambda self: self._stack.append(make())


_U = RestrictedUnpickler
_ACTIONS: dict[int, Callable[[RestrictedUnpickler], None]] = {
    opcode[0]: action
    for opcode, action in {
        pickle.GLOBAL: _U._global,
        pickle.STACK_GLOBAL: _U._stack_global,
        pickle.REDUCE: _U._reduce,
        pickle.NEWOBJ: _U._newobj,
        pickle.BUILD: _U._build,
        pickle.BINPERSID: _U._persistent_id,
        pickle.MARK: _U._mark,
        pickle.APPEND: _U._append,
        pickle.APPENDS: _U._appends,
        pickle.SETITEM: _U._setitem,
        pickle.SETITEMS: _U._setitems,
        pickle.ADDITEMS: _U._additems,
        pickle.POP: lambda self: self._stack.pop(),
        pickle.POP_MARK: _U._pop_mark,
        pickle.DUP: lambda self: self._stack.append(self._top()),
        pickle.TUPLE: lambda self: self._stack.append(tuple(self._pop_mark())),
        pickle.TUPLE1: lambda self: self._tuple_of(1),
        pickle.TUPLE2: lambda self: self._tuple_of(2),
        pickle.TUPLE3: lambda self: self._tuple_of(3),
        pickle.FROZENSET: _U._frozenset,
        pickle.NONE: _push(lambda: None),
        pickle.NEWTRUE: _push(lambda: True),
        pickle.NEWFALSE: _push(lambda: False),
        pickle.EMPTY_TUPLE: _push(tuple),
        pickle.EMPTY_LIST: _push(list),
        pickle.EMPTY_DICT: _push(dict),
        pickle.EMPTY_SET: _push(set),
        pickle.BININT: lambda self: self._stack.append(self._number("<i")),
        pickle.BININT1: lambda self: self._stack.append(self._number("B")),
        pickle.BININT2: lambda self: self._stack.append(self._number("<H")),
        pickle.BINFLOAT: lambda self: self._stack.append(self._number(">d")),
        pickle.LONG1: lambda self: self._long("B"),
        pickle.LONG4: lambda self: self._long("<i"),
        pickle.BINUNICODE: lambda self: self._text("<I"),
        pickle.SHORT_BINUNICODE: lambda self: self._text("B"),
        pickle.BINUNICODE8: lambda self: self._text("<Q"),
        pickle.BINBYTES: lambda self: self._bytes("<I"),
        pickle.SHORT_BINBYTES: lambda self: self._bytes("B"),
        pickle.BINBYTES8: lambda self: self._bytes("<Q"),
        pickle.BINSTRING: lambda self: self._python2_string("<I"),
        pickle.SHORT_BINSTRING: lambda self: self._python2_string("B"),
        pickle.BINGET: lambda self: self._get(self._number("B")),
        pickle.LONG_BINGET: lambda self: self._get(self._number("<I")),
        pickle.BINPUT: lambda self: self._put(self._number("B")),
        pickle.LONG_BINPUT: lambda self: self._put(self._number("<I")),
        pickle.MEMOIZE: lambda self: self._put(len(self._memo)),
        pickle.PROTO: _U._proto,
        pickle.FRAME: lambda self: self._number("<Q"),
    }.items()
}


def globals_named(file) -> set[str]:
    """The names that a pickle would look up, without looking up any."""
    names: set[str] = set()

    def note(full: str) -> Global:
        names.add(full)
        return Global(_Unknown, call=True, make=True, build=lambda instance, state: None)

    RestrictedUnpickler(file, note, lambda key: None).load()
    return names


class _Unknown(list):
    """Stands for the results of globals that are only listed."""

    def __init__(self, *arguments: Any):
        super().__init__()

    def __new__(cls, *arguments: Any):
        return super().__new__(cls)
