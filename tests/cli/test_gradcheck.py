"""`numtorch gradcheck` of a user's function, and its reading of input specifications."""

import pytest

import numtorch as torch
from numtorch.cli.gradcheck import errors, parse_input

from .commands import numtorch


@pytest.fixture
def module(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def right(a, b):\n    return (a.exp() * b).sum(0).log()\n"
        "def wrong(a):\n    return a.detach() * a\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = torch.nn.Linear(3, 2)\n"
        "    def forward(self, x):\n        return self.layer(x).tanh()\n"
    )
    return tmp_path


@pytest.mark.parametrize("target", ["mine:right", "mine.py:right"])
def test_a_right_derivative(module, target):
    result = numtorch("gradcheck", target, "--input", "3,4", "--input", "4:float64:0.5..2", cwd=module)
    assert result.returncode == 0, result.stderr
    assert "ok" in result.stdout and "1 of 1 pass" in result.stdout


def test_a_wrong_derivative(module):
    result = numtorch("gradcheck", "mine:wrong", "--input", "3", cwd=module)
    assert result.returncode == 1 and "FAIL" in result.stdout and "0 of 1 pass" in result.stdout


def test_operators_are_checked_without_the_libraries_of_the_tests(tmp_path, monkeypatch):
    (tmp_path / "scipy.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = numtorch("gradcheck", "--only", "sigmoid", cwd=tmp_path)
    assert result.returncode == 0 and "sigmoid" in result.stdout, result.stdout + result.stderr


def test_a_module_class(module):
    result = numtorch("gradcheck", "mine:Net", "--input", "2,3", cwd=module)
    assert result.returncode == 0 and "ok" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["mine:right"], "give the inputs"),
        (["mine", "--input", "3"], "expected package.module:function"),
        (["mine:none", "--input", "3"], "has no attribute 'none'"),
        (["nowhere:f", "--input", "3"], "No module named 'nowhere'"),
        (["mine:right", "--input", "3,x"], "'3,x' is not a shape"),
        (["--input", "3"], "--input needs a target"),
        (["mine:right", "--input", "3", "--only", "exp"], "--only chooses among the operators"),
        (["mine:torch", "--input", "3"], "mine:torch is no function"),
        (["mine:right", "--input=-3"], "negative size"),
        (["mine:right", "--input", "3:float64:2..1"], "ends before it begins"),
    ],
)
def test_errors(module, arguments, message):
    result = numtorch("gradcheck", *arguments, cwd=module)
    assert result.returncode == 2 and message in result.stderr


@pytest.mark.parametrize(
    "spec, shape, dtype, grad",
    [
        ("3,4", (3, 4), torch.float64, True),
        ("scalar", (), torch.float64, True),
        ("5:float32", (5,), torch.float32, False),
        ("2:complex128", (2,), torch.complex128, True),
        ("7:int64:0..9", (7,), torch.int64, False),
        ("2,0", (2, 0), torch.float64, True),
    ],
)
def test_specifications(spec, shape, dtype, grad):
    x = parse_input(spec)
    assert (tuple(x.shape), x.dtype, x.requires_grad) == (shape, dtype, grad)


def test_ranges():
    x = parse_input("1000:float64:0.5..2")
    assert x.min().item() >= 0.5 and x.max().item() < 2
    assert set(parse_input("1000:int64:1..3").tolist()) == {1, 2, 3}


@pytest.mark.parametrize("spec", ["3,x", "3:float", "3:nothing", "3:float64:1", ""])
def test_bad_specifications(spec):
    if spec == "3:float":
        assert parse_input(spec).dtype is torch.float32
    else:
        with pytest.raises(ValueError, match="input"):
            parse_input(spec)


def x_of(values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_errors_are_small_where_derivatives_are_right():
    first, second = errors(lambda x: x**3 + x.t(), (x_of([[1.0, -2.0], [0.5, 3.0]]),))
    assert first < 1e-7 and second < 1e-7


def test_errors_are_the_size_of_the_mistake():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * 3

    first, _ = errors(Double.apply, (x_of([1.0]),))
    assert first > 0.1


def test_nothing_to_differentiate():
    assert errors(lambda x: x > 0, (x_of([1.0]),)) is None
    assert errors(lambda x: x, (torch.ones(2),)) is None
