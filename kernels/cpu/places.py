"""Maps of planes by tables of places: every output names the elements of its plane that it sees.

    sum       out[p, o] = sum_t x[p, place[t, o]] / divisor[o]
    maximum   out[p, o] = max_t x[p, place[t, o]], index[p, o] = the place where it was

Pooling, its gradient, folding and padding of small planes are such maps, whatever their strides, padding and gaps. A
vector holds consecutive outputs and gathers their elements, one for each t; where a plane has fewer outputs than some
vectors hold, those of the next planes follow. So no vector is left half empty, and nothing is decided at an edge: the
table has it.

A gather costs 24 cycles (Zen 4), 1.5 for each element, where loops over windows pay 4 and more as soon as their lines do not
fill vectors. Tables are kept for each shape, so they are made for small planes only (MOST_PLACES).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import prange, typeof

from .. import host
from ..compiler import entry_point, jit
from ..simd import convert, lanes, load, load_at, pick, store_part

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
# Entries of a table: 64 KB of places beside the plane are read from the second-level cache at the speed of the gathers.
MOST_PLACES = 16384
# A vector that is not full costs what a full one does: planes are taken together until there are so many vectors.
VECTORS = 6
# Elements read and written below which a parallel launch costs more than it gains, and shares of the planes.
SERIAL_WORK, CHUNKS = 25_000, 32
# Stands for "nothing here" in a table; stays negative when the places of the last plane of a group are added.
NOTHING = -(2**30)


class Places(NamedTuple):
    """A table for one shape and element size."""

    table: np.ndarray  # rows of `width` integers: what to add for the output's plane, then a row of places for each t
    plane: int  # elements of a plane of x
    outputs: int  # outputs of a plane
    group: int  # planes that the table covers
    width: int
    terms: int


def fits(terms: int, outputs: int, plane: int) -> bool:
    """Whether a table of so many elements an output is worth its memory."""
    return 0 < terms * outputs <= MOST_PLACES and 0 < plane <= MOST_PLACES


def places_of(place: np.ndarray, plane: int, itemsize: int) -> Places:
    """The table of place (terms, outputs), integers below `plane`; a negative one is left out."""
    terms, outputs = place.shape
    vector = host.vector_bytes() // itemsize
    group = max(1, min(VECTORS * vector, MOST_PLACES // terms) // outputs)
    width = -(-group * outputs // vector) * vector
    table = np.zeros((terms + 1, width), np.int32 if itemsize == 4 else np.int64)
    rows = np.concatenate([np.zeros((1, outputs), np.int64), np.where(place < 0, NOTHING, place)])
    table[:, : group * outputs] = np.tile(rows, group)
    table[0, : group * outputs] = np.repeat(np.arange(group) * plane, outputs)
    return Places(table.reshape(-1), plane, outputs, group, width, terms)


@jit(nogil=True, bare=True)
def sum_at_places(first, last, x, out, divisors, table, plane, outputs, group, width, terms):
    """The sums of planes first .. last - 1; divisors: `width` of them, or none."""
    for p in range(first, last, group):
        count = min(group, last - p) * outputs
        for o in range(0, count, lanes(x)):
            at = load(table, o)
            total = load_at(x, p * plane, load(table, width + o) + at, count - o)
            for t in range(2, terms + 1):
                total = total + load_at(x, p * plane, load(table, t * width + o) + at, count - o)
            if divisors.size > 0:
                total = total / load(divisors, o)
            store_part(out, p * outputs + o, count - o, total)


@jit(parallel=True)
def sum_at_places_parallel(chunks, planes, x, out, divisors, table, plane, outputs, group, width, terms):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        sum_at_places(first, last, x, out, divisors, table, plane, outputs, group, width, terms)


@jit(nogil=True, bare=True)
def max_at_places(first, last, x, out, index, table, plane, outputs, group, width, terms):
    """The maxima of planes first .. last - 1, the first of equals, the last of nans; `index` may be empty: not wanted."""
    for p in range(first, last, group):
        count = min(group, last - p) * outputs
        for o in range(0, count, lanes(x)):
            at, where = load(table, o), load(table, width + o)
            best = load_at(x, p * plane, where + at, count - o)
            for t in range(2, terms + 1):
                place = load(table, t * width + o)
                value = load_at(x, p * plane, place + at, count - o)
                takes = (value > best) | (value != value)
                best = pick(takes, value, best)
                where = pick(takes, place, where)
            store_part(out, p * outputs + o, count - o, best)
            if index.size > 0:
                store_part(index, p * outputs + o, count - o, convert(np.int64, where))


@jit(parallel=True)
def max_at_places_parallel(chunks, planes, x, out, index, table, plane, outputs, group, width, terms):
    for i in prange(chunks):
        first, last = i * planes // chunks, (i + 1) * planes // chunks
        max_at_places(first, last, x, out, index, table, plane, outputs, group, width, terms)


@lru_cache(maxsize=8)
def serial_sum(dtype):
    """The compiled sum_at_places of a dtype, and its `divisors` where there are none."""
    array, table = np.empty(0, dtype), np.empty(0, np.int32 if dtype.itemsize == 4 else np.int64)
    kinds = tuple([typeof(a) for a in (0, 0, array, array, array, table, 0, 0, 0, 0, 0)])
    return entry_point(sum_at_places, kinds), array


def is_serial(elements: int, planes: int) -> bool:
    """Whether one thread sums so many elements, of the input and the output together."""
    return elements < SERIAL_WORK or planes == 1


def sum_planes(x, planes: int, places: Places, divisors=None, empty=np.empty):
    """(planes, outputs): the sums of x (planes, plane) at places, divided by `divisors`, of which there are `width`."""
    out = empty(planes * places.outputs, x.dtype)
    serial, none = serial_sum(x.dtype)
    if divisors is None:
        divisors = none
    if is_serial(x.size + out.size, planes):
        serial(0, planes, x, out, divisors, *places)
    else:
        sum_at_places_parallel(min(planes, CHUNKS), planes, x, out, divisors, *places)
    return out


def outer_places(dims: list[np.ndarray], sizes: tuple) -> np.ndarray:
    """The places (elements, outputs) in a plane of `sizes` from those along each of its dimensions (outputs, elements);
    negative if one of them is."""
    place = np.zeros((1, 1), np.int64)
    for n, dim in zip(sizes, dims, strict=True):
        far, near = place[:, None, :, None], dim[None, :, None, :]
        both = np.where((far < 0) | (near < 0), -1, far * n + near)
        place = both.reshape(len(place) * len(dim), -1)
    return place.T


def seen_from(dim: np.ndarray, size: int) -> np.ndarray:
    """The other way round: for each place below `size` along a dimension the outputs (size, outputs) that see it, with -1
    behind the last, given the places (outputs, elements) that these see."""
    sees = np.zeros((size, len(dim)), bool)
    output, element = np.nonzero(dim >= 0)
    sees[dim[output, element], output] = True
    most = max(1, int(sees.sum(1).max(initial=1)))
    outputs = np.where(sees, np.arange(len(dim)), len(dim))
    outputs.sort(1)
    outputs = outputs[:, :most]
    return np.where(outputs < len(dim), outputs, -1)
