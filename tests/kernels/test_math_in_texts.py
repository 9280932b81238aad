"""The float32 loops over the texts and derivatives of pointwise operators are vectorised where their functions are."""

import dis
import inspect
import re
import types as python_types

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from numba import types  # noqa: E402

import numtorch  # noqa: E402, F401
from numtorch._derivatives import Rule  # noqa: E402
from numtorch._registry import OPERATORS  # noqa: E402
from numtorch.kernels import host  # noqa: E402
from numtorch.kernels import math as km  # noqa: E402
from numtorch.kernels.compiler import assembly, jit, specialise  # noqa: E402
from numtorch.kernels.cpu import pointwise  # noqa: E402

# fmod and remainder call libm's fmod, lgamma libm's lgamma.
SCALAR_FUNCTIONS = {"fmod", "remainder", "lgamma"}
VECTORISABLE = {getattr(km, name) for name in km.__all__ if name not in {*SCALAR_FUNCTIONS, "tensor_dispatch"}}

BITS = "moves, signs and comparisons of bits only: no arithmetic to look for"
EXCEPTIONS = {
    "conj_physical": BITS,
    "conj_physical, derivative 0": BITS,
    "copysign": BITS,
    "nan_to_num, derivative 0": BITS,
}

# Texts that are one instruction of SSE4.1 or AVX. Below, LLVM calls the C library to round, and sees no gain in two or
# four square roots at a time.
ONE_INSTRUCTION = {"ceil", "floor", "round", "trunc", "sqrt", "pow_half"}


def functions_called(text):
    """The functions that a text calls by a global name, and those that its own helpers call."""
    names = {step.argval for step in dis.get_instructions(text) if step.opname == "LOAD_GLOBAL"}
    found = set()
    for value in (text.__globals__.get(name) for name in names):
        if value not in VECTORISABLE and isinstance(value, python_types.FunctionType):
            found |= {value} if hasattr(value, "__wrapped__") else functions_called(value)
        elif callable(value):
            found.add(value)
    return found


def texts():
    """(name, loops) of every text and derivative that calls functions of kernels.math, vectorisable ones only."""
    for name, op in sorted(OPERATORS.items()):
        spec = getattr(op, "pointwise", None)
        if spec is None:
            continue
        rules = enumerate(spec.node_class.rules)
        derivatives = [(f"{name}, derivative {i}", rule.loops) for i, rule in rules if isinstance(rule, Rule)]
        for label, loops in [(name, spec.loops), *derivatives]:
            called = functions_called(loops.text)
            if called and called <= VECTORISABLE and loops.arity <= 4:
                yield label, loops


def vector_instructions(loops):
    """Arithmetic on vectors of float32 or float64 in the contiguous loop."""
    element = np.dtype(np.float32)
    x, out = types.float32[::1], numba.from_dtype(loops.output(element))[::1]
    operands = [x] * loops.arity
    if loops.mask:
        operands[0] = types.boolean[::1]
    count = len(inspect.signature(loops.text).parameters) - loops.arity
    params = types.UniTuple(types.float32, count) if count else types.Tuple(())
    kernel = jit(pointwise.contiguous[loops.arity](specialise(loops.text, np.float32)))
    code = assembly(kernel, (*operands, out, params))
    if not re.search(r"%xmm", code):
        pytest.skip("the registers of this CPU have other names")
    return re.findall(r"\bv?(?:mul|add|sub|div|sqrt|min|max|cmp\w*|rndscale|round|fn?m(?:add|sub)\d+)p[sd]\b.*mm", code)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code without JIT")
@pytest.mark.parametrize(("label", "loops"), [pytest.param(*case, id=case[0]) for case in texts()])
def test_the_loop_over_a_text_is_vectorised(label, loops):
    if label in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[label])
    if label in ONE_INSTRUCTION and not host.rounds():
        pytest.skip("not worth a vector on this CPU")
    assert vector_instructions(loops)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code without JIT")
def test_the_exceptions_are_texts_that_exist():
    assert set(EXCEPTIONS) <= {label for label, _ in texts()}
