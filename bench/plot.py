"""A bar for each workload, on a logarithmic axis around 1: `python bench/plot.py RESULTS.json OUT.png`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

FASTER, SLOWER = "#2a7f62", "#b5483a"


def plot(results: list[dict], machine: dict, path: str) -> None:
    """Write the chart of `results` (rows of compare.py as dictionaries) to `path`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in results if row["ratio"]]
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.17 * len(rows)), layout="constrained")
    positions, labels, at, family = [], [], 0.0, None
    for row in rows:
        at += 1 if row["family"] == family else 2
        family = row["family"]
        positions.append(at)
        labels.append(f"{family}: {row['name']} ({row['threads']})")
    colors = [FASTER if row["ratio"] >= 1 else SLOWER for row in rows]
    # Bars start at 1, where both are equally fast.
    axes.barh(positions, [row["ratio"] - 1 for row in rows], left=1, color=colors)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(positions, labels, fontsize=6)
    axes.set_ylim(at + 1, 0)
    axes.set_xlabel("time(torch) / time(numtorch); the number of threads in brackets")
    axes.set_title(f"{machine['cpu']}, torch {machine['torch']}, numba {machine['numba']}", fontsize=8)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    data = json.loads(Path(sys.argv[1]).read_text())
    plot(data["results"], data["machine"], sys.argv[2])
