"""torch's CPU random streams, bit for bit: mt19937 and the distributions drawn from it.

The generator's state is two flat arrays, so that it crosses into machine code without unpacking:

    state  uint32[626]   624 words of mt19937, then `left` and `next` as in torch's saved state
    spare  float64[2]    the second value of the last Box-Muller pair, and 1.0 while it is there

Which words a distribution consumes, and in which order, is the contract here: a float32 uniform takes one
word (its low 24 bits), everything in double takes two words (the first is the high half, 53 bits are used).
Bulk fills draw their words in chunks with vector loops; distributions that are rarely used draw one value at
a time.

Half precision is drawn in float32 and rounded by the caller.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.core import config
from numba.core.extending import intrinsic

from ..compiler import jit
from ..pieces import piece

STATE_WORDS = 624
SHIFT = 397
LEFT = 624
NEXT = 625

# Words drawn at once: 8 KiB stay in the first-level cache next to the output, and a multiple of 16 keeps the
# blocks of the normal transform whole.
CHUNK = 2048

TWO_24 = 2.0**-24
TWO_53 = 2.0**-53
MASK_24 = (1 << 24) - 1
MASK_53 = (1 << 53) - 1

if config.DISABLE_JIT:

    def fma(a, b, c):
        """a * b + c; rounded once in float32, since the product of two float32 is exact in double."""
        return type(c)(float(a) * float(b) + float(c))

else:

    @intrinsic
    def fma(typingctx, a, b, c):
        """a * b + c rounded once."""

        def codegen(context, builder, signature, args):
            return builder.fma(*args)

        if a == b == c and isinstance(a, types.Float):
            return a(a, b, c), codegen
        return None


# --- the engine ---------------------------------------------------------------------------------------------


@jit
def seed_state(state, spare, seed):
    """Start the stream of `seed` (its low 32 bits count, as in torch)."""
    word = np.uint64(seed) & np.uint64(0xFFFFFFFF)
    state[0] = word
    for j in range(1, STATE_WORDS):
        word = (np.uint64(1812433253) * (word ^ (word >> np.uint64(30))) + np.uint64(j)) & np.uint64(0xFFFFFFFF)
        state[j] = word
    state[LEFT] = 1
    state[NEXT] = 0
    spare[0] = 0.0
    spare[1] = 0.0


@jit(bare=True)
def _mix(upper, lower):
    """One step of the twist, without its third operand."""
    mixed = (upper & np.uint32(0x80000000)) | (lower & np.uint32(0x7FFFFFFF))
    return np.uint32(mixed >> np.uint32(1)) ^ np.uint32((lower & np.uint32(1)) * np.uint32(0x9908B0DF))


@jit(bare=True)
def _twist(state):
    """Make the next 624 words.  Three loops, so that each has a dependence distance that lets it
    vectorise."""
    for j in range(STATE_WORDS - SHIFT):
        state[j] = state[j + SHIFT] ^ _mix(state[j], state[j + 1])
    for j in range(STATE_WORDS - SHIFT, STATE_WORDS - 1):
        state[j] = state[j - (STATE_WORDS - SHIFT)] ^ _mix(state[j], state[j + 1])
    last = STATE_WORDS - 1
    state[last] = state[SHIFT - 1] ^ _mix(state[last], state[0])
    state[LEFT] = STATE_WORDS + 1
    state[NEXT] = 0


@jit(bare=True)
def _temper(word):
    word = np.uint32(word ^ (word >> np.uint32(11)))
    word = np.uint32(word ^ ((word << np.uint32(7)) & np.uint32(0x9D2C5680)))
    word = np.uint32(word ^ ((word << np.uint32(15)) & np.uint32(0xEFC60000)))
    return np.uint32(word ^ (word >> np.uint32(18)))


@jit(bare=True)
def _draw_words(state, words, count):
    """The next `count` words of the stream into words[:count]."""
    done = 0
    while done < count:
        if state[LEFT] == 1:
            _twist(state)
        first = np.int64(state[NEXT])
        take = min(count - done, STATE_WORDS - first)
        for j in range(take):
            words[done + j] = _temper(state[first + j])
        state[NEXT] = first + take
        state[LEFT] = STATE_WORDS + 1 - (first + take)
        done += take


@jit(bare=True)
def _draw32(state):
    """One word, as an int64."""
    if state[LEFT] == 1:
        _twist(state)
    place = np.int64(state[NEXT])
    state[NEXT] = place + 1
    state[LEFT] = STATE_WORDS - place
    return np.int64(_temper(state[place]))


@jit(bare=True)
def _draw53(state):
    """A double in [0, 1) from two words."""
    high = _draw32(state)
    low = _draw32(state)
    return float(((high << 32) | low) & MASK_53) * TWO_53


@jit(bare=True)
def _draw_normal(state, spare):
    """A standard normal in double: Box-Muller over two uniforms; the second value waits in `spare`."""
    if spare[1] != 0.0:
        spare[1] = 0.0
        return spare[0]
    angle = 2.0 * math.pi * _draw53(state)
    radius = math.sqrt(-2.0 * math.log1p(-_draw53(state)))
    spare[0] = radius * math.sin(angle)
    spare[1] = 1.0
    return radius * math.cos(angle)


# --- integers -------------------------------------------------------------------------------------


@jit
def randint32(state, out, span, low):
    """out[i] = low + word % span, one word each, for 0 < span < 2**28 (torch's limit for this form).

    The quotient comes from a product in double, at most one off, and the remainder is put right: vectors have no division
    of integers, and 300,000 take 0.27 ms instead of 0.72."""
    words = np.empty(min(out.size, CHUNK), np.uint32)
    share = 1.0 / np.float64(span)
    for start in range(0, out.size, CHUNK):
        count = min(CHUNK, out.size - start)
        _draw_words(state, words, count)
        to = piece(out, start, count)
        for j in range(count):
            rest = np.int64(words[j]) - np.int64(np.float64(words[j]) * share) * span
            rest += span & (rest >> 63)
            rest -= span & ((span - 1 - rest) >> 63)
            to[j] = rest + low


@jit
def randint64(state, out, span, low):
    """out[i] (int64) = low + (two words % span), span a uint64; span 0 stands for 2**64.  Wraps as int64
    does."""
    words = np.empty(min(2 * out.size, CHUNK), np.uint32)
    for start in range(0, out.size, CHUNK // 2):
        count = min(CHUNK // 2, out.size - start)
        _draw_words(state, words, 2 * count)
        for j in range(count):
            word = (np.uint64(words[2 * j]) << np.uint64(32)) | np.uint64(words[2 * j + 1])
            if span != np.uint64(0):
                word = word % span
            out[start + j] = np.int64(word + np.uint64(low))


@jit
def randperm(state, out):
    """A permutation of 0 .. n-1 by Fisher and Yates: one word a step, or two where one would be visibly
    biased."""
    size = out.size
    for i in range(size):
        out[i] = i
    if size >= 0xFFFFFFFF // 20:
        for i in range(size - 1):
            high = np.uint64(_draw32(state))
            word = (high << np.uint64(32)) | np.uint64(_draw32(state))
            j = i + np.int64(word % np.uint64(size - i))
            held = out[i]
            out[i] = out[j]
            out[j] = held
        return
    words = np.empty(min(size, CHUNK), np.uint32)
    for start in range(0, size - 1, CHUNK):
        count = min(CHUNK, size - 1 - start)
        _draw_words(state, words, count)
        for i in range(start, start + count):
            # In 32 bits: a division of 64 bits takes twice as long.
            j = i + np.int64(np.uint32(words[i - start] % np.uint32(size - i)))
            held = out[i]
            out[i] = out[j]
            out[j] = held


# --- uniform ------------------------------------------------------------------------------------------------


@jit
def uniform_float32(state, out, low, high):
    """out[i] = (word & 0xffffff) / 2**24 * (high - low) + low in float32; a value rounded up to `high`
    becomes `low`."""
    words = np.empty(min(out.size, CHUNK), np.uint32)
    width = np.float32(high - low)
    scale = np.float32(TWO_24)
    for start in range(0, out.size, CHUNK):
        count = min(CHUNK, out.size - start)
        _draw_words(state, words, count)
        for j in range(count):
            unit = np.float32(np.int32(words[j] & np.uint32(MASK_24))) * scale
            value = fma(unit, width, low)
            out[start + j] = low if value == high else value


@jit
def uniform_float64(state, out, low, high):
    """out[i] = 53 bits of two words / 2**53 * (high - low) + low in float64."""
    words = np.empty(min(2 * out.size, CHUNK), np.uint32)
    width = high - low
    for start in range(0, out.size, CHUNK // 2):
        count = min(CHUNK // 2, out.size - start)
        _draw_words(state, words, 2 * count)
        for j in range(count):
            bits = ((np.int64(words[2 * j]) << 32) | np.int64(words[2 * j + 1])) & MASK_53
            value = fma(float(bits) * TWO_53, width, low)
            out[start + j] = low if value == high else value


# --- normal -------------------------------------------------------------------------------------------------

# Single precision follows the Cephes polynomials for log, sin and cos (Moshier; public domain constants) with
# the multiply-add pairs fused where torch's AVX2 build fuses them, so that every bit agrees.


@jit
def _log_float32(x):
    """log(x) for a normal x > 0."""
    one = np.float32(1)
    half = np.float32(0.5)
    bits = np.float32(x).view(np.int32)
    exponent = np.float32(np.int32((bits >> 23) - 126))
    x = np.int32((bits & 0x007FFFFF) | 0x3F000000).view(np.float32)
    if x < np.float32(0.707106781186547524):
        exponent = exponent - one
        x = (x - one) + x
    else:
        x = x - one
    z = x * x
    y = np.float32(7.0376836292e-2)
    y = fma(y, x, np.float32(-1.1514610310e-1))
    y = fma(y, x, np.float32(1.1676998740e-1))
    y = fma(y, x, np.float32(-1.2420140846e-1))
    y = fma(y, x, np.float32(1.4249322787e-1))
    y = fma(y, x, np.float32(-1.6668057665e-1))
    y = fma(y, x, np.float32(2.0000714765e-1))
    y = fma(y, x, np.float32(-2.4999993993e-1))
    y = fma(y, x, np.float32(3.3333331174e-1))
    y = y * x
    y = fma(y, z, exponent * np.float32(-2.12194440e-4))
    y = fma(z, -half, y)
    return fma(exponent, np.float32(0.693359375), x + y)


@jit
def _sincos_float32(x):
    """(sin(x), cos(x)) for 0 <= x < 2 pi: the octant, then one polynomial each."""
    one = np.float32(1)
    octant = (np.int32(x * np.float32(1.27323954473516)) + np.int32(1)) & np.int32(~1)
    y = np.float32(np.int32(octant))
    x = fma(y, np.float32(-0.78515625), x)
    x = fma(y, np.float32(-2.4187564849853515625e-4), x)
    x = fma(y, np.float32(-3.77489497744594108e-8), x)
    z = x * x
    c = np.float32(2.443315711809948e-5)
    c = fma(c, z, np.float32(-1.388731625493765e-3))
    c = fma(c, z, np.float32(4.166664568298827e-2))
    c = c * z
    c = fma(c, z, z * np.float32(-0.5)) + one
    s = np.float32(-1.9515295891e-4)
    s = fma(s, z, np.float32(8.3321608736e-3))
    s = fma(s, z, np.float32(-1.6666654611e-1))
    s = s * z
    s = fma(s, x, x)
    swap = (octant & 2) != 0
    sine = c if swap else s
    cosine = s if swap else c
    sine = -sine if (octant & 4) != 0 else sine
    cosine = -cosine if ((octant - 2) & 4) == 0 else cosine
    return sine, cosine


@jit
def _normal_blocks_float32(words, radii, angles, out, start, blocks, mean, std):
    """out[start:] = Box-Muller of `blocks` blocks of 16 words: words j and j + 8 give radius * cos and radius
    * sin.

    Radii and angles are first laid out side by side, since only a long loop is vectorised."""
    scale = np.float32(TWO_24)
    for b in range(blocks):
        for j in range(8):
            unit = np.float32(np.int32(words[16 * b + j] & np.uint32(MASK_24))) * scale
            radii[8 * b + j] = np.float32(1) - unit
            unit = np.float32(np.int32(words[16 * b + j + 8] & np.uint32(MASK_24))) * scale
            angles[8 * b + j] = np.float32(2.0 * math.pi) * unit
    for j in range(8 * blocks):
        radius = np.float32(math.sqrt(np.float32(-2) * _log_float32(radii[j])))
        sine, cosine = _sincos_float32(angles[j])
        radii[j] = fma(radius * cosine, std, mean)
        angles[j] = fma(radius * sine, std, mean)
    for b in range(blocks):
        for j in range(8):
            out[start + 16 * b + j] = radii[8 * b + j]
            out[start + 16 * b + j + 8] = angles[8 * b + j]


@jit
def normal_float32(state, spare, out, mean, std, for_half):
    """out[i] ~ N(mean, std**2).

    Under 16 values one by one in double; otherwise Box-Muller over blocks of 16 uniforms, and where 16 does not
    divide the size the last 16 values are drawn anew.  The uniforms of the incomplete block are drawn and dropped
    by float32, but not drawn at all `for_half`."""
    size = out.size
    if size < 16:
        for i in range(size):
            out[i] = np.float32(_draw_normal(state, spare) * std + mean)
        return
    words = np.empty(min(size, CHUNK), np.uint32)
    radii = np.empty(words.size // 2, np.float32)
    angles = np.empty(words.size // 2, np.float32)
    mean32 = np.float32(mean)
    std32 = np.float32(std)
    for start in range(0, size, CHUNK):
        count = min(CHUNK, size - start)
        if for_half:
            count = count // 16 * 16
        _draw_words(state, words, count)
        _normal_blocks_float32(words, radii, angles, out, start, count // 16, mean32, std32)
    if size % 16:
        _draw_words(state, words, 16)
        _normal_blocks_float32(words, radii, angles, out, size - 16, 1, mean32, std32)


@jit
def _normal_block_float64(out, start, unit, first, mean, std):
    for j in range(8):
        radius = math.sqrt(-2.0 * math.log(1.0 - unit[first + j]))
        angle = 2.0 * math.pi * unit[first + j + 8]
        out[start + j] = fma(radius * math.cos(angle), std, mean)
        out[start + j + 8] = fma(radius * math.sin(angle), std, mean)


@jit(bare=True)
def _unit_float64(state, words, unit, count):
    _draw_words(state, words, 2 * count)
    for j in range(count):
        unit[j] = float(((np.int64(words[2 * j]) << 32) | np.int64(words[2 * j + 1])) & MASK_53) * TWO_53


@jit
def normal_float64(state, spare, out, mean, std):
    """normal_float32 in double: the same blocks, two words a uniform."""
    size = out.size
    if size < 16:
        for i in range(size):
            out[i] = _draw_normal(state, spare) * std + mean
        return
    half = CHUNK // 2
    words = np.empty(min(2 * size, CHUNK), np.uint32)
    unit = np.empty(min(size, half), np.float64)
    for start in range(0, size, half):
        count = min(half, size - start)
        _unit_float64(state, words, unit, count)
        for first in range(0, count - 15, 16):
            _normal_block_float64(out, start + first, unit, first, mean, std)
    if size % 16:
        _unit_float64(state, words, unit, 16)
        _normal_block_float64(out, size - 16, unit, 0, mean, std)


@jit
def _normals(state, spare, values):
    """values[i] ~ N(0, 1) as `_draw_normal` gives them one after the other, but the words for many pairs at once."""
    words, unit = _room(values.size)
    i = 0
    if values.size and spare[1] != 0.0:
        values[0] = _draw_normal(state, spare)
        i = 1
    while i < values.size - 1:
        pairs = min((values.size - i) // 2, unit.size // 2)
        _unit_float64(state, words, unit, 2 * pairs)
        for j in range(pairs):
            angle = 2.0 * math.pi * unit[2 * j]
            radius = math.sqrt(-2.0 * math.log1p(-unit[2 * j + 1]))
            spare[0] = radius * math.sin(angle)
            values[i + 2 * j] = radius * math.cos(angle)
            values[i + 2 * j + 1] = spare[0]
        i += 2 * pairs
    if i < values.size:
        values[i] = _draw_normal(state, spare)


@jit
def normal_serial(state, spare, out, mean, std):
    """The one-by-one stream for any size (torch uses it to fill a tensor that is not contiguous)."""
    values = np.empty(min(out.size, CHUNK), np.float64)
    for start in range(0, out.size, CHUNK):
        count = min(CHUNK, out.size - start)
        _normals(state, spare, values[:count])
        for j in range(count):
            out[start + j] = values[j] * std + mean


@jit
def log_normal(state, spare, out, mean, std):
    """out[i] = exp(N(mean, std**2)), one by one in double."""
    values = np.empty(min(out.size, CHUNK), np.float64)
    for start in range(0, out.size, CHUNK):
        count = min(CHUNK, out.size - start)
        _normals(state, spare, values[:count])
        for j in range(count):
            out[start + j] = math.exp(values[j] * std + mean)


# --- Bernoulli ----------------------------------------------------------------------------------------------


@jit
def bernoulli_scalar(state, out, p, success):
    """out[i] = success with probability p, else 0: two words a value, compared in double.

    `success` carries the dtype of the result; with 1 / p it makes the noise of dropout in one pass."""
    words = np.empty(min(2 * out.size, CHUNK), np.uint32)
    bound = p * 2.0**53
    zero = out.dtype.type(0)
    for start in range(0, out.size, CHUNK // 2):
        count = min(CHUNK // 2, out.size - start)
        _draw_words(state, words, 2 * count)
        for j in range(count):
            bits = ((np.int64(words[2 * j]) << 32) | np.int64(words[2 * j + 1])) & MASK_53
            out[start + j] = success if float(bits) < bound else zero


@jit
def bernoulli_float32(state, out, p):
    """out[i] is 1 with probability p[i], float32, else 0: one word a value. False where a p[i] is no probability."""
    for i in range(out.size):
        if not (p[i] >= 0 and p[i] <= 1):
            return False
    for i in range(out.size):
        unit = np.float32(np.int32(_draw32(state) & MASK_24)) * np.float32(TWO_24)
        out[i] = unit < p[i]
    return True


@jit
def bernoulli_float64(state, out, p):
    """out[i] is 1 with probability p[i], float64, else 0: two words a value. False where a p[i] is no probability."""
    for i in range(out.size):
        if not (p[i] >= 0 and p[i] <= 1):
            return False
    for i in range(out.size):
        out[i] = _draw53(state) < p[i]
    return True


# --- other distributions, in double -----------------------------------------------------


@jit
def exponential(state, out, rate):
    """out[i] = -log(1 - u) / rate."""
    words, unit = _room(out.size)
    scale = -1.0 / rate
    for start in range(0, out.size, CHUNK // 2):
        count = min(CHUNK // 2, out.size - start)
        _unit_float64(state, words, unit, count)
        for j in range(count):
            out[start + j] = scale * math.log1p(-unit[j])


@jit
def cauchy(state, out, median, sigma):
    """out[i] = median + sigma * tan(pi (u - 1/2))."""
    words, unit = _room(out.size)
    for start in range(0, out.size, CHUNK // 2):
        count = min(CHUNK // 2, out.size - start)
        _unit_float64(state, words, unit, count)
        for j in range(count):
            out[start + j] = median + sigma * math.tan(math.pi * (unit[j] - 0.5))


@jit
def geometric(state, out, p):
    """out[i] = ceil(log(u) / log(1 - p)): trials until the first success."""
    words, unit = _room(out.size)
    failure = math.log1p(-p)
    for start in range(0, out.size, CHUNK // 2):
        count = min(CHUNK // 2, out.size - start)
        _unit_float64(state, words, unit, count)
        for j in range(count):
            out[start + j] = math.ceil(math.log(unit[j]) / failure)


@jit
def _room(size):
    """(words, uniforms) for a chunk of `size` values of two words each."""
    return np.empty(min(2 * size, CHUNK), np.uint32), np.empty(min(size, CHUNK // 2), np.float64)


@jit(bare=True)
def _poisson(state, rate):
    if rate == 0.0:
        return 0
    if rate < 10.0:
        # Products of uniforms stay above exp(-rate) once for every event (Knuth).
        bound = math.exp(-rate)
        product = _draw53(state)
        count = 0
        while product > bound:
            count += 1
            product *= _draw53(state)
        return count
    # Transformed rejection (Hoermann 1993), with the constants of the paper.
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    log_rate = math.log(rate)
    while True:
        u = _draw53(state) - 0.5
        v = _draw53(state)
        u_s = 0.5 - abs(u)
        k = math.floor((2.0 * a / u_s + b) * u + rate + 0.43)
        if u_s >= 0.07 and v <= v_r:
            return int(k)
        if k < 0 or (u_s < 0.013 and v > u_s):
            continue
        accept = math.log(v) + math.log(inverse_alpha) - math.log(a / (u_s * u_s) + b)
        if accept <= -rate + k * log_rate - math.lgamma(k + 1.0):
            return int(k)


@jit
def poisson(state, out, rate):
    """out[i] ~ Poisson(rate[i]) for rate[i] >= 0."""
    for i in range(out.size):
        out[i] = _poisson(state, float(rate[i]))


@jit
def multinomial_cumulative(weights, cumulative, row, categories):
    """cumulative[:categories] = running sums of row `row` over their total, in the dtype of the weights.

    Returns 0, or 1 for a negative weight, 2 for one that is not finite, 3 where the total is not positive."""
    total = weights.dtype.type(0)
    for j in range(categories):
        weight = weights[row * categories + j]
        if not weight >= 0:
            return 1
        if not math.isfinite(weight):
            return 2
        total += weight
        cumulative[j] = total
    if not total > 0:
        return 3
    for j in range(categories):
        cumulative[j] /= total
    cumulative[categories - 1] = 1
    return 0


@jit
def multinomial_replacement(state, weights, out, rows, categories, samples):
    """out[r, s] = the first category whose cumulative weight reaches a uniform double; weights (rows,
    categories).

    Returns the code of the first bad row's fault (see multinomial_cumulative), else 0."""
    cumulative = np.empty(categories, weights.dtype)
    for r in range(rows):
        fault = multinomial_cumulative(weights, cumulative, r, categories)
        if fault:
            return fault
        for s in range(samples):
            u = _draw53(state)
            low = 0
            high = categories
            while high > low:
                middle = low + (high - low) // 2
                if cumulative[middle] < u:
                    low = middle + 1
                else:
                    high = middle
            out[r * samples + s] = low
    return 0
