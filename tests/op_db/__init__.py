"""The op table of the tests: one row an operator, one module a family (any module here with a list ``OPS`` is
read).

    Op("sigmoid", unary(-3, 3), scipy.special.expit, promotes=True)
    Op("mm", lambda make: [(make(3, 4), make(4, 2)), (make(0, 4), make(4, 2))], np.matmul, dtypes=FLOATING)

name       where it is found: "sigmoid" is torch.sigmoid, "nn.functional.relu", "linalg.norm", "Tensor.sort"
likewise.
samples    ``samples(make)`` gives argument tuples, or ``Sample(*args, **kwargs)`` (``.only_values()``: not
differentiated).  Every numpy array among the arguments (in
           lists too) becomes a tensor; ``make(2, 3, low=-1, high=1)`` is a random array of the dtype under
           test (high excluded for integers), ``make.integers(2, 3, high=5)`` one of int64, ``make.bools(2,
           3)`` a mask.  Include empty and 0-d ones.
reference  the same function for numpy arrays (float32 arrives as float64); None checks gradients only.
Several results: a tuple.
dtypes     the dtypes to test: BOTH_FLOATS (default), FLOATING, WITH_COMPLEX, INTEGERS, NUMERIC, EVERY, or any
tuple of names.
out        the result's dtype: "same" (default), "bool", "int64", "real", a function of the dtype's name, or a
tuple of these;
           ``promotes=True`` says that integers give float32.
rtol, atol for float32 values (float64 gets a ten-millionth of them, the half precisions their own).
gradcheck, gradgradcheck   False where there is no (second) derivative; ``grad_of`` limits the check to these
argument positions.
expanded, strided          False where arguments cannot be repeated rows (a matrix that must be invertible) or
strided.
covers     internal operators (numtorch._registry.OPERATORS) that these samples exercise besides the one of
this name.
aliases    other names of the same function.  errors: ``errors(make)`` gives (Sample, exception class, regular
expression).
skip       {test: reason} for what does not apply: a generated test's name, "method", "compare" (with torch),
"node" (its name).

From every row come the tests of tests/test_ops.py, and with torch installed those of
tests/compare/test_ops.py.
"""

from ._collect import all_ops
from ._row import (
    BOTH_FLOATS,
    EVERY,
    FLOATING,
    INTEGERS,
    NUMERIC,
    WITH_COMPLEX,
    Op,
    Sample,
    binary,
    unary,
)

__all__ = [
    "BOTH_FLOATS",
    "EVERY",
    "FLOATING",
    "INTEGERS",
    "NUMERIC",
    "WITH_COMPLEX",
    "Op",
    "Sample",
    "all_ops",
    "binary",
    "unary",
]
