"""Scalar functions: accuracy over the whole range, special values, types, vector code, and their three ways of use."""

import re

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from numba import types  # noqa: E402
from numba.core.registry import cpu_target  # noqa: E402

from numtorch.kernels import host  # noqa: E402
from numtorch.kernels import math as km  # noqa: E402
from numtorch.kernels.compiler import assembly, jit  # noqa: E402
from numtorch.kernels.math import naming  # noqa: E402

INF, NAN = np.inf, np.nan
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="formulas exist in compiled code only")


def loop(name, arguments=1):
    f = getattr(km, name)
    if arguments == 1:

        @jit
        def kernel(x, out):
            for i in range(out.size):
                out[i] = f(x[i])
    else:

        @jit
        def kernel(x, y, out):
            for i in range(out.size):
                out[i] = f(x[i], y[i])

    return kernel


def apply(name, *operands, dtype=None):
    out = np.empty(operands[0].size, operands[0].dtype if dtype is None else dtype)
    loop(name, len(operands))(*operands, out)
    return out


def every_kind_of_float(dtype):
    """Bit patterns over the whole range, moderate values, values near 1 and 0, and the special ones."""
    generator = np.random.default_rng(0)
    bits = np.uint32 if dtype == np.float32 else np.uint64
    anything = generator.integers(0, np.iinfo(bits).max, 60_000, dtype=bits, endpoint=True).view(dtype)
    smallest, least, most = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny, np.finfo(dtype).max
    special = [0.0, 1.0, 0.5, 2.0, smallest, least, most, INF]
    moderate = [
        generator.normal(size=60_000) * 10,
        generator.uniform(-1.5, 1.5, 60_000),
        generator.uniform(-110 if dtype == np.float32 else -750, 90 if dtype == np.float32 else 710, 30_000),
        generator.choice([-1, 1], 30_000) * 10.0 ** generator.uniform(-12, 6, 30_000),
    ]
    with np.errstate(invalid="ignore"):
        return np.concatenate([anything, special, np.negative(special), [NAN], *moderate]).astype(dtype)


def assert_close_in_ulps(ours, exact, limit, x):
    """`ours` is within `limit` units in the last place of `exact`, which has more digits; inf, nan and zeros agree."""
    dtype = ours.dtype.type
    with np.errstate(over="ignore"):
        rounded = exact.astype(dtype)
        one = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, 1))).astype(exact.dtype)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(rounded), err_msg="nan")
    finite = np.isfinite(rounded) & np.isfinite(ours)
    error = np.abs(np.where(finite, ours, 0).astype(exact.dtype) - np.where(finite, exact, 0)) / one
    worst = int(np.argmax(error))
    assert error[worst] <= limit, (
        f"{float(error[worst]):.2f} ulp at {x[worst]!r}: {ours[worst]!r}, not {exact[worst]!r}"
    )
    overflow = ~finite & ~np.isnan(ours)
    np.testing.assert_array_equal(ours[overflow], rounded[overflow], err_msg="inf")
    zero = (ours == 0) & (rounded == 0)
    np.testing.assert_array_equal(np.signbit(ours[zero]), np.signbit(rounded[zero]), err_msg="sign of zero")


def sigmoid(x):
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, z) / (1 + z)


# name -> (reference in more digits, limit in ulp for float32, for float64)
UNARY = {
    "exp": (np.exp, 1.1, 1.1),
    "exp2": (np.exp2, 0.51, 0.7),
    "expm1": (np.expm1, 1.7, 1.9),
    "log": (np.log, 1.0, 1.0),
    "log1p": (np.log1p, 1.0, 1.0),
    "log2": (np.log2, 0.51, 0.6),
    "log10": (np.log10, 0.51, 0.6),
    "sigmoid": (sigmoid, 2.0, 2.0),
    "tanh": (np.tanh, 1.6, 1.6),
    "sinh": (np.sinh, 1.8, 1.8),
    "cosh": (np.cosh, 1.7, 1.7),
    "asinh": (np.arcsinh, 0.51, 1.9),
    "acosh": (np.arccosh, 0.51, 2.1),
    "atanh": (np.arctanh, 0.51, 2.0),
    "asin": (np.arcsin, 1.4, 1.4),
    "acos": (np.arccos, 1.2, 1.2),
    "atan": (np.arctan, 1.5, 1.8),
    "sqrt": (np.sqrt, 0.51, 0.51),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 0.51, 1.6),
    "cbrt": (np.cbrt, 0.51, 1.3),
    "floor": (np.floor, 0, 0),
    "ceil": (np.ceil, 0, 0),
    "trunc": (np.trunc, 0, 0),
    "round": (np.rint, 0, 0),
}
HAS_LONG_DOUBLE = np.finfo(np.longdouble).nmant > 60


