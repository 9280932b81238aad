"""The thread pool that runs prange loops, in Python: the other threads of a parallel region, and how they share it.

Numba compiles a prange loop to a call of the C function `numba_parallel_for`, which has to call the loop's body for
every part of the schedule. The one below takes the place of Numba's own (25 to 80 us a region) for everything that is
linked after `install`, kernels of the user's as well. A region costs 1 to 2 us more than the same loop run serially.

A region is cut into *units*. Whoever has time claims one: the thread that launches takes units from the front, the
workers from the back, so that with two threads each finds its own part of the data in its own cache again. The launcher
waits only for units that somebody else has claimed: a worker that sleeps, that the scheduler holds back, or that a fork
has not copied delays nothing. If the pool is busy, because two Python threads launch at once or because a unit launches
a region itself, the region runs in the thread that asked for it.

What threads share is a block of words. All claims go through one of them, the ticket:

    bits 32..63  the number of the region      bits 16..31  units claimed in front      bits 0..15  end of those at the back

A unit is claimed by one compare-and-swap of the ticket. So a worker that was held back between its look at the ticket and
its claim cannot take a unit of a later region for one of the region that it has looked at.

Workers wait for the next region in a loop of pauses for about a millisecond, then sleep on a lock of Python's C API,
which is there on every platform and needs no interpreter. The first region starts them.
"""

from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numpy as np
from numba import types
from numba.np.ufunc import parallel as numba_pool

from .atomics import add, call, load, pause, read, stack_words, store, swap_if, symbol, write
from .compiler import jit

# Places in the block, in bytes. What different threads write is 128 bytes apart: two cache lines, which is what
# prefetchers fetch together.
TICKET = 0
DONE = 128  # units of the region that workers have finished
BUSY = 256  # 1 while a region runs
REGION = 384  # function, args, dims, steps, data, arrays, inner dims, parts of the schedule, units, threads
SETTINGS = 512  # from here: written once, by install()
START, ALLOCATE, ACQUIRE, RELEASE, IDENTITY, YIELD, WORKER, GET_THREADS, SET_THREADS, SIZE, LIMIT = range(
    SETTINGS, SETTINGS + 88, 8
)
STARTED = 640  # threads there are, the launcher among them
SLOTS = 768
SLOT = 128  # bytes for each thread; slot 0 is the launcher's
ASLEEP, LOCK, THREAD, UNIT = 0, 8, 16, 24  # places in a slot

#: Pauses that a worker waits before it sleeps: 0.3 to 1 ms. Between the regions of a training step lie 10 to 200 us, and
#: to wake a thread takes 5 to 50 us.
PATIENCE = 20_000
#: Pauses between two offers to let another thread have the core.
POLITENESS = 256
#: Units for each thread: what is lost when a worker comes late or is held back is at most one of them.
UNITS = 4
MOST_UNITS = 65535
SCRATCH = 512  # words on a thread's stack for the arguments of a unit

_block: np.ndarray | None = None


