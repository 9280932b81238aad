"""topk, k-th smallest, median and short sorts of rows, on keys that are computed row by row.

Values come as their bits (int32 or int64; narrow dtypes are widened, halves are float32) and become unsigned keys in
their order, nan last, -0 equal to +0 (`sorting.keys_float32` and its kin). Each row is worked on in the first- or
second-level cache; rows are shared by the threads in chunks of fixed size.

- The k-th smallest key is found bit by bit: the largest v of which at most k keys are less. Counting is a loop without
  branches over whole vectors, 32 of them cost 1.4 us for 1000 keys; quickselect took 13. Long rows are first cut down
  by counting their leading 11 bits.
- topk holds the k best so far in a heap; 32 keys at a time are compared with its largest, and nearly always all lose.
  For a large k the k-th smallest is found instead, and what is not greater is sorted.
- Several short rows are sorted, whatever is wanted of them: a row of 100 takes 0.35 us in the network, and 0.65 to have
  its k-th found.
- Sorting goes through a network (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M: Batcher's merge
  exchange) over eight rows side by side: each comparator is a minimum and a maximum of vectors. A key of 32 bits and
  its position are one number of 64, so that equal keys keep their order.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece
from ..simd import lanes, larger, load, pick, smaller, store
from .sorting import keys_float32, keys_float64

#: Elements of the rows that one task takes: 5 us of a topk, 15 of a sort.
TASK = 1 << 12
#: Rows that go through a sorting network side by side: one vector of AVX-512, several of narrower machines.
SIDE = 8
#: Longest row that is sorted by a network: its eight rows fill 64 KB (half as many of 64 bits do). Beyond, a radix sort
#: does less work.
NETWORK_MAX = 1024
#: Fewer rows than these would leave most of the network's columns unused: 1000 elements take 6 us by digits, 44 us as
#: eight rows by the network.
FEW_ROWS = 4
#: Longest rows that the network sorts faster than their k best, or the k-th, are found.
SORTED_MAX = 128
#: Keys are searched for so many bits, then only those that agree in them: 52 passes over 1000 keys of 64 are 4 us.
FIRST_BITS = 12
#: Up to this many keys each is compared with each: a comparison of two vectors, no more.
COUNT_MAX = 16
#: A single row up to this length is sorted by counting, for each element, what comes before it.
RANK_MAX = 192
#: Below this many keys the bits are searched; above, leading bits are counted first.
SEARCH_MAX = 4096
DIGIT = 11
#: Keys that are compared with one at once: the top of the heap, or a key that is looked for.
GLANCE = 32


@jit(bare=True)
def row_keys(bits, floating, flip, keys):
    """The keys of one row; `flip` is 0, or -1 to turn the order round."""
    if bits.itemsize == 4:
        if floating:
            keys_float32(bits, keys, flip)
        else:
            lowest = np.int32(-0x80000000)
            turned = np.int32(flip)
            for i in range(bits.size):
                keys[i] = np.uint32(np.int32(np.int32(bits[i]) ^ lowest) ^ turned)
    elif floating:
        keys_float64(bits, keys, flip)
    else:
        for i in range(bits.size):
            keys[i] = np.uint64(np.int64(bits[i]) ^ np.int64(-0x8000000000000000) ^ np.int64(flip))


@jit(inline=True)
def _count_less(keys, bound):
    """How many keys are less than `bound`, up to 2**31 of them."""
    total = np.int32(0)
    for i in range(keys.size):
        total = np.int32(total + np.int32(keys[i] < bound))
    return total


@jit
def _extent(keys):
    """How many low bits the keys differ in."""
    low = keys[0]
    high = keys[0]
    for i in range(keys.size):
        low = min(low, keys[i])
        high = max(high, keys[i])
    bits = 0
    differ = np.uint64(low ^ high)
    while bits < 64 and differ >> np.uint64(bits):
        bits += 1
    return bits


@jit
def kth_key(keys, k):
    """The k-th smallest key, k from 0."""
    if keys.size <= COUNT_MAX:
        # Few enough to count for each how many are less: the k-th is the largest of which at most k are.
        found = keys.dtype.type(0)
        for i in range(keys.size):
            if keys[i] > found and _count_less(keys, keys[i]) <= k:
                found = keys[i]
        return found
    while True:
        bits = _extent(keys)
        if keys.size <= SEARCH_MAX or bits <= DIGIT:
            break
        # All keys agree in what stands above `bits`: count the next digit, and keep the keys of the one that holds k.
        shift = np.uint64(bits - DIGIT)
        mask = np.uint64((1 << DIGIT) - 1)
        counts = np.zeros(1 << DIGIT, np.int64)
        more = np.zeros(1 << DIGIT, np.int64)  # two tables: neighbours of one digit do not wait for each other
        even = keys.size // 2 * 2
        for i in range(0, even, 2):
            counts[(np.uint64(keys[i]) >> shift) & mask] += 1
            more[(np.uint64(keys[i + 1]) >> shift) & mask] += 1
        if even < keys.size:
            counts[(np.uint64(keys[even]) >> shift) & mask] += 1
        digit = 0
        while counts[digit] + more[digit] <= k:
            k -= counts[digit] + more[digit]
            digit += 1
        kept = np.empty(counts[digit] + more[digit], keys.dtype)
        n = np.int64(0)
        i = np.int64(0)
        wanted = np.uint64(digit)
        while n < kept.size:
            key = keys[np.uint64(i)]
            kept[np.uint64(n)] = key
            n += np.int64(((np.uint64(key) >> shift) & mask) == wanted)
            i += 1
        keys = kept
    one = keys.dtype.type(1)
    found = (
        keys.dtype.type((np.uint64(keys[0]) >> np.uint64(bits)) << np.uint64(bits)) if bits < 64 else keys.dtype.type(0)
    )
    narrowed = bits - FIRST_BITS
    for bit in range(bits - 1, -1, -1):
        candidate = keys.dtype.type(found | keys.dtype.type(one << keys.dtype.type(bit)))
        if _count_less(keys, candidate) <= k:
            found = candidate
        if bit == narrowed:
            agreeing = np.empty(keys.size, keys.dtype)
            k -= _count_less(keys, found)
            n = np.int64(0)
            shift = np.uint64(bit)
            for i in range(keys.size):
                agreeing[np.uint64(n)] = keys[np.uint64(i)]
                n += np.int64((np.uint64(keys[np.uint64(i)]) >> shift) == (np.uint64(found) >> shift))
            keys = agreeing[:n]
    return found


@jit(bare=True)
def _first_equal(keys, key):
    for first in range(0, keys.size, GLANCE):
        part = piece(keys, first, min(GLANCE, keys.size - first))
        found = np.int32(0)
        for i in range(part.size):
            found |= np.int32(part[i] == key)
        if found:
            for i in range(part.size):
                if part[i] == key:
                    return first + i
    return -1


# --- sorting networks ---------------------------------------------------------------------------------------


@jit(bare=True)
def _exchange(tile, a, b):
    width = lanes(tile)
    for v in range(0, SIDE, width):
        x, y = load(tile, a * SIDE + v), load(tile, b * SIDE + v)
        store(tile, a * SIDE + v, smaller(x, y))
        store(tile, b * SIDE + v, larger(x, y))


def _exchange_python(tile, a, b):
    """The smaller of the rows a and b of tile (n, SIDE) to a, the larger to b, column by column."""
    x, y = tile[a * SIDE : (a + 1) * SIDE], tile[b * SIDE : (b + 1) * SIDE]
    x[:], y[:] = np.minimum(x, y), np.maximum(x, y)


exchange = _exchange_python if numba.config.DISABLE_JIT else _exchange


@jit(bare=True)
def _exchange_pairs(tile, n, a, b):
    width = lanes(tile)
    for v in range(0, SIDE, width):
        x, y = load(tile, a * SIDE + v), load(tile, b * SIDE + v)
        px, py = load(tile, (n + a) * SIDE + v), load(tile, (n + b) * SIDE + v)
        low, high = pick(y < x, py, px), pick(y < x, px, py)
        store(tile, a * SIDE + v, smaller(x, y))
        store(tile, b * SIDE + v, larger(x, y))
        store(tile, (n + a) * SIDE + v, pick(x == y, smaller(px, py), low))
        store(tile, (n + b) * SIDE + v, pick(x == y, larger(px, py), high))


def _exchange_pairs_python(tile, n, a, b):
    """exchange for keys in the rows 0 .. n - 1 of the tile, whose places are in n .. 2n - 1: of equal keys that with the
    smaller place counts as smaller."""
    for c in range(SIDE):
        x, y = (tile[a * SIDE + c], tile[(n + a) * SIDE + c]), (tile[b * SIDE + c], tile[(n + b) * SIDE + c])
        tile[a * SIDE + c], tile[(n + a) * SIDE + c] = min(x, y)
        tile[b * SIDE + c], tile[(n + b) * SIDE + c] = max(x, y)


exchange_pairs = _exchange_pairs_python if numba.config.DISABLE_JIT else _exchange_pairs


@jit(bare=True)
def sort_columns(tile, n, pairs):
    """Sort each of the SIDE columns of tile (n, SIDE), uint64: algorithm M. With `pairs` it is (2n, SIDE), keys and then
    their places."""
    top = 1
    while top < n:
        top *= 2
    p = top // 2
    while p > 0:
        q, r, d = top // 2, 0, p
        while True:
            # Every i < n - d with i & p == r: runs of p neighbours.
            first = r
            while first < n - d:
                if pairs:
                    for i in range(first, min(first + p, n - d)):
                        exchange_pairs(tile, n, i, i + d)
                else:
                    for i in range(first, min(first + p, n - d)):
                        exchange(tile, i, i + d)
                first += 2 * p
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2


@jit(bare=True)
def sort_side(bits, floating, flip, first, count, n, tile, keys):
    """Rows first .. first + count - 1, at most SIDE of them, through the network: keys and places into the columns of
    tile, as key * 2**32 + place (n, SIDE) for keys of 32 bits, as keys and then places (2n, SIDE) for those of 64.

    `keys` has room for SIDE rows: they are adjacent, and their keys are found in one loop."""
    narrow = bits.itemsize == 4
    row_keys(piece(bits, first * n, count * n), floating, flip, keys)
    for c in range(SIDE):
        row = min(c, count - 1) * n
        if narrow:
            for i in range(n):
                tile[np.uint64(i * SIDE + c)] = (np.uint64(keys[np.uint64(row + i)]) << np.uint64(32)) | np.uint64(i)
        else:
            for i in range(n):
                tile[np.uint64(i * SIDE + c)] = np.uint64(keys[np.uint64(row + i)])
                tile[np.uint64((n + i) * SIDE + c)] = np.uint64(i)
    sort_columns(tile, n, not narrow)


@jit(bare=True)
def take_side(bits, first, count, n, kept, tile, out, places):
    """The first `kept` of each row that `sort_side` has sorted into out and places (rows, kept)."""
    low = np.uint64(0xFFFFFFFF)
    found = piece(tile, 0 if bits.itemsize == 4 else n * SIDE, n * SIDE)
    for c in range(count):
        at = (first + c) * kept
        row, to, where = piece(bits, (first + c) * n, n), piece(out, at, kept), piece(places, at, kept)
        for i in range(kept):
            place = found[np.uint64(i * SIDE + c)] & low
            where[i] = np.int64(place)
            to[i] = row[place]


@jit(bare=True)
def _place_in_column(tile, nan_key, floating, n, c, k, median, skip_nan):
    """Where the wanted element of row c stood, the first of its equals; for the arguments see `select_rows`."""
    narrow = nan_key.itemsize == 4
    shift = np.uint64(32 if narrow else 0)
    greatest = np.uint64(nan_key[0])
    if median:
        numbers = n
        while floating and numbers > 0 and tile[(numbers - 1) * SIDE + c] >> shift == greatest:
            numbers -= 1
        k = numbers if numbers == 0 or (numbers < n and not skip_nan) else (numbers - 1) // 2
    key = tile[k * SIDE + c] >> shift
    while k > 0 and tile[(k - 1) * SIDE + c] >> shift == key:
        k -= 1
    return np.int64(tile[k * SIDE + c] & np.uint64(0xFFFFFFFF) if narrow else tile[(n + k) * SIDE + c])


# --- the k-th ---------------------------------------------------------------------------------------------


@jit(parallel=True)
def select_rows(bits, floating, nan_key, rows, n, k, median, skip_nan, out, places):
    """out[r], places[r] = the k-th smallest (from 0) of bits[r, :] and where it stands first.

    With `median` k is the lower middle: of all, a nan winning, or of what is not nan (key `nan_key`) with `skip_nan`.
    """
    side = COUNT_MAX < n <= SORTED_MAX and rows >= FEW_ROWS
    chunk = (max(TASK // n, 1) + SIDE - 1) // SIDE * SIDE if side else max(TASK // n, 1)
    for task in prange((rows + chunk - 1) // chunk):
        few = n <= COUNT_MAX  # the keys of all short rows in one loop
        last = min((task + 1) * chunk, rows)
        held = np.empty((last - task * chunk) * n if few else n * SIDE if side else n, nan_key.dtype)
        tile = np.empty(2 * n * SIDE if side else 0, np.uint64)
        if few:
            row_keys(piece(bits, task * chunk * n, held.size), floating, 0, held)
        for first in range(task * chunk, last if side else 0, SIDE):
            count = min(SIDE, last - first)
            sort_side(bits, floating, 0, first, count, n, tile, held)
            for c in range(count):
                place = _place_in_column(tile, nan_key, floating, n, c, k, median, skip_nan)
                out[first + c] = bits[(first + c) * n + place]
                places[first + c] = place
        for r in range(last if side else task * chunk, last):
            row = piece(bits, r * n, n)
            keys = piece(held, (r - task * chunk) * n if few else 0, n)
            if not few:
                row_keys(row, floating, 0, keys)
            wanted = np.int64(k)
            place = -1
            if median:
                numbers = n
                if floating:
                    numbers = _count_less(keys, nan_key[0])
                if numbers == 0 or (numbers < n and not skip_nan):
                    place = _first_equal(keys, nan_key[0])
                wanted = (numbers - 1) // 2
            if place < 0:
                place = _first_equal(keys, kth_key(keys, wanted))
            out[r] = row[place]
            places[r] = place


# --- topk ---------------------------------------------------------------------------------------------------


@jit(bare=True)
def _sift_down(keys, order, size):
    """Restore the heap (the largest, of equals the last, at the top) after its top changed."""
    key = keys[0]
    place = order[0]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and (
            keys[child] < keys[child + 1] or (keys[child] == keys[child + 1] and order[child] < order[child + 1])
        ):
            child += 1
        if not (key < keys[child] or (key == keys[child] and place < order[child])):
            break
        keys[i] = keys[child]
        order[i] = order[child]
        i = child
    keys[i] = key
    order[i] = place


@jit(bare=True)
def _best_by_heap(keys, k, held, order, out):
    for i in range(k):
        key = keys[i]
        j = i
        while j > 0 and held[(j - 1) // 2] <= key:
            held[j] = held[(j - 1) // 2]
            order[j] = order[(j - 1) // 2]
            j = (j - 1) // 2
        held[j] = key
        order[j] = i
    first = k
    while first < keys.size:
        part = piece(keys, first, min(GLANCE, keys.size - first))
        top = held[0]
        better = np.int32(0)
        for i in range(part.size):
            better |= np.int32(part[i] < top)
        if better:
            for i in range(part.size):
                if part[i] < held[0]:
                    held[0] = part[i]
                    order[0] = first + i
                    _sift_down(held, order, k)
        first += GLANCE
    for size in range(k, 0, -1):
        out[size - 1] = order[0]
        held[0] = held[size - 1]
        order[0] = order[size - 1]
        _sift_down(held, order, size - 1)


@jit
def _up_to_bound(keys, k, held, order):
    """The k smallest keys and their positions, in the order in which they stand."""
    bound = kth_key(keys, k - 1)
    free = np.int64(k) - _count_less(keys, bound)  # how many of the equal ones belong to the k, the first of them
    n = np.int64(0)
    i = np.int64(0)
    while n < k:
        key = keys[np.uint64(i)]
        equal = np.int64(key == bound) & np.int64(free > 0)
        held[np.uint64(n)] = key
        order[np.uint64(n)] = i
        n += np.int64(key < bound) | equal
        free -= equal
        i += 1


@jit(parallel=True)
def topk_rows(bits, floating, flip, kind, rows, n, k, out, places):
    """out[r, :], places[r, :] = the k smallest (of keys flipped by -1: largest) of bits[r, :] in order, and where they
    stand; the first of equals first. `kind` is an array of the keys' dtype."""
    chunk = (max(TASK // n, 1) + SIDE - 1) // SIDE * SIDE
    parts = 1 if kind.itemsize == 4 else 2  # numbers of the network for one key
    whole = k > 1 and n <= SORTED_MAX and rows >= FEW_ROWS
    small = k <= 16 or k * 64 <= n
    digits = not small and (k * parts > NETWORK_MAX or (rows < FEW_ROWS and k > RANK_MAX))
    for task in prange((rows + chunk - 1) // chunk):
        keys = np.empty(n * SIDE if whole else n, kind.dtype)
        held = np.empty(k, kind.dtype)
        order = np.empty(k, np.int64)
        tile = np.empty((n if whole else k if not (small or digits) else 0) * SIDE * parts, np.uint64)
        first = task * chunk
        last = min(first + chunk, rows)
        for r in range(first, last if whole else 0, SIDE):
            count = min(SIDE, last - r)
            sort_side(bits, floating, flip, r, count, n, tile, keys)
            take_side(bits, r, count, n, k, tile, out, places)
        for r in range(last if whole else first, last):
            row_keys(piece(bits, r * n, n), floating, flip, keys)
            to = piece(places, r * k, k)
            if small:
                _best_by_heap(keys, k, held, order, to)
                continue
            _up_to_bound(keys, k, held, order)
            if digits:
                numbers = np.empty(k, np.int32)
                for j in range(k):
                    numbers[j] = j
                numbers = order_by_digits(held, numbers)
                for j in range(k):
                    to[j] = order[np.uint64(numbers[j])]
                continue
            # Eight rows at a time are put in order by a network; what stands in unused columns does not matter.
            c = (r - first) % SIDE
            for j in range(k):
                if parts == 1:
                    tile[j * SIDE + c] = (np.uint64(held[j]) << np.uint64(32)) | np.uint64(order[j])
                else:
                    tile[j * SIDE + c] = np.uint64(held[j])
                    tile[(k + j) * SIDE + c] = np.uint64(order[j])
            if c == SIDE - 1 or r == last - 1:
                sort_columns(tile, k, parts == 2)
                found = piece(tile, (parts - 1) * k * SIDE, k * SIDE)
                for b in range(c + 1):
                    to = piece(places, (r - c + b) * k, k)
                    for j in range(k):
                        to[j] = np.int64(found[j * SIDE + b] & np.uint64(0xFFFFFFFF))
        for r in range(last if whole else first, last):
            row = piece(bits, r * n, n)
            for j in range(r * k, (r + 1) * k):
                out[j] = row[places[j]]


# --- sorting ------------------------------------------------------------------------------------------------


@jit
def _sort_by_rank(bits, floating, flip, out, places):
    """One short row: an element's place is how many come before it."""
    n = bits.size
    keys = np.empty(n, np.uint32)
    row_keys(bits, floating, flip, keys)
    numbers = np.empty(n, np.uint64)
    for i in range(n):
        numbers[i] = (np.uint64(keys[i]) << np.uint64(32)) | np.uint64(i)
    for i in range(n):
        number = numbers[i]
        rank = np.int64(0)
        for j in range(n):
            rank += np.int64(numbers[j] < number)
        places[rank] = i
        out[rank] = bits[i]


@jit
def _order_by_bytes(keys, order, first_byte):
    """(keys, order) sorted by the bytes of the keys from `first_byte` on, the lowest being 0: a stable radix sort, whose
    counters are few and are all filled in one pass."""
    n, digits = keys.size, keys.itemsize
    spare_keys, spare_order = np.empty(n, keys.dtype), np.empty(n, np.int32)
    counts = np.zeros(256 * digits, np.int32)
    for i in range(n):
        key = np.uint64(keys[i])
        for d in range(first_byte, digits):
            counts[np.uint64(256 * d) + ((key >> np.uint64(8 * d)) & np.uint64(255))] += 1
    for d in range(first_byte, digits):
        shift = np.uint64(8 * d)
        ends = counts[256 * d : 256 * (d + 1)]
        if ends[(np.uint64(keys[0]) >> shift) & np.uint64(255)] == n:
            continue
        total = np.int32(0)
        for b in range(256):
            held = ends[b]
            ends[b] = total
            total = np.int32(total + held)
        for i in range(n):
            digit = (np.uint64(keys[i]) >> shift) & np.uint64(255)
            to = np.uint64(ends[digit])
            ends[digit] += 1
            spare_keys[to] = keys[i]
            spare_order[to] = order[i]
        keys, spare_keys = spare_keys, keys
        order, spare_order = spare_order, order
    return keys, order


@jit
def order_by_digits(keys, order):
    """`order` (int32, ascending) in the order of its keys, some hundreds of them; stable.

    Where 64-bit keys differ in many bits, the upper half decides nearly always: they are sorted by that, and what is not
    in order then is put right by insertion, or, where that is much, sorted again by all bytes."""
    if keys.itemsize == 4 or _extent(keys) <= 48:
        return _order_by_bytes(keys, order, 0)[1]
    upper, found = _order_by_bytes(keys.copy(), order.copy(), 4)
    wrong = 0
    for i in range(1, upper.size):
        wrong += upper[i] < upper[i - 1]
    if wrong > upper.size >> 6:
        return _order_by_bytes(keys, order, 0)[1]
    for i in range(1, upper.size if wrong else 0):
        key, place, j = upper[i], found[i], i
        while j > 0 and upper[j - 1] > key:
            upper[j] = upper[j - 1]
            found[j] = found[j - 1]
            j -= 1
        upper[j] = key
        found[j] = place
    return found


@jit
def _sort_by_digits(bits, floating, flip, kind, out, places):
    """One row of some hundred elements."""
    keys, order = np.empty(bits.size, kind.dtype), np.empty(bits.size, np.int32)
    row_keys(bits, floating, flip, keys)
    for i in range(bits.size):
        order[i] = i
    order = order_by_digits(keys, order)
    for i in range(bits.size):
        places[i] = order[i]
        out[i] = bits[np.uint64(order[i])]


@jit(parallel=True)
def sort_short_rows(bits, floating, flip, kind, rows, n, out, places):
    """out[r, :], places[r, :] = each row of bits (rows, n), int32 or int64, in the order of its keys, and where it stood.

    Stable: a number of the network is key * 2**32 + position, and with keys of 64 bits two numbers. `kind` is an array
    of the keys' dtype."""
    narrow = bits.itemsize == 4
    if narrow and rows == 1 and n <= RANK_MAX:
        _sort_by_rank(bits, floating, flip, out, places)
        return
    if rows < FEW_ROWS:
        for r in range(rows):
            at = r * n
            _sort_by_digits(bits[at : at + n], floating, flip, kind, out[at : at + n], places[at : at + n])
        return
    chunk = max(TASK // (n * SIDE), 1) * SIDE
    for task in prange((rows + chunk - 1) // chunk):
        tile = np.empty(n * SIDE * (1 if narrow else 2), np.uint64)
        keys = np.empty(n * SIDE, kind.dtype)
        for first in range(task * chunk, min((task + 1) * chunk, rows), SIDE):
            count = min(SIDE, rows - first)
            sort_side(bits, floating, flip, first, count, n, tile, keys)
            take_side(bits, first, count, n, n, tile, out, places)
