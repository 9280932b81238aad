"""Explicit vectors: every operation against numpy, on lengths around whole vectors."""

import numpy as np
import pytest

numba = pytest.importorskip("numba")
if numba.config.DISABLE_JIT:
    pytest.skip("vectors exist in compiled code only", allow_module_level=True)

from numba import types  # noqa: E402

from numtorch.kernels import host  # noqa: E402
from numtorch.kernels.compiler import assembly, jit  # noqa: E402
from numtorch.kernels.simd import (  # noqa: E402
    add_up,
    bfloat16_to_single,
    bits_as,
    broadcast,
    convert,
    evens,
    fma,
    half_to_single,
    halfs,
    in_turn_high,
    in_turn_low,
    lane,
    lanes,
    larger,
    largest,
    load,
    load_at,
    load_every,
    load_part,
    odds,
    pick,
    single_to_bfloat16,
    single_to_half,
    smaller,
    smallest,
    square_root,
    store,
    store_part,
)

SIZES = [0, 1, 7, 16, 17, 33, 100]
FLOATS = [np.float32, np.float64]
NUMBERS = [np.float32, np.float64, np.int32, np.int64, np.uint8]


@jit
def dot(x, y):
    width = lanes(x)
    total = broadcast(x, x.dtype.type(0))
    whole = x.size // width * width
    for i in range(0, whole, width):
        total = fma(load(x, i), load(y, i), total)
    rest = x.size - whole
    total = fma(load_part(x, whole, rest), load_part(y, whole, rest), total)
    return add_up(total)


@jit
def axpy(a, x, y):
    width = lanes(x)
    scale = broadcast(x, a)
    whole = x.size // width * width
    for i in range(0, whole, width):
        store(y, i, fma(scale, load(x, i), load(y, i)))
    rest = x.size - whole
    store_part(y, whole, rest, fma(scale, load_part(x, whole, rest), load_part(y, whole, rest)))


def numbers(size, dtype, seed=0):
    values = np.random.default_rng(seed).uniform(-50, 50, size)
    return np.abs(values).astype(dtype) if np.dtype(dtype).kind == "u" else values.astype(dtype)


def one_vector(operation):
    """A kernel that applies `operation` to one vector of each operand."""

    @jit
    def kernel(x, y, out):
        store(out, 0, operation(load(x, 0), load(y, 0)))

    return kernel


def width(dtype):
    return host.vector_bytes() // np.dtype(dtype).itemsize


def apply(operation, x, y, dtype=None):
    out = np.empty(x.size, x.dtype if dtype is None else dtype)
    one_vector(operation)(x, y, out)
    return out


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_the_dot_product_of_the_package_docstring(size, dtype):
    x, y = numbers(size, dtype), numbers(size, dtype, 1)
    tolerance = 100 * np.finfo(dtype).eps * np.sum(np.abs(x * y), dtype=np.float64)
    assert abs(dot(x, y) - np.dot(x.astype(np.float64), y.astype(np.float64))) <= tolerance


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_axpy_writes_its_elements_and_nothing_behind_them(size, dtype):
    x, y = numbers(size, dtype), numbers(size + 8, dtype, 1)
    expected = y.copy()
    expected[:size] += dtype(3) * x
    axpy(dtype(3), x, y[:size])
    np.testing.assert_allclose(y[:size], expected[:size], rtol=4 * np.finfo(dtype).eps, atol=1e-5)
    assert (y[size:] == expected[size:]).all()


