"""The examples in docstrings and in the documents run and print what they say; README's code and examples/ run."""

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


def documents():
    """The documents with examples."""
    return [path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if ">>> " in path.read_text()]


@pytest.mark.parametrize("name", list(modules()))
def test_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_documents(path):
    failed, tried = doctest.testfile(str(path), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed


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


def test_the_line_to_break_at_is_a_kernels_loop():
    path, line = re.search(r"break /path/to/the/checkout/(\S+):(\d+)", (ROOT / "README.md").read_text()).groups()
    assert (ROOT / path).read_text().splitlines()[int(line) - 1].strip() == "out[i] = f(x[i], *params)"
