"""The compile cache, from the outside: what a second process compiles, and what breaks nothing."""

import os
import signal
import stat
import textwrap
import time

import numpy as np
import pytest

numba = pytest.importorskip("numba")
if numba.config.DISABLE_JIT:
    pytest.skip("nothing is compiled", allow_module_level=True)

from numtorch.kernels import cache, compiler  # noqa: E402
from numtorch.kernels.compiler import entry_point, jit, specialise  # noqa: E402
from numtorch.kernels.content import Unkeyable, content_key  # noqa: E402

KERNELS = """
    from numtorch.kernels.compiler import jit
    import helper
    from helper import shift

    def unary(f):
        @jit
        def loop(x, out):
            for i in range(x.size):
                out[i] = f(x[i])
        return loop

    double = unary(jit(lambda v: 2 * v))
    square = unary(jit(lambda v: v * v))
    shifted = unary(shift)
    scaled = unary(jit(lambda v: v * helper.SCALE))
"""
PROGRAM = """
    import numpy as np
    import kernels_of_a_user as k
    from numtorch.kernels import compiler

    x = np.arange(4.0)
    out = np.empty(4)
    results = []
    for kernel in (k.shifted, k.scaled):
        kernel(x, out)
        results += [int(v) for v in out]
    print(compiler.statistics().compiled, results)
"""
KERNELS_IN_ALL = 5  # two loops, what they loop over, and what that calls
RESULTS = [10, 11, 12, 13, 0, 3, 6, 9]


@pytest.fixture
def program(tmp_path, run_python):
    """Run PROGRAM over a module of kernels and a module of what they call; gives (number compiled, results)."""
    (tmp_path / "kernels_of_a_user.py").write_text(textwrap.dedent(KERNELS))

    def run(constant=10, scale=3, comment="", **settings):
        (tmp_path / "helper.py").write_text(
            f"from numtorch.kernels.compiler import jit\n{comment}\nSCALE = {scale}\n@jit\ndef inner(v):\n"
            f"    return v + {constant}\n@jit\ndef shift(v):\n    return inner(v)\n"
        )
        compiled, results = run_python(PROGRAM, PYTHONDONTWRITEBYTECODE="1", **settings).split(maxsplit=1)
        return int(compiled), eval(results)

    return run


def files(cache_dir):
    return sorted((cache_dir / "kernels").iterdir())


def test_a_second_process_compiles_nothing_closures_included(program):
    compiled, results = program()
    assert (compiled, results) == (KERNELS_IN_ALL, RESULTS)
    assert program() == (0, RESULTS)


def test_a_change_in_a_callee_of_another_file_compiles_its_callers_only(program):
    program()
    compiled, results = program(constant=20)
    assert (compiled, results[:4]) == (3, [20, 21, 22, 23])  # inner, shift and the loop over it


def test_a_change_of_a_constant_in_a_module_that_is_named_compiles_its_reader(program):
    program()
    compiled, results = program(scale=5)
    assert (compiled, results[4:]) == (2, [0, 5, 10, 15])


def test_a_comment_changes_nothing(program):
    program()
    assert program(comment="# lines move, content stays") == (0, RESULTS)


def test_a_damaged_file_is_compiled_again_and_replaced(program, cache_dir):
    program()
    cut, emptied, foreign, other, unreadable = files(cache_dir)
    cut.write_bytes(cut.read_bytes()[:-100])
    emptied.write_bytes(b"")
    foreign.write_bytes(b"x" * 9000)
    cache._Store(str(cache_dir / "kernels")).write(other.name, b"\x80\x04K\x01.")  # whole, but a pickled number
    unreadable.unlink()
    unreadable.mkdir()
    assert program() == (KERNELS_IN_ALL, RESULTS)
    unreadable.rmdir()
    assert program()[0] <= 1  # all but the folder have been replaced
    assert program() == (0, RESULTS)


