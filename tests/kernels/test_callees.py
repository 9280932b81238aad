"""Kernels that call kernels: what is copied, what is called through its address, and what a second process finds."""

import gc
import os
import textwrap
import threading

import numpy as np
import pytest

numba = pytest.importorskip("numba")
if numba.config.DISABLE_JIT:
    pytest.skip("nothing is compiled", allow_module_level=True)

from numba import types  # noqa: E402

from numtorch.kernels import callees  # noqa: E402
from numtorch.kernels.compiler import assembly, jit  # noqa: E402

KERNELS = """
    import numba
    from numtorch.kernels.compiler import jit

    @jit
    def shift(v):
        return v + {shift}

    @jit(apart=True)
    def line(x, first, last, out):
        for i in range(first, last):
            if x[i] < 0:
                raise ValueError("negative")
            out[i] = shift(x[i])

    @jit(nogil=True)
    def serial(x, out):
        line(x, 0, x.size, out)

    @jit(parallel=True)
    def parallel(x, out):
        for i in numba.prange(2):
            line(x, x.size * i // 2, x.size * (i + 1) // 2, out)
"""
PROGRAM = """
    import numpy as np
    import kernels_of_a_user as k
    from numtorch.kernels import compiler

    x, out = np.arange(4.0), np.empty(4)
    k.{kernel}(x, out)
    print(sum(name in ("shift", "line", "{kernel}") for name in compiled), [int(v) for v in out])
"""
LOG = """
    from numtorch.kernels import compiler
    compiled = []
    compiler.on_compile.append(lambda name, signature, kind, seconds: kind == "compile" and compiled.append(name))
"""


@pytest.fixture
def program(tmp_path, run_python):
    """Run one kernel in a new process; gives (how many of the module's kernels it compiled, result)."""

    def run(kernel, shift=10):
        (tmp_path / "kernels_of_a_user.py").write_text(textwrap.dedent(KERNELS.format(shift=shift)))
        text = textwrap.dedent(LOG) + textwrap.dedent(PROGRAM.format(kernel=kernel))
        compiled, result = run_python(text, PYTHONDONTWRITEBYTECODE="1", NUMTORCH_NUM_THREADS="2").split(maxsplit=1)
        return int(compiled), eval(result)

    return run


@pytest.mark.parametrize("kernel", ["serial", "parallel"])
def test_a_second_process_finds_a_caller_and_what_it_calls(program, kernel):
    assert program(kernel) == (3, [10, 11, 12, 13])
    assert program(kernel) == (0, [10, 11, 12, 13])


def test_callers_share_what_stays_apart(program):
    program("serial")
    assert program("parallel") == (1, [10, 11, 12, 13])


def test_a_change_in_what_stays_apart_reaches_its_callers(program):
    program("serial")
    assert program("serial", shift=20) == (3, [20, 21, 22, 23])


def test_a_caller_whose_callee_is_lost_is_compiled_again(program, cache_dir):
    program("serial")
    for file in (cache_dir / "kernels").glob("line-*"):
        file.unlink()
    compiled, result = program("serial")
    assert (compiled, result) == (2, [10, 11, 12, 13])  # line and serial; shift lies there to be copied
    assert program("serial") == (0, [10, 11, 12, 13])


def test_a_damaged_callee_is_compiled_again(program, cache_dir):
    program("serial")
    (file,) = (cache_dir / "kernels").glob("line-*")
    file.write_bytes(file.read_bytes()[:-100])
    assert program("serial") == (2, [10, 11, 12, 13])


@jit
def square(v):
    return v * v


@jit(apart=True)
def sum_of_squares(x):
    total = 0.0
    for i in range(x.size):
        if x[i] < 0:
            raise ValueError("negative")
        total += square(x[i])
    return total


@jit
def halved(x):
    return sum_of_squares(x) / 2


VECTOR = types.Array(types.float64, 1, "C")


def test_machine_code_calls_what_stays_apart_and_contains_what_is_copied():
    text = assembly(halved, (VECTOR,))
    assert "numtorch.sum_of_squares" in text
    assert "numtorch.square" not in assembly(sum_of_squares, (VECTOR,))


def test_an_exception_passes_through_an_address():
    assert halved(np.array([1.0, 3.0])) == 5.0
    with pytest.raises(ValueError, match="negative"):
        halved(np.array([1.0, -3.0]))


def test_what_was_copied_can_be_called_from_python():
    assert halved(np.ones(2)) == 1.0
    assert callees.is_copied(square.overloads[(types.float64,)])
    assert square(3.0) == 9.0
    assert not callees.is_copied(square.overloads[(types.float64,)])
    assert halved(np.ones(2)) == 1.0


def test_what_python_has_called_can_be_copied():
    @jit
    def cube(v):
        return v * v * v

    @jit
    def twice(v):
        return 2 * cube(v)

    assert (cube(2.0), twice(2.0)) == (8.0, 16.0)


def test_a_literal_argument_compiles_no_variant_of_its_own():
    @jit
    def add(a, b):
        return a + b

    @jit
    def both(v):
        return add(v, 1) + add(v, 2) + add(v, v)

    assembly(both, (types.int64,))
    assert len(add.signatures) == 1


def test_a_kernel_made_again_is_called_where_the_first_one_lies():
    def caller():
        @jit(apart=True)
        def double(v):
            return v + v

        @jit
        def call(v):
            return double(v)

        return call

    for value in (1.0, 2.0, 3.0):
        call = caller()
        assert call(value) == 2 * value
        del call
        gc.collect()


def test_a_name_for_one_process_is_never_given_twice():
    def name():
        return jit(lambda v: v, apart=True)._cache.name_of(())

    assert len({name() for _ in range(50)}) == 50


def test_dispatchers_of_one_content_share_what_the_first_of_them_compiled():
    number = int.from_bytes(os.urandom(4), "little")  # no file on disk has it

    def make():
        @jit(nogil=True)
        def moved(x, out):
            for i in range(x.size):
                out[i] = x[i] + number

        return moved

    results, start = [], threading.Barrier(4)

    def run():
        x, out = np.arange(3), np.empty(3, np.int64)
        start.wait()
        make()(x, out)
        results.append((out - number).tolist())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[0, 1, 2]] * 4
