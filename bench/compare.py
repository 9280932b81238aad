"""numtorch against torch on this machine: `python bench/compare.py [--family F] [--threads 1,2] [--quick]`.

Every ratio is time(torch) / time(numtorch): above 1 numtorch is the faster one. NOTES.md says how to read the rest.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import process
from workloads import FAMILIES, load

HERE = Path(__file__).parent
LIBRARIES = ("torch", "numtorch")
PROCESS = "process"
LIMIT = 300  # seconds for one family in one process, compilation included


@dataclass
class Row:
    """One workload at one number of threads: the samples of every process of both libraries."""

    family: str
    name: str
    threads: int
    unit: str = "s"
    samples: dict[str, list[list[float]]] = field(default_factory=lambda: {library: [] for library in LIBRARIES})
    problems: dict[str, str] = field(default_factory=dict)
    kernel: str = ""  # numtorch's algorithm, where it has several

    def add(self, library: str, result: dict) -> None:
        """Take what a worker reported: samples, or what is missing."""
        if "samples" in result:
            self.samples[library].append(result["samples"])
            self.kernel = result.get("kernel", self.kernel)
        else:
            kind = "missing" if "missing" in result else "error"
            self.problems[library] = f"{kind}: {result[kind]}"

    def median(self, library: str) -> float | None:
        """The median over a library's processes of their medians; None where something is missing.

        Not over all samples: one process in three may have been disturbed from its first sample to its last.
        """
        if library in self.problems or not self.samples[library]:
            return None
        return statistics.median(map(statistics.median, self.samples[library]))

    @property
    def ratio(self) -> float | None:
        """torch / numtorch; None where one of them is missing."""
        torch, numtorch = (self.median(library) for library in LIBRARIES)
        return torch / numtorch if torch and numtorch else None


def environment(threads: int) -> dict:
    """The variables of a worker: so many threads for every pool that any library may start."""
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    pools += ("NPROC", "NUM_CPU_THREADS")  # jax and tinygrad: others.py
    # An installed package has its bytecode; a checkout gets it only if Python may write it.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **{pool: str(threads) for pool in pools}}


def run_family(name: str, threads: int, rounds: int, budget: float) -> list[Row]:
    """The rows of one family, the libraries taking turns: A B A B."""
    if name == PROCESS:
        rows = {label: Row(name, label, threads, unit) for label, (_, _, unit) in process.MEASURES.items()}
        for label, row in rows.items():
            for _ in range(rounds + 1):
                for library in LIBRARIES:
                    row.add(library, process.measure(label, library, environment(threads)))
        return list(rows.values())
    rows = {label: Row(name, label, threads) for label in load(name).workloads}
    for _ in range(rounds):
        for library in LIBRARIES:
            for label, result in run_worker(library, name, threads, budget).items():
                rows[label].add(library, result)
    return list(rows.values())


def run_worker(library: str, family: str, threads: int, budget: float) -> dict[str, dict]:
    """What one worker process reported, by workload; the ones it did not live to report are errors."""
    command = [sys.executable, str(HERE / "worker.py"), library, family]
    command += ["--threads", str(threads), "--budget", str(budget)]
    results, end = reports(command, threads)
    return {label: results.get(label, {"error": end}) for label in load(family).workloads}


def reports(command: list[str], threads: int) -> tuple[dict[str, dict], str]:
    """What a worker process printed, by workload, and its last words if it did not live to print all."""
    try:
        done = subprocess.run(command, env=environment(threads), capture_output=True, text=True, timeout=LIMIT)
        output, end = done.stdout, (done.stderr.strip().splitlines() or ["ended early"])[-1]
    except subprocess.TimeoutExpired as expired:
        output, end = (expired.stdout or b"").decode(), f"not done within {LIMIT} s"
    results = {}
    for line in output.splitlines():
        result = json.loads(line)
        results[result.pop("name")] = result
    return results, end


def geometric_mean(ratios: list[float]) -> float:
    """exp of the mean of the logs; nan of nothing."""
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else math.nan


def amount(value: float | None, unit: str) -> str:
    """A time or a size with four significant digits at most."""
    if value is None:
        return "-"
    if unit == "B":
        return f"{value / 2**20:.0f} MiB"
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def print_family(rows: list[Row]) -> None:
    """The table of one family at one number of threads."""
    width = max(len(row.name) for row in rows)
    print(f"\n{rows[0].family}, {rows[0].threads} thread{'s' * (rows[0].threads > 1)}")
    print(f"  {'':{width}}  {'torch':>9}  {'numtorch':>9}  ratio")
    for row in rows:
        torch, numtorch = (amount(row.median(library), row.unit) for library in LIBRARIES)
        ratio = f"{row.ratio:5.2f}" if row.ratio else "missing"
        reason = "; ".join(f"{library} {text}" for library, text in row.problems.items())
        print(f"  {row.name:{width}}  {torch:>9}  {numtorch:>9}  {ratio}  {reason[:100] or row.kernel}".rstrip())
    measured = [row.ratio for row in rows if row.ratio]
    print(f"  geometric mean of {len(measured)} of {len(rows)}: {geometric_mean(measured):.2f}")


def print_summary(rows: list[Row]) -> None:
    """Geometric means by family and number of threads, and what is slower than torch."""
    print("\nratio time(torch) / time(numtorch), geometric means")
    counts = sorted({row.threads for row in rows})
    families = list(dict.fromkeys(row.family for row in rows))
    print(f"  {'':12}" + "".join(f"{f'{n} thread' + 's' * (n > 1):>11}" for n in counts))
    for family in [*families, "overall"]:
        means = []
        for threads in counts:
            chosen = [row for row in rows if row.threads == threads and row.family == family]
            if family == "overall":
                chosen = [row for row in rows if row.threads == threads and row.family != PROCESS]
            means.append(geometric_mean([row.ratio for row in chosen if row.ratio]))
        print(f"  {family:12}" + "".join(f"{mean:11.2f}" for mean in means))
    slower = sorted((row for row in rows if row.ratio and row.ratio < 1), key=lambda row: row.ratio)
    print(f"\nslower than torch: {len(slower)} of {sum(row.ratio is not None for row in rows)}")
    for row in slower:
        print(f"  {row.ratio:5.2f}  {row.family}: {row.name} ({row.threads})")
    missing = [row for row in rows if row.ratio is None]
    if missing:
        print(f"\nmissing: {len(missing)}")
        for row in missing:
            print(f"  {row.family}: {row.name} ({row.threads})")


def machine(libraries: tuple[str, ...] = LIBRARIES) -> dict:
    """The processor and the versions, since ratios mean nothing without them."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    versions = {}
    for package in (*libraries, "numpy", "numba", "llvmlite"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), **versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", help=f"comma-separated, of {', '.join([*FAMILIES, PROCESS])}")
    parser.add_argument("--threads", help="comma-separated; 1,2 unless told, 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="one short turn of each library")
    parser.add_argument("--json", metavar="OUT", help="write every sample")
    parser.add_argument("--plot", metavar="OUT.png", help="draw a bar for each workload")
    options = parser.parse_args()
    families = options.family.split(",") if options.family else [*FAMILIES, PROCESS]
    for family in families:
        if family not in (*FAMILIES, PROCESS):
            parser.error(f"no family called {family!r}: there are {', '.join([*FAMILIES, PROCESS])}")
    threads = [int(n) for n in (options.threads or ("1" if options.quick else "1,2")).split(",")]
    rounds, budget = (1, 0.03) if options.quick else (3, 0.15)

    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    rows: list[Row] = []
    for family in families:
        for n in threads:
            done = run_family(family, n, rounds, budget)
            print_family(done)
            sys.stdout.flush()
            rows += done
    print_summary(rows)
    if options.json:
        results = [{**asdict(row), "ratio": row.ratio} for row in rows]
        Path(options.json).write_text(json.dumps({"machine": about, "results": results}, indent=1))
    if options.plot:
        from plot import plot

        plot([asdict(row) | {"ratio": row.ratio} for row in rows], about, options.plot)


if __name__ == "__main__":
    main()
