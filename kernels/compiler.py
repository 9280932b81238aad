"""`jit`: the one way in which this project turns a Python function into machine code.

    @jit                    a Numba dispatcher, compiled at its first call for each dtype, kept on disk (`cache`)
    @jit(parallel=True)     the same for prange loops, launched under the guard of `threads`
    entry_point(k, sig)     the compiled builtin of one signature, for calls where every 100 ns counts
    specialise(fn, dtype)   a scalar function whose literals have the dtype, so that float32 stays float32

Nothing is compiled, hashed or read at import. With NUMBA_DISABLE_JIT=1 all of them give plain Python functions.
"""

from __future__ import annotations

import dis
import signal
import threading
import types as python_types
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import numba
import numpy as np
from numba.core import sigutils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.registry import CPUDispatcher

from . import callees
from .cache import KernelCache
from .content import is_external, overloads_of
from .threads import ParallelKernel, open_pool


class Statistics(NamedTuple):
    """Kernels compiled and loaded from disk by this process, and the seconds that both took."""

    compiled: int
    loaded: int
    seconds: float


#: Called with (kernel name, signature, "compile" | "load", seconds) whenever a kernel has become ready.
on_compile: list[Callable[[str, object, str, float], None]] = []

_counts = {"compile": 0, "load": 0}
_seconds = 0.0
_running = threading.local()  # .nested: seconds of callees compiled inside the compilation in progress


def statistics() -> Statistics:
    """How many kernels were compiled and loaded so far, and how long that took."""
    return Statistics(_counts["compile"], _counts["load"], _seconds)


class _Interrupts:
    """Holds Ctrl-C back while a kernel is compiled, and lets it happen after.

    Compilation calls back from LLVM into Python; a KeyboardInterrupt that rises there is lost, and half a kernel stays.
    """

    def __init__(self):
        self.pending = None

    def __call__(self, number, frame):
        self.pending = (number, frame)

    def __enter__(self):
        self.previous = None
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler) and not isinstance(handler, _Interrupts):
                self.previous = signal.signal(signal.SIGINT, self)

    def __exit__(self, *exception):
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)
            if self.pending is not None:
                self.previous(*self.pending)


_NUMBERS = (types.IntegerLiteral, types.BooleanLiteral)


class Kernel(CPUDispatcher):
    """Numba's dispatcher with our cache, our way of calling other kernels, and a clock on compilation."""

    def __init__(self, py_func, locals=None, targetoptions=None, **kwargs):
        super().__init__(py_func, locals, targetoptions, **kwargs)
        self._compiler = callees.KernelCompiler(
            py_func, self.targetdescr, self.targetoptions, self.locals, self._compiler.pipeline_class
        )
        self._cache = KernelCache(self)
        self._is_apart = bool(self.targetoptions.get("nogil"))
        self._keys: dict = {}  # argument types -> what Numba knows a callee by that stays apart
        self._kept: list = []  # what code in use refers to

    def get_call_template(self, args, kws):
        # Numba would compile once more for every literal that stands in a call.
        if not self.targetoptions.get("forceinline"):
            args = [types.unliteral(kind) if isinstance(kind, _NUMBERS) else kind for kind in args]
        callees.request.copied = not self._is_apart
        try:
            return super().get_call_template(args, kws)
        finally:
            callees.request.copied = False

    def get_overload(self, sig):
        args, _ = sigutils.normalize_signature(sig)
        return self._keys.get(args) or super().get_overload(sig)

    def add_overload(self, result):
        if callees.is_copied(result):  # nothing that Python could call
            self.overloads[result.signature.args] = result
            return
        super().add_overload(result)
        args = result.signature.args
        if self._is_apart:
            self._keys[args] = callees.publish(result, self._cache.name_of(args), self.targetctx)

    def compile(self, sig):
        copied, callees.request.copied = getattr(callees.request, "copied", False), False
        if self.targetoptions.get("parallel"):
            open_pool()
        outer = getattr(_running, "nested", 0.0)
        _running.nested = 0.0
        start = perf_counter()
        try:
            with _Interrupts(), global_compiler_lock:
                known, misses = self._lookups(), sum(self._cache_misses.values())
                entry = self._compile(sig, copied)
        finally:
            elapsed = perf_counter() - start
            own = elapsed - _running.nested
            _running.nested = outer + elapsed
        if self._lookups() > known:
            kind = "compile" if sum(self._cache_misses.values()) > misses else "load"
            _ready(self.py_func.__qualname__, sig, kind, own)
        return entry

    def _lookups(self) -> int:
        return sum(self._cache_misses.values()) + sum(self._cache_hits.values())

    def _compile(self, sig, copied: bool):
        args, _ = sigutils.normalize_signature(sig)
        existing = self.overloads.get(args)
        if existing is not None:
            if copied or not callees.is_copied(existing):
                return existing.entry_point
            self._kept.append(self.overloads.pop(args))
        misses = sum(self._cache_misses.values())
        before, self._compiler.copied = self._compiler.copied, copied
        try:
            entry = super().compile(sig)
        finally:
            self._compiler.copied = before
        if not copied and sum(self._cache_misses.values()) > misses:
            self._kept.append(callees.connect(self.overloads[args]))
        return entry


