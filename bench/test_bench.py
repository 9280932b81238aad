"""Every workload under pytest-benchmark, to follow numtorch over time; compare.py holds it against torch."""

from __future__ import annotations

import importlib

import pytest
from worker import MISSING
from workloads import FAMILIES, load


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--family")
    cases = []
    for name in chosen.split(",") if chosen else FAMILIES:
        for label, prepare in load(name).workloads.items():
            cases.append(pytest.param(name, prepare, id=f"{name}: {label}"))
    metafunc.parametrize("family, prepare", cases)


@pytest.fixture(scope="session")
def library(request):
    return importlib.import_module(request.config.getoption("--library"))


def test_workload(benchmark, library, family, prepare):
    benchmark.group = family
    try:
        run = prepare(library)
        run()
    except MISSING as error:
        pytest.skip(f"missing: {error}")
    benchmark(run)