def test_two_processes_that_start_together_both_succeed(tmp_path, start_python, program):
    program()
    for file in files(tmp_path / "cache"):
        file.unlink()
    processes = [start_python(PROGRAM, PYTHONDONTWRITEBYTECODE="1") for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [eval(output.split(maxsplit=1)[1]) for output, _ in outputs] == [RESULTS, RESULTS], outputs
    assert program() == (0, RESULTS)
    assert all(file.name.endswith(".nbc") for file in files(tmp_path / "cache"))


def test_kernels_of_one_name_from_two_processes_do_not_answer_for_each_other(tmp_path, run_python):
    # Numba numbers functions from 1 in each process: without more, both loops would carry one symbol.
    (tmp_path / "kernels_of_a_user.py").write_text(textwrap.dedent(KERNELS))
    (tmp_path / "helper.py").write_text("SCALE = 1\ndef shift(v):\n    return v\n")
    use = "import numpy as np, kernels_of_a_user as k\nx = np.arange(4.0); y = np.empty(4); z = np.empty(4)\n"
    run_python(use + "k.double(x, y)")
    run_python(use + "k.square(x, z)")
    assert run_python(use + "k.double(x, y); k.square(x, z); print(y.sum(), z.sum())").split() == ["12.0", "14.0"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_the_folder_is_private_to_its_user(program, cache_dir):
    program()
    assert stat.S_IMODE((cache_dir / "kernels").stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_folder_open_to_others_is_closed(cache_dir):
    (cache_dir / "kernels").mkdir(parents=True)
    (cache_dir / "kernels").chmod(0o777)
    assert cache._Store(str(cache_dir / "kernels")).usable
    assert stat.S_IMODE((cache_dir / "kernels").stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_refused(cache_dir, monkeypatch):
    if not hasattr(os, "geteuid"):
        pytest.skip("POSIX owners")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    (cache_dir / "kernels").mkdir(parents=True)
    with pytest.warns(Warning, match="belongs to another user"):
        assert not cache._Store(str(cache_dir / "kernels")).usable


def test_without_a_place_to_write_there_is_one_warning_and_no_cache(tmp_path, run_python):
    (tmp_path / "a_file").write_text("")
    output = run_python(
        """
        import warnings
        import numpy as np
        from numtorch.kernels.compiler import jit

        double, square = jit(lambda x: x[0] * 2), jit(lambda x: x[0] * x[0])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            print(double(np.full(1, 3.0)), square(np.full(1, 3.0)))
        print(sum("not kept" in str(w.message) for w in caught))
        """,
        NUMTORCH_CACHE_DIR=str(tmp_path / "a_file"),
    )
    assert output.split() == ["6.0", "9.0", "1"]


def test_flags_types_and_cpu_are_part_of_the_key():
    def body(x):
        return x + 1

    array = numba.types.Array(numba.types.float32, 1, "C")
    names = set()
    for kernel in (jit(body), jit(body, nogil=True)):
        for signature in ((array,), (numba.float64,)):
            names.add(kernel._cache.file_name(signature, kernel.targetctx))
    assert len(names) == 4


def test_recursion_and_overloads_have_a_key():
    @jit
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    assert factorial(10) == 3628800
    assert content_key(factorial) == content_key(factorial)


def test_a_global_that_is_bound_anew_is_noticed():
    scope = {"SCALE": 2, "jit": jit, "__name__": __name__}
    exec("@jit\ndef f(x): return x * SCALE\n@jit\ndef g(x): return f(x)", scope)
    assert scope["g"](3) == 6
    scope["SCALE"] = 5
    with pytest.raises(Unkeyable, match="changed after their first use"):
        content_key(scope["g"])


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_while_compiling_leaves_a_usable_process_and_cache(start_python, run_python, cache_dir):
    code = """
        import sys
        import numpy as np
        from numtorch.kernels.compiler import jit

        def kernel_number(k):
            @jit
            def loop(x):
                total = 0.0
                for i in range(x.size):
                    total += np.sin(x[i]) * k
                return total
            return loop

        kernels = []
        while "--until-interrupted" in sys.argv[1:]:
            try:
                print("compiling", flush=True)
                while True:
                    kernels.append(kernel_number(len(kernels)))
                    kernels[-1](np.ones(1))
            except KeyboardInterrupt:
                print("interrupted", flush=True)
                if sys.stdin.readline() == "enough\\n":
                    break
        print(sum(kernel_number(k)(np.full(1, np.pi / 2)) for k in range(4)))
    """
    with start_python(code, "--until-interrupted") as process:
        for wait, answer in [(0.3, "more\n"), (0.05, "more\n"), (0.17, "enough\n")]:
            assert process.stdout.readline() == "compiling\n"
            time.sleep(wait)  # to be somewhere within a compilation; any place is right
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            process.stdin.write(answer)
            process.stdin.flush()
        output, errors = process.communicate(timeout=60)
    assert output.split() == ["6.0"], errors
    assert run_python(code).split() == ["6.0"]
    assert not [file for file in files(cache_dir) if not file.name.endswith(".nbc")]


# -- the compiler's other services -------------------------------------------------------------------------


def test_the_hook_and_the_counters_tell_what_was_made_ready():
    seen = []
    compiler.on_compile.append(lambda *event: seen.append(event))
    try:
        before = compiler.statistics()

        @jit
        def kernel_that_nobody_else_has(x):
            return x + 123456

        kernel_that_nobody_else_has(1.0)
    finally:
        compiler.on_compile.pop()
    after = compiler.statistics()
    assert after.compiled + after.loaded == before.compiled + before.loaded + 1
    name, signature, kind, seconds = seen[0]
    assert name.endswith("kernel_that_nobody_else_has") and signature == (numba.float64,)
    assert kind in ("compile", "load") and 0 < seconds <= after.seconds


def test_an_entry_point_is_the_compiled_function_of_one_signature():
    @jit
    def add(x, y):
        return x[0] + y

    array = numba.types.Array(numba.float32, 1, "C")
    entry = entry_point(add, (array, numba.int64))
    assert entry(np.full(1, 2, np.float32), 3) == 5
    assert list(add.overloads) == [(array, numba.int64)]
    with pytest.raises(TypeError):
        entry(np.full(1, 2, np.float64), 3)


def helper(x):
    return 1 - x


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize(
    "scalar", [lambda x: 1 / (2.5 + x), lambda x: helper(x) * 3, lambda x: x * x + 1, lambda x: x if True else 0.5]
)
def test_literals_of_a_specialised_function_have_its_dtype(scalar, dtype):
    f = specialise(scalar, dtype)
    x = dtype(0.75)
    returned = numba.from_dtype(np.dtype(dtype))
    assert f(x) == pytest.approx(scalar(x), rel=4 * float(np.finfo(dtype).eps))
    assert f.overloads[(returned,)].signature.return_type == returned


def test_a_whole_exponent_stays_whole():
    f = specialise(lambda x: x**2 + 1, np.float32)
    assert f(np.float32(3)) == 10 and f.overloads[(numba.float32,)].signature.return_type == numba.float32
    assert 2 in f.py_func.__code__.co_consts and type(f.py_func.__code__.co_consts[-1]) is np.float32


def test_integers_and_bools_keep_their_literals():
    assert specialise(lambda x: x + 1, np.int32)(np.int32(2)) == 3
    assert specialise(lambda x: x + 1, np.int32) is not specialise(lambda x: x + 1, np.int32)


def test_one_function_is_specialised_once_for_a_dtype():
    assert specialise(helper, np.float32) is specialise(helper, np.dtype("float32"))
    assert specialise(helper, np.float32) is not specialise(helper, np.float64)


def test_without_jit_everything_is_plain_python(run_python):
    output = run_python(
        """
        import numpy as np
        from numtorch.kernels.compiler import entry_point, jit, specialise

        kernel = jit(lambda x: x + 1)
        print(type(kernel).__name__, entry_point(kernel, ()) is kernel, kernel(2))
        print(type(jit(lambda x: x, parallel=True)).__name__, specialise(lambda x: 1 - x, np.float32)(np.float32(3)))
        """,
        NUMBA_DISABLE_JIT="1",
    )
    assert output.split() == ["function", "True", "3", "function", "-2.0"]
