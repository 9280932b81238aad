"""Speed over size: `python bench/sweep.py [--threads N] [--plot OUT.png] [--json OUT.json]`.

Four panels, torch and numtorch in each, with the limit of the machine that was measured in the same run: the
multiply-adds of a register tile that never leaves the first-level cache for products and convolutions, and the
bandwidth of the caches and of the memory for sums of tensors and over them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from compare import LIBRARIES, environment, machine
from worker import samples

BUDGET = 0.1  # seconds for each point in each process
ROUNDS = 3  # processes of each library, in turn
MATRICES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
CHANNELS = (4, 8, 16, 32, 64, 128, 256)
ELEMENTS = tuple(int(1000 * 10 ** (i / 4)) for i in range(19))  # 1e3 .. 3e7: from the first-level cache to memory


def matrix_product(torch, n: int) -> tuple[Callable, float]:
    """(n, n) by (n, n): two floating-point operations a multiply-add."""
    x, y = torch.randn(n, n), torch.randn(n, n)
    return lambda: x.mm(y), 2.0 * n**3


def convolution(torch, channels: int) -> tuple[Callable, float]:
    """3x3 over 8 images of 28x28, as many channels out as in; counted as the direct algorithm's operations."""
    x, weight = torch.randn(8, channels, 28, 28), torch.randn(channels, channels, 3, 3)
    return lambda: torch.nn.functional.conv2d(x, weight, padding=1), 2.0 * 8 * 28 * 28 * 9 * channels**2


def pointwise(torch, n: int) -> tuple[Callable, float]:
    """out = x + y: two reads and a write of four bytes an element."""
    x, y, out = torch.randn(n), torch.randn(n), torch.empty(n)
    return lambda: torch.add(x, y, out=out), 12.0 * n


def reduction(torch, n: int) -> tuple[Callable, float]:
    """The sum of all elements: one read of four bytes an element."""
    x = torch.randn(n)
    return lambda: x.sum(), 4.0 * n


#         title, what x counts, unit, sizes, what is measured
PANELS = {
    "gemm": ("x.mm(y), n x n", "n", "GFLOP/s", MATRICES, matrix_product),
    "conv": ("conv2d 3x3 of 8 x C x 28 x 28", "channels", "GFLOP/s (of the direct algorithm)", CHANNELS, convolution),
    "pointwise": ("torch.add(x, y, out=out)", "elements", "GB/s", ELEMENTS, pointwise),
    "reduction": ("x.sum()", "elements", "GB/s", ELEMENTS, reduction),
}


def measure(library: str) -> dict:
    """{panel: [speed for each size]} of one library, in this process."""
    torch = importlib.import_module(library)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    result = {}
    for name, (_, _, _, sizes, prepare) in PANELS.items():
        result[name] = []
        for size in sizes:
            run, work = prepare(torch, size)
            result[name].append(work / statistics.median(samples(run, BUDGET)) / 1e9)
    return result


