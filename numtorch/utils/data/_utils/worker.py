"""The worker processes of a DataLoader.

The main process sends tasks `(epoch, number, index)` down a pipe to each worker; a worker answers with pickled `(epoch,
number, batch)` on another. Pipes of its own for each worker: one that dies while it writes can spoil nothing but its
own, and is noticed at once. Answers are pickled by the thread that made them, so what can not be pickled is an error of
that batch, and sent by another thread: a worker can be ahead by several batches, and it always goes on to read its
tasks, so that neither side can wait for the other for ever.
"""

from __future__ import annotations

import os
import pickle
import queue
import random
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

import numtorch
from numtorch._tensor import Tensor
from numtorch._utils import reduce_tensor

STATUS_CHECK_INTERVAL = 5.0  # seconds after which a worker looks whether the main process still lives


@dataclass
class WorkerInfo:
    """What `get_worker_info()` gives inside a worker: its number, how many there are, its seed and its dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The WorkerInfo of the DataLoader worker that this process is, None in any other process."""
    return _worker_info


class StreamEnded:
    """Sent in place of a batch when a worker's IterableDataset has no more."""


class Failure:
    """An exception on its way from a worker to the main process, with its traceback as text."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.kind = type(error)
        self.name = self.kind.__name__
        self.text = "".join(traceback.format_exception(error))
        self.where = where

    def reraise(self) -> None:
        message = f"Caught {self.name} {self.where}.\nOriginal {self.text}"
        if issubclass(self.kind, KeyError):
            message = _PlainRepr(message)  # KeyError prints the repr of its argument
        try:
            error = self.kind(message)
        except Exception:
            raise RuntimeError(message) from None
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: the two would live until the next garbage collection


class _PlainRepr(str):
    """A text that is its own repr."""

    def __repr__(self) -> str:
        return str(self)


def _reduce_small(tensor: Tensor) -> tuple:
    """Pickle only the elements of a tensor, not all of a storage of which it shows a part."""
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
            "crossing process boundaries. If you just want to transfer the data, call detach() on the tensor before "
            "serializing (e.g., putting it on the queue)."
        )
    if tensor._get_storage().buffer.nbytes > tensor.nbytes:
        tensor = tensor.detach().clone().requires_grad_(tensor.requires_grad)
    return reduce_tensor(tensor)


def seed_worker(base_seed: int, worker_id: int) -> int:
    """Seed Python's, numtorch's and numpy's generators as torch seeds those of a worker."""
    seed = base_seed + worker_id
    random.seed(seed)
    numtorch.manual_seed(seed)
    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
    return seed


def worker_loop(
    make_fetcher: Callable[[Any], Any],
    dataset: Any,
    tasks: Any,
    answers: Any,
    done: Any,
    base_seed: int,
    init_fn: Callable[[int], None] | None,
    worker_id: int,
    num_workers: int,
) -> None:
    """What a worker process does until it is sent None, or the main process is gone; skips tasks once `done` is set."""
    global _worker_info
    parent = os.getppid()
    numtorch.set_num_threads(1)
    seed = seed_worker(base_seed, worker_id)
    _worker_info = WorkerInfo(worker_id, num_workers, seed, dataset)
    ForkingPickler.register(Tensor, _reduce_small)
    outbox: queue.SimpleQueue = queue.SimpleQueue()
    sender = threading.Thread(target=_send_all, args=(outbox, answers), daemon=True)
    sender.start()
    where = f"in DataLoader worker process {worker_id}"
    failure = fetcher = None
    epoch = -1
    try:
        if init_fn is not None:
            init_fn(worker_id)
    except Exception as error:
        failure = Failure(error, where)
    try:
        while True:
            if not tasks.poll(STATUS_CHECK_INTERVAL):
                if os.getppid() != parent:
                    return
                continue
            task = tasks.recv()
            if task is None:
                break
            if done.is_set():  # nobody waits for the tasks that are left
                continue
            task_epoch, number, index = task
            try:
                if failure is not None:
                    answer, failure = failure, None
                else:
                    if task_epoch != epoch:
                        epoch, fetcher = task_epoch, make_fetcher(dataset)
                    answer = fetcher.fetch(index)
            except StopIteration as error:
                is_stream = hasattr(fetcher, "stream")
                answer = StreamEnded() if is_stream else Failure(error, where)
            except Exception as error:
                answer = Failure(error, where)
            outbox.put(_pickled((task_epoch, number, answer), where))
            del answer
        outbox.put(None)
        sender.join()
    except KeyboardInterrupt:  # the main process gets it too and reports it
        pass


def _pickled(message: tuple, where: str) -> Any:
    try:
        return ForkingPickler.dumps(message, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        failure = message[2]
        if isinstance(failure, Failure):
            failure.kind = RuntimeError  # the exception's own class is what can not be pickled
        else:
            failure = Failure(error, where)
        return ForkingPickler.dumps((*message[:2], failure), pickle.HIGHEST_PROTOCOL)


def _send_all(outbox: queue.SimpleQueue, answers: Any) -> None:
    try:
        while (message := outbox.get()) is not None:
            answers.send_bytes(message)
    except OSError:  # the main process has closed its end: nobody waits for answers any more
        return
