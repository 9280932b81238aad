"""How tensors print: torch's text, made from whole numpy arrays.

The elements that will be seen are cut out first (at most `2 * edgeitems` a dimension when a tensor is
summarised), so that printing touches and converts only those, however large the tensor is; the texts of all
of them are made in one go, and the nested brackets are put round slices of that flat list.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import _dtype
from ._tensor import Tensor


@dataclasses.dataclass
class _PrinterOptions:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PRINT_OPTS = _PrinterOptions()

_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print.

    `precision` digits after the point (4); more than `threshold` elements (1000) are summarised by
    `edgeitems` (3) at each end of a dimension; lines break at `linewidth` (80); `profile` is "default",
    "short" or "full" and comes first; `sci_mode` forces scientific notation on or off, None (which every call
    without it sets) lets the values decide.
    """
    chosen = dict(_PROFILES.get(profile, {})) if profile is not None else {}
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen.update({name: value for name, value in given.items() if value is not None})
    for name, value in chosen.items():
        setattr(PRINT_OPTS, name, value)
    PRINT_OPTS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current options, fit for `set_printoptions(**options)`."""
    return dataclasses.asdict(PRINT_OPTS)


@contextlib.contextmanager
def printoptions(**kwargs: Any) -> Iterator[None]:
    """Change the print options inside a `with` block."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


def _shown(values: np.ndarray, summarize: bool) -> np.ndarray:
    """The corner elements of a summarised array; the array itself when all of it is shown."""
    if summarize:
        edge = PRINT_OPTS.edgeitems
        for axis, size in enumerate(values.shape):
            if size > 2 * edge:
                ends = [slice(None)] * values.ndim
                ends[axis] = slice(0, edge)
                start = values[tuple(ends)]
                ends[axis] = slice(size - edge, size)
                values = np.concatenate((start, values[tuple(ends)]), axis=axis)
    return values


class _Formatter:
    """The common format of a flat list of Python numbers: integers, floats as integers ("1."), fixed or scientific."""

    def __init__(self, values: np.ndarray):
        self.is_float = values.dtype.kind == "f"
        self.int_mode = True
        self.sci_mode = False
        self.max_width = 1
        if not self.is_float:
            self.max_width = max((len(str(value)) for value in values.tolist()), default=1)
            return
        values = values.astype(np.float64, copy=False)
        counted = values[np.isfinite(values) & (values != 0)]  # zeros, nan and inf decide nothing
        if counted.size == 0:
            return
        magnitude = np.abs(counted)
        low, high = float(magnitude.min()), float(magnitude.max())
        self.int_mode = bool((counted == np.ceil(counted)).all())
        if PRINT_OPTS.sci_mode is None:
            self.sci_mode = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
        else:
            self.sci_mode = PRINT_OPTS.sci_mode
        pattern = self._pattern()
        point = 1 if self.int_mode and not self.sci_mode else 0
        self.max_width = max(1, max(len(pattern % value) for value in counted.tolist()) + point)

    def _pattern(self) -> str:
        if self.sci_mode:
            return f"%.{PRINT_OPTS.precision}e"
        return "%.0f" if self.int_mode else f"%.{PRINT_OPTS.precision}f"

    def texts(self, values: np.ndarray) -> list[str]:
        width = self.max_width
        if not self.is_float:
            return [str(value).rjust(width) for value in values.tolist()]
        pattern = self._pattern()
        numbers = values.astype(np.float64, copy=False).tolist()
        if self.int_mode and not self.sci_mode:
            return [(pattern % number + ("." if math.isfinite(number) else "")).rjust(width) for number in numbers]
        return [(pattern % number).rjust(width) for number in numbers]


def _element_texts(flat: np.ndarray) -> tuple[list[str], int]:
    """The texts of a flat array and the room that one takes in a line, separator included."""
    if flat.dtype.kind != "c":
        formatter = _Formatter(flat)
        return formatter.texts(flat), formatter.max_width + 2
    real, imag = _Formatter(flat.real), _Formatter(flat.imag)
    texts = []
    for re, im in zip(real.texts(flat.real), imag.texts(flat.imag), strict=True):
        im = im.lstrip()
        texts.append(re + ("" if im[0] in "+-" else "+") + im + "j")
    return texts, real.max_width + imag.max_width + 3  # 3: the separator and the j


