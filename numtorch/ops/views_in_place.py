"""Views in place: the tensor itself takes the geometry of a view of it; torch has nodes of their own for them."""

from __future__ import annotations

from numtorch.graph import mode

from .._inplace import old_self
from .._registry import register
from .._tensor import Tensor
from .shape import (
    SqueezeBackward0,
    SqueezeBackward1,
    SqueezeBackward2,
    TBackward0,
    TransposeBackward0,
    UnsqueezeBackward0,
    ViewBackward0,
    squeeze,
    t,
    transpose,
    unsqueeze,
)


class TransposeBackward1(TransposeBackward0):
    pass


class TBackward1(TBackward0):
    pass


class UnsqueezeBackward1(UnsqueezeBackward0):
    pass


class SqueezeBackward3(ViewBackward0):
    pass


class SqueezeBackward4(ViewBackward0):
    pass


class SqueezeBackward5(ViewBackward0):
    pass


# What torch calls the nodes of views that were made in place.
_IN_PLACE = {
    SqueezeBackward0: SqueezeBackward3,
    SqueezeBackward1: SqueezeBackward4,
    SqueezeBackward2: SqueezeBackward5,
    TBackward0: TBackward1,
    TransposeBackward0: TransposeBackward1,
    UnsqueezeBackward0: UnsqueezeBackward1,
}


def _inplace_view(name: str, view_of):
    """`x.name(...)`: x itself takes the geometry (and the node) of a view of it; no element moves."""

    def call(self, *args, **kwargs) -> Tensor:
        if self._requires_grad and mode.enabled:
            if self.grad_fn is None:
                raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
            base = self._base
            if base is not None and base._requires_grad and base.grad_fn is None:
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place operation."
                )
        result = view_of(old_self(self), *args, **kwargs)
        self._size, self._stride, self._offset = result._size, result._stride, result._offset
        self._flat, self._storage = result._flat, result._storage
        node = result._grad_fn
        if node is not None:
            node.__class__ = _IN_PLACE[type(node)]
            self._grad_fn, self._output_nr = node, 0
        self._bump_version()
        self._view_version = self._storage.version
        return self

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name[:-1]}` in place: the tensor's own size and strides change."
    return register(name, call, function=False)


t_ = _inplace_view("t_", t)
transpose_ = _inplace_view("transpose_", transpose)
swapaxes_ = _inplace_view("swapaxes_", transpose)
swapdims_ = _inplace_view("swapdims_", transpose)
squeeze_ = _inplace_view("squeeze_", squeeze)
unsqueeze_ = _inplace_view("unsqueeze_", unsqueeze)
