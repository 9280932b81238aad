"""torch.cuda.Stream and Event: work queues of a device, and marks in them."""

from __future__ import annotations

from time import perf_counter

from numtorch.kernels.cuda.compiler import SIMULATED, state
from numtorch.kernels.cuda.compiler import cuda as _cuda

from .._device import device as _device
from ._devices import activate, here, resolve


class Stream:
    """A queue of work; what is launched inside `with torch.cuda.stream(s):` runs in order, beside other streams."""

    def __init__(self, device=None, priority: int = 0, _queue=None):
        self.device = resolve(_device("cuda") if device is None else _device(device))
        self.priority = priority
        activate(self.device)
        self._queue = _cuda.stream() if _queue is None else _queue

    @property
    def cuda_stream(self) -> int:
        """The driver's handle; 0 for the default stream."""
        return 0 if not self._queue or SIMULATED else self._queue.handle.value

    def synchronize(self) -> None:
        """Wait until all that was launched here is done."""
        activate(self.device)
        if self._queue:
            self._queue.synchronize()
        else:
            _cuda.synchronize()

    def record_event(self, event: Event | None = None) -> Event:
        """A mark behind what was launched so far."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """What is launched here from now on waits for the event."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """What is launched here from now on waits for what was launched there."""
        self.wait_event(stream.record_event())

    def query(self) -> bool:
        """Whether all that was launched here is done."""
        return self.record_event().query()

    def __enter__(self) -> Stream:
        self._previous = state.stream, here.index
        state.stream, here.index = self._queue, self.device.index
        return self

    def __exit__(self, *exception) -> None:
        state.stream, here.index = self._previous

    def __eq__(self, other) -> bool:
        return isinstance(other, Stream) and self.device == other.device and self._queue is other._queue

    def __hash__(self) -> int:
        return hash((self.device, id(self._queue)))

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A mark in a stream: whether the work before it is done, and the time between two of them."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        if interprocess:
            raise NotImplementedError("Event(interprocess=True) is not implemented")
        self.enable_timing = enable_timing
        self._mark = None
        self._time = 0.0

    def record(self, stream: Stream | None = None) -> None:
        """Set the mark behind what was launched in the stream (the current one) so far."""
        stream = current_stream() if stream is None else stream
        activate(stream.device)
        if self._mark is None:
            self._mark = _cuda.event(timing=self.enable_timing) if not SIMULATED else _cuda.event()
        self._mark.record(stream._queue)
        self._time = perf_counter()

    def wait(self, stream: Stream | None = None) -> None:
        """What is launched in the stream (the current one) from now on waits for this mark."""
        if self._mark is not None:
            stream = current_stream() if stream is None else stream
            self._mark.wait(stream._queue)

    def synchronize(self) -> None:
        """Wait for the work before the mark."""
        if self._mark is not None:
            self._mark.synchronize()

    def query(self) -> bool:
        """Whether the work before the mark is done."""
        return True if self._mark is None or SIMULATED else self._mark.query()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to `end_event`."""
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._mark is None or end_event._mark is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        if SIMULATED:
            return 1000.0 * (end_event._time - self._time)  # simulated work is done when its launch returns
        return self._mark.elapsed_time(end_event._mark)


class stream:
    """`with torch.cuda.stream(s):` launches on s; None changes nothing."""

    def __init__(self, stream: Stream | None):
        self._stream = stream

    def __enter__(self) -> Stream | None:
        return None if self._stream is None else self._stream.__enter__()

    def __exit__(self, *exception) -> None:
        if self._stream is not None:
            self._stream.__exit__(*exception)

    def __repr__(self) -> str:
        return f"stream({self._stream!r})"


def current_stream(device=None) -> Stream:
    """The stream that this thread launches on."""
    return Stream(device, _queue=state.stream)


def default_stream(device=None) -> Stream:
    """The stream that is used where none was chosen."""
    return Stream(device, _queue=0)


def set_stream(stream: Stream) -> None:
    """Launch on this stream from now on."""
    state.stream, here.index = stream._queue, stream.device.index
