"""The vector operations in plain Python, for NUMBA_DISABLE_JIT=1 and as their definition: a vector is a numpy array."""

from __future__ import annotations

import numpy as np

from .. import host


def lanes(array):
    return host.vector_bytes() // array.itemsize


def broadcast(array, value):
    return np.full(lanes(array), value, array.dtype)


def load(array, position):
    return array[position : position + lanes(array)].copy()


def load_part(array, position, count):
    vector = np.zeros(lanes(array), array.dtype)
    count = max(0, min(count, vector.size))
    vector[:count] = array[position : position + count]
    return vector


def load_every(array, position, step, count):
    vector = np.zeros(lanes(array), array.dtype)
    count = max(0, min(count, vector.size))
    vector[:count] = array[position : position + count * step : step][:count]
    return vector


def load_at(array, position, places, count):
    vector = np.zeros(lanes(array), array.dtype)
    for e in range(max(0, min(count, vector.size))):
        if places[e] >= 0:
            vector[e] = array[position + places[e]]
    return vector


def store(array, position, value):
    array[position : position + value.size] = value


def store_part(array, position, count, value):
    count = max(0, min(count, value.size))
    array[position : position + count] = value[:count]


def fma(a, b, c):
    return a * b + c


def square_root(a):
    return np.sqrt(a)


def larger(a, b):
    return np.maximum(a, b)


def smaller(a, b):
    return np.minimum(a, b)


def pick(mask, a, b):
    return np.where(mask, a, b)


def bits_as(number_class, vector):
    return vector.view(number_class)


def convert(number_class, vector):
    return vector.astype(number_class)


def add_up(vector):
    while vector.size > 1:
        half = vector.size // 2
        vector = vector[:half] + vector[half:]
    return vector[0]


def largest(vector):
    return vector.max()


def smallest(vector):
    return vector.min()


def lane(vector, number):
    return vector[number]


def evens(a, b):
    return np.concatenate((a, b))[::2]


def odds(a, b):
    return np.concatenate((a, b))[1::2]


def in_turn_low(a, b):
    return np.stack((a, b), 1).reshape(-1)[: a.size]


def in_turn_high(a, b):
    return np.stack((a, b), 1).reshape(-1)[a.size :]
