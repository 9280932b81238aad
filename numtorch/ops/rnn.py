"""LSTM, GRU and RNN over sequences, and their cells, in torch's signatures (`torch.lstm`, `torch.lstm_cell`,
...).

One layer in one direction is one primitive over `kernels/cpu/rnn.py`: the input of all steps times W_ih is
one product, the loop over time one kernel, and the gradients of the weights single products again. The layer
written in differentiable operators (`_layer_by_steps`) serves where that does not: projections, and gradients
of gradients.

Letters: T steps, B sequences, I inputs, H hidden size, P projection (else H), L layers, D directions, N rows
of all steps together. A packed sequence holds batch_sizes[t] rows in step t, the longest sequence first.
"""

from __future__ import annotations

import numpy as np

from numtorch.graph import mode as grad_mode
from numtorch.kernels.cpu.matmul import mm
from numtorch.kernels.cpu.rnn import GATES, GRU, LSTM, RNN_RELU, RNN_TANH, rnn_backward, rnn_forward

from .._dtype import float32, float64
from .._primitive import primitive
from .._registry import FUNCTIONS, op
from .._tensor import Tensor, wrap

_LAYERS = {LSTM: "lstm", GRU: "gru", RNN_TANH: "rnn_tanh", RNN_RELU: "rnn_relu"}
_SAVED = ("input", "hx", "cx", "w_ih", "w_hh", "b_ih", "b_hh", "result3", "result4", "result5", "result6")


@primitive(node="RnnLayerBackward0", save=_SAVED, nondifferentiable=(3, 4, 5, 6), public=False)
def _rnn_layer(input, hx, cx, w_ih, w_hh, b_ih, b_hh, kind, batch_sizes, reverse, keep):
    """(output, h_n, c_n) and, with `keep`, what the backward pass reads: gates, h, c (or GRU's y_n), tanh(c)
    by row.

    input (N, I), hx and cx (B, H) (cx None but for LSTM), w_ih (G H, I), w_hh (G H, H), biases (G H,) or
    None, batch_sizes an int64 array (T,).
    """
    dtype = input._dtype
    rows, inputs = input._size
    batch, size = hx._size
    new, nothing = np.empty, np.empty(0, dtype.np)
    h = _flat(hx).copy()
    c = nothing if cx is None else _flat(cx).copy()
    output = new(rows * size, dtype.np)
    gates = new(rows * GATES[kind] * size, dtype.np) if keep else nothing
    saved_h = new(rows * size, dtype.np) if keep else nothing
    saved_c = new(rows * size, dtype.np) if keep and kind <= GRU else nothing
    saved_tanh = new(rows * size, dtype.np) if keep and kind == LSTM else nothing
    rnn_forward(
        kind, batch_sizes, reverse, _flat(input), _flat(w_ih), _flat(w_hh),
        nothing if b_ih is None else _flat(b_ih), nothing if b_hh is None else _flat(b_hh),
        h, c, output, gates, saved_h, saved_c, saved_tanh, inputs, size,
    )  # fmt: skip
    last_c = wrap(c, (0 if cx is None else batch, size), dtype)
    results = [wrap(output, (rows, size), dtype), wrap(h, (batch, size), dtype), last_c]
    if keep:
        results += [wrap(x, (x.size,), dtype) for x in (gates, saved_h, saved_c, saved_tanh)]
    return tuple(results)


_rnn_layer.derivative_of("input", "hx", "cx", "w_ih", "w_hh", "b_ih", "b_hh")