OPERATORS = {
    "add": (jit(lambda a, b: a + b), lambda a, b: a + b),
    "sub": (jit(lambda a, b: a - b), lambda a, b: a - b),
    "mul": (jit(lambda a, b: a * b), lambda a, b: a * b),
    "smaller": (jit(lambda a, b: smaller(a, b)), np.minimum),
    "larger": (jit(lambda a, b: larger(a, b)), np.maximum),
    "pick <": (jit(lambda a, b: pick(a < b, a, b)), np.minimum),
    "pick >=": (jit(lambda a, b: pick(a >= b, a, b)), np.maximum),
    "pick ==": (jit(lambda a, b: pick(a == b, a, b)), lambda a, b: b),
    "pick !=": (jit(lambda a, b: pick(a != b, a, b)), lambda a, b: a),
    "negation": (jit(lambda a, b: -a), lambda a, b: -a),
}


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_works_lane_by_lane(name, dtype):
    ours, numpys = OPERATORS[name]
    x, y = numbers(width(dtype), dtype), numbers(width(dtype), dtype, 1)
    expected = numpys(x, y)
    np.testing.assert_array_equal(apply(ours, x, y), np.where(x == y, x, expected) if "==" in name else expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_division_and_square_root_are_correctly_rounded(dtype):
    x, y = numbers(width(dtype), dtype), np.abs(numbers(width(dtype), dtype, 1))
    np.testing.assert_array_equal(apply(jit(lambda a, b: a / b), x, y), x / y)
    np.testing.assert_array_equal(apply(jit(lambda a, b: square_root(b)), x, y), np.sqrt(y))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_integers_take_the_bitwise_operators(dtype):
    x, y = numbers(width(dtype), dtype), numbers(width(dtype), dtype, 1)
    np.testing.assert_array_equal(apply(jit(lambda a, b: (a & b) ^ (a | b)), x, y), x ^ y)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_extremes_give_nan_where_either_lane_is_nan(dtype):
    x, y = numbers(width(dtype), dtype), numbers(width(dtype), dtype, 1)
    x[0] = y[1] = np.nan
    np.testing.assert_array_equal(apply(OPERATORS["larger"][0], x, y), np.maximum(x, y))
    np.testing.assert_array_equal(apply(OPERATORS["smaller"][0], x, y), np.minimum(x, y))


@pytest.mark.parametrize("dtype", NUMBERS)
def test_folding_a_vector_and_taking_a_lane(dtype):
    @jit
    def kernel(x, out):
        v = load(x, 0)
        out[0], out[1], out[2], out[3] = add_up(v), largest(v), smallest(v), lane(v, 1)

    x = (numbers(width(dtype), dtype) / 8).astype(dtype)
    out = np.empty(4, dtype)
    kernel(x, out)
    np.testing.assert_allclose(out, [x.sum(dtype=dtype), x.max(), x.min(), x[1]], rtol=1e-5)


@pytest.mark.parametrize(("source", "target"), [(np.float32, np.int32), (np.float64, np.int64), (np.int32, np.float32)])
def test_conversions_and_bit_casts(source, target):
    @jit
    def converted(x, out):
        store(out, 0, convert(target, load(x, 0)))

    @jit
    def same_bits(x, out):
        store(out, 0, bits_as(target, load(x, 0)))

    x = numbers(width(source), source)
    out = np.empty(x.size, target)
    converted(x, out)
    np.testing.assert_array_equal(out, x.astype(target))
    same_bits(x, out)
    np.testing.assert_array_equal(out.view(np.uint8), x.view(np.uint8))


def test_the_loop_uses_the_widest_registers_of_the_host():
    array = types.Array(types.float32, 1, "C")
    register = {64: "%zmm", 32: "%ymm", 16: "%xmm"}[host.vector_bytes()]
    if host.features() & {"sse2"}:
        assert register in assembly(dot, (array, array))


# -- float16 and bfloat16 ---------------------------------------------------------------------------------------------


def loop_over(scalar):
    @jit
    def kernel(x, out):
        for i in range(x.size):
            out[i] = scalar(x[i])

    return kernel


ALL_BITS = np.arange(1 << 16, dtype=np.uint16)


@pytest.mark.parametrize("scalar", [half_to_single, halfs._half_to_single_in_integers])
def test_every_half_has_its_float(scalar):
    out = np.empty(ALL_BITS.size, np.float32)
    loop_over(scalar)(ALL_BITS, out)
    np.testing.assert_array_equal(out, ALL_BITS.view(np.float16).astype(np.float32))


@pytest.mark.parametrize("scalar", [single_to_half, halfs._single_to_half_in_integers])
def test_floats_round_to_the_nearest_half(scalar):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 1 << 32, 200_000, dtype=np.uint32).view(np.float32)
    ties = (ALL_BITS.view(np.float16).astype(np.float32).view(np.uint32) + np.uint32(0x1000)).view(np.float32)
    moderate = generator.normal(size=200_000) * 10.0 ** generator.integers(-9, 6, 200_000)
    x = np.concatenate([x, ties, moderate.astype(np.float32)])
    out = np.empty(x.size, np.uint16)
    loop_over(scalar)(x, out)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out.view(np.float16), x.astype(np.float16))


