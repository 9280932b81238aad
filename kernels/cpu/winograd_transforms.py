"""The linear maps of Winograd's convolution, on vectors that run along channels.

For output tiles of m x m pixels and 3 x 3 taps, with n = m + 2 (Lavin and Gray, "Fast algorithms for convolutional
neural networks", 2015):

    Y = A^T [ (G g G^T) * (B^T d B) ] A        g (3, 3) taps, d (n, n) pixels, Y (m, m), * element by element

and, since all of it is linear, for the gradient of the taps

    dg = G^T [ (B^T d B) * (A dY A^T) ] G

Each map is a one-dimensional pass over the columns of a tile, then over its rows. The points of interpolation are
0, 1, -1, infinity for m = 2:

    B^T = 1  0 -1  0      G = 1    0    0       A^T = 1  1  1  0
          0  1  1  0          1/2  1/2  1/2           0  1 -1 -1
          0 -1  1  0          1/2 -1/2  1/2
          0  1  0 -1          0    0    1

and 0, a, -a, b, -b, infinity for m = 4, where with s = a^2 + b^2, p = a^2 b^2, e = 2 a^2 (a^2 - b^2),
f = 2 b^2 (b^2 - a^2):

    B^T = p    0    -s    0   1  0     G = 1/p   0     0        A^T = 1   1    1    1    1   0
          0  -a b^2 -b^2  a   1  0         1/e  a/e  a^2/e            0   a   -a    b   -b   0
          0   a b^2 -b^2 -a   1  0         1/e -a/e  a^2/e            0  a^2  a^2  b^2  b^2  0
          0  -b a^2 -a^2  b   1  0         1/f  b/f  b^2/f            0  a^3 -a^3  b^3 -b^3  1
          0   b a^2 -a^2 -b   1  0         1/f -b/f  b^2/f
          0    p     0   -s   0  1         0     0     1

The usual a = 1, b = 2 makes the largest error five times as large (7e-6 of the largest output) as a = 5/8, b = 3/2,
which costs no operation more; these, their squares and cubes are exact in binary.

`x` below is any array of the dtype: constants are made for its vectors. Every kernel works on one tile of one vector
of channels; neighbouring pixels of a tile are one vector apart, its rows `pitch` elements, and points of the
transformed tile `plane` elements, row by row.
"""

from __future__ import annotations

from ..compiler import jit
from ..simd import broadcast, lanes, load, store

# -- one dimension, m = 4 ------------------------------------------------------------------------------------

A, B = 5 / 8, 3 / 2
AA, BB, AAA, BBB = A**2, B**2, A**3, B**3
S, P = AA + BB, AA * BB
E, F = 2 * AA * (AA - BB), 2 * BB * (BB - AA)
G0 = 1 / P  # the elements of G
G10, G11, G12 = 1 / E, A / E, AA / E
G30, G31, G32 = 1 / F, B / F, BB / F


@jit(inline=True)
def _all(x, value):
    """A vector of constants of the dtype of x."""
    return broadcast(x, x.dtype.type(value))


@jit(inline=True)
def _pixels_4(x, d):
    """B^T d: 6 -> 6 in 12 multiply-adds."""
    a, b, aa, bb, s, p = _all(x, A), _all(x, B), _all(x, AA), _all(x, BB), _all(x, S), _all(x, P)
    even_a, odd_a = d[4] - bb * d[2], d[3] - bb * d[1]
    even_b, odd_b = d[4] - aa * d[2], d[3] - aa * d[1]
    return (
        p * d[0] + (d[4] - s * d[2]),
        even_a + a * odd_a,
        even_a - a * odd_a,
        even_b + b * odd_b,
        even_b - b * odd_b,
        p * d[1] + (d[5] - s * d[3]),
    )


