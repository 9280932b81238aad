"""Node: one step of a computation that can be differentiated, and the edges to the steps before it.

A forward call makes one node.  The node knows the nodes that made its inputs (``next_nodes``), what its
derivative needs (``saved``) and how to turn the gradients of its outputs into the gradients of its inputs (``apply``).

Making nodes is the hottest path of an eager library, so there is no ``__init__``: everything rare is a class
attribute, and the maker writes only what differs::

    node = MulBackward0.__new__(MulBackward0)
    node.next_nodes = (a._grad_fn, b._grad_fn)
    node.sequence_nr = next_sequence()
    node.saved = (a, b)
    node.versions = (a._version, b._version)

Without ``__slots__`` the attributes live inline in the object (CPython 3.11 and later), which is the fastest layout.
"""

from __future__ import annotations

import itertools
import linecache
import os
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from .hooks import NodeHooks, RemovableHandle

#: A node's place in time.  A node is always made after the nodes that it points to, so descending numbers are
#: a topological order.
next_sequence = itertools.count().__next__

RELEASED_MESSAGE = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
    "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
    "if you need to access saved tensors after calling backward."
)


class Node:
    """A backward step.  Subclasses implement ``apply``; the class name is the name that users see."""

    next_nodes: tuple[Node | None, ...] = ()  # one per differentiable input of the forward call
    next_nrs: tuple[int, ...] | None = None  # which output of each next node; None means output 0 of them all
    num_outputs = 1  # how many outputs the forward call had = how many gradients arrive here
    sequence_nr: float = 0  # above those of all next nodes; regenerated views stand half way between two others
    saved: tuple = ()  # what ``apply`` needs of the forward call
    versions: tuple = ()  # the version of each saved value when it was saved
    unpack_hook: Callable | None = None  # turns each saved object back into a value (saved_tensors_hooks)
    states: tuple = ()  # with unpack_hook: the graph state of each packed value
    takes_undefined = False  # whether ``apply`` is to be called even if no output has a gradient
    released = False  # True once saved values have been dropped
    hooks: NodeHooks | None = None
    origin: tuple | None = None  # (code object, instruction) of the forward call, see ``stamp``

    def apply(self, grads: tuple) -> tuple:
        """Gradients of the outputs (None if undefined) -> gradients of the inputs, one per next node."""
        raise NotImplementedError(f"{self.name()} has no derivative")

    def __call__(self, *grads: Any) -> Any:
        """Run this step alone, without hooks: ``y.grad_fn(grad)``.  A single result comes bare."""
        if len(grads) != self.num_outputs:
            raise TypeError(f"expected {self.num_outputs} arguments, got {len(grads)} instead")
        if self.released:
            raise RuntimeError(RELEASED_MESSAGE)
        results = self.apply(grads)
        return results[0] if len(results) == 1 else results

    def name(self) -> str:
        return type(self).__name__

    def __lt__(self, other: Node) -> bool:
        """Any order: the engine's heap asks it of nodes with the same number, which do not depend on each other."""
        return id(self) < id(other)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The edges to the steps before this one, as (node, output number) pairs."""
        nodes = self.next_nodes
        return tuple(zip(nodes, self.next_nrs or (0,) * len(nodes), strict=True))

    @cached_property
    def metadata(self) -> dict:
        """Free for users; anomaly mode keeps the forward traceback here."""
        return {}

    def _sequence_nr(self) -> int:
        return int(self.sequence_nr)

    def release(self) -> None:
        """Drop the saved values: a node that had any cannot run again."""
        if self.saved:
            self.saved = ()
            self.released = True

    def own_hooks(self) -> NodeHooks:
        """This node's hook lists, made when first asked for."""
        if self.hooks is None:
            self.hooks = NodeHooks()
        return self.hooks

    def register_hook(self, fn: Callable) -> RemovableHandle:
        """Call ``fn(grad_inputs, grad_outputs)`` after this node; a tuple returned replaces grad_inputs."""
        return RemovableHandle.adding(fn, self.own_hooks().after)

    def register_prehook(self, fn: Callable) -> RemovableHandle:
        """Call ``fn(grad_outputs)`` before this node; a tuple returned replaces grad_outputs."""
        return RemovableHandle.adding(fn, self.own_hooks().before)


class GradientEdge(NamedTuple):
    """One output of a node: the place in the graph where that output's gradient arrives."""

    node: Node
    output_nr: int
    ownership_token: Node | None = None


Edge = GradientEdge

_library: dict[str, bool] = {}  # source file -> whether it belongs to the library (stamp looks past those)
_library_roots: list[str] = [os.path.join(os.path.dirname(__file__), "")]


def hide_frames_of(folder: str) -> None:
    """Tell ``stamp`` that source files under this folder are the library's own, not the user's."""
    _library_roots.append(os.path.join(folder, ""))
    _library.clear()


def stamp(node: Node, depth: int = 1) -> None:
    """Remember which line outside the library made this node, so that an error in its backward can name it.

    ``depth``: how many calls up from here to look first; those below are known to be the library's.
    Costs about 0.1 us plus 0.05 us per library frame in between, so cheap pointwise nodes go without.
    Only the code object and the instruction are kept: the frame itself would keep the caller's locals alive.
    """
    frame = sys._getframe(depth)
    while frame is not None:
        filename = frame.f_code.co_filename
        inside = _library.get(filename)
        if inside is None:
            inside = _library[filename] = filename.startswith(tuple(_library_roots))
        if not inside:
            node.origin = (frame.f_code, frame.f_lasti)
            return
        frame = frame.f_back


def describe_origin(node: Node) -> str | None:
    """The line that ``stamp`` remembered, laid out as in a traceback."""
    if node.origin is None:
        return None
    code, instruction = node.origin
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    text = linecache.getline(code.co_filename, line).strip()
    where = f'  File "{code.co_filename}", line {line}, in {code.co_name}\n'
    return where + f"    {text}\n" if text else where
