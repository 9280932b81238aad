"""Where operators announce themselves: one definition becomes a function, a method and its in-place and out= forms.

    register("mm", mm)                           torch.mm and Tensor.mm
    register("exp", exp, inplace=True)           also Tensor.exp_ (and torch.exp_)
    register("vector_norm", f, namespace="linalg", method=False)

`FUNCTIONS[namespace][name]` is what the public modules are filled from; `OPERATORS` lists what has a kernel or a
backward rule of its own and must therefore have samples in tests/op_db.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from ._inplace import inplace_form, write_out
from ._tensor import Tensor

FUNCTIONS: dict[str, dict[str, Callable]] = {"": {}}
OPERATORS: dict[str, Callable] = {}


def register(
    name: str,
    fn: Callable,
    *,
    namespace: str = "",
    function: bool = True,
    method: bool = True,
    inplace: bool = False,
    out: bool = False,
    aliases: tuple[str, ...] = (),
) -> Callable:
    """Publish `fn` under `name` (and `aliases`); returns the published function (with `out=` if asked for)."""
    if out:
        fn = with_out(fn)
    for each in (name, *aliases):
        if function:
            FUNCTIONS.setdefault(namespace, {})[each] = fn
        if method:
            setattr(Tensor, each, fn)
        if inplace:
            form = inplace_form(fn, each + "_")
            setattr(Tensor, each + "_", form)
            if function and not namespace:
                FUNCTIONS[""].setdefault(each + "_", form)
    return fn


def op(name: str | None = None, **options) -> Callable:
    """`register` as a decorator for composite operators: ordinary functions over other operators."""

    def decorate(fn):
        return register(name or fn.__name__, fn, **options)

    return decorate


def with_out(fn: Callable) -> Callable:
    """Give `fn` an `out=` argument: a tensor (or tuple of them) that is resized, written and returned."""
    if "out" in inspect.signature(fn).parameters:
        return fn
    positional = getattr(fn, "positional", fn)  # what lies under a wrapper that only looks at keywords

    @functools.wraps(fn)
    def call(*args, **kwargs) -> Tensor | tuple:
        if not kwargs:
            return positional(*args)
        out = kwargs.pop("out", None)
        result = fn(*args, **kwargs)
        return result if out is None else write_out(result, out, fn.__name__)

    announce_out(call)
    return call


def announce_out(call: Callable) -> None:
    """Add `out=`, which `call` takes beside what it wraps, to its signature."""
    signature = inspect.signature(call)
    parameters = list(signature.parameters.values())
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        parameters.append(inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None))
    call.__signature__ = signature.replace(parameters=parameters)
