"""Winograd's convolution: where it is used, its geometry, worked out once per shape, and its order of work."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .microkernel import lanes

# Fields of `geometry`
TILE, POINTS, CHANNELS, OUTPUTS, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, TOP = range(9)
TILES_X, STRIP, STRIPS, UNITS, UNIT_TILES, GROUP = range(
    9, 15
)  # STRIP: rows of tiles in a unit; GROUP: units in a task
CHANNEL_PITCH, OUTPUT_PITCH, PANEL, BLOCK = range(15, 19)

# Tiles of one task when working by tiles: 28 for 64 channels, whose points (258 KB), the sums of 64 outputs (as much)
# and the taps of 64 x 64 (590 KB) share a second-level cache of 1 MB; no fewer for more channels, where the taps would
# be read too often. At least GROUPS tasks, to balance a few cores.
GROUP_BYTES = 260 * 1024
GROUP_TILES = 28, 128
LEAST_TILES = 24
GROUPS = 8
# The padded pixels of a unit, for one vector of channels, should stay in the second-level cache next to those.
REGION_BYTES = 128 * 1024
# Outputs whose sums are kept at a time, and channels of the taps' points used at a time (36 * 64 * 64 * 4 = 590 KB).
PANEL_OUTPUTS = 64
BLOCK_CHANNELS = 64
# Multiply-adds (of a direct convolution) below which a parallel launch costs more than it gains.
SERIAL_WORK = 400_000
# From so many bytes on, the points of the taps are made where they are used, if all tiles' points take no more than
# twice that.
TAP_BYTES = 2 * 1024 * 1024
# Their gradients are summed over the groups of tiles up to this size, above it over all tiles at once.
WEIGHT_TAP_BYTES = 4 * 1024 * 1024
# Parts of the tiles whose gradients of the taps are summed apart: fixed, so that the result does not depend on the
# number of threads.
WEIGHT_PARTS = 8


class Plan(NamedTuple):
    geometry: np.ndarray  # int64
    place_in: np.ndarray  # pixel of a unit's rows -> its place in the padded region
    place_out: np.ndarray  # output pixel of a unit -> its place in the region of its tiles
    by_tiles: bool
    serial: bool
    tasks: int
    tap_items: int  # blocks of the taps' points
    taps: int  # elements of the taps' points
    points_in: int  # elements of all pixels' points
    points_out: int  # elements of all gradients' points
    vectors_in: int
    vectors_out: int


def _pitch(channels: int, vl: int) -> int:
    """Channels of one tile rounded up to an odd number of vectors: tiles then do not share cache sets."""
    vectors = -(-channels // vl)
    return (vectors + 1 - vectors % 2) * vl


def _plane(rows: int, pitch: int, vl: int) -> int:
    size = rows * pitch
    return size + (vl if size // vl % 2 == 0 else 2 * vl)


def _places(rows: int, width: int, left: int, region_width: int, vl: int) -> np.ndarray:
    """Where pixel (y, x) goes in rows of `region_width`: left + x, or behind everything if that is outside."""
    x = left + np.arange(width)
    places = np.arange(rows)[:, None] * region_width + x
    places = np.where((x >= 0) & (x < region_width), places, rows * region_width) * vl
    return np.concatenate([places.reshape(-1), np.zeros(vl, np.int64)])


def _strip(rows: int, wanted: int, most: int) -> int:
    """Rows of tiles in a strip: near `wanted` and at most `most`, so that the last strip has few empty rows."""
    low, high = -(-wanted // 2), max(1, min(2 * wanted, most, rows))
    empty = {strip: -(-rows // strip) * strip - rows for strip in range(min(low, high), high + 1)}
    return min(empty, key=lambda strip: (empty[strip], strip > wanted, -strip))


@lru_cache(maxsize=1024)
def plan(
    kind: str,
    images: int,
    channels: int,
    outputs: int,
    src: tuple[int, int],
    padding: tuple[int, int],
    out: tuple[int, int],
    tile: int,
    itemsize: int,
) -> Plan:
    """Tables for images x channels x src -> images x outputs x out; `tile` is 2 or 4."""
    vl = lanes(itemsize)
    points = (tile + 2) ** 2
    tiles_y, tiles_x = -(-out[0] // tile), -(-out[1] // tile)
    # Strips of whole rows of tiles that fit the region and are no more than a group.
    row_bytes = tile * (tiles_x * tile + 2) * vl * itemsize
    tiles = max(GROUP_TILES[0], min(GROUP_TILES[1], GROUP_BYTES // max(1, points * channels * itemsize)))
    tiles = min(tiles, max(LEAST_TILES, images * tiles_y * tiles_x // GROUPS))
    strip = _strip(tiles_y, max(1, tiles // tiles_x), REGION_BYTES // row_bytes)
    strips = -(-tiles_y // strip)
    units, unit_tiles = images * strips, strip * tiles_x
    group = max(1, tiles // unit_tiles)
    channel_pitch, output_pitch = _pitch(channels, vl), _pitch(outputs, vl)
    block = min(channels, BLOCK_CHANNELS)
    all_tiles = units * unit_tiles
    tap_bytes, pixel_bytes = points * channels * outputs * itemsize, points * channels * all_tiles * itemsize
    by_tiles = tap_bytes < TAP_BYTES or pixel_bytes > 2 * tap_bytes
    panel = PANEL_OUTPUTS if by_tiles or outputs >= 8 * PANEL_OUTPUTS else PANEL_OUTPUTS // 2
    panel = min(panel, -(-outputs // vl) * vl)
    panels, blocks = -(-outputs // panel), -(-channels // block)
    tasks = -(-units // group) if by_tiles else panels
    if kind == "weight":
        by_tiles = tap_bytes < WEIGHT_TAP_BYTES
        tasks = min(WEIGHT_PARTS, -(-units // group)) if by_tiles else panels * blocks
    geometry = [
        tile, points, channels, outputs, *src, *out, padding[0],
        tiles_x, strip, strips, units, unit_tiles, group,
        channel_pitch, output_pitch, panel, block,
    ]  # fmt: skip
    return Plan(
        np.array(geometry, np.int64),
        _places(strip * tile + 2, src[1], padding[1], tiles_x * tile + 2, vl),
        _places(strip * tile, out[1], 0, tiles_x * tile, vl),
        by_tiles,
        images * channels * outputs * out[0] * out[1] * 9 < SERIAL_WORK,
        tasks,
        panels * blocks,
        panels * blocks * points * (block * panel + 64),
        points * _plane(all_tiles, channel_pitch, vl),
        points * _plane(all_tiles, output_pitch, vl),
        -(-channels // vl),
        -(-outputs // vl),
    )


# -- where it is used --------------------------------------------------------------------------------------------

# Cycles for one vector of channels, measured: to take the pixels of a tile to their points, the sums of a tile to its
# outputs, and nine taps to their points (or back).
TILE_CYCLES = {2: 110, 4: 300}
TAP_CYCLES = {2: 130, 4: 260}
# Share of the peak that the direct kernel reaches, and that of the product of the points.
DIRECT_SHARE, POINT_SHARE = 0.95, 0.85
# Multiply-adds of the direct kernel below which the calls cost more than the arithmetic.
LEAST_WORK = 100_000

_state = {"allowed": True}


def allow_winograd(allowed: bool) -> None:
    """Let convolutions use Winograd's algorithm where it is faster (as they do from the start), or never."""
    _state["allowed"] = bool(allowed)