@jit(inline=True)
def _taps_4(x, g):
    """G g: 3 -> 6."""
    near, far = _all(x, G10) * g[0] + _all(x, G12) * g[2], _all(x, G30) * g[0] + _all(x, G32) * g[2]
    near_odd, far_odd = _all(x, G11) * g[1], _all(x, G31) * g[1]
    return _all(x, G0) * g[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, g[2]


@jit(inline=True)
def _sums_4(x, m):
    """A^T m: 6 -> 4."""
    near, far = m[1] + m[2], m[3] + m[4]
    near_odd, far_odd = m[1] - m[2], m[3] - m[4]
    return (
        m[0] + near + far,
        _all(x, A) * near_odd + _all(x, B) * far_odd,
        _all(x, AA) * near + _all(x, BB) * far,
        _all(x, AAA) * near_odd + (_all(x, BBB) * far_odd + m[5]),
    )


@jit(inline=True)
def _slopes_4(x, y):
    """A y: 4 -> 6."""
    near, far = y[0] + _all(x, AA) * y[2], y[0] + _all(x, BB) * y[2]
    near_odd, far_odd = _all(x, A) * y[1] + _all(x, AAA) * y[3], _all(x, B) * y[1] + _all(x, BBB) * y[3]
    return y[0], near + near_odd, near - near_odd, far + far_odd, far - far_odd, y[3]


@jit(inline=True)
def _tap_sums_4(x, u):
    """G^T u: 6 -> 3."""
    near, far = u[1] + u[2], u[3] + u[4]
    return (
        _all(x, G0) * u[0] + (_all(x, G10) * near + _all(x, G30) * far),
        _all(x, G11) * (u[1] - u[2]) + _all(x, G31) * (u[3] - u[4]),
        _all(x, G12) * near + (_all(x, G32) * far + u[5]),
    )


# -- one dimension, m = 2 ------------------------------------------------------------------------------------


@jit(inline=True)
def _pixels_2(d):
    """B^T d: 4 -> 4."""
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


@jit(inline=True)
def _taps_2(x, g):
    """G g: 3 -> 4."""
    half = broadcast(x, x.dtype.type(0.5))
    ends, middle = half * (g[0] + g[2]), half * g[1]
    return g[0], ends + middle, ends - middle, g[2]


@jit(inline=True)
def _sums_2(m):
    """A^T m: 4 -> 2."""
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


@jit(inline=True)
def _slopes_2(y):
    """A y: 2 -> 4."""
    return y[0], y[0] + y[1], y[0] - y[1], -y[1]


@jit(inline=True)
def _tap_sums_2(x, u):
    """G^T u: 4 -> 3."""
    half = broadcast(x, x.dtype.type(0.5))
    near = half * (u[1] + u[2])
    return u[0] + near, half * (u[1] - u[2]), near + u[3]


# -- reading and writing the lines of a tile -----------------------------------------------------------------


@jit(inline=True)
def _read_2(x, at, step):
    return load(x, at), load(x, at + step)


@jit(inline=True)
def _read_3(x, at, step):
    return load(x, at), load(x, at + step), load(x, at + 2 * step)


@jit(inline=True)
def _read_4(x, at, step):
    return load(x, at), load(x, at + step), load(x, at + 2 * step), load(x, at + 3 * step)


@jit(inline=True)
def _read_6(x, at, step):
    return (
        load(x, at),
        load(x, at + step),
        load(x, at + 2 * step),
        load(x, at + 3 * step),
        load(x, at + 4 * step),
        load(x, at + 5 * step),
    )


@jit(inline=True)
def _write_2(x, at, step, line):
    store(x, at, line[0])
    store(x, at + step, line[1])


@jit(inline=True)
def _write_3(x, at, step, line):
    store(x, at, line[0])
    store(x, at + step, line[1])
    store(x, at + 2 * step, line[2])


@jit(inline=True)
def _write_4(x, at, step, line):
    _write_2(x, at, step, (line[0], line[1]))
    _write_2(x, at + 2 * step, step, (line[2], line[3]))


@jit(inline=True)
def _write_6(x, at, step, line):
    _write_3(x, at, step, (line[0], line[1], line[2]))
    _write_3(x, at + 3 * step, step, (line[3], line[4], line[5]))


# -- two dimensions ------------------------------------------------------------------------------------------


@jit(inline=True)
def _pixel_tile_4(x, at, pitch, out, to, plane):
    """B^T d B of 6 x 6 pixels."""
    vl = lanes(x)
    a = _pixels_4(x, _read_6(x, at, pitch))
    b = _pixels_4(x, _read_6(x, at + vl, pitch))
    c = _pixels_4(x, _read_6(x, at + 2 * vl, pitch))
    d = _pixels_4(x, _read_6(x, at + 3 * vl, pitch))
    e = _pixels_4(x, _read_6(x, at + 4 * vl, pitch))
    f = _pixels_4(x, _read_6(x, at + 5 * vl, pitch))
    _write_6(out, to, plane, _pixels_4(x, (a[0], b[0], c[0], d[0], e[0], f[0])))
    _write_6(out, to + 6 * plane, plane, _pixels_4(x, (a[1], b[1], c[1], d[1], e[1], f[1])))
    _write_6(out, to + 12 * plane, plane, _pixels_4(x, (a[2], b[2], c[2], d[2], e[2], f[2])))
    _write_6(out, to + 18 * plane, plane, _pixels_4(x, (a[3], b[3], c[3], d[3], e[3], f[3])))
    _write_6(out, to + 24 * plane, plane, _pixels_4(x, (a[4], b[4], c[4], d[4], e[4], f[4])))
    _write_6(out, to + 30 * plane, plane, _pixels_4(x, (a[5], b[5], c[5], d[5], e[5], f[5])))


@jit(inline=True)
def _sum_tile_4(m, at, plane, out, to, pitch):
    """A^T m A: 6 x 6 points to 4 x 4 outputs."""
    vl, row = lanes(m), 6 * plane
    a = _sums_4(m, _read_6(m, at, row))
    b = _sums_4(m, _read_6(m, at + plane, row))
    c = _sums_4(m, _read_6(m, at + 2 * plane, row))
    d = _sums_4(m, _read_6(m, at + 3 * plane, row))
    e = _sums_4(m, _read_6(m, at + 4 * plane, row))
    f = _sums_4(m, _read_6(m, at + 5 * plane, row))
    _write_4(out, to, vl, _sums_4(m, (a[0], b[0], c[0], d[0], e[0], f[0])))
    _write_4(out, to + pitch, vl, _sums_4(m, (a[1], b[1], c[1], d[1], e[1], f[1])))
    _write_4(out, to + 2 * pitch, vl, _sums_4(m, (a[2], b[2], c[2], d[2], e[2], f[2])))
    _write_4(out, to + 3 * pitch, vl, _sums_4(m, (a[3], b[3], c[3], d[3], e[3], f[3])))


@jit(inline=True)
def _slope_tile_4(x, at, pitch, out, to, plane):
    """A y A^T: 4 x 4 gradients to 6 x 6 points."""
    vl = lanes(x)
    a = _slopes_4(x, _read_4(x, at, pitch))
    b = _slopes_4(x, _read_4(x, at + vl, pitch))
    c = _slopes_4(x, _read_4(x, at + 2 * vl, pitch))
    d = _slopes_4(x, _read_4(x, at + 3 * vl, pitch))
    _write_6(out, to, plane, _slopes_4(x, (a[0], b[0], c[0], d[0])))
    _write_6(out, to + 6 * plane, plane, _slopes_4(x, (a[1], b[1], c[1], d[1])))
    _write_6(out, to + 12 * plane, plane, _slopes_4(x, (a[2], b[2], c[2], d[2])))
    _write_6(out, to + 18 * plane, plane, _slopes_4(x, (a[3], b[3], c[3], d[3])))
    _write_6(out, to + 24 * plane, plane, _slopes_4(x, (a[4], b[4], c[4], d[4])))
    _write_6(out, to + 30 * plane, plane, _slopes_4(x, (a[5], b[5], c[5], d[5])))


@jit(inline=True)
def _tap_tile_4(x, at, step, out, to, plane):
    """G g G^T: 3 x 3 taps, `step` apart, to 6 x 6 points."""
    a = _taps_4(x, _read_3(x, at, 3 * step))
    b = _taps_4(x, _read_3(x, at + step, 3 * step))
    c = _taps_4(x, _read_3(x, at + 2 * step, 3 * step))
    _write_6(out, to, plane, _taps_4(x, (a[0], b[0], c[0])))
    _write_6(out, to + 6 * plane, plane, _taps_4(x, (a[1], b[1], c[1])))
    _write_6(out, to + 12 * plane, plane, _taps_4(x, (a[2], b[2], c[2])))
    _write_6(out, to + 18 * plane, plane, _taps_4(x, (a[3], b[3], c[3])))
    _write_6(out, to + 24 * plane, plane, _taps_4(x, (a[4], b[4], c[4])))
    _write_6(out, to + 30 * plane, plane, _taps_4(x, (a[5], b[5], c[5])))


@jit(inline=True)
def _tap_sum_tile_4(u, at, plane, out, to):
    """G^T u G: 6 x 6 points to 3 x 3 taps, one vector apart."""
    vl, row = lanes(u), 6 * plane
    a = _tap_sums_4(u, _read_6(u, at, row))
    b = _tap_sums_4(u, _read_6(u, at + plane, row))
    c = _tap_sums_4(u, _read_6(u, at + 2 * plane, row))
    d = _tap_sums_4(u, _read_6(u, at + 3 * plane, row))
    e = _tap_sums_4(u, _read_6(u, at + 4 * plane, row))
    f = _tap_sums_4(u, _read_6(u, at + 5 * plane, row))
    _write_3(out, to, vl, _tap_sums_4(u, (a[0], b[0], c[0], d[0], e[0], f[0])))
    _write_3(out, to + 3 * vl, vl, _tap_sums_4(u, (a[1], b[1], c[1], d[1], e[1], f[1])))
    _write_3(out, to + 6 * vl, vl, _tap_sums_4(u, (a[2], b[2], c[2], d[2], e[2], f[2])))


@jit(inline=True)
def _pixel_tile_2(x, at, pitch, out, to, plane):
    """B^T d B of 4 x 4 pixels."""
    vl = lanes(x)
    a = _pixels_2(_read_4(x, at, pitch))
    b = _pixels_2(_read_4(x, at + vl, pitch))
    c = _pixels_2(_read_4(x, at + 2 * vl, pitch))
    d = _pixels_2(_read_4(x, at + 3 * vl, pitch))
    _write_4(out, to, plane, _pixels_2((a[0], b[0], c[0], d[0])))
    _write_4(out, to + 4 * plane, plane, _pixels_2((a[1], b[1], c[1], d[1])))
    _write_4(out, to + 8 * plane, plane, _pixels_2((a[2], b[2], c[2], d[2])))
    _write_4(out, to + 12 * plane, plane, _pixels_2((a[3], b[3], c[3], d[3])))


@jit(inline=True)
def _sum_tile_2(m, at, plane, out, to, pitch):
    """A^T m A: 4 x 4 points to 2 x 2 outputs."""
    vl, row = lanes(m), 4 * plane
    a = _sums_2(_read_4(m, at, row))
    b = _sums_2(_read_4(m, at + plane, row))
    c = _sums_2(_read_4(m, at + 2 * plane, row))
    d = _sums_2(_read_4(m, at + 3 * plane, row))
    _write_2(out, to, vl, _sums_2((a[0], b[0], c[0], d[0])))
    _write_2(out, to + pitch, vl, _sums_2((a[1], b[1], c[1], d[1])))


@jit(inline=True)
def _slope_tile_2(x, at, pitch, out, to, plane):
    """A y A^T: 2 x 2 gradients to 4 x 4 points."""
    vl = lanes(x)
    a = _slopes_2(_read_2(x, at, pitch))
    b = _slopes_2(_read_2(x, at + vl, pitch))
    _write_4(out, to, plane, _slopes_2((a[0], b[0])))
    _write_4(out, to + 4 * plane, plane, _slopes_2((a[1], b[1])))
    _write_4(out, to + 8 * plane, plane, _slopes_2((a[2], b[2])))
    _write_4(out, to + 12 * plane, plane, _slopes_2((a[3], b[3])))


@jit(inline=True)
def _tap_tile_2(x, at, step, out, to, plane):
    """G g G^T: 3 x 3 taps, `step` apart, to 4 x 4 points."""
    a = _taps_2(x, _read_3(x, at, 3 * step))
    b = _taps_2(x, _read_3(x, at + step, 3 * step))
    c = _taps_2(x, _read_3(x, at + 2 * step, 3 * step))
    _write_4(out, to, plane, _taps_2(x, (a[0], b[0], c[0])))
    _write_4(out, to + 4 * plane, plane, _taps_2(x, (a[1], b[1], c[1])))
    _write_4(out, to + 8 * plane, plane, _taps_2(x, (a[2], b[2], c[2])))
    _write_4(out, to + 12 * plane, plane, _taps_2(x, (a[3], b[3], c[3])))


@jit(inline=True)
def _tap_sum_tile_2(u, at, plane, out, to):
    """G^T u G: 4 x 4 points to 3 x 3 taps, one vector apart."""
    vl, row = lanes(u), 4 * plane
    a = _tap_sums_2(u, _read_4(u, at, row))
    b = _tap_sums_2(u, _read_4(u, at + plane, row))
    c = _tap_sums_2(u, _read_4(u, at + 2 * plane, row))
    d = _tap_sums_2(u, _read_4(u, at + 3 * plane, row))
    _write_3(out, to, vl, _tap_sums_2(u, (a[0], b[0], c[0], d[0])))
    _write_3(out, to + 3 * vl, vl, _tap_sums_2(u, (a[1], b[1], c[1], d[1])))
    _write_3(out, to + 6 * vl, vl, _tap_sums_2(u, (a[2], b[2], c[2], d[2])))


# -- all tiles of a unit: `rows` x `columns` tiles next to each other -----------------------------------------


@jit
def spread_pixels(m, rows, columns, x, pitch, out, to, step, plane):
    """out[to + tile * step + point * plane] = B^T d B; the tiles overlap by two pixels."""
    vl = lanes(x)
    for row in range(rows):
        for column in range(columns):
            at, target = row * m * pitch + column * m * vl, to + (row * columns + column) * step
            if m == 4:
                _pixel_tile_4(x, at, pitch, out, target, plane)
            else:
                _pixel_tile_2(x, at, pitch, out, target, plane)


@jit
def spread_slopes(m, rows, columns, x, pitch, out, to, step, plane):
    """out[to + tile * step + point * plane] = A y A^T of the gradients y of a tile's outputs."""
    vl = lanes(x)
    for row in range(rows):
        for column in range(columns):
            at, target = row * m * pitch + column * m * vl, to + (row * columns + column) * step
            if m == 4:
                _slope_tile_4(x, at, pitch, out, target, plane)
            else:
                _slope_tile_2(x, at, pitch, out, target, plane)


@jit
def gather_sums(m, rows, columns, sums, at, step, plane, out, pitch):
    """The outputs A^T s A of every tile, s[point] = sums[at + tile * step + point * plane]."""
    vl = lanes(sums)
    for row in range(rows):
        for column in range(columns):
            source, to = at + (row * columns + column) * step, row * m * pitch + column * m * vl
            if m == 4:
                _sum_tile_4(sums, source, plane, out, to, pitch)
            else:
                _sum_tile_2(sums, source, plane, out, to, pitch)


@jit
def spread_taps(m, taps, at, step, out, to, plane):
    """out[to + point * plane] = G g G^T of nine taps `step` elements apart (a negative step turns them round)."""
    if m == 4:
        _tap_tile_4(taps, at, step, out, to, plane)
    else:
        _tap_tile_2(taps, at, step, out, to, plane)


@jit
def gather_taps(m, points, at, plane, out, to):
    """Nine taps G^T u G, one vector apart, u[point] = points[at + point * plane]."""
    if m == 4:
        _tap_sum_tile_4(points, at, plane, out, to)
    else:
        _tap_sum_tile_2(points, at, plane, out, to)
