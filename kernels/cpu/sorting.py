"""Sorting and search along the last axis of a (rows, n) block.

Everything here compares *keys*: unsigned integers in the order of the values, nan last and -0 equal to +0.
Narrow dtypes and float32 give uint32 keys, the 64-bit ones uint64, so the algorithms compile twice and not
once a dtype.  A descending order is the ascending order of the inverted keys, which keeps equal elements in
their original order too.

Sorting is stable.  Short rows are merged from insertion-sorted runs; long rows go through a radix sort by
11-bit digits, whose 2048 counters fit the first-level cache (three passes for 32-bit keys, six for 64-bit
ones).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..compiler import jit
from ..pieces import piece

# Below this the counting passes of the radix sort cost more than log2(n / RUN) merges (measured: equal near
# 500).
RADIX_MIN = 512
RUN = 16
DIGIT = 11
BUCKETS = 1 << DIGIT
#: Elements of the rows that one task sorts.
TASK = 1 << 13


# --- keys ---------------------------------------------------------------------------------------------------


@jit(bare=True)
def keys_float32(bits, keys, flip):
    """keys (uint32) of float32 given as its bits (int32); `flip` is 0, or -1 to invert the order."""
    for i in range(bits.size):
        b = bits[i]
        magnitude = np.int32(b & np.int32(0x7FFFFFFF))
        key = np.int32(~b) if b < 0 else np.int32(b | np.int32(-0x80000000))
        key = np.int32(-0x80000000) if magnitude == 0 else key
        key = np.int32(-1) if magnitude > np.int32(0x7F800000) else key
        keys[i] = np.uint32(key ^ flip)


@jit(bare=True)
def keys_float64(bits, keys, flip):
    """keys (uint64) of float64 given as its bits (int64)."""
    lowest = np.int64(-0x8000000000000000)
    for i in range(bits.size):
        b = bits[i]
        magnitude = b & np.int64(0x7FFFFFFFFFFFFFFF)
        key = ~b if b < 0 else b | lowest
        key = lowest if magnitude == 0 else key
        key = np.int64(-1) if magnitude > np.int64(0x7FF0000000000000) else key
        keys[i] = np.uint64(key ^ flip)


@jit
def keys_integer32(values, keys, flip):
    """keys (uint32) of bool, uint8, int8, int16 or int32."""
    for i in range(values.size):
        keys[i] = np.uint32((np.int64(values[i]) + 0x80000000) ^ flip)


@jit
def keys_integer64(values, keys, flip):
    """keys (uint64) of int64."""
    for i in range(values.size):
        keys[i] = np.uint64(values[i] ^ np.int64(-0x8000000000000000) ^ flip)


@jit
def keys_in_range(values, low, keys, flip):
    """keys (uint32) of integers that lie within 2**32 of `low`: half the bytes to move, and fewer digits."""
    for i in range(values.size):
        keys[i] = np.uint32(np.int64(values[i] - low) ^ flip)


@jit
def values_in_range(keys, low, flip, values):
    """The integers of such keys: in order for keys in order, where looking them up would jump about in memory."""
    for i in range(keys.size):
        values[i] = ((np.int64(keys[i]) ^ flip) & 0xFFFFFFFF) + low


def sort_keys(values: np.ndarray, descending: bool = False) -> np.ndarray:
    """The keys of a flat array of any real dtype, as uint32 or uint64."""
    flip = -1 if descending else 0
    if values.dtype == np.float32:
        keys = np.empty(values.size, np.uint32)
        keys_float32(values.view(np.int32), keys, flip)
    elif values.dtype == np.float64:
        keys = np.empty(values.size, np.uint64)
        keys_float64(values.view(np.int64), keys, flip)
    elif values.dtype == np.int64:
        keys = np.empty(values.size, np.uint64)
        keys_integer64(values, keys, flip)
    else:
        keys = np.empty(values.size, np.uint32)
        keys_integer32(values, keys, flip)
    return keys


# --- sorting ------------------------------------------------------------------------------------------------


@jit
def _insertion_sort(keys, order, first, last):
    for i in range(first + 1, last):
        key = keys[i]
        place = order[i]
        j = i
        while j > first and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            order[j] = order[j - 1]
            j -= 1
        keys[j] = key
        order[j] = place


@jit
def _merge(keys, order, first, middle, last, merged_keys, merged_order):
    """Merge [first, middle) and [middle, last) into the other pair of arrays; ties take the left run.

    Which run comes next is a coin toss that no branch predictor guesses, so it is computed and not branched
    on."""
    left = first
    right = middle
    k = first
    while left < middle and right < last:
        from_right = np.int64(keys[right] < keys[left])
        source = left + (right - left) * from_right
        merged_keys[k] = keys[source]
        merged_order[k] = order[source]
        right += from_right
        left += 1 - from_right
        k += 1
    for source in range(left, middle):
        merged_keys[k] = keys[source]
        merged_order[k] = order[source]
        k += 1
    for source in range(right, last):
        merged_keys[k] = keys[source]
        merged_order[k] = order[source]
        k += 1


@jit
def _merge_sort(keys, order, spare_keys, spare_order):
    """Sort keys with their order; the result is in (keys, order)."""
    n = keys.size
    for first in range(0, n, RUN):
        _insertion_sort(keys, order, first, min(first + RUN, n))
    width = RUN
    swapped = False
    while width < n:
        for first in range(0, n, 2 * width):
            middle = min(first + width, n)
            last = min(first + 2 * width, n)
            if swapped:
                _merge(spare_keys, spare_order, first, middle, last, keys, order)
            else:
                _merge(keys, order, first, middle, last, spare_keys, spare_order)
        swapped = not swapped
        width *= 2
    if swapped:
        for i in range(n):
            keys[i] = spare_keys[i]
            order[i] = spare_order[i]


@jit
def _radix_pass(keys, order, to_keys, to_order, shift, counts):
    """One stable pass by the digit at `shift`.  Returns False, and moves nothing, where all digits are
    equal."""
    for b in range(BUCKETS):
        counts[b] = 0
    mask = np.uint64(BUCKETS - 1)
    for i in range(keys.size):
        counts[np.int64((np.uint64(keys[i]) >> np.uint64(shift)) & mask)] += 1
    if counts[np.int64((np.uint64(keys[0]) >> np.uint64(shift)) & mask)] == keys.size:
        return False
    total = np.int64(0)
    for b in range(BUCKETS):
        held = counts[b]
        counts[b] = total
        total += held
    for i in range(keys.size):
        digit = np.int64((np.uint64(keys[i]) >> np.uint64(shift)) & mask)
        place = counts[digit]
        counts[digit] = place + 1
        to_keys[place] = keys[i]
        to_order[place] = order[i]
    return True


@jit
def _radix_sort(keys, order, spare_keys, spare_order, counts):
    swapped = False
    for shift in range(0, 8 * keys.itemsize, DIGIT):
        if swapped:
            moved = _radix_pass(spare_keys, spare_order, keys, order, shift, counts)
        else:
            moved = _radix_pass(keys, order, spare_keys, spare_order, shift, counts)
        swapped = swapped != moved
    if swapped:
        for i in range(keys.size):
            keys[i] = spare_keys[i]
            order[i] = spare_order[i]


@jit(parallel=True)
def sort_forward(keys, order, rows, n):
    """Sort each row of keys in place; order[r, :] (int64) becomes the permutation, stable."""
    chunk = max(TASK // max(n, 1), 1)
    for task in prange((rows + chunk - 1) // chunk):
        spare_keys = np.empty(n, keys.dtype)
        spare_order = np.empty(n, np.int64)
        counts = np.empty(BUCKETS if n >= RADIX_MIN else 0, np.int64)
        for r in range(task * chunk, min((task + 1) * chunk, rows)):
            row_keys = keys[r * n : (r + 1) * n]
            row_order = order[r * n : (r + 1) * n]
            for i in range(n):
                row_order[i] = i
            if n >= RADIX_MIN:
                _radix_sort(row_keys, row_order, spare_keys, spare_order, counts)
            else:
                _merge_sort(row_keys, row_order, spare_keys, spare_order)


@jit
def take_rows(source, order, out, rows, n, count):
    """out[r, j] = source[r, order[r, j]] for source (rows, n), order and out (rows, count)."""
    for r in range(rows):
        for j in range(count):
            out[r * count + j] = source[r * n + order[r * count + j]]


# --- unique -------------------------------------------------------------------------------------------------


@jit
def unique_consecutive_forward(values, first, inverse):
    """Runs of equal values: first[u] = where run u starts, inverse[i] the run of element i.

    Returns the number of runs.  Both have the size of values (inverse may be empty: not wanted); nan equals nothing.
    Where a run ends is as hard to guess as a coin toss, so nothing branches on it: each place is noted as the start of
    the next run, and the note stays if it is."""
    if values.size == 0:
        return 0
    first[0] = 0
    run = np.int64(0)
    if inverse.size:
        inverse[0] = 0
        for i in range(1, values.size):
            first[np.uint64(run + 1)] = i
            run += np.int64(values[i] != values[i - 1])
            inverse[i] = run
    else:
        for i in range(1, values.size):
            first[np.uint64(run + 1)] = i
            run += np.int64(values[i] != values[i - 1])
    return run + 1


@jit
def unique_consecutive_values(values, out):
    """out = the values that differ from the one before them; returns how many."""
    if values.size == 0:
        return 0
    out[0] = values[0]
    run = np.int64(0)
    for i in range(1, values.size):
        out[np.uint64(run + 1)] = values[i]
        run += np.int64(values[i] != values[i - 1])
    return run + 1


@jit
def count_values(values, low, bins):
    """bins[v - low] += 1 for every value; all lie within the bins."""
    for i in range(values.size):
        bins[np.uint64(np.int64(values[i]) - low)] += 1


@jit
def rank_values(values, low, ranks, out):
    """out[i] = ranks[values[i] - low]."""
    for i in range(values.size):
        out[i] = ranks[np.uint64(np.int64(values[i]) - low)]


@jit
def unique_consecutive_rows(values, rows, n, first, inverse, counts):
    """unique_consecutive_forward for whole rows of values (rows, n)."""
    runs = 0
    for r in range(rows):
        fresh = r == 0
        if not fresh:
            for i in range(n):
                if values[r * n + i] != values[(r - 1) * n + i]:
                    fresh = True
                    break
        if fresh:
            first[runs] = r
            counts[runs] = 0
            runs += 1
        inverse[r] = runs - 1
        counts[runs - 1] += 1
    return runs


@jit
def scatter_inverse(order, inverse, out):
    """out[order[i]] = inverse[i]: from places in the sorted order back to places in the input."""
    for i in range(order.size):
        out[order[i]] = inverse[i]


# --- search -------------------------------------------------------------------------------------------------

#: Values that are looked up side by side, so that their reads overlap: 1M values among 1000 take 9 ms, one by one 57.
SIDE = 16
#: Boundaries up to which every value is compared with all of them: 10 values among 10 take 25 ns, by halving 80.
COUNTED = 16


@jit(inline=True)
def _goes_behind(bound, value, right):
    """1 where `value` is inserted behind `bound` (a nan behind every bound), else 0; `right` is 0 or 1."""
    return np.int64(not (bound > value)) & right | np.int64(not (bound >= value)) & (1 - right)


@jit(bare=True)
def _search(boundaries, values, right, out):
    """out[j] = where values[j] would be inserted in the ascending boundaries, which there are.

    Every search takes the same steps and moves by a computed amount: no predictor could guess a branch."""
    right = np.int64(right)
    if boundaries.size <= COUNTED:
        # So few that all are compared: how many of them the value goes behind.
        for j in range(values.size):
            value = values[j]
            place = np.int64(0)
            for b in range(boundaries.size):
                place += _goes_behind(boundaries[b], value, right)
            out[j] = place
        return
    for first in range(0, values.size, SIDE):
        count = min(SIDE, values.size - first)
        part, low = piece(values, first, count), piece(out, first, count)
        for v in range(part.size):
            low[v] = 0
        length = boundaries.size
        while length > 1:
            half = length // 2
            for v in range(part.size):
                low[v] += half * _goes_behind(boundaries[np.uint64(low[v] + half - 1)], part[v], right)
            length -= half
        for v in range(part.size):
            low[v] += _goes_behind(boundaries[np.uint64(low[v])], part[v], right)


@jit(parallel=True)
def searchsorted_forward(boundaries, values, sorter, rows, n, count, shared, right, out):
    """out[r, j] = where values[r, j] would be inserted in the ascending boundaries[r, :].

    Before equal elements, or after them with `right`.  `shared` boundaries are one row for all; `sorter` (or
    an empty array) gives the order in which boundaries are ascending.  A nan goes to the end."""
    blocks = (count + TASK - 1) // TASK
    lines = max(TASK // max(count, 1), 1)  # rows that one task takes
    for task in prange((rows + lines - 1) // lines * blocks):
        j0 = task % max(blocks, 1) * TASK
        some = min(TASK, count - j0)
        r0 = task // max(blocks, 1) * lines
        for r in range(r0, min(r0 + lines, rows)):
            row = 0 if shared else r * n
            bounds = piece(boundaries, row, n)
            to = piece(out, r * count + j0, some)
            if n == 0:
                for j in range(some):
                    to[j] = 0
                continue
            if sorter.size:
                bounds = np.empty(n, boundaries.dtype)
                for i in range(n):
                    bounds[i] = boundaries[row + sorter[row + i]]
            _search(bounds, piece(values, r * count + j0, some), right, to)


@jit(parallel=True)
def isin_sorted(values, members, out):
    """out[i] (bool) = values[i] is among the ascending members."""
    for task in prange((values.size + TASK - 1) // TASK):
        part, to = values[task * TASK : (task + 1) * TASK], out[task * TASK : (task + 1) * TASK]
        if members.size == 0:
            to[:] = False
        else:
            places = np.empty(part.size, np.int64)
            _search(members, part, False, places)
            for i in range(part.size):
                place = min(places[i], members.size - 1)
                to[i] = members[place] == part[i]
