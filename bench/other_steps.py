"""The training steps of workloads/training.py once more, for jax and for tinygrad, each as its own documentation has it.

A step is made from the name and the tensors (weights in torch's order, then input and target) that others.py hands
over; a call makes one step and returns the loss of before it. Sizes and constants are those of workloads/training.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np


def jax_step(name: str, tensors: list[np.ndarray]) -> Callable:
    """The step as jax writes it: pure functions of (weights, optimizer state), compiled as one program."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    def linear(x, weight, bias):
        return x @ weight.T + bias

    def conv_relu_pool(x, weight, bias, padding):
        x = lax.conv_general_dilated(x, weight, (1, 1), [(padding, padding)] * 2) + bias[:, None, None]
        return lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def cross_entropy(scores, target):
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), target[:, None], 1).mean()

    def two_layer(weights, x, y):
        w1, w2 = weights
        return jnp.square(jax.nn.relu(x @ w1) @ w2 - y).sum()

    def dense(x, weights):
        *hidden, last = zip(weights[::2], weights[1::2], strict=True)
        for weight, bias in hidden:
            x = jax.nn.relu(linear(x, weight, bias))
        return linear(x, *last)

    def mlp(weights, x, target):
        return cross_entropy(dense(x.reshape(x.shape[0], -1), weights), target)

    def lenet(weights, x, target):
        x = conv_relu_pool(conv_relu_pool(x, *weights[:2], 2), *weights[2:4], 0)
        return cross_entropy(dense(x.reshape(x.shape[0], -1), weights[4:]), target)

    def char_lstm(weights, text, target):
        table, w_ih, w_hh, b_ih, b_hh, *decoder = weights

        def cell(carry, x):
            h, c = carry
            i, f, g, o = jnp.split(x + h @ w_hh.T, 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((text.shape[1], w_hh.shape[1]))
        hidden = lax.scan(cell, (zeros, zeros), linear(table[text], w_ih, b_ih + b_hh))[1]
        return cross_entropy(linear(hidden, *decoder).reshape(-1, 65), target)

    def plain(weights, grads, state):
        return [w - 1e-9 * g for w, g in zip(weights, grads, strict=True)], state

    def sgd(weights, grads, state):
        state = [0.9 * v + g for v, g in zip(state, grads, strict=True)]
        return [w - 1e-4 * v for w, v in zip(weights, state, strict=True)], state

    def adam(weights, grads, state):
        step, first, second = state
        step += 1
        first = [0.9 * m + 0.1 * g for m, g in zip(first, grads, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads, strict=True)]
        rate, scale = 1e-4 / (1 - 0.9**step), 1 / (1 - 0.999**step)
        moved = zip(weights, first, second, strict=True)
        return [w - rate * m / (jnp.sqrt(v * scale) + 1e-8) for w, m, v in moved], (step, first, second)

    loss_of = {"two-layer": two_layer, "mlp": mlp, "lenet": lenet, "char-lstm": char_lstm}[name]
    update = {"two-layer": plain, "char-lstm": adam}.get(name, sgd)
    *weights, x, target = map(jnp.asarray, tensors)
    zeros = [jnp.zeros_like(w) for w in weights]
    state = (jnp.zeros(()), zeros, [jnp.zeros_like(w) for w in weights]) if update is adam else zeros

    def step(weights, state, x, target):
        loss, grads = jax.value_and_grad(loss_of)(weights, x, target)
        return loss, *update(weights, grads, state)

    compiled = jax.jit(step, donate_argnums=(0, 1))

    def run():
        nonlocal weights, state
        loss, weights, state = jax.block_until_ready(compiled(weights, state, x, target))
        return loss

    return run


def tinygrad_step(name: str, tensors: list[np.ndarray]) -> Callable:
    """The step as tinygrad writes it: lazy tensors, its own optimizers, TinyJit replaying the captured kernels.

    Its CPU backend runs the compiler `clang` (or what CC names). It has no loop over time: an LSTM is unrolled, and two
    of the 32 steps of the char-LSTM, forward and backward, already take clang 23 s of a core's time.
    """
    if name == "char-lstm":
        raise NotImplementedError("the LSTM unrolled over 32 steps compiles for minutes")
    os.environ.setdefault("DEV", "CPU")
    from tinygrad import Context, Device, Tensor, TinyJit
    from tinygrad.nn.optim import SGD

    def dense(x, weights):
        *hidden, last = zip(weights[::2], weights[1::2], strict=True)
        for weight, bias in hidden:
            x = x.linear(weight.T, bias).relu()
        return x.linear(last[0].T, last[1])

    def two_layer(x, y):
        w1, w2 = weights
        return ((x @ w1).relu() @ w2 - y).square().sum()

    def mlp(x, target):
        return dense(x.flatten(1), weights).sparse_categorical_crossentropy(target)

    def lenet(x, target):
        x = x.conv2d(*weights[:2], padding=2).relu().max_pool2d()
        x = x.conv2d(*weights[2:4]).relu().max_pool2d()
        return dense(x.flatten(1), weights[4:]).sparse_categorical_crossentropy(target)

    *weights, x, target = [Tensor(t).realize() for t in tensors]
    x, target = x.is_param_(False), target.is_param_(False)
    loss_of = {"two-layer": two_layer, "mlp": mlp, "lenet": lenet}[name]
    optimizer = SGD(weights, 1e-9) if name == "two-layer" else SGD(weights, 1e-4, momentum=0.9)

    @TinyJit
    @Context(TRAINING=1)
    def step():
        optimizer.zero_grad()
        loss = loss_of(x, target).backward()
        return loss.realize(*optimizer.schedule_step())

    def run():
        loss = step()
        Device[Device.DEFAULT].synchronize()
        return loss

    return run