@_rnn_layer.backward
def _(ctx, grad_output, grad_h, grad_c):
    if grad_mode.enabled:
        return _differentiable_backward(ctx, grad_output, grad_h, grad_c)
    dtype = ctx.input._dtype
    rows, inputs = ctx.input._size
    batch, size = ctx.hx._size
    total = GATES[ctx.kind] * size
    nothing = np.empty(0, dtype.np)
    gates, saved_h, saved_c, saved_tanh = (getattr(ctx, f"result{i}").flat() for i in (3, 4, 5, 6))
    weight_ih, weight_hh = _flat(ctx.w_ih), _flat(ctx.w_hh)
    d_output = nothing if grad_output is None else _flat(grad_output)
    d_h = np.zeros(batch * size, dtype.np) if grad_h is None else _flat(grad_h).copy()
    d_c = nothing
    if ctx.kind == LSTM:
        d_c = np.zeros(batch * size, dtype.np) if grad_c is None else _flat(grad_c).copy()
    d_gates = np.empty(rows * total, dtype.np)
    d_recurrent = np.empty(rows * total, dtype.np) if ctx.kind == GRU else d_gates
    rnn_backward(
        ctx.kind,
        ctx.batch_sizes,
        ctx.reverse,
        d_output,
        gates,
        weight_hh,
        saved_h,
        saved_c,
        saved_tanh,
        d_h,
        d_c,
        d_gates,
        d_recurrent,
        size,
    )
    grads = {"hx": wrap(d_h, (batch, size), dtype)}
    if ctx.kind == LSTM:
        grads["cx"] = wrap(d_c, (batch, size), dtype)
    if ctx.needs("input"):
        grads["input"] = wrap(mm(d_gates, weight_ih, rows, total, inputs), (rows, inputs), dtype)
    if ctx.needs("w_ih"):
        d_weight = mm(d_gates, _flat(ctx.input), total, rows, inputs, transpose_a=True)
        grads["w_ih"] = wrap(d_weight, (total, inputs), dtype)
    if ctx.needs("w_hh"):
        d_weight = mm(d_recurrent, saved_h, total, rows, size, transpose_a=True)
        grads["w_hh"] = wrap(d_weight, (total, size), dtype)
    for name, part in (("b_ih", d_gates), ("b_hh", d_recurrent)):
        if ctx.needs(name):
            grads[name] = wrap(part.reshape(rows, total).sum(0), (total,), dtype)
    return grads


def _differentiable_backward(ctx, grad_output, grad_h, grad_c):
    """The same gradients as a graph: the layer again in differentiable operators, and their gradient."""
    from ..autograd import grad

    names = ("input", "hx", "cx", "w_ih", "w_hh", "b_ih", "b_hh")
    # Views of the arguments, so that one is never an ancestor of another.
    given = {name: getattr(ctx, name) for name in names}
    given = {name: None if t is None else t.view(t.shape) for name, t in given.items()}
    output, h, c = _layer_by_steps(*given.values(), None, ctx.kind, ctx.batch_sizes.tolist(), ctx.reverse)
    wanted = [name for name in names if given[name] is not None and ctx.needs(name)]
    ends = [(y, g) for y, g in ((output, grad_output), (h, grad_h), (c, grad_c)) if g is not None]
    results = grad(
        [y for y, _ in ends],
        [given[name] for name in wanted],
        [g for _, g in ends],
        create_graph=True,
        allow_unused=True,
    )
    return dict(zip(wanted, results, strict=True))


def _flat(t: Tensor):
    flat = t._flat
    return t.contiguous().flat() if flat is None else flat


def _run_layer(input, hx, cx, w_ih, w_hh, b_ih, b_hh, kind, batch_sizes, reverse):
    """(output (N, H), h_n, c_n (B, H)) by the kernel."""
    keep = grad_mode.enabled and (
        input._requires_grad or hx._requires_grad or w_ih._requires_grad or w_hh._requires_grad
        or (cx is not None and cx._requires_grad)
        or (b_ih is not None and (b_ih._requires_grad or b_hh._requires_grad))
    )  # fmt: skip
    results = _rnn_layer(input, hx, cx, w_ih, w_hh, b_ih, b_hh, kind, batch_sizes, reverse, keep)
    return results[:3]


