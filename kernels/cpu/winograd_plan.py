"""The geometry of a Winograd convolution, worked out once per shape, and the choice of its order of work."""

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

# Tiles of one task when working by tiles: the points of 64 channels (258 KB), the sums of 64 outputs (as much) and the
# taps of 64 x 64 (590 KB) share a second-level cache of 1 MB.
GROUP_TILES = 28
# The padded pixels of a unit, for one vector of channels, should stay in the second-level cache next to those.
REGION_BYTES = 128 * 1024
# Outputs whose sums are kept at a time, and channels of the taps' points used at a time (36 * 128 * 32 * 4 = 590 KB).
PANEL_OUTPUTS = 64
BLOCK_CHANNELS = 128
# Multiply-adds (of a direct convolution) below which a parallel launch costs more than it gains.
SERIAL_WORK = 400_000
# From so many bytes on, the points of the taps are made where they are used, if all tiles' points take no more than
# twice that.
TAP_BYTES = 2 * 1024 * 1024


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
    # Strips of whole rows of tiles, about equal, that fit the region and are no more than a group.
    row_bytes = tile * (tiles_x * tile + 2) * vl * itemsize
    most = max(1, min(GROUP_TILES // tiles_x, REGION_BYTES // row_bytes))
    strips = -(-tiles_y // most)
    strip = -(-tiles_y // strips)
    strips = -(-tiles_y // strip)
    units, unit_tiles = images * strips, strip * tiles_x
    group = max(1, GROUP_TILES // unit_tiles)
    channel_pitch, output_pitch = _pitch(channels, vl), _pitch(outputs, vl)
    block = min(channels, BLOCK_CHANNELS)
    all_tiles = units * unit_tiles
    tap_bytes, pixel_bytes = points * channels * outputs * itemsize, points * channels * all_tiles * itemsize
    by_tiles = tap_bytes < TAP_BYTES or pixel_bytes > 2 * tap_bytes
    panel = PANEL_OUTPUTS if by_tiles or outputs >= 8 * PANEL_OUTPUTS else PANEL_OUTPUTS // 2
    panel = min(panel, -(-outputs // vl) * vl)
    panels, blocks = -(-outputs // panel), -(-channels // block)
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
        -(-units // group) if by_tiles else panels,
        panels * blocks,
        panels * blocks * points * (block * panel + 64),
        points * _plane(all_tiles, channel_pitch, vl),
        points * _plane(all_tiles, output_pitch, vl),
        -(-channels // vl),
        -(-outputs // vl),
    )
