"""DataLoader: batches of a dataset, made in this process or in worker processes."""

from __future__ import annotations

import functools
import itertools
import math
import multiprocessing
import os
import pickle
import select
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from time import monotonic
from typing import Any, Generic, TypeVar

import numtorch

from ._utils.collate import default_collate, default_convert
from ._utils.fetch import IterableFetcher, MapFetcher
from ._utils.worker import Failure, StreamEnded, get_worker_info, worker_loop
from .dataset import Dataset, IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_T_co = TypeVar("_T_co", covariant=True)
_JOIN_SECONDS = 5.0


class _DatasetKind:
    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(kind: int, dataset, auto_collation: bool, collate_fn, drop_last: bool):
        fetcher = MapFetcher if kind == _DatasetKind.Map else IterableFetcher
        return fetcher(dataset, auto_collation, collate_fn, drop_last)


class _InfiniteConstantSampler(Sampler):
    """The sampler of a stream, which is not asked for anything in particular."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[_T_co]):
    """An iterable of batches of `dataset`.

    batch_size, drop_last  samples a batch (None: samples as they are, not batched); leave out a shorter last
    batch shuffle                visit the samples in a new random order in each pass sampler, batch_sampler
    an order of one's own: an iterable of indices, or of lists of indices num_workers            processes
    that load; 0 loads in this one collate_fn             from a list of samples to a batch
    (`default_collate`) worker_init_fn         called with its number in each worker at its start generator
    random numbers for shuffling and for the workers' seeds prefetch_factor        batches that each worker is
    ahead (2) persistent_workers     keep the workers from one pass to the next timeout                seconds
    to wait for a batch of a worker (0: as long as it takes) in_order               False gives batches of
    workers as they are ready
    """

    __initialized = False

    def __init__(
        self,
        dataset: Dataset[_T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler[list] | Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable "
                "multiprocessing, otherwise set prefetch_factor to None."
            )
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        streams = isinstance(dataset, IterableDataset)
        self._dataset_kind = _DatasetKind.Iterable if streams else _DatasetKind.Map
        if streams:
            _check_stream_options(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if streams:
                sampler = _InfiniteConstantSampler()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        self.collate_fn = collate_fn or (default_collate if self._auto_collation else default_convert)
        self.persistent_workers = persistent_workers
        self.__initialized = True
        self._IterableDataset_len_called: int | None = None
        self._iterator: _MultiProcessingDataLoaderIter | None = None
        self.check_worker_number_rationality()

    def _get_iterator(self) -> _BaseDataLoaderIter:
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        self.check_worker_number_rationality()
        return _MultiProcessingDataLoaderIter(self)

    @property
    def multiprocessing_context(self):
        """The way of starting workers: a context of `multiprocessing`, or its name."""
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context) -> None:
        if context is not None:
            if self.num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
                    f"num_workers={self.num_workers}"
                )
            if isinstance(context, str):
                valid = multiprocessing.get_all_start_methods()
                if context not in valid:
                    raise ValueError(
                        f"multiprocessing_context option should specify a valid start method in {valid!r}, but got "
                        f"multiprocessing_context={context!r}"
                    )
                context = multiprocessing.get_context(context)
            if not isinstance(context, multiprocessing.context.BaseContext):
                raise TypeError(
                    "multiprocessing_context option should be a valid context object or a string specifying the start "
                    f"method, but got multiprocessing_context={context}"
                )
        self.__multiprocessing_context = context

    def __setattr__(self, attr: str, value: Any) -> None:
        fixed = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
        if self.__initialized and attr in fixed:
            raise ValueError(f"{attr} attribute should not be set after {self.__class__.__name__} is initialized")
        super().__setattr__(attr, value)

    def __iter__(self) -> _BaseDataLoaderIter:
        if not self.persistent_workers:
            return self._get_iterator()
        if self._iterator is None:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.batch_sampler if self._auto_collation else self.sampler

    def __len__(self) -> int:
        if self._dataset_kind == _DatasetKind.Map:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else math.ceil(length / self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn of more workers than there are cores for this process."""
        if not self.num_workers:
            return
        counts_cpuset = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if counts_cpuset else os.cpu_count()
        if cores is not None and self.num_workers > cores:
            unsure = "" if counts_cpuset else " (`cpuset` is not taken into account)"
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our suggested max number "
                f"of worker in current system is {cores}{unsure}, which is smaller than what this DataLoader is going "
                "to create. Please be aware that excessive worker creation might get DataLoader running slow or even "
                "freeze, lower the worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=2,
            )


