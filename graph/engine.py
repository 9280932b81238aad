"""The engine: sends gradients backward through the graph.

    gradient of a value = sum over the nodes that used it of (gradient of their output) x (their derivative)

A node is made after the nodes that it points to, so taking the ready node with the *highest* sequence number
guarantees that everything that feeds it has already run: no counting of dependencies, no first pass over the
graph.  A chain never touches the heap.  Nothing recurses, so depth is limited by memory only, and all state
is local, so that backward may run in several threads and inside hooks and other backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

from . import anomaly
from .accumulate import AccumulateGrad
from .grad_mode import mode
from .node import RELEASED_MESSAGE, Node, next_sequence


def run_backward(
    roots: Sequence[tuple[Node, int]],
    grads: Sequence[Any],
    keep_graph: bool,
    create_graph: bool,
    captures: Sequence[tuple[Node, int]] | None = None,
    accumulate: bool = True,
) -> list:
    """Send ``grads`` into the ``roots`` and on through the graph.

    roots: (node, output number) edges; grads: one gradient for each.
    keep_graph: keep what the nodes saved, for another backward.
    create_graph: record the backward itself, so that it can be differentiated.
    captures: if given, only nodes on the way to these (node, output number) edges run, and the gradients
        that arrive there, after the tensor hooks, are returned (None where none arrived).
    accumulate: whether leaves get their gradient added (with captures: only the leaves among them).
    """
    plan = None if captures is None else _Plan(roots, captures, accumulate)
    pending: dict[Node, Any] = {}  # what has arrived so far: a gradient; for several outputs a list
    leaves: dict[Node, Any] = {}  # the same for AccumulateGrad nodes, which come last
    heap: list = []  # (-sequence_nr, node) of the pending nodes, except the one held in ``node``
    watched = anomaly.state.enabled
    before, outer, outer_task = mode.enabled, mode.running, mode.task
    node: Any = None
    mode.enabled, mode.task = create_graph, (roots, plan, next_sequence())
    try:
        for (root, nr), grad in zip(roots, grads, strict=True):
            if grad is not None and (plan is None or root in plan.visit):
                _deliver(root, nr, grad, pending, leaves, heap)
        while True:
            if heap:
                node = heappop(heap)[1] if node is None else heappushpop(heap, (-node.sequence_nr, node))[1]
            elif node is None:
                break
            grad = pending.pop(node)
            if node.num_outputs == 1:
                grad_outputs, undefined = (grad,), grad is None
            else:
                grad_outputs, undefined = tuple(grad), all(each is None for each in grad)
            hooks = node.hooks
            if hooks is not None:
                grad_outputs = hooks.run_tensor_hooks(grad_outputs)
            if plan is not None and not plan.goes_on(node, grad_outputs):
                node = None
                continue
            if hooks is not None:
                grad_outputs = hooks.run_before(grad_outputs)
                # Hooks see these again after the node has run, and may have put in a tensor of their own: held once
                # more, so that the node does not take one for a gradient that only the engine holds and write over it.
                _held = list(grad_outputs)
            if node.released:
                raise RuntimeError(RELEASED_MESSAGE)
            if watched:
                mode.running = node
            if undefined and not node.takes_undefined:
                grad_inputs = (None,) * len(node.next_nodes)
            else:
                grad_inputs = node.apply(grad_outputs)
            if watched and anomaly.state.check_nan:
                anomaly.check_nan(node, grad_inputs)
            if hooks is not None:
                grad_inputs = hooks.run_after(grad_inputs, grad_outputs)
                _held = None
            if not keep_graph and node.saved:
                node.release()
            held = None  # the first newly ready node needs no heap if it is the only one
            if node.next_nrs is None:
                for target, grad in zip(node.next_nodes, grad_inputs):
                    if target is None or (plan is not None and target not in plan.visit):
                        continue
                    if grad is None or target.num_outputs != 1 or type(target) is AccumulateGrad:
                        _deliver(target, 0, grad, pending, leaves, heap)
                    elif target in pending:
                        arrived = pending[target]
                        pending[target] = grad if arrived is None else arrived + grad
                    else:
                        pending[target] = grad
                        if held is None:
                            held = target
                        else:
                            heappush(heap, (-target.sequence_nr, target))
            else:
                for target, nr, grad in zip(node.next_nodes, node.next_nrs, grad_inputs, strict=True):
                    if target is not None and (plan is None or target in plan.visit):
                        _deliver(target, nr, grad, pending, leaves, heap)
            node = held
            grad_inputs = None  # a node may write over a gradient that nobody else holds
        # A leaf may take over a gradient that nobody else holds, so let go of it here.
        grad = grads = grad_inputs = grad_outputs = None
        while leaves:
            node = next(iter(leaves))
            _run_leaf(node, (leaves.pop(node),), plan)
    except Exception as error:
        if node is not None:
            anomaly.explain(error, node)
        raise
    finally:
        mode.enabled, mode.running, mode.task = before, outer, outer_task
    return [] if plan is None else [plan.caught.get(edge) for edge in plan.edges]


def reached_by_backward(nodes: Sequence[Node]) -> list[bool]:
    """Of each node, whether the backward that runs now in this thread comes to it (before or after this call)."""
    if mode.task is None:
        raise RuntimeError("this is known only while a backward runs, for example in a hook")
    roots, plan, _ = mode.task
    if plan is not None:
        return [node in plan.visit for node in nodes]
    stack, reached = [node for node, _ in roots], set()
    lowest = min((node.sequence_nr for node in nodes), default=0)
    while stack:
        node = stack.pop()
        if node not in reached and node.sequence_nr >= lowest:
            reached.add(node)
            stack.extend(each for each in node.next_nodes if each is not None)
    return [node in reached for node in nodes]


def _deliver(node: Node, nr: int, grad: Any, pending: dict, leaves: dict, heap: list) -> None:
    """Add ``grad`` to what arrived at the node's output ``nr``.  Sums are new: the parts may be shared.

    A gradient of None is undefined: it adds nothing to a sum, but the node still gets its turn, for a function of
    the user's own is to run with zeros (as in torch), and what lies beyond it may be one.
    """
    if type(node) is AccumulateGrad:
        if grad is not None:
            leaves[node] = leaves[node] + grad if node in leaves else grad
        return
    first = node not in pending
    if node.num_outputs == 1:
        pending[node] = _sum(None if first else pending[node], grad)
    else:
        if first:
            pending[node] = [None] * node.num_outputs
        arrived = pending[node]
        arrived[nr] = _sum(arrived[nr], grad)
    if first:
        heappush(heap, (-node.sequence_nr, node))


def _sum(arrived: Any, grad: Any) -> Any:
    if arrived is None or grad is None:
        return grad if arrived is None else arrived
    return arrived + grad


def _run_leaf(node: AccumulateGrad, grads: tuple, plan: _Plan | None) -> None:
    hooks = node.hooks
    if hooks is None:
        if plan is None or plan.goes_on(node, grads):
            node.apply(grads)
        return
    grads = hooks.run_tensor_hooks(grads)
    if plan is None or plan.goes_on(node, grads):
        grads = hooks.run_before(grads)
        node.apply(grads)
        hooks.run_after((), grads)


class _Plan:
    """Which nodes to visit so that gradients reach the captured edges, and what arrived there."""

    def __init__(self, roots: Sequence, captures: Sequence, accumulate: bool) -> None:
        self.edges = [(node, nr) for node, nr, *_ in captures]
        self.caught: dict[tuple[Node, int], Any] = {}
        self.outputs: dict[Node, set[int]] = {}  # captured node -> its captured outputs
        for node, nr in self.edges:
            self.outputs.setdefault(node, set()).add(nr)
        self.run = self._leading_to_captures([node for node, _ in roots])
        self.visit = self.run | self.outputs.keys()
        if accumulate:
            self.run.update(node for node in self.outputs if type(node) is AccumulateGrad)

    def _leading_to_captures(self, stack: list) -> set:
        """The nodes from which a captured node can be reached: collected downwards, decided upwards."""
        lowest = min((node.sequence_nr for node in self.outputs), default=0)
        reachable = set()
        while stack:
            node = stack.pop()
            if node in reachable or node.sequence_nr < lowest:
                continue
            reachable.add(node)
            stack.extend(each for each in node.next_nodes if each is not None and each not in reachable)
        leading: set[Node] = set()
        for node in sorted(reachable, key=lambda each: each.sequence_nr):
            if any(each in leading or each in self.outputs for each in node.next_nodes):
                leading.add(node)
        return leading

    def goes_on(self, node: Node, grads: tuple) -> bool:
        """Note what arrived at a captured node; whether the node itself has to run."""
        for nr in self.outputs.get(node, ()):
            self.caught[node, nr] = grads[nr]
        return node in self.run
