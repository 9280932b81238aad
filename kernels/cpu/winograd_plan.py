"""Winograd's convolution: where it is used, and its geometry, worked out once per shape."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .tile_sizes import lanes

# Fields of `geometry`
TILE, POINTS, CHANNELS, OUTPUTS, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, TOP = range(9)
TILES_X, STRIP, STRIPS, UNIT_TILES, CHANNEL_PITCH, OUTPUT_PITCH, PANEL = range(9, 16)  # STRIP: rows of tiles in a unit

# The padded pixels of a unit, for one vector of channels, should stay in the second-level cache with their points.
REGION_BYTES = 128 * 1024
# Tiles of a unit, about: enough of them to hide the turning of its pixels, few enough to balance a few cores.
UNIT = 64
# Points of pixels and of sums that are made at a time, and points of taps (all of those of 512 x 512 channels would be
# 38 MB). Measured: half as much costs nothing, four times as much a fifth to a half of the speed.
POINT_BYTES = 4 * 1024 * 1024
TAP_BYTES = 2 * 1024 * 1024
# Where the taps do not fit, they are made anew for each group of tiles: at least so many tiles then share that cost.
LEAST_TILES = 128
# Outputs whose points of taps lie together: a row of a register tile, so that they are read as one stream.
PANEL_VECTORS = 4
# Multiply-adds (of a direct convolution) below which the launches of four steps (9 us) cost more than they gain.
SERIAL_WORK = 1_000_000


class Plan(NamedTuple):
    """How a convolution is cut for Winograd's algorithm: tables of places, and the sizes of its units of work."""

    geometry: np.ndarray  # int64
    place_in: np.ndarray  # pixel of a unit's rows -> its place in the padded region
    place_out: np.ndarray  # output pixel of a unit -> its place in the region of its tiles
    nine: np.ndarray  # places of nine taps, one vector apart, and of what is read behind them
    vl: int
    points: int
    units: int
    unit_tiles: int
    unit_group: int  # units at a time
    output_group: int  # outputs at a time: all of them, or whole panels
    panel: int
    channel_pitch: int
    output_pitch: int
    serial: bool


def _pitch(channels: int, vl: int) -> int:
    """Channels of one tile rounded up to an odd number of vectors: tiles then do not share cache sets."""
    vectors = -(-channels // vl)
    return (vectors + 1 - vectors % 2) * vl


def plane_size(rows: int, pitch: int, vl: int) -> int:
    """Elements from one point to the next: an odd number of vectors, so that the points do not share cache sets."""
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


@lru_cache(maxsize=256)  # 10 to 100 KB each
def plan(
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
    points, panel = (tile + 2) ** 2, PANEL_VECTORS * vl
    tiles_y, tiles_x = -(-out[0] // tile), -(-out[1] // tile)
    row_bytes = tile * (tiles_x * tile + 2) * vl * itemsize
    strip = _strip(tiles_y, max(1, UNIT // tiles_x), REGION_BYTES // row_bytes)
    strips = -(-tiles_y // strip)
    units, unit_tiles = images * strips, strip * tiles_x
    # whole panels of outputs whose taps' points fit
    output_group = max(1, TAP_BYTES // (points * channels * panel * itemsize)) * panel
    output_group = min(outputs, output_group)
    channel_pitch, output_pitch = _pitch(channels, vl), _pitch(output_group, vl)
    unit_bytes = points * unit_tiles * (channel_pitch + output_pitch) * itemsize
    unit_group = POINT_BYTES // unit_bytes
    if output_group < outputs:
        unit_group = max(unit_group, -(-LEAST_TILES // unit_tiles))
    unit_group = max(1, min(units, unit_group))
    geometry = [
        tile, points, channels, outputs, *src, *out, padding[0],
        tiles_x, strip, strips, unit_tiles, channel_pitch, output_pitch, panel,
    ]  # fmt: skip
    return Plan(
        np.array(geometry, np.int64),
        _places(strip * tile + 2, src[1], padding[1], tiles_x * tile + 2, vl),
        _places(strip * tile, out[1], 0, tiles_x * tile, vl),
        np.minimum(np.arange(9 + vl), 8) * vl,
        vl,
        points,
        units,
        unit_tiles,
        unit_group,
        output_group,
        panel,
        channel_pitch,
        output_pitch,
        images * channels * outputs * out[0] * out[1] * 9 < SERIAL_WORK,
    )


# -- where it is used --------------------------------------------------------------------------------------------

# Cycles for one vector of channels, measured: to take the pixels of a tile to their points, the sums of a tile to its
# outputs, and nine taps to their points (or back).
TILE_CYCLES = {2: 110, 4: 300}
TAP_CYCLES = {2: 170, 4: 300}
# Tiles of one register tile of the product of the points.
TILE_ROWS = 6
# Shares of the peak, measured: of the product of the points; of the direct kernel for planes of at least so many
# pixels, and of the weight's gradient beside that.
POINT_SHARE = 0.85
DIRECT_SHARE = {100: 0.85, 16: 0.7, 0: 0.6}
WEIGHT_SHARE = 0.8
# What the launches of four kernels cost more than that of one (4 us).
CALL_CYCLES = 15_000

_state = {"allowed": True}


def allow_winograd(allowed: bool) -> None:
    """Let convolutions use Winograd's algorithm where it is faster (as they do from the start), or never."""
    _state["allowed"] = bool(allowed)


def winograd_allowed() -> bool:
    return _state["allowed"]


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
    vectors_in, vectors_out = -(-channels // vl), -(-outputs // vl)
    share = next(share for pixels, share in DIRECT_SHARE.items() if height * width >= pixels)
    cycles = {0: work / vl / (share * WEIGHT_SHARE if is_weight else share) - CALL_CYCLES}
    if cycles[0] <= 0:
        return 0
    for tile in (2, 4):
        tiles = images * -(-height // tile) * -(-width // tile)
        pairs = outputs * vectors_in if is_weight else channels * vectors_out
        rows = tiles if is_weight else -(-tiles // TILE_ROWS) * TILE_ROWS
        products = (tile + 2) ** 2 * rows * pairs / POINT_SHARE
        cycles[tile] = products + TILE_CYCLES[tile] * tiles * (vectors_in + vectors_out) + TAP_CYCLES[tile] * pairs
    return min(cycles, key=cycles.get)