def _layer_by_steps(input, h, c, w_ih, w_hh, b_ih, b_hh, w_hr, kind, batch_sizes, reverse):
    """The layer in differentiable operators; with `w_hr` (P, H) an LSTM has h = w_hr (o tanh(c))."""
    cat = FUNCTIONS[""]["cat"]
    gates = input.matmul(w_ih.t())
    gates = gates if b_ih is None else gates + b_ih
    w_hh_t = w_hh.t()
    ends = np.cumsum(batch_sizes).tolist()
    outputs = {}
    steps = range(len(batch_sizes))
    for t in reversed(steps) if reverse else steps:
        n = batch_sizes[t]
        x, before = gates[ends[t] - n : ends[t]], h[:n]
        y = before.matmul(w_hh_t)
        y = y if b_hh is None else y + b_hh
        if kind == LSTM:
            i, f, g, o = (x + y).chunk(4, 1)
            new_c = f.sigmoid() * c[:n] + i.sigmoid() * g.tanh()
            c = new_c if n == len(c) else cat((new_c, c[n:]))
            new = o.sigmoid() * new_c.tanh()
            new = new if w_hr is None else new.matmul(w_hr.t())
        elif kind == GRU:
            (x_r, x_z, x_n), (y_r, y_z, y_n) = x.chunk(3, 1), y.chunk(3, 1)
            new = ((x_r + y_r).sigmoid() * y_n + x_n).tanh()
            new = new + (x_z + y_z).sigmoid() * (before - new)
        else:
            new = (x + y).tanh() if kind == RNN_TANH else (x + y).relu()
        h = new if n == len(h) else cat((new, h[n:]))
        outputs[t] = new
    return cat([outputs[t] for t in steps]), h, c


def _layers(kind, rows, batch_sizes, hx, cx, params, has_biases, num_layers, dropout, train, bidirectional):
    """All layers and directions over rows (N, I): (output (N, D P), h_n, c_n (L D, B, P or H))."""
    cat, stack = FUNCTIONS[""]["cat"], FUNCTIONS[""]["stack"]
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    projected = kind == LSTM and hx._size[2] != cx._size[2]
    each += projected
    if len(params) != each * num_layers * directions:
        raise RuntimeError(
            f"{_LAYERS[kind]}: expected {each * num_layers * directions} params for num_layers={num_layers}, "
            f"has_biases={has_biases}, bidirectional={bidirectional}, but got {len(params)}"
        )
    sizes = np.array(batch_sizes, dtype=np.int64)
    last_h, last_c = [], []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            w_ih, w_hh, *rest = params[each * k : each * (k + 1)]
            b_ih, b_hh = rest[:2] if has_biases else (None, None)
            h, c = hx[k], None if cx is None else cx[k]
            _check_layer(kind, rows, h, w_ih, w_hh, b_ih, b_hh)
            if projected:
                y, h, c = _layer_by_steps(
                    rows, h, c, w_ih, w_hh, b_ih, b_hh, rest[-1], kind, batch_sizes, direction == 1
                )
            else:
                y, h, c = _run_layer(rows, h, c, w_ih, w_hh, b_ih, b_hh, kind, sizes, direction == 1)
            outputs.append(y)
            last_h.append(h)
            last_c.append(c)
        rows = outputs[0] if directions == 1 else cat(outputs, 1)
        if dropout and train and layer < num_layers - 1:
            rows = FUNCTIONS[""]["dropout"](rows, dropout, True)
    h = stack(last_h) if len(last_h) > 1 else last_h[0].unsqueeze(0)
    if kind != LSTM:
        return rows, h, None
    return rows, h, stack(last_c) if len(last_c) > 1 else last_c[0].unsqueeze(0)


