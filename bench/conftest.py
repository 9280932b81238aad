"""`pytest bench/ --library numtorch --family rnn`: which library to measure, one a process, and which workloads."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--library", default="numtorch", choices=["torch", "numtorch"], help="library to
    measure") parser.addoption("--family", default=None, help="comma-separated families; all unless told")
