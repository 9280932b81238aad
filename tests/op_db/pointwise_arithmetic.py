"""Functions of two and three numbers: arithmetic, comparison, logic, bits."""

import numpy as np

from . import BOTH_FLOATS, EVERY, FLOATING, INTEGERS, NUMERIC, Op, Sample, binary, spoken_for
from ._reference import special

REAL = (*INTEGERS, *FLOATING)


def scaled(fn):
    return lambda a, b, alpha=1: fn(a, (np.asarray(alpha).astype(np.asarray(a).dtype) if alpha != 1 else 1) * b)


def with_alpha(make):
    if make.dtype == "bool":
        return binary()(make)
    other = (2, 3) if spoken_for(make, ((2, 3), (3,))) else (3,)
    return [*binary()(make), Sample(make(2, 3), make(*other), alpha=3), Sample(make(4), 2, alpha=2)]


def powers(make):
    base = (0.3, 2.0)
    made = [
        Sample(make(*a, low=0.3, high=3), make(*b, low=0, high=3))
        for a, b in (((5,), (5,)), ((2, 3), (3,)), ((), (3,)))
        if not spoken_for(make, (a, b))
    ]
    made.append(Sample(make(0), make(1)))
    made += [Sample(make(5, low=base[0], high=base[1]), number) for number in (0, 1, 2, 3)]
    made.append(Sample(2, make(5, low=0, high=3)))
    if make.np_dtype.kind in "fc":
        made += [Sample(make(5, low=0.3, high=2), number) for number in (0.5, -1, -2, 2.5)]
        made.append(Sample(1.5, make(4)))
    return made


def three(low=None, high=None, **options):
    def samples(make):
        shapes = (((5,), (5,), (5,)), ((2, 3), (3,), (2, 1)), ((), (), ()), ((0,), (0,), (0,)))
        return [
            Sample(*(make(*each, low=low, high=high) for each in shape), **options)
            for shape in shapes
            if not spoken_for(make, shape)
        ]

    return samples


def wheres(make):
    return [
        (make.bools(5), make(5), make(5)),
        (make.bools(2, 1), make(3), make(2, 3)),
        (make.bools(4), make(4), 1.5),
        (make.bools(4), 2.0, make(4)),
        (make.bools(), make(), make()),
        (make.bools(0), make(0), make(0)),
    ]


def clamps(make):
    low, high = (1, 5) if make.np_dtype.kind in "iu" else (-0.4, 0.5)
    row, column = ((2, 3), (2, 3)) if spoken_for(make, ((3,), (2, 1))) else ((3,), (2, 1))
    return [
        (make(5), low, high),
        Sample(make(2, 3), min=low),
        Sample(make(2, 3), max=high),
        Sample(make(2, 3), min=make(*row)),
        Sample(make(2, 3), max=make(*column)),
        (make(2, 3), make(*row), make(*column)),
        (make(), low, high),
        (make(0), low, high),
    ]


def one_bound(make):
    row = (2, 3) if spoken_for(make, ((2, 3), (3,))) else (3,)
    return [(make(5), 1), (make(2, 3), make(*row)), (make(0), 1)]


def clamp(x, min=None, max=None):
    x = x if min is None else np.maximum(x, np.asarray(min, x.dtype))
    return x if max is None else np.minimum(x, np.asarray(max, x.dtype))


def divisions(make):
    """With every rounding mode; the plain ones promote integers, so that those have only these."""
    rounded = [each for mode in ("floor", "trunc") for each in binary(0.6, 7.0, rounding_mode=mode)(make)]
    if make.np_dtype.kind in "iu":
        return rounded
    # torch names the node after the overload, which the keyword chooses whatever its value is
    plain = [each.skipping(node="rounding_mode=None") for each in binary(0.6, 7.0, rounding_mode=None)(make)]
    return [*binary(0.6, 7.0)(make), *plain, *rounded]


def divide(a, b, rounding_mode=None):
    if rounding_mode == "floor":
        return np.floor_divide(a, b)
    quotient = np.true_divide(a, b)
    return quotient if rounding_mode is None else np.trunc(quotient).astype(np.result_type(a, b))


def comparison(name, reference, dtypes=("float32", "int64", "uint8", "bool"), **options):
    return Op(name, binary(0, 3), reference, dtypes, out="bool", gradcheck=False, **options)


def logical(name, reference):
    return Op(name, binary(0, 2, number=None), reference, EVERY, out="bool", gradcheck=False)


def bits(name, reference, dtypes=("bool", *INTEGERS), high=100, number=3, **options):
    return Op(name, binary(0, high, number=number), reference, dtypes, gradcheck=False, **options)