class _Waiting(Kernel):
    """A kernel that nobody has used yet: the function and its options.

    Making one of Numba's dispatchers costs 70 us, and there are several hundred kernels of which a process uses a few
    dozen. The first call, or the first look at anything a dispatcher has, makes this object one.
    """

    def __init__(self, fn, options: dict):
        self.__dict__.update(_pending=(fn, options), py_func=fn, __doc__=fn.__doc__, __name__=fn.__name__)

    def _begin(self) -> None:
        with _beginning:
            pending = self.__dict__.pop("_pending", None)
            if pending is not None:
                fn, options = pending
                Kernel.__init__(self, fn, targetoptions=options)
                self.__class__ = Kernel

    def __call__(self, *args):
        self._begin()
        return self(*args)

    def __getattr__(self, name):
        if "_pending" not in self.__dict__:
            raise AttributeError(name)
        self._begin()
        return getattr(self, name)

    @property
    def _numba_type_(self):
        self._begin()
        return self._numba_type_

    def compile(self, sig):
        self._begin()
        return self.compile(sig)


_beginning = threading.RLock()


def _ready(name: str, sig, kind: str, seconds: float) -> None:
    global _seconds
    _counts[kind] += 1
    _seconds += seconds
    for hook in on_compile:
        hook(name, sig, kind, seconds)


def jit(
    fn=None,
    *,
    parallel: bool = False,
    nogil: bool = False,
    apart: bool = False,
    inline: bool = False,
    bare: bool = False,
):
    """Compile `fn` lazily for each dtype it meets, with the settings that every kernel here shares.

    Divisions are unchecked (error_model numpy, without which LLVM vectorises nothing around them); of fastmath only
    contraction is on, since the rest breaks inf and nan. A parallel kernel cannot be called from other kernels.
    Kernels copy the code of those that they call; one with `nogil` (it runs long, and lets other Python threads run
    meanwhile) or `apart` (it is long as code) is compiled once and called through its address, see `callees`.
    With `inline` it becomes part of every kernel that calls it, however long it is. `bare` is for kernels that make no
    array and call only such: no reference is counted then, which else costs some 10 ns for every slice in a loop.
    """

    def decorate(f):
        if numba.config.DISABLE_JIT:
            if parallel:
                f.serial = f  # which a ParallelKernel has, and callers ask for
            return f
        options = {
            "nopython": True,
            "boundscheck": None,
            "error_model": "numpy",
            "fastmath": {"contract"},
            "nogil": nogil or parallel or apart,
        }
        if inline:
            options["forceinline"] = True
        if bare:
            options["_nrt"] = False
        kernel = _Waiting(f, options)
        if parallel:
            return ParallelKernel(_Waiting(f, {**options, "parallel": True}), kernel)
        return kernel

    return decorate if fn is None else decorate(fn)


def entry_point(kernel, signature) -> Callable:
    """The compiled builtin of `kernel` for exactly `signature` (a tuple of numba types, or a signature).

    Calling it skips the dispatcher's look at the argument types (148 ns against 280 ns): the caller answers for
    them. An array of another dtype raises TypeError, but a strided one is read as if it were contiguous.
    """
    if isinstance(kernel, ParallelKernel):
        return kernel.entry_point(signature)
    if not isinstance(kernel, Dispatcher):
        return kernel
    return kernel.compile(signature)


