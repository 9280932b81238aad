"""`pytest bench/ --library numtorch --family rnn`: the library, one a process, and the workloads."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--library", default="numtorch", choices=["torch", "numtorch"])
    parser.addoption("--family", default=None, help="comma-separated; all families unless told")
