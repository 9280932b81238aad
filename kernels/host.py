"""The machine that kernels are compiled for: CPU, its features, vector width and cache sizes.

What Numba is told to compile for counts, not what is in the box: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES are followed.
"""

from __future__ import annotations

import functools
import glob
import os
import platform

from llvmlite import binding
from numba.core import config

_DEFAULT_CACHES = {1: 32 * 1024, 2: 1024 * 1024, 3: 8 * 1024 * 1024}


@functools.cache
def cpu_name() -> str:
    """LLVM's name of the CPU, such as "znver4" or "generic"."""
    return config.CPU_NAME or binding.get_host_cpu_name()


@functools.cache
def features() -> frozenset[str]:
    """LLVM's names of the instruction sets that may be used, such as "avx512f", "fma", "neon"."""
    if config.CPU_FEATURES is not None:
        wanted = (name.strip() for name in config.CPU_FEATURES.split(","))
        # What is not named is the baseline of the named CPU; every x86-64 has SSE2 and every aarch64 NEON.
        return frozenset({"neon"} if _is_arm() else {"sse2"}) | {name[1:] for name in wanted if name.startswith("+")}
    found = binding.get_host_cpu_features()
    return frozenset(name for name, has in found.items() if has and (config.ENABLE_AVX or "avx" not in name))


def _is_arm() -> bool:
    return platform.machine().lower() in ("aarch64", "arm64")


def vector_bytes() -> int:
    """Bytes of the widest vector register: 64 with AVX-512, 32 with AVX, else 16 (SSE, NEON)."""
    if "avx512f" in features():
        return 64
    return 32 if "avx" in features() else 16


def vector_registers() -> int:
    """How many vector registers there are: 32 with AVX-512 and on aarch64, else 16."""
    return 32 if "avx512f" in features() or _is_arm() else 16


def has_fma() -> bool:
    """Whether a * b + c with one rounding is an instruction (where not, LLVM calls libm for it)."""
    return _is_arm() or "fma" in features()


def rounds() -> bool:
    """Whether floor, ceil, trunc and round are instructions (where not, LLVM calls libm for them)."""
    return _is_arm() or "sse4.1" in features()


def converts_halfs() -> bool:
    """Whether float16 and float32 convert in hardware."""
    return _is_arm() or "f16c" in features() or "avx512f" in features()


def multiplies_bfloat16() -> bool:
    """Whether pairs of bfloat16 are multiplied and added to float32 by one instruction on full vectors."""
    return "avx512bf16" in features() and vector_bytes() == 64


@functools.cache
def cache_bytes(level: int) -> int:
    """Size of the data cache of level 1, 2 or 3 that one core sees; a common value where it cannot be read."""
    for folder in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*"):
        try:
            kind, found, size = (_first_line(os.path.join(folder, name)) for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and found == str(level) and size[-1] in "KM" and size[:-1].isdecimal():
            return int(size[:-1]) * (1024 if size[-1] == "K" else 1024 * 1024)
    return _DEFAULT_CACHES[level]


def _first_line(path: str) -> str:
    with open(path) as file:
        return file.readline().strip()
