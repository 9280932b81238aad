"""A progress bar on stderr that knows when it is not watched: without a terminal it draws nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_BAR = 16


class Progress:
    """`label  [######------]  6/12  note`, redrawn in place."""

    def __init__(self, label: str, total: int, stream: TextIO | None = None) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self.note = ""
        self._stream = sys.stderr if stream is None else stream
        self._watched = self._stream.isatty()

    def advance(self, count: int = 1) -> None:
        self.done += count
        self.draw()

    def tell(self, note: str) -> None:
        """Say beside the bar what is being done."""
        self.note = note
        self.draw()

    def draw(self) -> None:
        if not self._watched:
            return
        full = _BAR * self.done // max(self.total, 1)
        bar = "#" * full + "-" * (_BAR - full)
        line = f"{self.label}  [{bar}]  {self.done}/{self.total}  {self.note}"
        self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def print(self, text: str) -> None:
        """A line on stdout that stays, above the bar."""
        self._erase()
        print(text, flush=True)
        self.draw()

    def _erase(self) -> None:
        if self._watched:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def close(self) -> None:
        """Leave the line to what is printed next."""
        self._erase()

    def __enter__(self) -> Progress:
        self.draw()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Compilation:
    """What was compiled while we listened: `names` of kernels, `seconds` that it took."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.loaded = 0
        self.seconds = 0.0

    def summary(self) -> str:
        if not self.names:
            return f"{self.loaded} kernels loaded from the cache in {self.seconds:.1f} s"
        return f"{len(self.names)} kernels compiled in {self.seconds:.1f} s (cached for the next run)"


@contextmanager
def listening(progress: Progress) -> Iterator[Compilation]:
    """Name beside the bar each kernel that is being compiled, and count what becomes ready."""
    from numba.core import event

    from numtorch.kernels.compiler import on_compile

    seen = Compilation()

    class Compilations(event.Listener):
        """Numba tells when a compilation begins; `on_compile` tells only of its end."""

        depth = 0  # a kernel's callees are compiled inside of its own compilation

        def on_start(self, started: event.Event) -> None:
            if self.depth == 0:
                name = started.data["dispatcher"].py_func.__name__
                progress.tell(f"compiling {name}... (cached for the next run)")
            self.depth += 1

        def on_end(self, ended: event.Event) -> None:
            self.depth -= 1
            if self.depth == 0:
                progress.tell("")

    def ready(name: str, signature: object, kind: str, seconds: float) -> None:
        seen.seconds += seconds
        if kind == "compile":
            seen.names.append(name)
        else:
            seen.loaded += 1

    on_compile.append(ready)
    try:
        with event.install_listener("numba:compile", Compilations()):
            yield seen
    finally:
        on_compile.remove(ready)
        progress.note = ""
