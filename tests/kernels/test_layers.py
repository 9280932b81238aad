"""Imports go one way: kernels and graph know neither each other nor numtorch; nothing is compiled at import."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imports(file):
    """Absolute names that a module imports, relative ones resolved against the room's own name."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join([*above, *filter(None, [node.module])])


def modules(room):
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ["kernels", "graph"])
def test_a_room_imports_neither_numtorch_nor_the_other_room(room):
    other = {"kernels": "graph", "graph": "kernels"}[room]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in modules(room)
        for line, name in imports(file)
        if name.partition(".")[0] in ("numtorch", other, room) and not name.startswith(room)
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("room", ["kernels", "graph"])
def test_relative_imports_stay_inside_the_room(room):
    for file in modules(room):
        depth = len(file.relative_to(ROOT).parts) - 1
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= depth, f"{file}:{node.lineno} leaves {room}"


def test_the_graph_knows_no_arrays_and_no_compiler():
    for file in modules("graph"):
        names = {name.partition(".")[0] for _, name in imports(file)}
        assert not names & {"numpy", "numba", "llvmlite"}, file


def test_nothing_imports_torch():
    for room in ("kernels", "graph", "numtorch"):
        for file in modules(room):
            assert "torch" not in {name.partition(".")[0] for _, name in imports(file)}, file


def test_importing_compiles_and_reads_nothing(run_python, cache_dir):
    output = run_python(
        """
        import numtorch
        from numtorch.kernels import compiler
        print(compiler.statistics().compiled, compiler.statistics().loaded)
        """
    )
    assert output.split() == ["0", "0"]
    assert not cache_dir.exists()