@compiled
@pytest.mark.parametrize("name", UNARY)
def test_float32_against_float64(name):
    reference, limit, _ = UNARY[name]
    x = every_kind_of_float(np.float32)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64))
    assert_close_in_ulps(apply(name, x), exact, limit, x)


@compiled
@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason="no longer float to compare with")
@pytest.mark.parametrize("name", UNARY)
def test_float64_against_long_double(name):
    reference, _, limit = UNARY[name]
    x = every_kind_of_float(np.float64)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.longdouble))
    assert_close_in_ulps(apply(name, x), exact, limit, x)


def in_fifty_digits(function, x):
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workprec(200):
        return np.array([np.longdouble(mpmath.nstr(getattr(mpmath, function)(float(v)), 25)) for v in x])


def angles(dtype):
    """Moderate, large and huge angles, and those nearest to multiples of pi / 2."""
    generator = np.random.default_rng(0)
    near = np.arange(-300, 300) * (np.pi / 2)
    x = [generator.normal(size=800) * 3, generator.uniform(-2e7, 2e7, 300), near, near * 65537, [0.0, 1e-300, 1e-20]]
    huge = generator.choice([-1, 1], 300) * 10.0 ** generator.uniform(7, 38 if dtype == np.float32 else 308, 300)
    return np.concatenate([*x, huge]).astype(dtype)


# name -> (mpmath's name, arguments, limit in ulp for float32, for float64)
SPECIAL = {
    "sin": ("sin", angles, 1.6, 1.2),
    "cos": ("cos", angles, 1.6, 1.2),
    "tan": ("tan", angles, 2.0, 1.3),
    "erf": ("erf", lambda d: np.random.default_rng(0).normal(size=2000).astype(d) * 2, 1.3, 1.3),
    "erfc": (
        "erfc",
        lambda d: np.random.default_rng(0).uniform(-7, 9 if d == np.float32 else 26, 2000).astype(d),
        1.8,
        2.5,
    ),
    "erfinv": ("erfinv", lambda d: np.random.default_rng(0).uniform(-1, 1, 500).astype(d), 0.7, 2.4),
    "digamma": ("digamma", lambda d: np.random.default_rng(0).uniform(0.001, 30, 2000).astype(d), 0.51, 2.1),
    "lgamma": ("loggamma", lambda d: np.random.default_rng(0).uniform(0.001, 30, 2000).astype(d), 3, 5),
}


@compiled
@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason="no longer float to compare with")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SPECIAL)
def test_against_mpmath(name, dtype):
    function, arguments, *limits = SPECIAL[name]
    x = arguments(dtype)
    # Without fused multiply-adds every step of a polynomial rounds twice.
    limit = limits[dtype == np.float64] + (0 if host.has_fma() else 0.5)
    assert_close_in_ulps(apply(name, x), in_fifty_digits(function, x), limit, x)


