"""The examples in docstrings run and print what they say; README's code and examples/ run; files that texts name exist."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"numtorch": "numtorch", "graph": "numtorch.graph", "kernels": "numtorch.kernels"}


def modules():
    """The modules with examples, by name."""
    for folder, package in ROOMS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(ROOT / folder).with_suffix("").parts
                yield ".".join((package, *parts)).removesuffix(".__init__")


@pytest.mark.parametrize("name", list(modules()))
def test_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed


# Files of the reader's own, and of torch, that texts name.
ELSEWHERE = {"train.py", "my_script.py", "your_script.py", "file.py", "torch/optim/optimizer.py"}


def test_every_file_that_a_text_names_exists():
    paths = [path for folder in (*ROOMS, "bench", "docs", "examples", "tests") for path in (ROOT / folder).rglob("*")]
    there = ["/" + path.relative_to(ROOT).as_posix() for path in paths]
    texts = [path for path in paths if path.suffix in (".py", ".md") and ROOT / "tests" not in path.parents]
    for text in (ROOT / "README.md", *texts):
        words = text.read_text(encoding="utf-8")
        named = set(re.findall(r"(?<![\w/.:*-])(?:[\w-]+/)*[a-z_][\w-]*\.py\b", words)) - ELSEWHERE
        missing = [name for name in named if not any(path.endswith("/" + name) for path in there)]
        assert not missing, (text, missing)
        if text.suffix == ".md":
            links = re.findall(r"\]\((?!https?:)([^)#]+)", words)
            assert not [link for link in links if not (text.parent / link).exists()], text


def run(*arguments: str) -> str:
    """What a process of its own printed (an example may register operators); it has no reason to warn."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples(path):
    assert run(str(path)) == run("-m", "numtorch", "run", str(path))


def test_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    run("-c", "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))


def test_adding_an_operator():
    text = (ROOT / "docs" / "adding_an_operator.md").read_text(encoding="utf-8")
    pointwise, _, kernel, _ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    run("-c", "\n".join((_IMPORTS, pointwise, kernel, _WHAT_FOLLOWS)))


_IMPORTS = """
import numpy as np
import numtorch as torch
from numtorch.extend import unary
from numtorch.kernels.compiler import jit
from numtorch.kernels.math import exp, log1p, sigmoid
"""
_WHAT_FOLLOWS = """
x = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
y = softplus2(x, 2.0)
assert y.grad_fn.name() == "Softplus2Backward0"
assert torch.allclose(y, torch.nn.functional.softplus(x, 2.0))
out = torch.empty(3, dtype=torch.float64)
with torch.no_grad():
    assert softplus2(x, 2.0, out=out) is out and torch.equal(out, y)
    assert torch.equal(x.clone().softplus2_(2.0), y)
assert torch.autograd.gradgradcheck(lambda x: x.softplus2(2.0), (x,))
total = np.empty(3, np.float32)
cumsum_forward(np.float32([1, 2, 3]), total)
assert total.tolist() == [1, 3, 6]
"""


def test_the_line_to_break_at_is_a_kernels_loop():
    path, line = re.search(r"break /path/to/the/checkout/(\S+):(\d+)", (ROOT / "README.md").read_text()).groups()
    assert (ROOT / path).read_text().splitlines()[int(line) - 1].strip() == "out[i] = f(x[i], *params)"
