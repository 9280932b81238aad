"""Tell what numtorch runs on: versions, processor, threads, kernel cache, GPU.

Good to have at hand when something is slow or wrong; --json is for programs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HELP = "versions, processor, threads, kernel cache, GPU"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(options: argparse.Namespace) -> int:
    facts = collect()
    if options.json:
        print(json.dumps(facts, indent=2))
        return 0
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    return 0


def collect() -> dict[str, object]:
    """Everything that `info` tells, by name."""
    import numtorch
    from numtorch.kernels.threads import get_num_threads

    facts: dict[str, object] = {"numtorch": numtorch.__version__}
    for package in ("numba", "llvmlite", "numpy"):
        facts[package] = _version(package)
    facts["python"] = platform.python_version()
    facts["platform"] = platform.platform()
    facts.update(_processor())
    facts["threads"] = get_num_threads()
    facts.update(_cache())
    facts["cuda"] = _cuda()
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> dict[str, object]:
    """The processor that kernels are compiled for: this one, or what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say."""
    from numtorch.kernels import host

    features = host.features()
    bits = host.vector_bytes() * 8
    telling = (
        "sse4.2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512vnni",
        "avx512fp16",
        "neon",
        "sve",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": host.cpu_name(),
        "features": " ".join(name for name in telling if name in features),
        "vector width": f"{bits} bits ({bits // 32} float32)",
        "cores": cores,
    }


def _cache() -> dict[str, object]:
    from numtorch.kernels.cache import cache_folder

    folder = Path(cache_folder())
    files = [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    size = sum(file.stat().st_size for file in files)
    return {"cache": str(folder), "cache size": f"{size / 2**20:.1f} MiB in {len(files)} files"}


def _cuda() -> str:
    import numtorch

    cuda = getattr(numtorch, "cuda", None)
    if cuda is None or not cuda.is_available():
        return "not available"
    return ", ".join(cuda.get_device_name(i) for i in range(cuda.device_count()))