SPECIAL_VALUES = [
    ("sin", [-0.0, INF, NAN], [-0.0, NAN, NAN]),
    ("cos", [0.0, -INF, NAN], [1.0, NAN, NAN]),
    ("tan", [-0.0, INF, NAN], [-0.0, NAN, NAN]),
    ("erf", [-0.0, INF, -INF, NAN], [-0.0, 1, -1, NAN]),
    ("erfc", [0.0, INF, -INF, NAN], [1, 0, 2, NAN]),
    ("erfinv", [-0.0, 1, -1, 2, NAN], [-0.0, INF, -INF, NAN, NAN]),
    ("digamma", [0.0, -0.0, -2, INF, NAN], [-INF, INF, NAN, INF, NAN]),
    ("lgamma", [0.0, 1, 2, -1, INF, -INF, NAN], [INF, 0, 0, INF, INF, INF, NAN]),
    ("sign", [-0.0, 3, -2, INF, NAN], [0, 1, -1, 1, 0]),
    ("round", [0.5, 1.5, -2.5, -0.2], [0, 2, -2, -0.0]),
]


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "x", "expected"), SPECIAL_VALUES)
def test_special_values(name, x, expected, dtype):
    ours, expected = apply(name, np.array(x, dtype)), np.array(expected, dtype)
    np.testing.assert_array_equal(ours, expected)
    if name != "sign":
        np.testing.assert_array_equal(np.signbit(ours)[expected == 0], np.signbit(expected)[expected == 0])


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "test"), [("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite)])
def test_the_tests_for_inf_and_nan(name, test, dtype):
    x = np.array([0.0, 1, INF, -INF, NAN], dtype)
    np.testing.assert_array_equal(apply(name, x, dtype=np.bool_), test(x))
    z = np.empty(x.size, np.result_type(dtype, np.complex64))
    z.real, z.imag = x, x[::-1]
    np.testing.assert_array_equal(apply(name, z, dtype=np.bool_), test(z))


BINARY = {
    "pow": (np.power, 0.51, 0.7),
    "atan2": (np.arctan2, 0.51, 1.6),
    "hypot": (np.hypot, 0.51, 1.3),
    "fmod": (np.fmod, 0, 0),
    "remainder": (np.remainder, 0.51, 0.51),
    "copysign": (np.copysign, 0, 0),
    "maximum": (np.maximum, 0, 0),
    "minimum": (np.minimum, 0, 0),
}


def pairs(dtype):
    generator = np.random.default_rng(0)
    special = [0.0, 1.0, 2.0, 0.5, 3.0, 1e30, 1e-30, 1e-45, INF]
    grid = np.meshgrid(special + [-v for v in special] + [NAN], special + [-v for v in special] + [NAN])
    x = [grid[0].ravel(), generator.normal(size=5000), np.exp(generator.uniform(-80, 80, 5000)), np.full(2000, -3.0)]
    y = [grid[1].ravel(), generator.normal(size=5000), generator.uniform(-1, 1, 5000), np.arange(-1000.0, 1000)]
    return np.concatenate(x).astype(dtype), np.concatenate(y).astype(dtype)


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arguments(name, dtype):
    wider = np.float64 if dtype == np.float32 else np.longdouble
    if dtype == np.float64 and not HAS_LONG_DOUBLE:
        pytest.skip("no longer float to compare with")
    reference, *limits = BINARY[name]
    x, y = pairs(dtype)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(wider), y.astype(wider))
    ours = apply(name, x, y)
    if name in ("maximum", "minimum", "remainder"):  # numpy and torch differ in the sign of a zero
        ours, exact = ours + dtype(0), exact + wider(0)
    assert_close_in_ulps(ours, exact, limits[dtype == np.float64], np.stack([x, y], 1))


@compiled
def test_logaddexp_keeps_infinities_and_does_not_overflow():
    x = np.array([INF, -INF, 1000, -1000, 0, NAN])
    expected = np.where(np.isfinite(x), x + np.log(2), x)
    np.testing.assert_allclose(apply("logaddexp", x, x), expected, rtol=1e-15)


# -- types ------------------------------------------------------------------------------------------------------------


@compiled
@pytest.mark.parametrize("name", sorted(set(UNARY) | set(SPECIAL)))
def test_a_float32_stays_a_float32(name):
    assert result_type(name, types.float32) == types.float32
    assert result_type(name, types.float64) == types.float64


def result_type(name, *arguments):
    """What Numba infers for the function within a kernel; no machine code is made for that."""
    context = cpu_target.typing_context
    context.refresh()
    return context.resolve_value_type(getattr(km, name)).get_call_type(context, arguments, {}).return_type


@compiled
def test_types_are_promoted_as_numbers_are():
    assert result_type("exp", types.int64) == types.float64
    assert result_type("maximum", types.float32, types.int64) == types.float32
    assert result_type("maximum", types.float32, types.float64) == types.float64
    assert result_type("maximum", types.int32, types.int32) == types.int32
    assert result_type("floor", types.int32) == types.int32
    assert result_type("pow", types.int64, types.int64) == types.int64


@compiled
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("name", ["fmod", "remainder", "maximum", "minimum", "pow"])
def test_integers_stay_integers(name, dtype):
    numpys = {"fmod": np.fmod, "remainder": np.remainder, "pow": np.power}.get(name) or getattr(np, name)
    x = np.array([5, 7, 2, 3, 0, 1], dtype)
    y = np.array([3, 2, 5, 3, 4, 2], dtype)
    np.testing.assert_array_equal(apply(name, x, y), numpys(x, y))
    if np.dtype(dtype).kind == "i" and name != "pow":
        np.testing.assert_array_equal(apply(name, -x, y), numpys(-x, y))


COMPLEX = (
    "exp expm1 log log1p sigmoid tanh sin cos tan asin acos atan sinh cosh asinh acosh atanh sqrt rsqrt exp2 log2 log10"
)


@compiled
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", COMPLEX.split())
def test_complex_functions_keep_their_precision(name, dtype):
    numpys = {
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "rsqrt": lambda z: 1 / np.sqrt(z),
    }.get(name) or getattr(np, name)
    z = np.array([0.3 + 0.4j, -1.2 + 0.7j, 2.0 - 1.5j, -0.1 - 0.1j])
    np.testing.assert_allclose(apply(name, z.astype(dtype)), numpys(z), rtol=40 * np.finfo(dtype).eps)
    element = numba.from_dtype(np.dtype(dtype))
    assert result_type(name, element) == element


@compiled
@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.float32, np.float64, np.complex64])
def test_where_takes_every_type(dtype):
    @jit
    def kernel(condition, a, b, out):
        for i in range(out.size):
            out[i] = km.where(condition[i], a[i], b[i])

    condition = np.array([True, False, True])
    a, b = np.array([1, 0, 1]).astype(dtype), np.array([0, 1, 0]).astype(dtype)
    out = np.empty(3, dtype)
    kernel(condition, a, b, out)
    np.testing.assert_array_equal(out, np.where(condition, a, b))