OPS = [
    Op("add", with_alpha, scaled(np.add), EVERY, covers=("add_scaled",)),
    Op("sub", with_alpha, scaled(np.subtract), NUMERIC, covers=("sub_scaled",), aliases=("subtract",)),
    Op(
        "rsub",
        lambda make: binary()(make),
        lambda a, b: b - a,
        NUMERIC,
        covers=("rsub_",),
    ),
    Op("mul", binary(), np.multiply, EVERY, aliases=("multiply",)),
    Op(
        "div",
        divisions,
        divide,
        REAL,
        covers=("div_trunc", "int_trunc_div"),
        aliases=("divide",),
    ),
    Op("true_divide", binary(0.6, 7.0), np.true_divide, NUMERIC, promotes=True),
    Op(
        "floor_divide",
        binary(0.6, 7.0),
        np.floor_divide,
        REAL,
        covers=("div_floor", "int_floor_div"),
        gradcheck=False,
    ),
    Op(
        "remainder",
        lambda make: [
            *binary(0.6, 7.0)(make),
            *([] if make.np_dtype.kind == "u" else [(make(9, low=-5), -3)]),
        ],
        np.remainder,
        REAL,
        covers=("int_remainder",),
    ),
    Op("fmod", binary(0.6, 7.0), np.fmod, REAL, covers=("int_fmod",)),
    Op("pow", powers, np.power, NUMERIC, covers=("pow_number", "pow3", "pow_half"), skip={"test_in_place": "x ** -1"}),
    Op(
        "float_power",
        powers,
        lambda a, b: np.power(np.asarray(a, float), b),
        BOTH_FLOATS,
        out="float64",
        rtol=1e-5,
    ),
    Op("maximum", binary(number=None), np.maximum, REAL),
    Op("minimum", binary(number=None), np.minimum, REAL),
    Op("fmax", binary(number=None), np.fmax, REAL),
    Op("fmin", binary(number=None), np.fmin, REAL),
    Op("copysign", binary(), np.copysign, BOTH_FLOATS),
    Op("hypot", binary(0.3, 2.0, number=None), np.hypot, BOTH_FLOATS),
    Op("atan2", binary(0.3, 2.0, number=None), np.arctan2, BOTH_FLOATS),
    Op("xlogy", binary(0.3, 2.0), special.xlogy, BOTH_FLOATS),
    Op("special.xlog1py", binary(0.3, 2.0), special.xlog1py, BOTH_FLOATS),
    Op(
        "fill",
        lambda make: [(make(2, 3), 2), (make(), 1), (make(0), 0), (make(4), make())],
        lambda x, value: np.full_like(x, value),
        EVERY,
        covers=("_filled_like", "_filled_with", "_zeroed"),
    ),
    Op("logaddexp", binary(number=None), np.logaddexp, BOTH_FLOATS),
    Op("heaviside", binary(number=None), np.heaviside, REAL, gradcheck=False),
    Op("gcd", binary(0, 50, number=None), np.gcd, INTEGERS, gradcheck=False),
    Op("lcm", binary(0, 10, number=None), np.lcm, INTEGERS[1:], gradcheck=False),
    Op(
        "lerp",
        lambda make: [*three()(make), Sample(make(2, 3), make(3), 0.3), Sample(make(4), make(4), 0.8)],
        lambda a, b, w: a + w * (b - a),
        BOTH_FLOATS,
    ),
    Op(
        "addcmul",
        lambda make: [*three()(make), *three(value=2)(make)],
        lambda a, b, c, value=1: a + value * b * c,
        (*INTEGERS, *BOTH_FLOATS),
    ),
    Op(
        "addcdiv",
        lambda make: [*three(0.5, 2.0)(make), *three(0.5, 2.0, value=2)(make)],
        lambda a, b, c, value=1: a + value * b / c,
        BOTH_FLOATS,
    ),
    Op("where", wheres, np.where, BOTH_FLOATS, skip={"method": "x.where(condition, other) begins with x"}),
    Op(
        "clamp",
        clamps,
        clamp,
        REAL,
        covers=("clamp_both", "clamp_low", "clamp_high", "clamp_min_tensor", "clamp_max_tensor"),
        aliases=("clip",),
    ),
    Op("clamp_min", one_bound, np.maximum, REAL),
    Op("clamp_max", one_bound, np.minimum, REAL),
    comparison("eq", np.equal),
    comparison("ne", np.not_equal, aliases=("not_equal",)),
    comparison("lt", np.less, aliases=("less",)),
    comparison("le", np.less_equal, aliases=("less_equal",)),
    comparison("gt", np.greater, aliases=("greater",)),
    comparison("ge", np.greater_equal, aliases=("greater_equal",)),
    Op("isclose", binary(0, 3, number=None), np.isclose, BOTH_FLOATS, out="bool", gradcheck=False),
    logical("logical_and", np.logical_and),
    logical("logical_or", np.logical_or),
    logical("logical_xor", np.logical_xor),
    bits("bitwise_and", np.bitwise_and),
    bits("bitwise_or", np.bitwise_or),
    bits("bitwise_xor", np.bitwise_xor),
    bits("bitwise_left_shift", np.left_shift, INTEGERS, high=4),
    bits("bitwise_right_shift", np.right_shift, INTEGERS, high=4),
]