def limits() -> dict[str, float]:
    """GFLOP/s and GB/s that this machine reaches with so many threads, measured by kernels that do nothing else."""
    import numpy as np
    from numba import prange

    from numtorch.kernels.compiler import jit
    from numtorch.kernels.cpu.gemm_tiles import product_tile
    from numtorch.kernels.cpu.tile_sizes import ROWS, VECTORS
    from numtorch.kernels.cpu.tile_sizes import lanes as lanes_of
    from numtorch.kernels.simd import broadcast, lanes, load, store

    threads, depth, calls = int(os.environ["OMP_NUM_THREADS"]), 128, 2000
    width = VECTORS * lanes_of(4)

    @jit(nogil=True)
    def tiles(a, b, c):
        one, zero = a.dtype.type(1), a.dtype.type(0)
        for _ in range(calls):
            product_tile(
                ROWS, VECTORS, 0, a, 0, 1, ROWS, b, 0, width, depth, c, 0, 0, False, one, zero, c, 0, width, ROWS, width
            )

    @jit(parallel=True)
    def all_tiles(n, a, b, c):
        for i in prange(n):
            tiles(a, b, c[i * ROWS * width : (i + 1) * ROWS * width])

    @jit(nogil=True)
    def add(x, y, out):
        for i in range(0, x.size, lanes(x)):
            store(out, i, load(x, i) + load(y, i))

    @jit(parallel=True)
    def add_all(n, x, y, out):
        part = x.size // n
        for i in prange(n):
            add(x[i * part : (i + 1) * part], y[i * part : (i + 1) * part], out[i * part : (i + 1) * part])

    @jit(nogil=True)
    def read(x, out):
        s0 = s1 = s2 = s3 = broadcast(x, x.dtype.type(0))  # enough sums that the loop waits for memory only
        step = lanes(x)
        for i in range(0, x.size, 4 * step):
            s0, s1 = s0 + load(x, i), s1 + load(x, i + step)
            s2, s3 = s2 + load(x, i + 2 * step), s3 + load(x, i + 3 * step)
        store(out, 0, (s0 + s1) + (s2 + s3))

    @jit(parallel=True)
    def read_all(n, x, sums):
        part = x.size // n
        for i in prange(n):
            read(x[i * part : (i + 1) * part], sums[i * 64 : (i + 1) * 64])

    a, b = np.ones(ROWS * depth, np.float32), np.ones(width * depth, np.float32)
    c = np.zeros(threads * ROWS * width, np.float32)
    large = [np.ones(2**25, np.float32) for _ in range(3)]
    sums = np.empty(threads * 64, np.float32)
    flops = threads * calls * 2.0 * ROWS * width * depth
    peak = flops / min(samples(lambda: all_tiles(threads, a, b, c), BUDGET)) / 1e9
    return {
        "gemm": peak,
        "conv": peak,
        "pointwise": 12.0 * large[0].size / min(samples(lambda: add_all(threads, *large), 4 * BUDGET)) / 1e9,
        "reduction": 4.0 * large[0].size / min(samples(lambda: read_all(threads, large[0], sums), 4 * BUDGET)) / 1e9,
    }


def plot(speeds: dict, limit: dict, about: dict, threads: int, path: str) -> None:
    """Draw the four panels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    styles = {"torch": ("#d1495b", "s"), "numtorch": ("#2a7f62", "o")}
    for axes, (name, (title, unit_x, unit_y, sizes, _)) in zip(grid.flat, PANELS.items(), strict=True):
        for library, (color, marker) in styles.items():
            axes.plot(sizes, speeds[library][name], color=color, marker=marker, markersize=4, label=library)
        label = "FMA peak" if name in ("gemm", "conv") else "memory"
        axes.axhline(limit[name], color="black", linewidth=0.8, linestyle="--", label=f"limit: {label}")
        axes.set(title=title, xlabel=unit_x, ylabel=unit_y, xscale="log", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    cores = f"{threads} thread{'s' * (threads > 1)}"
    figure.suptitle(f"{about['cpu']}, {cores}, float32, torch {about['torch']}, numba {about['numba']}", fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def run_worker(name: str, threads: int) -> dict:
    """What `sweep.py --worker NAME` printed: a library's speeds, or the machine's limits."""
    command = [sys.executable, __file__, "--worker", name]
    done = subprocess.run(command, env=environment(threads), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--plot", metavar="OUT.png", help="draw the four panels")
    parser.add_argument("--json", metavar="OUT.json", help="write the numbers")
    parser.add_argument("--worker", choices=[*LIBRARIES, "limits"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(limits() if options.worker == "limits" else measure(options.worker)))
        return
    # The limits are taken in every turn too: what a virtual machine's neighbours leave of the memory changes.
    workers = (*LIBRARIES, "limits")
    turns = [{worker: run_worker(worker, options.threads) for worker in workers} for _ in range(ROUNDS)]
    limit = {name: statistics.median(turn["limits"][name] for turn in turns) for name in PANELS}
    speeds = {
        library: {
            name: [statistics.median(values) for values in zip(*(turn[library][name] for turn in turns), strict=True)]
            for name in PANELS
        }
        for library in LIBRARIES
    }
    for name, (title, unit_x, unit_y, sizes, _) in PANELS.items():
        print(f"\n{title}, {unit_y}; the machine's limit {limit[name]:.0f}")
        print(f"  {unit_x:>10}  {'torch':>9}  {'numtorch':>9}  {'of limit':>9}")
        for size, torch, numtorch in zip(sizes, speeds["torch"][name], speeds["numtorch"][name], strict=True):
            print(f"  {size:10}  {torch:9.1f}  {numtorch:9.1f}  {numtorch / limit[name]:9.0%}")
    about = machine()
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": about, "limits": limit, "speeds": speeds}, indent=1))
    if options.plot:
        plot(speeds, limit, about, options.threads, options.plot)


if __name__ == "__main__":
    main()
