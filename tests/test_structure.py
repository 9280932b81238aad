"""What holds of the tree as a whole: which room imports which, and that an installation has all of it."""

import ast
import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"kernels": ROOT / "kernels", "graph": ROOT / "graph", "numtorch": ROOT / "numtorch"}


def imported(path: Path) -> set[str]:
    """The modules that a file imports by absolute names, at its top or in a function."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}


@pytest.mark.parametrize("room", ["kernels", "graph"])
def test_kernels_and_graph_know_nothing_of_the_other_rooms(room):
    for path in ROOMS[room].rglob("*.py"):
        assert not [name for name in imported(path) if name.split(".")[0] in ROOMS], path


def test_the_graph_knows_no_arrays():
    for path in ROOMS["graph"].rglob("*.py"):
        assert not {"numpy", "numba"} & {name.split(".")[0] for name in imported(path)}, path


def test_the_library_never_imports_torch():
    for room in ROOMS.values():
        for path in room.rglob("*.py"):
            assert "torch" not in {name.split(".")[0] for name in imported(path)}, path


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    there = set()
    for room, folder in ROOMS.items():
        prefix = room if room == "numtorch" else f"numtorch.{room}"
        for path in folder.rglob("__init__.py"):
            there.add(".".join((prefix, *path.parent.relative_to(folder).parts)))
    assert set(setup["options"]["packages"].split()) == there
    assert (ROOMS["numtorch"] / "py.typed").exists() and setup["options.package_data"]["numtorch"] == "py.typed"
