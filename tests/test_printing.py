"""Tensors print as torch prints them: texts frozen from torch 2.13.0 in printing_frozen.txt, and more.

An entry of the file is `>>> expression  # print options`, then the text of its value.
"""

from pathlib import Path

import pytest

import numtorch as torch
from numtorch import _tensor_str

NAMES = {name: getattr(torch, name) for name in ("tensor", "zeros", "empty", "ones", "arange")}
NAMES |= {name: getattr(torch, name) for name in ("int64", "bool", "uint8", "float64", "bfloat16")}
NAMES |= {"nan": float("nan"), "inf": float("inf"), "dict": dict, "None": None}


def frozen():
    text = Path(__file__).with_name("printing_frozen.txt").read_text()
    for entry in ("\n" + text).split("\n>>> ")[1:]:
        head, _, expected = entry.rstrip("\n").partition("\n")
        expression, _, options = head.partition("  # ")
        yield pytest.param(expression, options, expected, id=head)


@pytest.fixture(autouse=True)
def default_options():
    yield
    torch.set_printoptions(profile="default")


@pytest.mark.parametrize("expression, options, expected", list(frozen()))
def test_prints_as_torch_does(expression, options, expected):
    torch.set_printoptions(**eval(f"dict({options})", NAMES))
    assert repr(eval(expression, NAMES)) == expected


def test_str_is_repr():
    x = torch.arange(3)
    assert str(x) == repr(x) == f"{x}" == "tensor([0, 1, 2])"


def test_zero_dimensional_tensors_format_as_numbers():
    assert f"{torch.tensor(0.5):.3f}" == "0.500"
    assert f"{torch.tensor(7)}" == "7"


def test_the_default_dtype_is_not_named():
    torch.set_default_dtype(torch.float64)
    try:
        texts = [repr(torch.tensor([1.0], dtype=dtype)) for dtype in (torch.float64, torch.float32)]
    finally:
        torch.set_default_dtype(torch.float32)
    assert texts == ["tensor([1.])", "tensor([1.], dtype=torch.float32)"]


def test_a_subclass_prints_its_name():
    class Weights(torch.Tensor):
        pass

    assert repr(torch.ones(2).as_subclass(Weights)) == "Weights([1., 1.])"


def test_tensor_contents_take_the_place_of_the_elements():
    assert torch.ones(2, 3).__repr__(tensor_contents="...") == "tensor(...)"


def test_printoptions_restores_the_options_before():
    before = _tensor_str.get_printoptions()
    with _tensor_str.printoptions(precision=1, sci_mode=True):
        assert repr(torch.tensor([1.25])) == "tensor([1.2e+00])"
    assert _tensor_str.get_printoptions() == before


def test_a_transposed_tensor_prints_its_own_order():
    assert repr(torch.arange(4).view(2, 2).t()) == "tensor([[0, 2],\n        [1, 3]])"


def test_printing_leaves_the_graph_alone():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    repr(y)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
