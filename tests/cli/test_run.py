"""`numtorch run`: scripts written for PyTorch, unmodified."""

import textwrap

import pytest

from .commands import numtorch


@pytest.fixture
def script(tmp_path):
    def write(text, name="script.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


def test_every_form_of_import_gives_numtorchs_modules(script):
    path = script("""
        import torch
        import torch as t
        import torch.nn.functional as F
        import torch.utils.data
        from torch import nn, optim
        from torch.autograd import Variable
        from torch.utils.data import DataLoader
        import numtorch, numtorch.nn.functional, sys
        assert torch is t is numtorch and nn is numtorch.nn and optim is numtorch.optim
        assert F is numtorch.nn.functional is torch.nn.functional
        assert DataLoader is numtorch.utils.data.DataLoader
        assert numtorch.nn.__spec__.name == "numtorch.nn" and sys.modules["torch.nn"] is nn
        x = torch.ones(2, requires_grad=True)
        (x * x).sum().backward()
        print(x.grad)
    """)
    result = numtorch("run", path)
    assert (result.stdout, result.stderr, result.returncode) == ("tensor([2., 2.])\n", "", 0)


def test_it_runs_as_main_with_its_own_arguments(script):
    script("answer = 42\n", "neighbour.py")
    path = script("""
        import sys, pickle
        from neighbour import answer
        class Here: pass
        if __name__ == "__main__":
            print(sys.argv[1:], answer, __file__ == sys.argv[0], Here.__module__)
            print(type(pickle.loads(pickle.dumps(Here()))) is Here)
    """)
    result = numtorch("run", path, "--epochs", "3", "-h")
    assert result.stdout == "['--epochs', '3', '-h'] 42 True __main__\nTrue\n", result.stderr


@pytest.mark.parametrize(
    "ending, code", [("sys.exit(7)", 7), ("sys.exit()", 0), ("raise SystemExit('bye')", 1), ("pass", 0)]
)
def test_exit_code(script, ending, code):
    assert numtorch("run", script(f"import sys\n{ending}\n")).returncode == code


def test_a_traceback_shows_the_script_and_nothing_of_ours(script):
    path = script("""
        def f():
            raise ValueError("wrong")
        f()
    """)
    result = numtorch("run", path)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[-1] == "ValueError: wrong"
    files = [line for line in lines if line.startswith("  File ")]
    assert len(files) == 2 and all(f'"{path}"' in line for line in files)


def test_a_syntax_error(script):
    result = numtorch("run", script("x = = 1\n"))
    assert result.returncode == 1 and "SyntaxError" in result.stderr and "numtorch/cli" not in result.stderr


def test_what_numtorch_does_not_have_is_said(script):
    result = numtorch("run", script("import torch.onnx.nothing\n"))
    assert result.returncode == 1 and "No module named 'torch.onnx" in result.stderr


def test_a_missing_script(tmp_path):
    result = numtorch("run", tmp_path / "none.py")
    assert result.returncode == 2 and "No such file or directory" in result.stderr
