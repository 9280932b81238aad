"""Training steps of numtorch, torch, jax and tinygrad: `python bench/others.py [--step S] [--threads 1,2] [--quick]`.

numtorch and torch run the workloads of workloads/training.py as they are; other_steps.py has the same steps for jax
(`jax.jit` over loss, gradient and update, the old weights donated) and tinygrad (`TinyJit` over the same). Every
library starts from the same weights and data and has to arrive at the same losses. A compiled step is fast later and
slow at first, so the first three steps are shown too: jax compiles in the first, tinygrad in the first two. The median
is over processes that come one after the other: what numtorch and tinygrad keep on disk is there from the second on.

Every ratio is time(library) / time(numtorch): above 1 numtorch is the faster one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from compare import Row, machine, reports
from other_steps import jax_step, tinygrad_step
from worker import measure
from workloads import load

LIBRARIES = ("numtorch", "torch", "jax", "tinygrad")
STEPS = {
    "two-layer": "two-layer net by hand, 100x64 -> 1000 -> 10",
    "mlp": "MLP 784 -> 128 -> 64 -> 10, batch 64, SGD",
    "lenet": "LeNet, batch 64, SGD",
    "char-lstm": "char-LSTM 64 -> 128, 32 steps of batch 16, Adam",
}
FIRST, CHECKED = 3, 10  # the steps whose time counts as the start, and those whose losses are compared
SAME_LOSS, SAME_FALL = 1e-5, 2e-2  # relative; the fall over CHECKED steps is a small difference of float32 losses


@dataclass
class Step(Row):
    """One training step at one number of threads, in all libraries."""

    starts: dict[str, list[float]] = field(default_factory=lambda: {library: [] for library in LIBRARIES})
    losses: dict[str, list[float]] = field(default_factory=dict)

    def add(self, library: str, result: dict) -> None:
        """Take what a worker reported: samples, the time of the first steps and their losses."""
        super().add(library, result)
        if "samples" in result:
            self.starts[library].append(result["start"])
            self.losses[library] = result["losses"]

    def compare_losses(self) -> None:
        """A library that computes something else than numtorch has no time worth showing."""
        ours = self.losses.get("numtorch")
        for library, theirs in self.losses.items() if ours else ():
            if not (math.isclose(ours[0], theirs[0], rel_tol=SAME_LOSS)
                    and math.isclose(ours[0] - ours[-1], theirs[0] - theirs[-1], rel_tol=SAME_FALL)):  # fmt: skip
                fall = f"{theirs[0]:.6g} -> {theirs[-1]:.6g}, numtorch {ours[0]:.6g} -> {ours[-1]:.6g}"
                self.problems[library] = f"error: another loss: {fall}"

    def against(self, library: str) -> float | None:
        """time(library) / time(numtorch); None where one of them is missing."""
        theirs, ours = self.median(library), self.median("numtorch")
        return theirs / ours if theirs and ours else None


def write_starts(folder: str, steps: list[str]) -> None:
    """The weights and data of every step into FOLDER/STEP.npz, from numtorch, which draws torch's numbers."""
    import numtorch

    for name in steps:
        tensors = [tensor.detach().numpy() for tensor in load("training").workloads[STEPS[name]](numtorch).tensors]
        narrow = [t.astype(np.int32) if t.dtype == np.int64 else t for t in tensors]  # indices as both others keep them
        np.savez(Path(folder, f"{name}.npz"), *narrow)


def work(library: str, name: str, folder: str, budget: float) -> dict:
    """What a worker reports: samples, seconds of the first steps, losses of the first steps."""
    report = {}

    def prepare(library):
        if library in ("numtorch", "torch"):
            run = load("training").workloads[STEPS[name]](importlib.import_module(library))
        else:
            with np.load(Path(folder, f"{name}.npz")) as file:
                run = {"jax": jax_step, "tinygrad": tinygrad_step}[library](name, list(file.values()))
        begin = time.perf_counter()
        losses = [run().item() for _ in range(FIRST)]
        report["start"] = time.perf_counter() - begin
        report["losses"] = losses + [run().item() for _ in range(CHECKED - FIRST)]
        return run

    return {"name": name, **measure(library, prepare, budget), **report}