def _check_layer(kind, rows, h, w_ih, w_hh, b_ih, b_hh):
    """Shapes and dtypes fit together; RuntimeError names the one that does not."""
    total, inputs = w_ih._size
    if rows._size[1] != inputs:
        raise RuntimeError(
            f"{_LAYERS[kind]}: input has {rows._size[1]} features, but its layer's w_ih is {list(w_ih._size)}"
        )
    if tuple(w_hh._size) != (total, h._size[1]):
        raise RuntimeError(f"{_LAYERS[kind]}: expected w_hh to be [{total}, {h._size[1]}], but got {list(w_hh._size)}")
    if total % GATES[kind]:
        raise RuntimeError(f"{_LAYERS[kind]}: w_ih has {total} rows, not a multiple of {GATES[kind]}")
    for name, bias in (("b_ih", b_ih), ("b_hh", b_hh)):
        if bias is not None and tuple(bias._size) != (total,):
            raise RuntimeError(f"{_LAYERS[kind]}: expected {name} to be [{total}], got {list(bias._size)}")
    for name, t in (("hidden state", h), ("w_ih", w_ih), ("w_hh", w_hh), ("b_ih", b_ih), ("b_hh", b_hh)):
        if t is not None and t._dtype is not rows._dtype:
            raise RuntimeError(
                f"{_LAYERS[kind]}: expected {name} of the input's dtype {rows._dtype}, but got {t._dtype}"
            )


def _sequence(kind, args, kwargs):
    """`lstm(input, hx, params, ...)` and kin, or packed `lstm(data, batch_sizes, hx, params, ...)`."""
    names = ["input", "hx", "params"] + _OPTIONS + ["batch_first"]
    if "batch_sizes" in kwargs or len(args) > 1 and _is_packed(kind, args):
        names = ["data", "batch_sizes", "hx", "params"] + _OPTIONS
    if len(args) > len(names):
        raise TypeError(f"{_LAYERS[kind]}() takes at most {len(names)} arguments ({len(args)} given)")
    given = dict(zip(names, args, strict=False)) | kwargs
    absent = [name for name in names if name not in given]
    if absent or len(given) > len(names):
        wrong = sorted(set(given) ^ set(names))
        raise TypeError(f"{_LAYERS[kind]}() missing or unexpected arguments: {wrong}")
    hx, cx = given["hx"] if kind == LSTM else (given["hx"], None)
    params, options = list(given["params"]), [given[name] for name in _OPTIONS]
    if "data" in given:
        data, sizes = given["data"], given["batch_sizes"].tolist()
        _check_batch_sizes(kind, data, sizes, hx)
        return _in_working_dtype(kind, data, sizes, hx, cx, params, options)
    input = given["input"]
    if input.dim() != 3:
        raise RuntimeError(f"{_LAYERS[kind]}: expected input to be 3-D, but got {input.dim()}-D")
    x = input.transpose(0, 1) if given["batch_first"] else input
    steps, batch, inputs = x.shape
    if steps == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    _check_batch_sizes(kind, None, [batch], hx)
    rows = x.reshape(steps * batch, inputs)
    output, *state = _in_working_dtype(kind, rows, [batch] * steps, hx, cx, params, options)
    output = output.view(steps, batch, -1)
    return (output.transpose(0, 1) if given["batch_first"] else output, *state)


_OPTIONS = ["has_biases", "num_layers", "dropout", "train", "bidirectional"]


def _is_packed(kind, args):
    return isinstance(args[1], Tensor) and (kind == LSTM or len(args) > 2 and isinstance(args[2], Tensor))


def _check_batch_sizes(kind, data, sizes, hx):
    if data is not None:
        if not sizes or min(sizes) < 1 or any(a < b for a, b in zip(sizes, sizes[1:], strict=False)):
            raise RuntimeError(f"{_LAYERS[kind]}: batch_sizes must be positive and must not rise")
        if sum(sizes) != data.shape[0]:
            raise RuntimeError(
                f"{_LAYERS[kind]}: batch_sizes add up to {sum(sizes)}, but data has {data.shape[0]} rows"
            )
    if hx.dim() != 3 or hx.shape[1] != sizes[0]:
        raise RuntimeError(f"{_LAYERS[kind]}: expected hidden state with {sizes[0]} rows, but got {list(hx.shape)}")


