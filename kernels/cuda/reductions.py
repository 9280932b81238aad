"""Reductions on the GPU over (outer, n, inner): a block folds the elements of one result in shared memory.

Long lines are cut into chunks of CHUNK elements, folded apart and then together. Both the chunks and the order inside a
block are fixed, so a result is the same in every run and on every device.
"""

from __future__ import annotations

import functools

import numpy as np

from .compiler import SIMULATED, THREADS, cuda, device_function, launch_blocks

# 16 elements a thread: little enough serial work to keep a GPU busy with one long sum, and to keep its error small.
CHUNK = 16 if SIMULATED else 4096


def _fold_kernel(of, combine, dtype):
    def kernel(x, n, inner, parts, start, out):
        totals = cuda.shared.array(THREADS, dtype)
        t = cuda.threadIdx.x
        result = cuda.blockIdx.x // parts
        part = cuda.blockIdx.x % parts
        base = result // inner * n * inner + result % inner
        end = (part + 1) * CHUNK
        if end > n:
            end = n
        total = start
        for r in range(part * CHUNK + t, end, THREADS):
            total = combine(total, of(x[base + r * inner]))
        totals[t] = total
        cuda.syncthreads()
        half = THREADS // 2
        while half > 0:
            if t < half:
                totals[t] = combine(totals[t], totals[t + half])
            cuda.syncthreads()
            half = half // 2
        if t == 0:
            out[cuda.blockIdx.x] = totals[0]

    return kernel


def _extreme_kernel(better, dtype):
    def kernel(x, n, inner, out, index):
        values = cuda.shared.array(THREADS, dtype)
        places = cuda.shared.array(THREADS, np.int64)
        t = cuda.threadIdx.x
        result = cuda.blockIdx.x
        base = result // inner * n * inner + result % inner
        place = t if t < n else n - 1
        value = x[base + place * inner]
        for r in range(t + THREADS, n, THREADS):
            candidate = x[base + r * inner]
            if better(candidate, value):
                value = candidate
                place = r
        values[t] = value
        places[t] = place
        cuda.syncthreads()
        half = THREADS // 2
        while half > 0:
            if t < half:
                candidate = values[t + half]
                other = places[t + half]
                ahead = better(candidate, values[t])
                tie = not ahead and not better(values[t], candidate) and other < places[t]
                if ahead or tie:
                    values[t] = candidate
                    places[t] = other
            cuda.syncthreads()
            half = half // 2
        if t == 0:
            out[result] = values[0]
            index[result] = places[0]

    return kernel


def itself(x):
    """The element as it is."""
    return x


def nonzero(x):
    """Whether the element counts as true (nan does)."""
    return x != 0


def without_nan(x):
    """The element, 0 for nan."""
    return x if x == x else 0


def add(a, b):
    """The step of a sum."""
    return a + b


def multiply(a, b):
    """The step of a product."""
    return a * b


def either(a, b):
    """The step of any()."""
    return a or b


def both(a, b):
    """The step of all()."""
    return a and b


def greatest(a, b):
    """The step of a maximum; nan if either is."""
    return a if a > b or a != a else b


def least(a, b):
    """The step of a minimum; nan if either is."""
    return a if a < b or a != a else b


def larger(a, b):
    """Whether a is the better maximum: larger, or nan where b is none."""
    return a > b or (a != a and b == b)


def smaller(a, b):
    """Whether a is the better minimum: smaller, or nan where b is none."""
    return a < b or (a != a and b == b)


@functools.cache
def fold_kernel(of, combine, dtype, out_dtype):
    """The kernel that folds elements of `dtype` into results of `out_dtype`."""
    of = device_function(of, dtype)
    return cuda.jit(_fold_kernel(of, device_function(combine, out_dtype), out_dtype.type))


@functools.cache
def extreme_kernel(better, dtype):
    """The kernel that finds the best element and its place."""
    return cuda.jit(_extreme_kernel(device_function(better, dtype), dtype.type))


def fold(x, outer: int, n: int, inner: int, out, combine, start, of, scratch) -> None:
    """out[o, j] = combine over r of of(x[o, r, j]), from `start` on; device arrays, all contiguous.

    `scratch(count)` gives a device array of out's dtype for the results of chunks. n >= 1.
    """
    results = outer * inner
    if not results:
        return
    parts = (n + CHUNK - 1) // CHUNK
    x_dtype, out_dtype = np.dtype(x.dtype), np.dtype(out.dtype)
    start = out_dtype.type(start)
    partial = out if parts == 1 else scratch(results * parts)
    launch_blocks(fold_kernel(of, combine, x_dtype, out_dtype), results * parts, x, n, inner, parts, start, partial)
    if parts > 1:
        fold(partial, results, parts, 1, out, combine, start, itself, scratch)


def extreme_forward(x, outer: int, n: int, inner: int, out, index, largest: bool) -> None:
    """Maxima (or minima) over the middle dimension and where each first stands; n >= 1."""
    if outer * inner:
        kernel = extreme_kernel(larger if largest else smaller, np.dtype(x.dtype))
        launch_blocks(kernel, outer * inner, x, n, inner, out, index)
