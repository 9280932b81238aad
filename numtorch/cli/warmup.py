"""Compile the kernels that most programs use, so that the first training run
does not wait for them.

Runs small training steps of the usual kinds and keeps what they compile in the
kernel cache (`numtorch info` tells where). Kernels that are there already are
only loaded, so a second warmup takes a moment.
"""

from __future__ import annotations

import argparse
from time import perf_counter

HELP = "compile the usual kernels now, so that later runs start at once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from .workloads import WORKLOADS

    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="only these: " + ", ".join(WORKLOADS))


def main(options: argparse.Namespace) -> int:
    import sys

    from .progress import Progress, listening
    from .workloads import WORKLOADS

    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown:
        print(f"numtorch warmup: no workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}", file=sys.stderr)
        return 2
    chosen = options.workloads or list(WORKLOADS)
    start = perf_counter()
    with Progress("warming up", len(chosen)) as progress, listening(progress) as compilation:
        for name in chosen:
            progress.tell(name)
            before, begun = len(compilation.names), perf_counter()
            WORKLOADS[name]()
            compiled = len(compilation.names) - before
            progress.print(f"{name:<14} {compiled:3} kernels compiled  {perf_counter() - begun:6.2f} s")
            progress.advance()
    print(f"{compilation.summary()}; {perf_counter() - start:.1f} s in all")
    return 0
