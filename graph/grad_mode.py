"""Grad modes: whether operations record nodes, thread by thread.

``mode.enabled`` is read by every differentiable operation, so it is a plain attribute of a thread-local
object whose defaults live on its class.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any


class _Mode(threading.local):
    enabled = True  # operations record nodes
    inference = False  # inference_mode is on
    saved_hooks: tuple = ()  # innermost last: (pack, unpack) pairs of saved_tensors_hooks
    task: Any = None  # the backward that runs now: its roots, its plan if it has one, its number
    running: Any = None  # in anomaly mode: the node whose backward runs now


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations record nodes in this thread."""
    return mode.enabled


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on in this thread."""
    return mode.inference


class ContextDecorator:
    """A context manager that also decorates functions, and generator functions, which it enters anew at every
    resumption.

    ``clone`` gives the fresh instance that each call of a decorated function enters, so that recursion and
    threads are safe.
    """

    def __call__(self, fn: Callable) -> Callable:
        if inspect.isclass(fn):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only "
                "decorate functions or methods. To preserve the current behavior of class decoration, you "
                "can directly decorate the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
            fn.__init__ = self(fn.__init__)
            return fn
        if inspect.isgeneratorfunction(fn):
            return self._wrap_generator(fn)

        @functools.wraps(fn)
        def decorate_context(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return fn(*args, **kwargs)

        return decorate_context

    def _wrap_generator(self, fn: Callable) -> Callable:
        @functools.wraps(fn)
        def generator_context(*args: Any, **kwargs: Any) -> Any:
            generator = fn(*args, **kwargs)
            try:
                with self.clone():
                    response = generator.send(None)
                while True:
                    try:
                        request = yield response
                    except GeneratorExit:
                        with self.clone():
                            generator.close()
                        raise
                    except BaseException as error:  # whatever the consumer throws in belongs to the generator
                        with self.clone():
                            response = generator.throw(error)
                    else:
                        with self.clone():
                            response = generator.send(request)
            except StopIteration as stop:
                return stop.value

        return generator_context

    def clone(self) -> ContextDecorator:
        return type(self)()


class _BareDecorator(ContextDecorator):
    """Usable as ``@no_grad`` as well as ``@no_grad()``."""

    def __new__(cls, orig_func: Callable | None = None) -> Any:
        instance = super().__new__(cls)
        return instance if orig_func is None else instance(orig_func)


class no_grad(_BareDecorator):
    """Operations record no nodes: their results do not require grad."""

    def __enter__(self) -> None:
        self.prev, mode.enabled = mode.enabled, False

    def __exit__(self, *exc_info: Any) -> None:
        mode.enabled = self.prev


class enable_grad(_BareDecorator):
    """Operations record nodes again, inside a no_grad block."""

    def __enter__(self) -> None:
        self.prev, mode.enabled = mode.enabled, True

    def __exit__(self, *exc_info: Any) -> None:
        mode.enabled = self.prev


class set_grad_enabled(ContextDecorator):
    """Sets the mode now; a ``with`` block puts the former mode back; a decorated function sets its own."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}"
            )
        self.prev, _thread.enabled = _thread.enabled, mode
        self.mode = mode

    def __call__(self, fn: Callable) -> Callable:
        _thread.enabled = self.prev
        return super().__call__(fn)

    def __enter__(self) -> None:
        _thread.enabled = self.mode

    def __exit__(self, *exc_info: Any) -> None:
        _thread.enabled = self.prev

    def __str__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    __repr__ = __str__

    def clone(self) -> set_grad_enabled:
        return type(self)(self.mode)


class inference_mode(ContextDecorator):
    """no_grad, and results can never join a graph later; ``inference_mode(False)`` is the way out inside."""

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.prev = _thread.enabled, _thread.inference
        # Leaving inference mode for a block brings normal recording back, as in torch.
        _thread.enabled, _thread.inference = not self.mode, self.mode

    def __exit__(self, *exc_info: Any) -> None:
        _thread.enabled, _thread.inference = self.prev

    def clone(self) -> inference_mode:
        return type(self)(self.mode)


_thread = mode  # the same object, for methods whose argument torch calls ``mode``