def assembly(kernel, signature) -> str:
    """The machine code of `kernel` for `signature` as text, compiled afresh (one from disk has none to show)."""
    dispatcher = getattr(kernel, "dispatcher", kernel)
    fresh = CPUDispatcher(dispatcher.py_func, targetoptions=dispatcher.targetoptions)
    fresh.compile(signature)
    return fresh.inspect_asm(fresh.signatures[0])


# ---------------------------------------------------------------------------------------------------------------
# Literals that have a dtype
# ---------------------------------------------------------------------------------------------------------------

_specialised: dict = {}


def specialise(fn, scalar_type):
    """A jitted copy of the scalar function `fn` in which number literals have `scalar_type`.

    Numba computes `1 - x` in float64 for a float32 x; in the copy the 1 is a float32. Plain functions of ours that
    `fn` calls by name are copied in the same way. For complex types real literals become the real type of the same
    precision, and for integers and bool nothing changes. An integer exponent stays an integer: `x ** 2` is x * x.
    """
    dtype = np.dtype(scalar_type)
    if dtype.kind not in "fc":
        dtype = None
    key = (fn, dtype)
    found = _specialised.get(key)
    if found is None:
        # A loop over a text is vectorised only if the text is inlined, which LLVM left alone does for short ones.
        found = _specialised[key] = jit(fn if dtype is None else _typed_copy(fn, dtype), inline=True)
    return found


def _typed_copy(fn: python_types.FunctionType, dtype: np.dtype) -> python_types.FunctionType:
    real = np.empty(0, dtype).real.dtype.type
    scope = fn.__globals__
    # Names that are looked up as globals: co_names also holds attributes (`g.real`), which may happen to be called like
    # a function of the module.
    names = {step.argval for step in dis.get_instructions(fn.__code__) if step.opname == "LOAD_GLOBAL"}
    helpers = {
        name: specialise(scope[name], dtype)
        for name in sorted(names)
        if name in scope and scope[name] is not fn and _is_scalar_helper(scope[name])
    }
    closure = None
    if fn.__closure__:
        closure = tuple(
            python_types.CellType(specialise(cell.cell_contents, dtype))
            if _is_scalar_helper(cell.cell_contents)
            else cell
            for cell in fn.__closure__
        )
    scope = {**scope, **helpers} if helpers else scope
    return typed_literals(fn, {int: real, float: real, complex: dtype.type}, scope, closure)


def _is_scalar_helper(value) -> bool:
    return (
        isinstance(value, python_types.FunctionType) and not is_external(value.__module__) and not overloads_of(value)
    )


def typed_literals(fn, kinds: dict, scope: dict | None = None, closure: tuple | None = None):
    """A copy of the Python function `fn` whose literals of type int, float, complex have the type `kinds` gives.

    `scope` and `closure`, where given, take the place of its globals and closure.
    """
    copy = python_types.FunctionType(
        _code_with_literals(fn.__code__, kinds),
        fn.__globals__ if scope is None else scope,
        fn.__name__,
        fn.__defaults__,
        fn.__closure__ if closure is None else closure,
    )
    copy.__qualname__ = fn.__qualname__
    copy.__module__ = fn.__module__
    copy.__kwdefaults__ = fn.__kwdefaults__
    copy.__doc__ = fn.__doc__
    return copy


def _code_with_literals(code: python_types.CodeType, kinds: dict) -> python_types.CodeType:
    constants = list(code.co_consts)
    place: dict = {}  # literal -> where its typed form stands
    body = bytearray(code.co_code)
    steps = [step for step in dis.get_instructions(code) if step.opname != "CACHE"]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        small = step.opname == "LOAD_SMALL_INT"  # Python 3.14 keeps small integers out of co_consts
        if not small and step.opcode not in dis.hasconst:
            continue
        value = step.argval
        if type(value) not in kinds:
            continue
        if type(value) is int and following is not None and _is_power(following):
            continue
        key = (type(value), repr(value))
        if key not in place:
            place[key] = len(constants)
            constants.append(kinds[type(value)](value))
        if place[key] > 255:
            raise ValueError(f"{code.co_name} has more literals than one bytecode argument can number")
        if small:
            body[step.offset] = dis.opmap["LOAD_CONST"]
        body[step.offset + 1] = place[key]
    return code.replace(co_code=bytes(body), co_consts=tuple(constants))


def _is_power(step) -> bool:
    return step.opname == "BINARY_POWER" or (step.opname == "BINARY_OP" and step.argrepr in ("**", "**="))