@jit
def work_off(block, region, slot, scratch):
    """Claim and run units of region number `region` until there are none. Returns how many it ran."""
    mine = 0
    from_front = slot == 0
    while True:
        ticket = load(block + TICKET)
        front = (ticket >> 16) & 65535
        back = ticket & 65535
        if ticket >> 32 != region or front >= back:
            return mine
        if not swap_if(block + TICKET, ticket, ticket + 65536 if from_front else ticket - 1):
            continue
        # From here on the region cannot end before this unit has: what it says may be read.
        unit = front if from_front else back - 1
        here = block + REGION
        args, dims, steps = read(here + 8), read(here + 16), read(here + 24)
        arrays, inner, parts, units = read(here + 40), read(here + 48), read(here + 56), read(here + 64)
        first = unit * parts // units
        write(scratch, (unit + 1) * parts // units - first)
        for i in range(1, inner + 1):
            write(scratch + 8 * i, read(dims + 8 * i))
        given = scratch + 8 * (inner + 1)
        for i in range(arrays):
            write(given + 8 * i, read(args + 8 * i) + first * read(steps + 8 * i))
        write(block + SLOTS + SLOT * slot + UNIT, unit)
        call(read(here), given, scratch, steps, read(here + 32))
        mine += 1
        if not from_front:
            add(block + DONE, 1)


@jit
def worker(slot):
    """The life of the thread with number `slot`."""
    block = symbol("numtorch_pool")
    scratch = stack_words(512)
    me = block + SLOTS + SLOT * slot
    store(me + THREAD, call(read(block + IDENTITY)))
    seen = -1
    waited = 0
    while True:
        ticket = load(block + TICKET)
        if ticket >> 32 != seen:
            seen = ticket >> 32
            waited = 0
            threads = load(block + REGION + 72)
            if slot < threads:
                work_off(block, seen, slot, scratch)
        elif waited < PATIENCE:
            waited += 1
            pause()
            if waited % POLITENESS == 0:
                call(read(block + YIELD))
        else:
            waited = 0
            store(me + ASLEEP, 1)
            # Either a launcher takes the 1 away, and then it opens the lock, or this thread does and goes on.
            if load(block + TICKET) >> 32 == seen or not swap_if(me + ASLEEP, 1, 0):
                call(read(block + ACQUIRE), read(me + LOCK), 1)


@jit
def start_workers(block, threads):
    """Start what is missing to `threads` threads. Returns how many there are."""
    started = read(block + STARTED)
    while started < threads:
        lock = call(read(block + ALLOCATE))
        if lock == 0:
            break
        call(read(block + ACQUIRE), lock, 1)
        slot = block + SLOTS + SLOT * started
        store(slot + LOCK, lock)
        store(slot + ASLEEP, 0)
        if call(read(block + START), read(block + WORKER), started) & 0xFFFFFFFF == 0xFFFFFFFF:
            break
        started += 1
        store(block + STARTED, started)
    return started


@jit
def parallel_for(function, args, dims, steps, data, inner, arrays, num_threads):
    """Call function(args, dims, steps, data) for all dims[0] parts of a schedule, with `args` moved on by `steps` to the
    first part and dims[0] set to the number of parts.

    More than `SIZE` threads is how a launch of ours asks for that many units on `LIMIT` threads.
    """
    block = symbol("numtorch_pool")
    parts = read(dims)
    units = min(parts, num_threads, MOST_UNITS)
    threads = num_threads if num_threads <= read(block + SIZE) else read(block + LIMIT)
    if threads < 2 or units < 2 or inner + 1 + arrays > SCRATCH or not swap_if(block + BUSY, 0, 1):
        call(function, args, dims, steps, data)
        return
    threads = min(threads, start_workers(block, threads))
    here = block + REGION
    write(here, function)
    write(here + 8, args)
    write(here + 16, dims)
    write(here + 24, steps)
    write(here + 32, data)
    write(here + 40, arrays)
    write(here + 48, inner)
    write(here + 56, parts)
    write(here + 64, units)
    store(here + 72, threads)
    write(block + SLOTS + THREAD, call(read(block + IDENTITY)))
    store(block + DONE, 0)
    region = ((load(block + TICKET) >> 32) + 1) & 0x7FFFFFFF
    store(block + TICKET, region << 32 | units)
    for slot in range(1, threads):
        sleeper = block + SLOTS + SLOT * slot
        if load(sleeper + ASLEEP) == 1 and swap_if(sleeper + ASLEEP, 1, 0):
            call(read(block + RELEASE), read(sleeper + LOCK))
    left = units - work_off(block, region, np.int64(0), stack_words(512))
    waited = 0
    while load(block + DONE) != left:
        waited += 1
        pause()
        if waited % POLITENESS == 0:
            call(read(block + YIELD))
    write(block + SLOTS + THREAD, 0)
    store(block + BUSY, 0)


@jit
def thread_id():
    """The unit that this thread is at, 0 outside of regions: the row of a reduction's partial results."""
    block = symbol("numtorch_pool")
    me = call(read(block + IDENTITY))
    for slot in range(read(block + STARTED)):
        if load(block + SLOTS + SLOT * slot + THREAD) == me:
            return load(block + SLOTS + SLOT * slot + UNIT)
    return 0


@jit
def exchange_threads(num_threads):
    """Set Numba's number of threads for the calling thread. Returns what it was."""
    block = symbol("numtorch_pool")
    before = call(read(block + GET_THREADS)) & 0xFFFFFFFF
    call(read(block + SET_THREADS), num_threads)
    return before


# -- Putting it in place of Numba's --------------------------------------------------------------------------------------


def install(limit: int) -> bool:
    """Make parallel kernels that are linked from now on use this pool, with at most `limit` threads for ours.

    Numba's workqueue stays loaded for what is asked of it beside: the schedule, and the number of threads of each thread.
    False, and nothing has changed, where the platform lacks something.
    """
    global _block
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    try:
        yielding = _yield_function()
        python = [_address(getattr(ctypes.pythonapi, name)) for name in _PYTHON_FUNCTIONS]
        own = [llvm.address_of_symbol(name) for name in ("get_num_threads", "set_num_threads")]
    except AttributeError:
        return False
    block = np.zeros((SLOTS + SLOT * numba_pool.NUM_THREADS) // 8 + 16, np.int64)
    # Threads may look at it until the last moment of the process, and so may the code that they run.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(block))
    start = -block.ctypes.data % 128 // 8
    llvm.add_symbol("numtorch_pool", block[start:].ctypes.data)
    _block = block[start:]
    address_of_worker = _c_function(worker, types.void(types.int64))
    words = [*python, yielding, address_of_worker, *own, numba_pool.NUM_THREADS, min(limit, numba_pool.NUM_THREADS)]
    _block[SETTINGS // 8 : SETTINGS // 8 + len(words)] = words
    _block[STARTED // 8] = 1
    llvm.add_symbol("numba_parallel_for", _c_function(parallel_for, types.void(*[types.int64] * 8)))
    identity = _c_function(thread_id, types.int64())
    llvm.add_symbol("get_thread_id", identity)
    numba_pool._get_thread_id = ctypes.CFUNCTYPE(ctypes.c_int64)(identity)
    return True


_PYTHON_FUNCTIONS = (
    "PyThread_start_new_thread",
    "PyThread_allocate_lock",
    "PyThread_acquire_lock",
    "PyThread_release_lock",
    "PyThread_get_thread_ident",
)


def _address(function) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value


def _yield_function() -> int:
    """The C function that lets another thread have the core."""
    if hasattr(ctypes, "windll"):
        return _address(ctypes.windll.kernel32.SwitchToThread)
    return _address(ctypes.CDLL(None).sched_yield)


def _c_function(kernel, signature) -> int:
    """The address of `kernel` as a C function. Never given back."""
    kernel.compile(signature)
    compiled = kernel.overloads[signature.args]
    code = compiled._asdict()["library"]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(code))
    return code.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)


def units(threads: int) -> int:
    """The number to ask Numba's schedule for, where a kernel of ours shall run on `threads` threads."""
    return max(UNITS * threads, numba_pool.NUM_THREADS + 1)


def set_limit(limit: int) -> None:
    """Let our kernels use `limit` threads."""
    if _block is not None:
        _block[LIMIT // 8] = min(limit, numba_pool.NUM_THREADS)


def forget_threads() -> None:
    """In a forked child, which has inherited the words and none of the threads: the next region starts new ones."""
    if _block is not None:
        _block[[STARTED // 8, BUSY // 8]] = 1, 0
        _block[TICKET // 8] &= ~0xFFFFFFFF
        _block[SLOTS // 8 :] = 0