def array_text(values: np.ndarray, indent: int, decode=None) -> str:
    """The bracketed text of `values`, its first line starting at column `indent`.

    `decode` turns the elements that are shown into numpy numbers, for a dtype that numpy does not have.
    """
    if values.size == 0:
        return "[]"
    edge = PRINT_OPTS.edgeitems
    summarize = values.size > PRINT_OPTS.threshold
    cut = [summarize and size > 2 * edge for size in values.shape]
    if summarize and not edge and values.ndim:
        return "[...]"
    shown = _shown(values, summarize)
    flat = np.ascontiguousarray(shown).reshape(-1)
    texts, room = _element_texts(flat if decode is None else decode(flat))
    shape = shown.shape
    if not shape:
        return texts[0]

    def row(start: int, column: int) -> str:
        data = texts[start : start + shape[-1]]
        if cut[-1]:
            data.insert(edge, " ...")
        a_line = max(1, (PRINT_OPTS.linewidth - column) // room)
        lines = [", ".join(data[i : i + a_line]) for i in range(0, len(data), a_line)]
        return "[" + (",\n" + " " * (column + 1)).join(lines) + "]"

    def block(dim: int, start: int, column: int) -> str:
        if dim == len(shape) - 1:
            return row(start, column)
        step = math.prod(shape[dim + 1 :])
        slices = [block(dim + 1, start + i * step, column + 1) for i in range(shape[dim])]
        if cut[dim]:
            slices.insert(edge, "...")
        return "[" + ("," + "\n" * (len(shape) - dim - 1) + " " * (column + 1)).join(slices) + "]"

    return block(0, 0, indent)


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    parts = [text]
    line = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if line + len(suffix) + 2 > PRINT_OPTS.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            line = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            line += len(suffix) + 2
    return "".join(parts) + ")"


def _values(tensor: Tensor) -> tuple[np.ndarray, Any]:
    """A strided numpy view of the tensor's elements, and what decodes them where numpy lacks the dtype."""
    if tensor._device.type != "cpu":
        tensor = tensor.detach().cpu()
    decode = _from_bfloat16 if tensor._dtype is _dtype.bfloat16 else None
    return tensor._nd(), decode


def _from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _str(self, *, tensor_contents: str | None = None) -> str:
    """The text of a tensor as repr() gives it; `tensor_contents` takes the place of its elements."""
    plain = type(self) is Tensor
    parameter = False
    if not plain:
        from .nn import Parameter

        plain, parameter = type(self) is Parameter, isinstance(self, Parameter)
    prefix = "tensor(" if plain else type(self).__name__ + "("
    indent = len(prefix)
    suffixes = []
    device = self.device
    if device.type != "cpu":
        suffixes.append(f"device='{device}'")
    default = _dtype.get_default_dtype()
    implied = (default, default.to_complex(), _dtype.int64, _dtype.bool_)  # told by the elements themselves
    text = tensor_contents
    if device.type == "meta":
        suffixes.append(f"size={tuple(self.shape)}")
        if self.dtype is not default:
            suffixes.append(f"dtype={self.dtype}")
        text = "..." if text is None else text
    elif self._size.numel() == 0:
        if len(self._size) != 1:
            suffixes.append(f"size={tuple(self.shape)}")
        if self.dtype is not default:  # there is no element that would tell int64 or bool
            suffixes.append(f"dtype={self.dtype}")
        text = "[]" if text is None else text
    else:
        if not PRINT_OPTS.edgeitems:
            suffixes.append(f"size={tuple(self.shape)}")
        if self.dtype not in implied:
            suffixes.append(f"dtype={self.dtype}")
        if text is None:
            values, decode = _values(self)
            text = array_text(values, indent, decode)
    try:
        grad_fn = self.grad_fn
    except RuntimeError:  # a view made and then changed in place without grad mode has no valid one
        suffixes.append("grad_fn=<Invalid>")
    else:
        if grad_fn is not None:
            suffixes.append(f"grad_fn=<{grad_fn.name()}>")
        elif self.requires_grad:
            suffixes.append("requires_grad=True")
    text = _with_suffixes(prefix + text, suffixes, indent)
    return f"Parameter({text})" if parameter and not plain else text