def winograd_tile(kind, images, groups, channels, outputs, src, kernel, stride, padding, dilation, out, dtype) -> int:
    """The side of the output tiles with which a convolution is fastest, 2 or 4, or 0 for the direct kernel.

    kind is "forward", "transposed" or "weight", the rest as in conv.py. Only for float32: its error is that of a few
    more roundings, which who asks for float64 does not want.
    """
    if kernel != (1, 3, 3) or groups != 1 or dtype != np.float32 or not _state["allowed"]:
        return 0
    if stride != (1, 1, 1) or dilation != (1, 1, 1) or padding[0] or src[0] != 1 or out[0] != 1:
        return 0
    # tiles lie on the result; those of the weight's gradient on the outputs of the forward convolution
    return _fastest(images, channels, outputs, out[1], out[2], kind == "weight", lanes(dtype.itemsize))


@lru_cache(maxsize=1024)
def _fastest(images, channels, outputs, height, width, is_weight, vl) -> int:
    work = images * channels * outputs * height * width * 9
    if work < LEAST_WORK:
        return 0
    vectors_in, vectors_out = -(-channels // vl), -(-outputs // vl)
    cycles = {0: work / vl / DIRECT_SHARE}
    for tile in (2, 4):
        tiles = images * -(-height // tile) * -(-width // tile)
        points = (tile + 2) ** 2 * tiles * (outputs * vectors_in if is_weight else channels * vectors_out)
        maps = TILE_CYCLES[tile] * tiles * (vectors_in + vectors_out)
        taps = TAP_CYCLES[tile] * (outputs * vectors_in if is_weight else channels * vectors_out)
        cycles[tile] = points / POINT_SHARE + maps + taps
    return min(cycles, key=cycles.get)