def _check_stream_options(shuffle, sampler, batch_sampler) -> None:
    if shuffle not in (False, None):
        raise ValueError(
            f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}"
        )
    if sampler is not None:
        raise ValueError(
            f"DataLoader with IterableDataset: expected unspecified sampler option, but got sampler={sampler}"
        )
    if batch_sampler is not None:
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified batch_sampler option, but got "
            f"batch_sampler={batch_sampler}"
        )


def _accelerator_available() -> bool:
    cuda = getattr(numtorch, "cuda", None)
    return cuda is not None and cuda.is_available()


class _BaseDataLoaderIter:
    """One pass over a DataLoader."""

    def __init__(self, loader: DataLoader) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        if loader.pin_memory and loader.pin_memory_device:
            warnings.warn(
                "pin_memory_device is deprecated, the current accelerator will be used as the device,ignore "
                f"pin_memory_device='{loader.pin_memory_device}'.",
                stacklevel=4,
            )
        if loader.pin_memory and not _accelerator_available():
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be "
                "used.",
                stacklevel=4,
            )
        self._timeout = loader.timeout
        # As in torch, a sampler that draws in __iter__ draws before the seed of the workers is drawn.
        self._sampler_iter = iter(self._index_sampler)
        self._base_seed = numtorch.empty((), dtype=numtorch.int64).random_(generator=loader.generator).item()
        self._num_yielded = 0

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _reset(self, loader: DataLoader) -> None:
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        promised = self._IterableDataset_len_called
        if promised is not None and self._num_yielded > promised:
            advice = (
                "For multiprocessing data-loading, this could be caused by not properly configuring the "
                "IterableDataset replica at each worker. Please see "
                "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
            )
            warnings.warn(
                f"Length of IterableDataset {self._dataset} was reported to be {promised}(when accessing "
                f"len(dataloader)), but {self._num_yielded} samples have been fetched. "
                + (advice if self._num_workers else ""),
                stacklevel=2,
            )
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError("{} cannot be pickled", self.__class__.__name__)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        self._fetcher = _DatasetKind.create_fetcher(
            *(
                loader._dataset_kind,
                loader.dataset,
                loader._auto_collation,
                loader.collate_fn,
                loader.drop_last,
            )
        )

    def _next_data(self) -> Any:
        return self._fetcher.fetch(next(self._sampler_iter))


def _make_fetcher(kind: int, auto_collation: bool, collate_fn, drop_last: bool, dataset):
    return _DatasetKind.create_fetcher(kind, dataset, auto_collation, collate_fn, drop_last)


