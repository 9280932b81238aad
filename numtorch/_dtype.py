"""dtypes and torch's promotion rules.

A `dtype` says how a buffer is read: `np` is the numpy dtype of the buffer itself and `compute` the one that kernels
calculate in. They differ for float16 and bfloat16 only: Numba has no half arithmetic on the CPU, so kernels see
float32 and the halves are converted at load and store (numpy has no bfloat16 at all: its buffer is raw uint16).
"""

from __future__ import annotations

import numpy as np

BOOL, INTEGRAL, FLOATING, COMPLEX = range(4)


class dtype:
    """The type of a tensor's elements; compared by identity, printed under torch's name."""

    __slots__ = ("name", "np", "compute", "itemsize", "category", "is_signed", "type_name", "__weakref__")

    def __init__(self, name: str, np_name: str, category: int, type_name: str, compute: str | None = None):
        self.name = name
        self.np = np.dtype(np_name)
        self.compute = np.dtype(compute or np_name)
        self.itemsize = self.np.itemsize
        self.category = category
        self.is_signed = name not in ("bool", "uint8")
        self.type_name = type_name  # the legacy class: "Float" for torch.FloatTensor

    @property
    def is_floating_point(self) -> bool:
        return self.category == FLOATING

    @property
    def is_complex(self) -> bool:
        return self.category == COMPLEX

    def to_real(self) -> dtype:
        """complex64 -> float32, complex128 -> float64, anything else itself."""
        return _TO_REAL.get(self, self)

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have this dtype (float16 and bfloat16 widen to complex64)."""
        if self.category == COMPLEX:
            return self
        return complex128 if self is float64 else complex64

    def __repr__(self) -> str:
        return "torch." + self.name

    def __reduce__(self):
        return (_dtype_by_name, (self.name,))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


bool_ = dtype("bool", "bool", BOOL, "Bool")
uint8 = dtype("uint8", "uint8", INTEGRAL, "Byte")
int8 = dtype("int8", "int8", INTEGRAL, "Char")
int16 = dtype("int16", "int16", INTEGRAL, "Short")
int32 = dtype("int32", "int32", INTEGRAL, "Int")
int64 = dtype("int64", "int64", INTEGRAL, "Long")
float16 = dtype("float16", "float16", FLOATING, "Half", compute="float32")
bfloat16 = dtype("bfloat16", "uint16", FLOATING, "BFloat16", compute="float32")
float32 = dtype("float32", "float32", FLOATING, "Float")
float64 = dtype("float64", "float64", FLOATING, "Double")
complex64 = dtype("complex64", "complex64", COMPLEX, "ComplexFloat")
complex128 = dtype("complex128", "complex128", COMPLEX, "ComplexDouble")

ALL = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64, complex64, complex128)
BY_NAME = {d.name: d for d in ALL}
ALIASES = {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "cfloat": complex64,
    "cdouble": complex128,
}
_TO_REAL = {complex64: float32, complex128: float64}
FROM_NUMPY = {d.np: d for d in ALL if d is not bfloat16}

#: The C++ types that torch names in some of its messages.
C_NAMES = {
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short int",
    "int32": "int",
    "int64": "long int",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double",
    "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}


def _dtype_by_name(name: str) -> dtype:
    return BY_NAME[name]


def from_numpy_dtype(np_dtype) -> dtype:
    """The dtype of a numpy array; TypeError, as torch words it, where there is none."""
    found = FROM_NUMPY.get(np.dtype(np_dtype))
    if found is None:
        name = f"numpy.{np_dtype.type.__name__}"
        raise TypeError(
            f"can't convert np.ndarray of type {name}. The only supported types are: float64, float32, float16, "
            "complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    return found


# Order of widening inside a category; promotion across categories takes the higher category's dtype.
_INT_RANK = {uint8: 0, int8: 0, int16: 1, int32: 2, int64: 3}


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if a.category > b.category:
        a, b = b, a
    if a.category < b.category:
        if b.category == COMPLEX and a is float64:
            return complex128
        return b
    if a.category == INTEGRAL:
        if {a, b} == {uint8, int8}:
            return int16
        return a if _INT_RANK[a] > _INT_RANK[b] else b
    if a.category == FLOATING and {a, b} == {float16, bfloat16}:
        return float32
    return a if a.itemsize > b.itemsize else b


_PROMOTE = {(a, b): _promote(a, b) for a in ALL for b in ALL}


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds both (torch.promote_types)."""
    return _PROMOTE[type1, type2]


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a value may be cast without losing its category (torch.can_cast): complex > float > int > bool."""
    return not (
        (from_.category == COMPLEX and to.category != COMPLEX)
        or (from_.category == FLOATING and to.category in (INTEGRAL, BOOL))
        or (from_.category == INTEGRAL and to.category == BOOL)
    )


class _Default:
    """The dtype of float literals; a plain attribute since every float constructor reads it."""

    dtype = float32
    complex_dtype = complex64


def get_default_dtype() -> dtype:
    return _Default.dtype


def set_default_dtype(d: dtype) -> None:
    """Set the dtype that Python floats become; TypeError if `d` is not a floating dtype."""
    if not isinstance(d, dtype):
        raise TypeError(f"invalid dtype object: only floating-point types are supported as the default type, got {d!r}")
    if d.category != FLOATING:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _Default.dtype = d
    _Default.complex_dtype = d.to_complex()


_SCALAR_CATEGORY = {bool: BOOL, int: INTEGRAL, float: FLOATING, complex: COMPLEX}


def scalar_category(value) -> int:
    """The category of a Python (or numpy) number."""
    category = _SCALAR_CATEGORY.get(type(value))
    if category is None:
        kind = np.asarray(value).dtype.kind
        category = {"b": BOOL, "i": INTEGRAL, "u": INTEGRAL, "f": FLOATING, "c": COMPLEX}.get(kind)
        if category is None:
            raise TypeError(f"expected a Number or a Tensor, but got {type(value).__name__}")
    return category


def scalar_dtype(value) -> dtype:
    """The dtype that torch gives to a tensor made of this number."""
    category = scalar_category(value)
    if category == FLOATING:
        return _Default.dtype
    if category == COMPLEX:
        return _Default.complex_dtype
    return int64 if category == INTEGRAL else bool_