def run_step(name: str, threads: int, folder: str, rounds: int, budget: float) -> Step:
    """One step in all libraries, taking turns, each turn a process of its own."""
    row = Step("others", STEPS[name], threads, samples={library: [] for library in LIBRARIES})
    for _ in range(rounds):
        for library in LIBRARIES:
            command = [sys.executable, __file__, "--worker", library, "--step", name]
            done, end = reports([*command, "--folder", folder, "--budget", str(budget)], threads)
            row.add(library, done.get(name, {"error": end}))
    row.compare_losses()
    return row


def print_table(rows: list[Step]) -> None:
    """Microseconds a step and the ratio to numtorch, then the milliseconds of the first steps."""
    threads, width = rows[0].threads, max(len(row.name) for row in rows)
    print(f"\n{threads} thread{'s' * (threads > 1)}: us a step, in brackets time / time(numtorch)")
    print(f"  {'':{width}}" + "".join(f"{library:>18}" for library in LIBRARIES))
    for row in rows:
        cells = [f"{row.median(lib) * 1e6:.0f} ({row.against(lib) or math.nan:.2f})" if row.median(lib) else "missing"
                 for lib in LIBRARIES]  # fmt: skip
        print(f"  {row.name:{width}}" + "".join(f"{cell:>18}" for cell in cells))
    print(f"  the first {FIRST} steps of a process, compilation included, ms")
    for row in rows:
        starts = [f"{statistics.median(row.starts[lib]) * 1e3:.0f}" if row.median(lib) else "-" for lib in LIBRARIES]
        print(f"  {row.name:{width}}" + "".join(f"{start:>18}" for start in starts))
    for reason in dict.fromkeys(f"{lib} {why}" for row in rows for lib, why in row.problems.items()):
        print(f"  {reason}")


def plot(rows: list[Step], about: dict, path: str) -> None:
    """A panel for each number of threads: bars of time / time(numtorch)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts = sorted({row.threads for row in rows})
    figure, panels = pyplot.subplots(
        1, len(counts), figsize=(5.5 * len(counts), 4), layout="constrained", squeeze=False
    )
    for axes, threads in zip(panels.flat, counts, strict=True):
        chosen = [row for row in rows if row.threads == threads]
        for i, (library, color) in enumerate(zip(LIBRARIES, ("#2a7f62", "#d1495b", "#3d6fb6", "#8a8a8a"), strict=True)):
            places = [at + (i - 1.5) * 0.2 for at in range(len(chosen))]
            heights = [row.against(library) or math.nan for row in chosen]
            axes.bar(places, heights, 0.2, color=color, label=f"{library} {about[library]}")
        axes.set_xticks(
            range(len(chosen)), [row.name.split(",")[0].replace(" ", "\n", 1) for row in chosen], fontsize=7
        )
        axes.set(title=f"{threads} thread{'s' * (threads > 1)}", yscale="log", ylabel="time / time(numtorch)")
        axes.axhline(1, color="black", linewidth=0.8)
        axes.legend(fontsize=8)
    figure.suptitle(f"training steps, float32, {about['cpu']}", fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", help=f"comma-separated, of {', '.join(STEPS)}")
    parser.add_argument("--threads", help="comma-separated; 1,2 unless told, 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="one short turn of each library")
    parser.add_argument("--json", metavar="OUT", help="write every sample")
    parser.add_argument("--plot", metavar="OUT.png", help="draw the ratios")
    for hidden in ("--worker", "--folder", "--budget"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker, options.step, options.folder, float(options.budget))))
        return
    steps = options.step.split(",") if options.step else list(STEPS)
    for name in steps:
        if name not in STEPS:
            parser.error(f"no step called {name!r}: there are {', '.join(STEPS)}")
    threads = [int(n) for n in (options.threads or ("1" if options.quick else "1,2")).split(",")]
    rounds, budget = (1, 0.1) if options.quick else (3, 0.4)

    about = machine(LIBRARIES)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows: list[Step] = []
    with tempfile.TemporaryDirectory() as folder:
        write_starts(folder, steps)
        for n in threads:
            rows += [run_step(name, n, folder, rounds, budget) for name in steps]
            print_table(rows[-len(steps) :])
            sys.stdout.flush()
    if options.json:
        results = [{**asdict(row), "ratio": {lib: row.against(lib) for lib in LIBRARIES}} for row in rows]
        Path(options.json).write_text(json.dumps({"machine": about, "results": results}, indent=1))
    if options.plot:
        plot(rows, about, options.plot)


if __name__ == "__main__":
    main()
