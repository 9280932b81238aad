"""Copies: from one layout to another, and from one dtype to another.

Layout copies move bits, so they are compiled for an element size and not for a dtype: callers view the buffers as
unsigned integers (or complex128 for 16 bytes).
"""

from __future__ import annotations

from numba import prange

from ..compiler import jit

# A transposing copy walks tiles of 32 x 32: 32 lines of 64 bytes on each side, so both the rows that are read and the
# rows that are written stay in L1 while a tile is turned.
TILE = 32


@jit
def fill(out, value):
    """out[i] = value."""
    for i in range(out.size):
        out[i] = value


@jit
def fill_strided(out, o0, meta, value):
    """Write `value` to every element of a strided tensor; meta = [ndim, sizes, strides]."""
    ndim = meta[0]
    n, so = meta[ndim], meta[2 * ndim]
    rows = 1
    for d in range(1, ndim):
        rows *= meta[d]
    for r in range(rows):
        q, rest = o0, r
        for d in range(ndim - 2, -1, -1):
            q += (rest % meta[1 + d]) * meta[1 + ndim + d]
            rest //= meta[1 + d]
        for i in range(n):
            out[q + i * so] = value


@jit
def _copy_rows(x, x0, out, o0, meta, ndim, n, sx, so, rows):
    for r in range(rows):
        p, q, rest = x0, o0, r
        for d in range(ndim - 2, -1, -1):
            i = rest % meta[1 + d]
            rest //= meta[1 + d]
            p += i * meta[1 + ndim + d]
            q += i * meta[1 + 2 * ndim + d]
        if so == 1 and sx == 1:
            zs, xs = out[q : q + n], x[p : p + n]
            for i in range(n):
                zs[i] = xs[i]
        elif so == 1 and sx == 0:
            zs, value = out[q : q + n], x[p]
            for i in range(n):
                zs[i] = value
        else:
            for i in range(n):
                out[q + i * so] = x[p + i * sx]


@jit
def copy_strided(x, x0, out, o0, meta):
    """out = x for any two layouts; meta = [ndim, sizes, strides of x, strides of out], inner dimension last."""
    ndim = meta[0]
    n, sx, so = meta[ndim], meta[2 * ndim], meta[3 * ndim]
    if ndim >= 2 and so == 1 and meta[2 * ndim - 1] == 1 and n >= TILE and meta[ndim - 1] >= TILE:
        _transpose(x, x0, out, o0, meta, ndim, n, sx)
        return
    rows = 1
    for d in range(1, ndim):
        rows *= meta[d]
    _copy_rows(x, x0, out, o0, meta, ndim, n, sx, so, rows)


@jit
def _transpose(x, x0, out, o0, meta, ndim, n, sx):
    """The two inner dimensions are a transposed matrix: x walks dim -2 with stride 1, out walks dim -1 with stride 1."""
    m, so = meta[ndim - 1], meta[3 * ndim - 1]
    batches = 1
    for d in range(1, ndim - 1):
        batches *= meta[d]
    for b in range(batches):
        p, q, rest = x0, o0, b
        for d in range(ndim - 3, -1, -1):
            i = rest % meta[1 + d]
            rest //= meta[1 + d]
            p += i * meta[1 + ndim + d]
            q += i * meta[1 + 2 * ndim + d]
        for i0 in range(0, m, TILE):
            i1 = min(i0 + TILE, m)
            for j0 in range(0, n, TILE):
                j1 = min(j0 + TILE, n)
                for i in range(i0, i1):
                    row = q + i * so
                    for j in range(j0, j1):
                        out[row + j] = x[p + i + j * sx]


@jit
def cast(x, out):
    """out[i] = x[i] in the output's dtype: floats to integers truncate, anything to bool is `!= 0`."""
    for i in range(out.size):
        out[i] = x[i]


@jit(parallel=True)
def cast_parallel(x, out):
    """`cast` over fixed blocks on all threads."""
    n = out.size
    for block in prange((n + 16383) // 16384):
        lo = block * 16384
        xs, ys = x[lo : min(lo + 16384, n)], out[lo : min(lo + 16384, n)]
        for i in range(ys.size):
            ys[i] = xs[i]


@jit
def real_part(x, out):
    """The real parts of complex numbers (complex to real casts)."""
    for i in range(out.size):
        out[i] = x[i].real


@jit
def nonzero_complex(x, out):
    """x != 0 for complex numbers (complex to bool casts)."""
    for i in range(out.size):
        out[i] = x[i].real != 0 or x[i].imag != 0
