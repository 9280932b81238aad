"""The named tuples that operators with several results return: `torch.return_types.max(values=...,
indices=...)`.
"""

from __future__ import annotations

from collections import namedtuple


def named(name: str, *fields: str) -> type:
    """A namedtuple class that prints as torch's do, one field a line; kept as an attribute of this module."""
    base = namedtuple(name, fields)

    def show(self) -> str:
        lines = (f"{field}={value!r}" for field, value in zip(fields, self, strict=True))
        return f"torch.return_types.{name}(\n" + ",\n".join(lines) + ")"

    made = type(name, (base,), {"__slots__": (), "__repr__": show, "__module__": "torch.return_types"})
    made.__reduce__ = lambda self: (_rebuild, (name, tuple(self)))
    globals()[name] = made
    return made


def _rebuild(name: str, values: tuple):
    return globals()[name](*values)


for _name in ("max", "min", "median", "nanmedian", "mode", "kthvalue", "cummax", "cummin", "sort", "topk"):
    named(_name, "values", "indices")
named("aminmax", "min", "max")
named("histogram", "hist", "bin_edges")
named("histogramdd", "hist", "bin_edges")