class _Worker:
    """A worker process, the pipes of its tasks and of its answers, and what it is about to do."""

    def __init__(self, context, number: int, target_args: Callable[[Any, Any], tuple]) -> None:
        tasks_end, self.tasks = context.Pipe(duplex=False)
        self.answers, answers_end = context.Pipe(duplex=False)
        arguments = target_args(tasks_end, answers_end)
        self.process = context.Process(target=worker_loop, args=arguments, daemon=True)
        try:
            self.process.start()
        except (TypeError, AttributeError, pickle.PicklingError):
            warnings.warn(
                "Got pickle error when attempting to start a worker Process. This might be because the worker Process "
                "arguments are not picklable. You can also try multiprocessing.set_start_method('fork').",
                stacklevel=5,
            )
            raise
        tasks_end.close()
        answers_end.close()
        self.number = number
        self.active = True  # False once its stream has ended in this pass
        self.outstanding = 0  # tasks without an answer

    def stop(self) -> None:
        """Ask the worker to end; one that has not room for the question is busy with too much, and is killed."""
        try:
            if sys.platform == "win32" or select.select([], [self.tasks], [], 0)[1]:
                self.tasks.send(None)
            else:
                self.process.terminate()
        except OSError:  # it is gone
            pass
        self.answers.close()

    def join(self) -> None:
        self.process.join(_JOIN_SECONDS)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(_JOIN_SECONDS)
        self.tasks.close()


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """One pass (with persistent workers: one after the other) whose batches come from worker processes.

    Tasks are numbered and dealt to the workers in turn, `prefetch_factor` ahead to each; answers that come
    early wait in `_ready` until it is their turn. Answers to tasks of a pass that was broken off carry its
    epoch and are dropped.
    """

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if loader.prefetch_factor <= 0:
            raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        self._persistent_workers = loader.persistent_workers
        self._workers: list[_Worker] = []
        self._pid = os.getpid()
        context = loader.multiprocessing_context or multiprocessing.get_context()
        self._done = context.Event()
        make_fetcher = functools.partial(
            *(
                _make_fetcher,
                loader._dataset_kind,
                loader._auto_collation,
                loader.collate_fn,
                loader.drop_last,
            )
        )
        for number in range(self._num_workers):

            def arguments(tasks, answers, number=number) -> tuple:
                return (
                    *(make_fetcher, loader.dataset, tasks, answers, self._done, self._base_seed),
                    *(loader.worker_init_fn, number, self._num_workers),
                )

            self._workers.append(_Worker(context, number, arguments))
        self._epoch = -1
        self._reset(loader)

    def _reset(self, loader: DataLoader) -> None:
        super()._reset(loader)
        self._epoch += 1
        self._sent = self._wanted = 0  # numbers of the next task to send and of the next batch to give
        self._ready: dict[int, Any] = {}
        self._assigned: dict[int, _Worker] = {}  # tasks of this pass without an answer
        self._turns = itertools.cycle(self._workers)
        for worker in self._workers:
            worker.active = True
            worker.outstanding = 0
        for _ in range(self._prefetch_factor * self._num_workers):
            self._send_task()

    def _send_task(self) -> None:
        try:
            index = next(self._sampler_iter)
        except StopIteration:
            return
        most = math.inf if self._in_order else self._prefetch_factor
        for _ in self._workers:
            worker = next(self._turns)
            if worker.active and worker.outstanding < most:
                break
        else:
            return
        try:
            worker.tasks.send((self._epoch, self._sent, index))
        except OSError:
            self._fail([worker])
        worker.outstanding += 1
        self._assigned[self._sent] = worker
        self._sent += 1

    def _receive(self) -> tuple[int, Any]:
        """The next answer that belongs to this pass."""
        deadline = monotonic() + self._timeout if self._timeout else None
        while True:
            busy = {worker.answers: worker for worker in self._workers}
            deaths = {worker.process.sentinel: worker for worker in self._workers}
            left = None if deadline is None else max(0.0, deadline - monotonic())
            signalled = wait([*busy, *deaths], left)
            if not signalled:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
            connections = [signal for signal in signalled if signal in busy]
            if not connections:
                self._fail([deaths[signal] for signal in signalled])
            try:
                data = connections[0].recv_bytes()
            except EOFError:
                self._fail([busy[connections[0]]])
            epoch, number, answer = pickle.loads(data)
            if epoch == self._epoch:
                return number, answer

    def _fail(self, dead: list[_Worker]) -> None:
        pids = ", ".join(str(worker.process.pid) for worker in dead)
        self._shutdown_workers()
        raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly")

    def _next_data(self) -> Any:
        while True:
            while self._in_order and self._wanted < self._sent and self._wanted not in self._ready:
                if self._wanted in self._assigned:
                    break
                self._wanted += 1  # its worker's stream had ended
            if self._wanted in self._ready:
                answer = self._ready.pop(self._wanted)
                self._wanted += 1
                return self._give(answer)
            if not self._assigned:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            number, answer = self._receive()
            worker = self._assigned.pop(number)
            worker.outstanding -= 1
            if isinstance(answer, StreamEnded):
                worker.active = False
                self._send_task()
            elif self._in_order:
                self._ready[number] = answer
            else:
                return self._give(answer)

    def _give(self, answer: Any) -> Any:
        self._send_task()
        if isinstance(answer, Failure):
            answer.reraise()
        return answer

    def _shutdown_workers(self) -> None:
        workers, self._workers = self._workers, []
        self._done.set()
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()

    def __del__(self) -> None:
        # A forked child inherits this object, but not the workers.
        if getattr(self, "_workers", None) and self._pid == os.getpid():
            self._shutdown_workers()