# -- code -------------------------------------------------------------------------------------------------------------

VECTORISED = (
    "exp log tanh sigmoid erf sin cos expm1 log1p tan asin acos atan sinh cosh erfc exp2 log2 rsqrt floor round"
)


@compiled
@pytest.mark.parametrize("element", [types.float32, types.float64])
@pytest.mark.parametrize("name", VECTORISED.split())
def test_the_loop_over_a_function_is_vectorised(name, element):
    if name in ("floor", "round") and not host.rounds():
        pytest.skip("this CPU has no instruction that rounds: LLVM calls the C library")
    array = types.Array(element, 1, "C")
    code = assembly(loop(name), (array, array))
    if not re.search(r"%xmm", code):
        pytest.skip("the registers of this CPU have other names")
    suffix = "p[sd]" if element == types.float32 else "pd"
    vectors = re.findall(rf"\bv?(?:mul|add|fn?m(?:add|sub)\d+|round|rndscale|sqrt|div){suffix}\b.*%[xyz]mm", code)
    assert len(vectors) >= (1 if name in ("floor", "round", "rsqrt") else 4), name


# -- outside of kernels -----------------------------------------------------------------------------------------------


def test_a_number_gives_a_number_of_its_own_type():
    for name in sorted(set(UNARY) | set(SPECIAL)):
        x = np.float32(1.25 if name == "acosh" else 0.75)
        assert type(getattr(km, name)(x)) is np.float32, name
    assert km.exp(1.0) == pytest.approx(2.718281828459045, rel=1e-15)
    assert km.where(True, 1, 2) == 1 and km.maximum(1.0, 2.0) == 2.0
    assert km.erfinv(0.5) == pytest.approx(0.4769362762044699, rel=1e-14)
    assert km.digamma(-1.5) == pytest.approx(0.7031566406452432, rel=1e-13)
    assert km.sigmoid(np.float32(-90)) == pytest.approx(8.194012e-40, rel=1e-3)


class Named:
    """Stands for a tensor: remembers what was asked of it."""

    def exp(self):
        return "exp"

    def maximum(self, other):
        return ("maximum", other)


def test_anything_else_is_asked_for_the_method_of_that_name(monkeypatch):
    monkeypatch.setattr(km, "tensor_dispatch", naming.tensor_dispatch)
    assert km.exp(Named()) == "exp"
    assert km.maximum(Named(), 3) == ("maximum", 3)


def test_tensor_dispatch_may_be_replaced(monkeypatch):
    monkeypatch.setattr(km, "tensor_dispatch", lambda name, *args: (name, len(args)))
    assert km.where(Named(), Named(), 0) == ("where", 3)


def test_every_name_works_without_jit(run_python):
    output = run_python(
        """
        import numpy as np
        from numtorch.kernels import math as km
        from numtorch.kernels.compiler import jit

        two = {"pow", "atan2", "hypot", "fmod", "remainder", "copysign", "maximum", "minimum", "logaddexp"}
        for name in km.__all__:
            if name not in ("where", "tensor_dispatch"):
                f = getattr(km, name)
                kernel = jit(lambda *args: f(*args))
                value = np.float32(1.5 if name == "acosh" else 0.5)
                assert np.isfinite(kernel(*[value] * (1 + (name in two)))), name
        print(len(km.__all__) > 40)
        """,
        NUMBA_DISABLE_JIT="1",
    )
    assert output.split() == ["True"]
