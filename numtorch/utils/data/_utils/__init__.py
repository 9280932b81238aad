"""The parts of the DataLoader: collating, fetching, worker processes."""

from . import collate, fetch, worker

__all__ = ["collate", "fetch", "worker"]
