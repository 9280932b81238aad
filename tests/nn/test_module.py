"""Module: registration, attributes, state, traversal, conversion, printing."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("cache", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


NAMES = ["scale", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias"]

# what is done to a fresh Net, the exception, what its message says
ERRORS = [
    (lambda m: nn.Module()(1), NotImplementedError, 'Module [Module] is missing the required "forward" function'),
    (lambda m: setattr(m, "scale", 3), TypeError, "cannot assign 'int' as parameter 'scale'"),
    (lambda m: setattr(m, "scale", torch.ones(1)), TypeError, "cannot assign 'torch.FloatTensor' as parameter"),
    (lambda m: setattr(m, "first", 3), TypeError, "cannot assign 'int' as child module 'first'"),
    (lambda m: setattr(m, "count", 3), TypeError, "cannot assign 'int' as buffer 'count'"),
    (lambda m: m.register_parameter("a.b", None), KeyError, 'parameter name can\'t contain "."'),
    (lambda m: m.register_parameter("", None), KeyError, "parameter name can't be empty string"),
    (lambda m: m.register_parameter("count", None), KeyError, "attribute 'count' already exists"),
    (lambda m: m.register_parameter("p", nn.Parameter(torch.ones(1)) * 2), TypeError, "torch.nn.Parameter or None"),
    (lambda m: m.register_buffer("forward", None), KeyError, "attribute 'forward' already exists"),
    (lambda m: m.add_module("m", 3), TypeError, "int is not a Module subclass"),
    (lambda m: m.nothing, AttributeError, "'Net' object has no attribute 'nothing'"),
    (lambda m: m.get_submodule("rest.7"), AttributeError, "Sequential has no attribute `7`"),
    (lambda m: m.get_parameter("count"), AttributeError, "`count` is not an nn.Parameter"),
    (lambda m: m.train("yes"), ValueError, "training mode is expected to be boolean"),
    (lambda m: m.to(torch.int32), TypeError, "only accepts floating point or complex dtypes"),
    (lambda m: m.load_state_dict([1]), TypeError, "Expected state_dict to be dict-like"),
    (lambda m: nn.Module(3), TypeError, "takes 1 positional argument but 2 were given"),
    (lambda m: nn.Module(a=3), TypeError, "unexpected keyword argument 'a'"),
]


@pytest.mark.parametrize("do, error, message", ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_wrong_use_says_what_is_wrong(do, error, message):
    with pytest.raises(error) as caught:
        do(Net())
    assert message in caught.value.args[0]


def test_assignment_before_init_is_an_error():
    class Early(nn.Module):
        def __init__(self):
            self.p = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call"):
        Early()


def test_names_come_in_order_of_registration():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert [n for n, _ in net.named_buffers()] == ["count", "cache"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert list(net.state_dict()) == ["scale", "count", *NAMES[1:]]
    assert {"first", "scale", "count", "forward"} <= set(dir(net))


def test_a_shared_parameter_is_named_once_unless_asked():
    net = Net()
    net.tied = net.scale
    assert len(list(net.parameters())) == 5
    assert [n for n, _ in net.named_parameters(remove_duplicate=False)][:2] == ["scale", "tied"]


def test_state_goes_from_one_net_to_another():
    torch.manual_seed(0)
    a, b = Net(), Net()
    assert repr(b.load_state_dict(a.state_dict())) == "<All keys matched successfully>"
    x = torch.randn(2, 3)
    np.testing.assert_array_equal(a(x).detach().numpy(), b(x).detach().numpy())
    b.load_state_dict(a.state_dict(), assign=True)
    assert b.first.weight.data_ptr() == a.first.weight.data_ptr()


def test_loading_lists_all_that_does_not_fit():
    state = Net().state_dict()
    del state["scale"]
    state["extra"] = torch.ones(1)
    state["first.bias"] = torch.ones(7)
    with pytest.raises(RuntimeError) as caught:
        Net().load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "scale". \n'
        '\tUnexpected key(s) in state_dict: "extra". \n'
        "\tsize mismatch for first.bias: copying a param with shape torch.Size([7]) from checkpoint, "
        "the shape in current model is torch.Size([4])."
    )
    del state["first.bias"]
    result = Net().load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale", "first.bias"] and result.unexpected_keys == ["extra"]


def test_state_dict_hooks_see_and_change_the_state():
    net, seen = Net(), []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append(prefix))
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: state.__delitem__("count"))
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    state = net.state_dict()
    assert seen == [""] and "count" not in state
    net.load_state_dict(state)


def test_copies_and_pickles_stand_alone():
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other) == repr(net)
        assert other.first.weight is not net.first.weight
        np.testing.assert_array_equal(other.first.weight.detach().numpy(), net.first.weight.detach().numpy())
        other.first.weight.data.zero_()
        assert net.first.weight.abs().sum() > 0


def test_conversion_reaches_parameters_gradients_and_buffers():
    net = Net()
    net(torch.ones(1, 3)).sum().backward()
    net.double()
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    assert net.first.weight.grad.dtype is torch.float64 and net.count.dtype is torch.float64
    assert net.to(torch.float32).to("cpu").first.weight.dtype is torch.float32


def test_modes_gradients_and_apply_reach_everything_below():
    net, seen = Net(), []
    assert not any(m.training for m in net.eval().modules())
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()(torch.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(float(p.grad.abs().sum()) == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_printed_form():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (rest): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Linear(in_features=4, out_features=2, bias=True)\n"
        "  )\n"
        ")"
    )


def test_sequential_and_lists_behave_as_lists():
    seq = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
    assert [type(m).__name__ for m in seq] == ["ReLU", "Tanh"] and seq[-1] is seq.b
    assert len(seq[:1]) == 1 and len(nn.Sequential(nn.ReLU()) * 3) == 3
    with pytest.raises(IndexError, match="index 5 is out of range"):
        seq[5]
    items = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    assert repr(items) == "ModuleList(\n  (0-2): 3 x Linear(in_features=1, out_features=1, bias=True)\n)"
    items.insert(1, nn.ReLU())
    del items[0]
    assert [type(m).__name__ for m in items] == ["ReLU", "Linear", "Linear"]
    assert list(items.state_dict()) == ["1.weight", "1.bias", "2.weight", "2.bias"]
    table = nn.ModuleDict({"x": nn.ReLU()})
    table.update([("y", nn.Tanh())])
    assert list(table) == ["x", "y"] and "x" in table and type(table.pop("x")) is nn.ReLU


def test_parameter_containers_register_what_they_hold():
    values = nn.ParameterList([torch.ones(2), nn.Parameter(torch.ones(3))])
    assert [n for n, _ in values.named_parameters()] == ["0", "1"]
    assert repr(values) == (
        "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2]\n"
        "    (1): Parameter containing: [torch.float32 of size 3]\n)"
    )
    table = nn.ParameterDict({"b": torch.ones(1), "a": torch.ones(1)})
    assert list(table) == ["a", "b"] and isinstance(table["a"], nn.Parameter)
    with pytest.raises(RuntimeError, match="should not be called"):
        values(1)


def test_lazy_layers_take_their_size_from_the_first_input():
    with pytest.warns(UserWarning, match="Lazy modules"):
        net = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    assert isinstance(net[0].weight, nn.UninitializedParameter)
    assert net(torch.ones(2, 3)).shape == (2, 4)
    assert type(net[0]) is nn.Linear and net[0].weight.shape == (4, 3) and type(net[1]) is nn.BatchNorm1d
