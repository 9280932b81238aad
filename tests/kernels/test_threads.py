"""Threads: their number, and parallel kernels under Python threads, after a fork, and interrupted."""

import os
import signal
import time

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from numtorch.kernels import threads  # noqa: E402

PARALLEL = """
    import os, sys
    import numpy as np
    from numba import prange
    from numtorch.kernels import threads
    from numtorch.kernels.compiler import entry_point, jit

    @jit(parallel=True)
    def double(x, out):
        for i in prange(x.size):
            out[i] = 2 * x[i]

    x = np.arange(100_000.0)
    out = np.empty_like(x)
"""


@pytest.fixture
def number_of_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def test_the_number_of_threads_is_what_was_set(number_of_threads):
    for number in (1, 3, 64):
        threads.set_num_threads(number)
        assert threads.get_num_threads() == number


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0, "set_num_threads expects a positive integer"),
        (-2, "set_num_threads expects a positive integer"),
        (2.0, "set_num_threads expects an int, but got float"),
        (True, "set_num_threads expects an int, but got bool"),
        ("2", "set_num_threads expects an int, but got str"),
    ],
)
def test_a_number_of_threads_that_makes_no_sense_is_refused(number, message):
    with pytest.raises(RuntimeError, match=message):
        threads.set_num_threads(number)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"NUMTORCH_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, 3),
        ({"OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "many"}, threads.usable_cpus()),
    ],
)
def test_the_environment_sets_the_default(monkeypatch, settings, expected):
    monkeypatch.setattr(threads, "_num_threads", None)
    monkeypatch.delenv("NUMTORCH_NUM_THREADS", raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert threads.get_num_threads() == expected


def test_numpys_blas_follows(number_of_threads):
    library = threads._openblas()
    if library is None:
        pytest.skip("numpy has come without an OpenBLAS of its own")
    threads.set_num_threads(1)
    assert library.scipy_openblas_get_num_threads64_() == 1


def test_a_parallel_kernel_runs_with_every_number_of_threads(run_python):
    output = run_python(
        PARALLEL
        + """
    for number in (1, 2, 64):
        threads.set_num_threads(number)
        out[:] = 0
        double(x, out)
        print((out == 2 * x).all())
    array = double.dispatcher.signatures[0]
    out[:] = 0
    entry_point(double, array)(x, out)
    print((out == 2 * x).all())
    import numba
    print(numba.threading_layer(), numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS)
    """
    )
    assert output.split() == ["True"] * 4 + ["workqueue", "True"]


def test_eight_python_threads_may_call_parallel_kernels_at_once(run_python):
    output = run_python(
        PARALLEL
        + """
    from concurrent.futures import ThreadPoolExecutor

    threads.set_num_threads(2)

    def work(number):
        out = np.empty_like(x)
        for _ in range(20):
            double(x + number, out)
            if not (out == 2 * (x + number)).all():
                return False
        return True

    with ThreadPoolExecutor(8) as executor:
        print(all(executor.map(work, range(8))))
    """
    )
    assert output.split() == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("layer", ["default", "omp"])
def test_a_forked_child_runs_parallel_kernels(run_python, layer):
    output = run_python(
        PARALLEL
        + """
    threads.set_num_threads(2)
    double(x, out)
    for generation in range(2):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            out[:] = 0
            double(x, out)
            print((out == 2 * x).all(), flush=True)
            os._exit(0)
        print(os.waitpid(child, 0)[1])
    out[:] = 0
    double(x, out)
    print((out == 2 * x).all())
    """,
        NUMBA_THREADING_LAYER=layer,
    )
    assert output.split() == ["True", "0", "True", "0", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_waits_for_a_launch_in_another_thread(run_python):
    output = run_python(
        PARALLEL
        + """
    import multiprocessing, threading

    threads.set_num_threads(2)
    double(x, out)
    done = threading.Event()

    def launch():
        mine = np.empty_like(x)
        while not done.is_set():
            double(x, mine)

    def child(queue):
        double(x, out)
        queue.put(bool((out == 2 * x).all()))

    if __name__ == "__main__":
        thread = threading.Thread(target=launch)
        thread.start()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        children = [context.Process(target=child, args=(queue,)) for _ in range(4)]
        for process in children:
            process.start()
        print([queue.get(timeout=30) for _ in children])
        for process in children:
            process.join()
        done.set()
        thread.join()
    """
    )
    assert output.split() == ["[True,", "True,", "True,", "True]"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupt_in_a_parallel_kernel_leaves_the_guard_open(start_python):
    code = (
        PARALLEL
        + """
    threads.set_num_threads(2)
    double(x, out)
    print("ready", flush=True)
    try:
        while True:
            double(x, out)
    except KeyboardInterrupt:
        out[:] = 0
        double(x, out)
        print((out == 2 * x).all())
    """
    )
    with start_python(code) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert output.split() == ["True"], errors


def test_a_parallel_kernel_keeps_its_name_and_docstring():
    from numtorch.kernels.compiler import jit

    @jit(parallel=True)
    def kernel(x):
        """What it does."""
        return np.sum(x)

    assert kernel.__name__ == "kernel" and kernel.__doc__ == "What it does."
