"""The thread pool under prange: kernels of ours and of the user's share it, whatever the threads are doing."""

import os

import pytest

pytest.importorskip("numba")

START = """
    import os, threading, time
    import numba
    import numpy as np
    from numba import prange
    from numtorch.kernels import threads
    from numtorch.kernels.compiler import jit

    @jit(parallel=True)
    def double(x, out):
        for i in prange(x.size):
            out[i] = 2 * x[i]

    @numba.njit(parallel=True)
    def users_sum(x):
        total = 0.0
        for i in prange(x.size):
            total += x[i] / 3
        return total

    x = np.arange(100_000.0)
    out = np.empty_like(x)
    threads.set_num_threads(3)
    double(x, out)

    def is_right():
        out[:] = 0
        double(x, out)
        return bool((out == 2 * x).all())
"""

POOL = {"NUMBA_NUM_THREADS": "3"}


def test_the_pool_is_ours_and_a_layer_that_the_user_names_is_that_one(run_python):
    code = START + "    print(threads._our_pool is not None, is_right())\n"
    assert run_python(code, **POOL).split() == ["True", "True"]
    assert run_python(code, NUMBA_THREADING_LAYER="workqueue", **POOL).split() == ["False", "True"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="no list of threads")
def test_threads_are_started_by_the_first_parallel_kernel(run_python):
    output = run_python(
        """
    import os
    before = len(os.listdir("/proc/self/task"))
    import numtorch as torch
    print(len(os.listdir("/proc/self/task")) == before)
    """,
        OPENBLAS_NUM_THREADS="1",
        **POOL,
    )
    assert output.split() == ["True"]


def test_workers_that_have_gone_to_sleep_are_woken(run_python):
    output = run_python(
        START
        + """
    for pause in (0, 0.001, 0.01, 0.2):
        time.sleep(pause)
        print(is_right())
    """,
        **POOL,
    )
    assert output.split() == ["True"] * 4


def test_a_reduction_of_the_users_gives_the_same_sum_every_time(run_python):
    output = run_python(
        START
        + """
    sums = {users_sum(x) for _ in range(200)}
    print(len(sums), abs(sums.pop() - x.sum() / 3) < 1e-3)
    """,
        **POOL,
    )
    assert output.split() == ["1", "True"]


def test_the_users_number_of_threads_holds_for_the_users_kernels(run_python):
    output = run_python(
        START
        + """
    @numba.njit(parallel=True)
    def where(n):
        ids = np.zeros(n, np.int64)
        for i in prange(n):
            ids[i] = numba.get_thread_id()
        return ids

    for number in (1, 2, 3):
        numba.set_num_threads(number)
        print(sorted(set(where(12).tolist())), is_right(), numba.get_num_threads())
    """,
        **POOL,
    )
    assert output.splitlines() == ["[0] True 1", "[0, 1] True 2", "[0, 1, 2] True 3"]


def test_a_schedule_of_many_small_parts_is_worked_off(run_python):
    output = run_python(
        START
        + """
    @numba.njit(parallel=True)
    def users_double(x, out):
        for i in prange(x.size):
            out[i] = 2 * x[i]

    with numba.parallel_chunksize(1):
        users_double(x, out)
    print((out == 2 * x).all())
    """,
        **POOL,
    )
    assert output.split() == ["True"]


def test_a_region_inside_a_region_runs_where_it_stands(run_python):
    output = run_python(
        START
        + """
    @numba.njit(parallel=True)
    def inner(x, out):
        for i in prange(x.size):
            out[i] = x[i] + 1

    @numba.njit(parallel=True)
    def outer(x, out):
        for r in prange(x.shape[0]):
            inner(x[r], out[r])

    matrix = x.reshape(100, 1000)
    sums = np.empty_like(matrix)
    outer(matrix, sums)
    print((sums == matrix + 1).all())
    """,
        **POOL,
    )
    assert output.split() == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_threads_launch_and_fork_at_once_and_every_child_has_a_pool(run_python):
    output = run_python(
        START
        + """
    from concurrent.futures import ThreadPoolExecutor

    def work(number):
        mine, right = np.empty_like(x), True
        for turn in range(60):
            double(x + number, mine)
            right &= bool((mine == 2 * (x + number)).all())
            if number % 2:
                right &= abs(users_sum(x) - x.sum() / 3) < 1e-3
            if number == 0 and turn % 20 == 0:
                child = os.fork()
                if child == 0:
                    for _ in range(5):
                        double(x, mine)
                        right &= bool((mine == 2 * x).all())
                    os._exit(0 if right else 1)
                right &= os.waitpid(child, 0)[1] == 0
        return right

    with ThreadPoolExecutor(6) as executor:
        print(all(executor.map(work, range(6))))
    """,
        **POOL,
    )
    assert output.split() == ["True"]


def test_an_exception_in_a_loop_leaves_a_pool_that_works(run_python):
    output = run_python(
        START
        + """
    @jit
    def checked(value, bad):
        if value == bad:
            raise ValueError("bad value")
        return value

    @jit(parallel=True)
    def refuse(x, out, bad):
        for i in prange(x.size):
            out[i] = checked(x[i], bad)

    for bad in (x[0], x[-1]):
        try:
            refuse(x, out, bad)  # an exception in a worker is lost, as it is in Numba's own pools
        except ValueError as error:
            assert str(error) == "bad value"
        print(is_right())
    """,
        **POOL,
    )
    assert output.split() == ["True", "True"]
