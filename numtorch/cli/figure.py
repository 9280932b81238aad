"""A picture of the demo, written as SVG text: any browser shows it, and nothing needs to be installed to make it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isfinite, log10
from xml.sax.saxutils import escape

INK, FAINT, BLUE, ORANGE, RED = "#222222", "#d8d8d8", "#1f6fb2", "#d9790b", "#c62828"


class Svg:
    """Shapes collected into a document."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, fill: str, extra: str = "") -> None:
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" {extra}/>')

    def line(self, points: Sequence[tuple[float, float]], color: str, width: float = 1) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}" stroke-linejoin="round"/>'
        )

    def text(self, x: float, y: float, words: str, size: int = 12, color: str = INK, anchor: str = "start") -> None:
        where = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
        self._parts.append(f'<text {where} font-size="{size}" fill="{color}">{escape(words)}</text>')

    def document(self) -> str:
        size = f'width="{self.width}" height="{self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica, Arial, sans-serif">'
        return "\n".join([head, f'<rect {size} fill="white"/>', *self._parts, "</svg>\n"])


def _curve(
    svg: Svg, box: tuple, values: Sequence[float], limits: tuple, ticks: Sequence, color: str, title: str
) -> None:
    """`values` by epoch in `box` (x, y, width, height); `ticks` are (value, its text)."""
    x, y, width, height = box
    low, high = limits

    def place(i: float, value: float) -> tuple[float, float]:
        share = (min(max(value, low), high) - low) / (high - low)
        return x + width * i / max(len(values) - 1, 1), y + height * (1 - share)

    svg.text(x, y - 12, title, 14)
    for value, words in ticks:
        level = place(0, value)[1]
        svg.line([(x, level), (x + width, level)], FAINT)
        svg.text(x - 6, level + 4, words, 11, anchor="end")
    for i in sorted({0, (len(values) - 1) // 2, len(values) - 1}):
        svg.text(place(i, low)[0], y + height + 16, str(i + 1), 11, anchor="middle")
    svg.text(x + width / 2, y + height + 32, "epoch", 11, anchor="middle")
    svg.line([place(i, value) for i, value in enumerate(values)], color, 2.5)


def training_figure(
    losses: Sequence[float],
    accuracies: Sequence[float],
    samples: Sequence[tuple[Sequence[Sequence[float]], int, int]],
    title: str,
) -> str:
    """An SVG document: loss and accuracy by epoch, and `samples` of (8 x 8 pixels in 0..1, label, prediction)."""
    svg = Svg(980, 500)
    svg.text(30, 36, title, 18)
    # Losses span decades: a logarithmic scale, marked by powers of ten; a diverged one is at its top.
    powers = [log10(min(max(loss, 1e-9), 1e3)) if isfinite(loss) else 3.0 for loss in losses]
    low = floor(min(powers))
    high = max(ceil(max(powers)), low + 1)
    ticks = [(power, f"{10.0**power:g}") for power in range(low, high + 1)]
    _curve(svg, (70, 90, 360, 140), powers, (low, high), ticks, BLUE, "training loss")
    floor_of_scale = min(0.9, floor(min(accuracies) * 10) / 10)
    steps = [floor_of_scale + (1 - floor_of_scale) * i / 4 for i in range(5)]
    ticks = [(value, f"{100 * value:.4g}%") for value in steps]
    box = (70, 310, 360, 140)
    _curve(svg, box, accuracies, (floor_of_scale, 1), ticks, ORANGE, "accuracy on held-out images")
    svg.text(490, 78, "held-out images as the network reads them (red: wrong)", 14)
    for i, (pixels, label, guess) in enumerate(samples):
        _digit(svg, 490 + 58 * (i % 8), 94 + 76 * (i // 8), 48, pixels, label, guess)
    return svg.document()


def _digit(svg: Svg, x: float, y: float, size: float, pixels, label: int, guess: int) -> None:
    cell = size / len(pixels)
    svg.rect(x, y, size, size, "#000000")
    for row, values in enumerate(pixels):
        for column, value in enumerate(values):
            if value > 0:
                gray = round(255 * value)
                color = f"#{gray:02x}{gray:02x}{gray:02x}"
                svg.rect(x + column * cell, y + row * cell, cell, cell, color, 'shape-rendering="crispEdges"')
    wrong = label != guess
    words = f"{guess} (is {label})" if wrong else str(guess)
    svg.text(x + size / 2, y + size + 15, words, 12, RED if wrong else INK, "middle")
