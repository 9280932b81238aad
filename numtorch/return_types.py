"""The named tuples that operators with several results return: `torch.return_types.max(values=..., indices=...)`."""

from __future__ import annotations

from collections import namedtuple


def named(name: str, *fields: str) -> type:
    """A namedtuple class that prints as torch's do, one field a line; kept as an attribute of this module.

    It is made from its fields or, as torch's are, from one sequence of them.
    """
    base = namedtuple(name, fields)

    def show(self) -> str:
        lines = (f"{field}={value!r}" for field, value in zip(fields, self, strict=True))
        return f"torch.return_types.{name}(\n" + ",\n".join(lines) + ")"

    def make(cls, *values):
        return tuple.__new__(cls, values if len(values) == len(fields) else base._make(*values))

    def reduce(self, protocol):
        return _rebuild, (name, tuple(self))

    scope = {"__new__": make, "__repr__": show, "__reduce_ex__": reduce, "__slots__": ()}
    made = type(name, (base,), {**scope, "__module__": "torch.return_types"})
    globals()[name] = made
    return made


def _rebuild(name: str, values: tuple):
    return globals()[name](*values)


for _name in ("max", "min", "median", "nanmedian", "mode", "kthvalue", "cummax", "cummin", "sort", "topk"):
    named(_name, "values", "indices")
named("aminmax", "min", "max")
named("histogram", "hist", "bin_edges")
named("histogramdd", "hist", "bin_edges")