def test_bfloat16_keeps_the_upper_half_rounded_to_even():
    x = np.array([1.0, 1.00390625, 1.01171875, -3.3895314e38, 3.4028235e38, np.inf, np.nan, 1e-45, -0.0], np.float32)
    bits = np.empty(x.size, np.uint16)
    loop_over(single_to_bfloat16)(x, bits)
    back = np.empty(x.size, np.float32)
    loop_over(bfloat16_to_single)(bits, back)
    expected = [1.0, 1.0, 1.015625, -3.3895314e38, np.inf, np.inf, np.nan, 0.0, -0.0]
    np.testing.assert_array_equal(back, np.array(expected, np.float32))
    assert np.signbit(back[-1])


@pytest.mark.parametrize("settings", [{"NUMBA_CPU_NAME": "generic"}, {"NUMBA_ENABLE_AVX": "0"}])
def test_the_same_kernels_run_on_lesser_cpus(settings, tmp_path, run_python):
    code = """
        import numpy as np
        from numtorch.kernels import host
        from numtorch.kernels.compiler import jit
        from numtorch.kernels.simd import add_up, broadcast, fma, lanes, load, load_part

        @jit
        def dot(x, y):
            width = lanes(x)
            total = broadcast(x, x.dtype.type(0))
            whole = x.size // width * width
            for i in range(0, whole, width):
                total = fma(load(x, i), load(y, i), total)
            rest = x.size - whole
            return add_up(fma(load_part(x, whole, rest), load_part(y, whole, rest), total))

        x = np.arange(21, dtype=np.float32)
        print(host.vector_bytes(), dot(x, x))
    """
    assert run_python(code, **settings).split() == ["16", "2870.0"]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_lanes_in_another_order(dtype):
    @jit
    def turned(x, out):
        width = lanes(x)
        a, b = load(x, 0), load(x, width)
        store(out, 0, evens(a, b))
        store(out, width, odds(a, b))
        store(out, 2 * width, in_turn_low(a, b))
        store(out, 3 * width, in_turn_high(a, b))

    width = host.vector_bytes() // np.dtype(dtype).itemsize
    x, out = np.arange(2 * width).astype(dtype), np.empty(4 * width, dtype)
    turned(x, out)
    np.testing.assert_array_equal(out[: 2 * width], np.concatenate((x[::2], x[1::2])))
    np.testing.assert_array_equal(out[2 * width :], np.stack((x[:width], x[width:]), 1).reshape(-1))


@jit
def _taken(x, places, count, step, by_place, out):
    width = lanes(x)
    for i in range(0, count, width):
        if by_place:
            store_part(out, i, count - i, load_at(x, 3, load(places, i), count - i))
        else:
            store_part(out, i, count - i, load_every(x, 3 + i * step, step, count - i))


@pytest.mark.parametrize("kind, places_kind", [(np.float32, np.int32), (np.float64, np.int64), (np.int64, np.int64)])
@pytest.mark.parametrize("count", [1, 7, 16, 33])
def test_elements_at_places_and_at_steps(count, kind, places_kind):
    x = np.arange(1, 200).astype(kind)
    places = np.random.default_rng(count).integers(-2, 150, 64).astype(places_kind)
    out = np.full(64, -1, kind)
    _taken(x, places, count, 3, True, out)
    expected = np.where(places < 0, 0, x[3 + np.maximum(places, 0)])
    assert out[:count].tolist() == expected[:count].tolist() and (out[count:] == -1).all()
    _taken(x, places, count, 3, False, out)
    assert out[:count].tolist() == x[3::3][:count].tolist()
