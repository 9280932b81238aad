"""The op table of the tests: one row an operator, one module a family; a module here with a list ``OPS`` is read.

    Op("sigmoid", unary(-3, 3), scipy.special.expit, promotes=True)
    Op("mm", lambda make: [(make(3, 4), make(4, 2)), (make(0, 4), make(4, 2))], np.matmul, dtypes=FLOATING)

name        where it is found: "sigmoid" is torch.sigmoid, "nn.functional.relu" and "Tensor.repeat" likewise.
samples     ``samples(make)`` gives argument tuples or ``Sample(*args, **kwargs)``. Every numpy array among
the
            arguments, in lists too, becomes a tensor: ``make(2, 3, low=-1, high=1)`` has the dtype under
            test, ``make.integers(2, 3, high=5)`` is int64, ``make.bools(2, 3)`` a mask, ``make.distinct(2,
            3)`` has no ties. Include empty and 0-d ones. ``Sample(...).only_values()`` is not differentiated
            (nan, ties).
reference   the same function of numpy arrays, in double precision; None: only the rest is tested.
dtypes      BOTH_FLOATS (default), FLOATING, WITH_COMPLEX, INTEGERS, NUMERIC, EVERY, or a tuple of names.
out         the result's dtype: "same", "real", a name, a function of the dtype's name, or a tuple of these
for
            several results. ``promotes=True``: integers give float32.
rtol, atol  for float32; float64 gets a ten-millionth of them.
gradcheck, gradgradcheck, expanded, strided   False where there is no such derivative or argument layout.
grad_of     positions of the arguments to differentiate, if not all.
covers      internal operators (numtorch._registry.OPERATORS) that the samples reach, besides the one of this
name.
aliases     other names of the function. errors: ``errors(make)`` gives (Sample, exception class, regex).
torch_error how far torch is from the reference, where its approximation is coarser than ours.
skip        {test: reason}: a generated test's name, "method", "compare" (with torch), "node" (its node's
name).
            ``Sample(...).skipping(node="reason")`` says it of one sample ("compare" or "node").
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
    spoken_for,
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
    "spoken_for",
    "unary",
]