def _in_working_dtype(kind, rows, sizes, hx, cx, params, options):
    """float16 and bfloat16 run in float32, for the kernels know only float32 and float64."""
    dtype = rows._dtype
    if dtype is float32 or dtype is float64:
        results = _layers(kind, rows, sizes, hx, cx, params, *options)
    else:
        cx = None if cx is None else cx.float()
        results = _layers(kind, rows.float(), sizes, hx.float(), cx, [p.float() for p in params], *options)
        results = [None if t is None else t.to(dtype) for t in results]
    return tuple(results[: 3 if kind == LSTM else 2])


@op(method=False)
def lstm(*args, **kwargs):
    """(output, h_n, c_n) of `lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)`.

    Or packed: `lstm(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)`.
    hx is (h_0, c_0); params go layer by layer, direction by direction: w_ih, w_hh[, b_ih, b_hh][, w_hr].
    """
    return _sequence(LSTM, args, kwargs)


@op(method=False)
def gru(*args, **kwargs):
    """(output, h_n) of a GRU; arguments as in `lstm`, with hx a tensor."""
    return _sequence(GRU, args, kwargs)


@op(method=False)
def rnn_tanh(*args, **kwargs):
    """(output, h_n) of an RNN with tanh; arguments as in `lstm`, with hx a tensor."""
    return _sequence(RNN_TANH, args, kwargs)


@op(method=False)
def rnn_relu(*args, **kwargs):
    """(output, h_n) of an RNN with relu; arguments as in `lstm`, with hx a tensor."""
    return _sequence(RNN_RELU, args, kwargs)


def _cell(kind, input, hx, cx, w_ih, w_hh, b_ih, b_hh):
    if input._size[1] != w_ih._size[1]:
        raise RuntimeError(f"input has inconsistent input_size: got {input._size[1]} expected {w_ih._size[1]}")
    size = w_hh._size[1]
    for label, h in enumerate((hx,) if cx is None else (hx, cx)):
        if h._size[0] != input._size[0]:
            raise RuntimeError(f"Input batch size {input._size[0]} doesn't match hidden{label} batch size {h._size[0]}")
        if h._size[1] != size:
            raise RuntimeError(f"hidden{label} has inconsistent hidden_size: got {h._size[1]}, expected {size}")
    _check_layer(kind, input, hx, w_ih, w_hh, b_ih, b_hh)
    sizes = np.array((input._size[0],), dtype=np.int64)
    if input._dtype is float32 or input._dtype is float64:
        _, h, c = _run_layer(input, hx, cx, w_ih, w_hh, b_ih, b_hh, kind, sizes, False)
        return h, c
    wide = [None if t is None else t.float() for t in (input, hx, cx, w_ih, w_hh, b_ih, b_hh)]
    _, h, c = _run_layer(*wide, kind, sizes, False)
    return h.to(input._dtype), c.to(input._dtype)


@op(method=False)
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: i, f, g, o = w_ih x + b_ih + w_hh h + b_hh; c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c').

    input (B, I), hx = (h, c) (B, H), w_ih (4 H, I), w_hh (4 H, H) -> (h', c').
    """
    h, c = hx
    return _cell(LSTM, input, h, c, w_ih, w_hh, b_ih, b_hh)


@op(method=False)
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: r, z = s(x + y), n = tanh(x_n + r y_n), h' = (1 - z) n + z h; w_ih (3 H, I)."""
    return _cell(GRU, input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


@op(method=False)
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: h' = tanh(w_ih x + b_ih + w_hh h + b_hh)."""
    return _cell(RNN_TANH, input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


@op(method=False)
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step: h' = relu(w_ih x + b_ih + w_hh h + b_hh)."""
    return _cell(RNN_RELU, input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]
