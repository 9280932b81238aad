"""Names of nodes that the op table does not reach, and what torch forbids for views that share a node."""

from __future__ import annotations

import pytest

import numtorch

torch = pytest.importorskip("torch", minversion="2.13")

EXPRESSIONS = {
    "squeeze in place": lambda lib, x: (x * 1).squeeze_(),
    "squeeze of a dimension in place": lambda lib, x: (x * 1).squeeze_(1),
    "squeeze of dimensions in place": lambda lib, x: (x * 1).squeeze_((1,)),
    "unsqueeze in place": lambda lib, x: (x * 1).unsqueeze_(0),
    "transpose in place": lambda lib, x: (x * 1).transpose_(0, 1),
    "t in place": lambda lib, x: (x[:, 0] * 1).t_(),
    "vector @ batch": lambda lib, x: x[0, 0] @ lib.ones(2, 3, 4),
    "batch @ vector": lambda lib, x: x @ lib.ones(3),
    "batch @ matrix": lambda lib, x: x @ lib.ones(3, 2),
    "batch @ batch": lambda lib, x: x @ lib.ones(2, 3, 4),
    "linear of a batch": lambda lib, x: lib.nn.functional.linear(x, lib.ones(4, 3), lib.ones(4)),
    "linear of a batch without bias": lambda lib, x: lib.nn.functional.linear(x, lib.ones(4, 3)),
    "linear of a vector without bias": lambda lib, x: lib.nn.functional.linear(x[0, 0], lib.ones(4, 3)),
    "addmm with a row": lambda lib, x: lib.addmm(lib.ones(2), x[:, 0], lib.ones(3, 2)),
    "a part of a tensor_split": lambda lib, x: lib.tensor_split(x, 2)[1],
    "the first of unbind": lambda lib, x: x.unbind()[0],
    "power by a half": lambda lib, x: x**0.5,
}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_nodes_have_the_names_of_torch(expression):
    ours, theirs = (expression(lib, lib.ones(2, 1, 3, requires_grad=True)) for lib in (numtorch, torch))
    assert ours.grad_fn.name() == theirs.grad_fn.name()


@pytest.mark.parametrize("parts", [lambda x: x.split(1), lambda x: x.chunk(2), lambda x: x.unbind()])
@pytest.mark.parametrize("lib", [numtorch, torch], ids=["numtorch", "torch"])
def test_a_view_that_shares_its_node_is_not_written_in_place(lib, parts):
    x = lib.ones(2, 3, requires_grad=True) * 1
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace. This view is the output of"):
        parts(x)[1].add_(1)
