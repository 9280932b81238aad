"""A tiny differentiable number for the tests of the graph: values that can be added, and nothing more."""

from __future__ import annotations

import math

from numtorch.graph import AccumulateGrad, Node, mode, next_sequence, save, stamp, unpack


class Value:
    """A number with the protocol that numtorch.graph asks of its values."""

    def __init__(self, number, requires_grad=False):
        self.number = number
        self.grad = None
        self._version = 0
        self._requires_grad = requires_grad
        self._grad_fn = None
        self._output_nr = 0
        self._acc = None

    def edge(self):
        if self._grad_fn is None and self._requires_grad and self._acc is None:
            self._acc = AccumulateGrad(self)
        return self._grad_fn or self._acc

    def detach(self):
        return Value(self.number)

    def add_(self, number):
        self.number += number
        self._version += 1
        return self

    def _accumulate_grad(self, grad, create_graph):
        self.grad = grad if self.grad is None else self.grad + grad

    def _describe(self):
        origin = self._grad_fn
        return "[Value]" + (f", which is output {self._output_nr} of {origin.name()}" if origin else "")

    def _has_nan(self):
        return math.isnan(self.number)

    def __add__(self, other):
        return record(AddBackward, self.number + other.number, (self, other), ())

    def __mul__(self, other):
        return record(MulBackward, self.number * other.number, (self, other), (self, other))


class AddBackward(Node):
    def apply(self, grads):
        return grads[0], grads[0]


class MulBackward(Node):
    def apply(self, grads):
        a, b = unpack(self)
        return grads[0] * b, grads[0] * a


class SplitBackward(Node):
    """Of split(x) -> (x, x): sums the gradients that it receives."""

    num_outputs = 2
    seen = ()

    def apply(self, grads):
        self.seen = grads
        given = [grad for grad in grads if grad is not None]
        return (given[0] + given[1] if len(given) == 2 else given[0],)


def record(node_class, number, inputs, to_save):
    """The value of an operation, with a node if one of the inputs requires grad."""
    result = Value(number)
    if mode.enabled and any(each._requires_grad for each in inputs):
        node = node_class.__new__(node_class)
        node.next_nodes = tuple(each.edge() for each in inputs)
        if any(each._output_nr for each in inputs):
            node.next_nrs = tuple(each._output_nr for each in inputs)
        node.sequence_nr = next_sequence()
        save(node, to_save)
        stamp(node)
        result._grad_fn = node
        result._requires_grad = True
    return result


def split(x):
    first = record(SplitBackward, x.number, (x,), ())
    second = Value(x.number, first._requires_grad)
    second._grad_fn, second._output_nr = first._grad_fn, 1
    return first, second


def leaf(number):
    return Value(number, requires_grad=True)
