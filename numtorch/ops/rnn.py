"""LSTM, GRU and RNN over sequences, and their cells, in torch's signatures (`torch.lstm`, `torch.lstm_cell`,
...).

One layer in one direction, dense or packed, is one node over `kernels/cpu/rnn.py` (`rnn_projected.py` with a projection),
and so is a cell, its single step. The layer written in differentiable operators (`_layer_by_steps`) serves gradients of
gradients.

Letters: T steps, B sequences, I inputs, H hidden size, P projection (else H), L layers, D directions, N rows
of all steps together. A packed sequence holds batch_sizes[t] rows in step t, the longest sequence first.
"""

from __future__ import annotations

import functools

import numpy as np

from numtorch.graph import Node, next_sequence, save, stamp, unpack
from numtorch.graph import mode as grad_mode
from numtorch.kernels.cpu.matmul import mm
from numtorch.kernels.cpu.rnn import GATES, GRU, LSTM, RNN_RELU, RNN_TANH, rnn_backward, rnn_forward
from numtorch.kernels.cpu.rnn_projected import projected_backward, projected_forward

from .._allocator import empty
from .._device import cpu
from .._dtype import float32, float64
from .._registry import FUNCTIONS, op
from .._tensor import Tensor, _new, wrap

_LAYERS = {LSTM: "lstm", GRU: "gru", RNN_TANH: "rnn_tanh", RNN_RELU: "rnn_relu"}
_NAMES = ("input", "hx", "cx", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr")


class RnnLayerBackward0(Node):
    """The node of a layer in one direction: outputs output, h_n and, of an LSTM, c_n; of a cell h and c.

    `saved` are the arguments in the order of `_NAMES`, the last one only of a projected layer, None where there are none;
    `buffers` what the kernel kept.
    """

    kind: int
    batch_sizes: np.ndarray
    reverse: bool
    is_cell: bool
    buffers: tuple  # gates, saved_h, saved_c, saved_tanh, the last three empty where the arguments hold them

    def apply(self, grads) -> tuple:
        if self.is_cell:
            grad_output, grad_h = None, grads[0]
            grad_c = grads[1] if self.kind == LSTM else None
        else:
            grad_output, grad_h, grad_c = grads if self.kind == LSTM else (*grads, None)
        if grad_mode.enabled:
            return self._differentiable(grad_output, grad_h, grad_c)
        input, hx, cx, w_ih, w_hh, b_ih, b_hh = unpack(self)
        kind, dtype = self.kind, input._dtype
        number = dtype.np
        to_input, to_hx, to_cx, to_w_ih, to_w_hh, to_b_ih, to_b_hh = [node is not None for node in self.next_nodes]
        gates, saved_h, saved_c, saved_tanh = self.buffers
        size = w_hh._size[1]
        state = int(self.batch_sizes[0]) * size
        if self.is_cell:
            saved_h = np.zeros(state, number) if hx is None else _flat(hx)
            if kind == LSTM:
                saved_c = np.zeros(state, number) if cx is None else _flat(cx)
        d_h = np.zeros(state, number) if grad_h is None else _flat(grad_h).copy()
        if kind != LSTM:
            d_c = _nothing(number)
        else:
            d_c = np.zeros(state, number) if grad_c is None else _flat(grad_c).copy()
        d_input, d_w_ih, d_w_hh, d_b_ih, d_b_hh = rnn_backward(
            kind, self.batch_sizes, self.reverse, _nothing(number) if grad_output is None else _flat(grad_output),
            gates, _flat(w_hh), saved_h, saved_c, saved_tanh, d_h, d_c, _flat(input), _flat(w_ih),
            w_ih._size[1], size, (to_input, to_w_ih, to_w_hh, to_b_ih, to_b_hh),
        )  # fmt: skip
        return (
            wrap(d_input, input._size, dtype) if to_input else None,
            wrap(d_h, hx._size, dtype) if to_hx else None,
            wrap(d_c, cx._size, dtype) if to_cx else None,
            wrap(d_w_ih, w_ih._size, dtype) if to_w_ih else None,
            wrap(d_w_hh, w_hh._size, dtype) if to_w_hh else None,
            wrap(d_b_ih, b_ih._size, dtype) if to_b_ih else None,
            wrap(d_b_hh, b_hh._size, dtype) if to_b_hh else None,
        )

    def release(self) -> None:
        super().release()
        self.buffers = ()

    def _differentiable(self, grad_output, grad_h, grad_c):
        """The same gradients as a graph: the layer again in differentiable operators, and their gradient."""
        from ..autograd import grad

        # Views of the arguments, so that one is never an ancestor of another.
        given = dict.fromkeys(_NAMES)
        given.update({n: None if t is None else t.view(t.shape) for n, t in zip(_NAMES, unpack(self), strict=False)})
        input, hx, cx, *weights = given.values()
        batch, dtype = int(self.batch_sizes[0]), input._dtype
        rows = input.reshape(input._size.numel() // input._size[-1], input._size[-1])
        out, size = weights[1]._size[1], weights[1]._size[0] // GATES[self.kind]
        h = wrap(np.zeros(batch * out, dtype.np), (batch, out), dtype) if hx is None else hx.reshape(batch, out)
        c = None
        if self.kind == LSTM:
            c = wrap(np.zeros(batch * size, dtype.np), (batch, size), dtype) if cx is None else cx.reshape(batch, size)
        output, h, c = _layer_by_steps(rows, h, c, *weights, self.kind, self.batch_sizes.tolist(), self.reverse)
        wanted = [name for name, node in zip(_NAMES, self.next_nodes, strict=False) if node is not None]
        ends = [(y, g) for y, g in ((output, grad_output), (h, grad_h), (c, grad_c)) if g is not None]
        results = grad(
            [y for y, _ in ends],
            [given[name] for name in wanted],
            [g.reshape(y._size) for y, g in ends],
            create_graph=True,
            allow_unused=True,
        )
        found = dict(zip(wanted, results, strict=True))
        return tuple([found.get(name) for name, _ in zip(_NAMES, self.next_nodes, strict=False)])


class ProjectedLstmBackward0(RnnLayerBackward0):
    """The node of an LSTM layer whose state is projected."""

    def apply(self, grads) -> tuple:
        if grad_mode.enabled:
            return self._differentiable(*grads)
        grad_output, grad_h, grad_c = grads
        input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr = unpack(self)
        dtype, batch = input._dtype, int(self.batch_sizes[0])
        number = dtype.np
        needed = [node is not None for node in self.next_nodes]
        gates, saved_h, saved_c, saved_tanh, saved_u = self.buffers
        out, size = w_hr._size
        d_h = np.zeros(batch * out, number) if grad_h is None else _flat(grad_h).copy()
        d_c = np.zeros(batch * size, number) if grad_c is None else _flat(grad_c).copy()
        found = projected_backward(
            self.batch_sizes, self.reverse, _nothing(number) if grad_output is None else _flat(grad_output),
            gates, _flat(w_hh), _flat(w_hr), saved_h, saved_c, saved_tanh, saved_u, d_h, d_c, _flat(input), _flat(w_ih),
            w_ih._size[1], size, out, (needed[0], *needed[3:]),
        )  # fmt: skip
        arguments = (input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr)
        found = (found[0], d_h, d_c, *found[1:])
        return tuple([wrap(g, t._size, dtype) if n else None for g, t, n in zip(found, arguments, needed, strict=True)])


@functools.cache
def _nothing(number):
    return np.empty(0, number)


def _flat(t: Tensor):
    flat = t._flat
    return t.contiguous().flat() if flat is None else flat


def _run_layer(
    input, hx, cx, w_ih, w_hh, b_ih, b_hh, kind, batch_sizes, reverse, output_size, state_size, is_cell=False
):  # fmt: skip
    """(output, h_n, c_n) by the kernel, of the sizes given; c_n is None but for an LSTM.

    Inputs and states have any size with the right number of elements; hx (and cx) None stands for zeros. Of a cell,
    output is h_n and None is returned for it.
    """
    given = (input, hx, cx, w_ih, w_hh, b_ih, b_hh)
    edges = _edges(given)
    dtype = input._dtype
    number = dtype.np
    total, inputs = w_ih._size
    size = w_hh._size[1]
    new, nothing = np.empty, _nothing(number)
    state = int(batch_sizes[0]) * size
    x = _flat(input)
    rows = x.size // inputs if inputs else int(batch_sizes.sum())
    keep = edges is not None
    h = new(state, number)
    c = new(state, number) if kind == LSTM else nothing
    output = h if is_cell else empty(rows * size, number)
    gates = saved_h = saved_c = saved_tanh = nothing
    if keep:
        # One buffer: gates, then what else the backward pass reads; a cell's h and c are arguments, which are saved.
        n, end = rows * size, rows * total
        parts = not is_cell, kind == GRU or kind == LSTM and not is_cell, kind == LSTM
        buffer = empty(end + n * sum(parts), number)
        gates = buffer[:end]
        if parts[0]:
            saved_h, end = buffer[end : end + n], end + n
        if parts[1]:
            saved_c, end = buffer[end : end + n], end + n
        if parts[2]:
            saved_tanh = buffer[end : end + n]
    rnn_forward(
        kind, batch_sizes, reverse, x, _flat(w_ih), _flat(w_hh),
        nothing if b_ih is None else _flat(b_ih), nothing if b_hh is None else _flat(b_hh),
        np.zeros(state, number) if hx is None else _flat(hx),
        nothing if kind != LSTM else np.zeros(state, number) if cx is None else _flat(cx),
        h, c, output, gates, saved_h, saved_c, saved_tanh, inputs, size,
    )  # fmt: skip
    last_h = wrap(h, state_size, dtype)
    last_c = wrap(c, state_size, dtype) if kind == LSTM else None
    result = None if is_cell else wrap(output, output_size, dtype)
    if edges is not None:
        outputs = [t for t in (result, last_h, last_c) if t is not None]
        buffers = (gates, saved_h, saved_c, saved_tanh)
        _record(RnnLayerBackward0, given, edges, outputs, buffers, kind, batch_sizes, reverse, is_cell)
    return result, last_h, last_c


def _edges(given):
    """Where gradients of the arguments go; None if none is wanted."""
    if grad_mode.enabled:
        for t in given:
            if t is not None and t._requires_grad:
                return tuple([None if t is None or not t._requires_grad else t._edge() for t in given])
    return None


def _record(kind_of_node, given, edges, outputs, buffers, kind, batch_sizes, reverse, is_cell):
    """Make `outputs` results of a new node."""
    node = _new(kind_of_node)
    node.sequence_nr = next_sequence()
    node.next_nodes = edges
    nrs = tuple([0 if t is None else t._output_nr for t in given])
    if any(nrs):
        node.next_nrs = nrs
    node.kind, node.batch_sizes, node.reverse, node.is_cell = kind, batch_sizes, reverse, is_cell
    node.buffers = buffers
    node.num_outputs = len(outputs)
    for nr, t in enumerate(outputs):
        t._grad_fn, t._requires_grad = node, True
        if nr:
            t._output_nr = nr
    save(node, given)
    stamp(node)


def _run_projected(
    input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr, batch_sizes, reverse, output_size, h_size, c_size
):  # fmt: skip
    """(output, h_n, c_n) of an LSTM layer whose state is projected by w_hr (P, H), of the sizes given."""
    given = (input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr)
    edges = _edges(given)
    dtype = input._dtype
    number = dtype.np
    total, inputs = w_ih._size
    out, size = w_hr._size
    batch, rows = int(batch_sizes[0]), int(batch_sizes.sum())
    h = np.zeros(batch * out, number) if hx is None else _flat(hx).copy()
    c = np.zeros(batch * size, number) if cx is None else _flat(cx).copy()
    bias = None if b_ih is None else _flat(b_ih) + _flat(b_hh)
    gates = mm(_flat(input), _flat(w_ih), rows, inputs, total, bias=bias, transpose_b=True)
    output = np.empty(rows * out, number)
    kept = [np.empty(rows * n if edges is not None else 0, number) for n in (out, size, size, size)]
    projected_forward(batch_sizes, reverse, gates, _flat(w_hh), _flat(w_hr), h, c, output, *kept, size, out)
    outputs = [wrap(output, output_size, dtype), wrap(h, h_size, dtype), wrap(c, c_size, dtype)]
    if edges is not None:
        _record(
            ProjectedLstmBackward0, given, edges, outputs, (gates, *kept), LSTM, batch_sizes, reverse, False
        )  # fmt: skip
    return outputs


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


def _layers(kind, x, batch_sizes, hx, cx, params, has_biases, num_layers, dropout, train, bidirectional):
    """All layers and directions over x (N, I) or (T, B, I): (output (..., D P), h_n, c_n (L D, B, P or H)).

    hx None stands for zeros.
    """
    cat, stack = FUNCTIONS[""]["cat"], FUNCTIONS[""]["stack"]
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    if hx is None:
        projected = len(params) == (each + 1) * num_layers * directions and kind == LSTM
    else:
        projected = kind == LSTM and hx._size[2] != cx._size[2]
    each += projected
    cells = num_layers * directions
    if len(params) != each * cells:
        raise RuntimeError(
            f"{_LAYERS[kind]}: expected {each * cells} params for num_layers={num_layers}, "
            f"has_biases={has_biases}, bidirectional={bidirectional}, but got {len(params)}"
        )
    batch = int(batch_sizes[0])
    last_h, last_c = [], []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            w_ih, w_hh, *rest = params[each * k : each * (k + 1)]
            b_ih, b_hh = rest[:2] if has_biases else (None, None)
            # The state of an only layer is taken and given as it is, (1, B, H).
            h = hx if hx is None or cells == 1 else hx[k]
            c = cx if cx is None or cells == 1 else cx[k]
            _check_layer(kind, x, h, w_ih, w_hh, b_ih, b_hh, rest[-1] if projected else None)
            if projected:
                out, size = rest[-1]._size
                lead = (1, batch) if cells == 1 else (batch,)
                y, h, c = _run_projected(
                    x, h, c, w_ih, w_hh, b_ih, b_hh, rest[-1], batch_sizes, direction == 1,
                    (*x._size[:-1], out), (*lead, out), (*lead, size),
                )  # fmt: skip
            else:
                size = w_hh._size[1]
                y, h, c = _run_layer(
                    x, h, c, w_ih, w_hh, b_ih, b_hh, kind, batch_sizes, direction == 1,
                    (*x._size[:-1], size), (1, batch, size) if cells == 1 else (batch, size),
                )  # fmt: skip
            outputs.append(y)
            last_h.append(h)
            last_c.append(c)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if dropout and train and layer < num_layers - 1:
            x = FUNCTIONS[""]["dropout"](x, dropout, True)
    if cells == 1:
        return x, last_h[0], last_c[0]
    return x, stack(last_h), stack(last_c) if kind == LSTM else None


def _check_layer(kind, x, h, w_ih, w_hh, b_ih, b_hh, w_hr=None):
    """Shapes and dtypes fit together; RuntimeError names the one that does not."""
    if x._device is not cpu:
        raise NotImplementedError(f"{_LAYERS[kind]}() is not implemented for CUDA tensors yet")
    total, inputs = w_ih._size
    size = w_hh._size[-1] if h is None else h._size[-1]
    hidden = size if w_hr is None else w_hr._size[-1]
    dtype = x._dtype
    if (
        x._size[-1] == inputs
        and w_hh._size == (total, size)
        and total == GATES[kind] * hidden
        and (b_ih is None or b_ih._size == (total,) and b_ih._dtype is dtype)
        and (b_hh is None or b_hh._size == (total,) and b_hh._dtype is dtype)
        and (h is None or h._dtype is dtype)
        and w_ih._dtype is dtype
        and w_hh._dtype is dtype
    ):
        return
    name = _LAYERS[kind]
    if x._size[-1] != inputs:
        raise RuntimeError(f"{name}: input has {x._size[-1]} features, but its layer's w_ih is {list(w_ih._size)}")
    if w_hh._size != (total, size):
        raise RuntimeError(f"{name}: expected w_hh to be [{total}, {size}], but got {list(w_hh._size)}")
    if total != GATES[kind] * hidden:
        raise RuntimeError(f"{name}: w_ih has {total} rows, which are not {GATES[kind]} times the hidden size {hidden}")
    for label, bias in (("b_ih", b_ih), ("b_hh", b_hh)):
        if bias is not None and bias._size != (total,):
            raise RuntimeError(f"{name}: expected {label} to be [{total}], got {list(bias._size)}")
    for label, t in (("hidden state", h), ("w_ih", w_ih), ("w_hh", w_hh), ("b_ih", b_ih), ("b_hh", b_hh)):
        if t is not None and t._dtype is not dtype:
            raise RuntimeError(f"{name}: expected {label} of the input's dtype {dtype}, but got {t._dtype}")


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
        return run_packed(kind, given["data"], given["batch_sizes"], hx, cx, params, *options)
    if given["input"].dim() != 3:
        raise RuntimeError(f"{_LAYERS[kind]}: expected input to be 3-D, but got {given['input'].dim()}-D")
    return run(kind, given["input"], hx, cx, params, *options, given["batch_first"])


def run(
    kind, input, hx, cx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
) -> tuple[Tensor, ...]:
    """(output, h_n) or (output, h_n, c_n) of a batch (T, B, I), or (B, T, I); hx None stands for zeros."""
    x = input.transpose(0, 1).contiguous() if batch_first else input
    steps, batch, _ = x._size
    if steps == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    if hx is not None:
        _check_state(kind, hx, cx, batch, 2 * num_layers if bidirectional else num_layers)
    output, *state = _in_working_dtype(
        kind, x, _equal_steps(steps, batch), hx, cx, params, has_biases, num_layers, dropout, train, bidirectional
    )
    return (output.transpose(0, 1) if batch_first else output, *state)


def run_packed(
    kind, data, batch_sizes, hx, cx, params, has_biases, num_layers, dropout, train, bidirectional
) -> tuple[Tensor, ...]:  # fmt: skip
    """The same of a packed batch: data (N, I), batch_sizes (T,) an int64 tensor."""
    sizes = batch_sizes.tolist()
    if not sizes or min(sizes) < 1 or any(a < b for a, b in zip(sizes, sizes[1:], strict=False)):
        raise RuntimeError(f"{_LAYERS[kind]}: batch_sizes must be positive and must not rise")
    if sum(sizes) != data._size[0]:
        raise RuntimeError(f"{_LAYERS[kind]}: batch_sizes add up to {sum(sizes)}, but data has {data._size[0]} rows")
    if hx is not None:
        _check_state(kind, hx, cx, sizes[0], 2 * num_layers if bidirectional else num_layers)
    return _in_working_dtype(
        kind, data, np.array(sizes, dtype=np.int64), hx, cx, params, has_biases, num_layers, dropout, train,
        bidirectional,
    )  # fmt: skip


@functools.lru_cache(256)
def _equal_steps(steps, batch):
    """The batch_sizes of a dense batch."""
    return np.full(steps, batch, dtype=np.int64)


_OPTIONS = ["has_biases", "num_layers", "dropout", "train", "bidirectional"]


def _is_packed(kind, args):
    return isinstance(args[1], Tensor) and (kind == LSTM or len(args) > 2 and isinstance(args[2], Tensor))


def _check_state(kind, hx, cx, batch, cells):
    for t in (hx,) if cx is None else (hx, cx):
        if len(t._size) != 3 or t._size[1] != batch:
            raise RuntimeError(f"{_LAYERS[kind]}: expected hidden state with {batch} rows, but got {list(t._size)}")
        if t._size[0] != cells:
            raise RuntimeError(f"{_LAYERS[kind]}: expected hidden state of {cells} layers, but got {list(t._size)}")


def _in_working_dtype(kind, x, sizes, hx, cx, params, *options):
    """float16 and bfloat16 run in float32, for the kernels know only float32 and float64."""
    dtype = x._dtype
    if dtype is float32 or dtype is float64:
        results = _layers(kind, x, sizes, hx, cx, params, *options)
    else:
        hx, cx = (None if t is None else t.float() for t in (hx, cx))
        results = _layers(kind, x.float(), sizes, hx, cx, [p.float() for p in params], *options)
        results = [None if t is None else t.to(dtype) for t in results]
    return tuple(results[: 3 if kind == LSTM else 2])


@op(method=False)
def lstm(*args, **kwargs) -> tuple[Tensor, Tensor, Tensor]:
    """(output, h_n, c_n) of `lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)`.

    Or packed: `lstm(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)`.
    hx is (h_0, c_0); params go layer by layer, direction by direction: w_ih, w_hh[, b_ih, b_hh][, w_hr].
    """
    return _sequence(LSTM, args, kwargs)


@op(method=False)
def gru(*args, **kwargs) -> tuple[Tensor, Tensor]:
    """(output, h_n) of a GRU; arguments as in `lstm`, with hx a tensor."""
    return _sequence(GRU, args, kwargs)


@op(method=False)
def rnn_tanh(*args, **kwargs) -> tuple[Tensor, Tensor]:
    """(output, h_n) of an RNN with tanh; arguments as in `lstm`, with hx a tensor."""
    return _sequence(RNN_TANH, args, kwargs)


@op(method=False)
def rnn_relu(*args, **kwargs) -> tuple[Tensor, Tensor]:
    """(output, h_n) of an RNN with relu; arguments as in `lstm`, with hx a tensor."""
    return _sequence(RNN_RELU, args, kwargs)


def run_cell(kind, input, hx, cx, w_ih, w_hh, b_ih, b_hh) -> tuple[Tensor, Tensor | None]:
    """(h', c') of one step from input (B, I), hx and cx (B, H); hx None stands for zeros, c' is None but for an LSTM."""
    batch, size = input._size[0], w_hh._size[1]
    if input._size[1] != w_ih._size[1]:
        raise RuntimeError(f"input has inconsistent input_size: got {input._size[1]} expected {w_ih._size[1]}")
    if hx is not None and (hx._size != (batch, size) or cx is not None and cx._size != (batch, size)):
        for label, h in enumerate((hx,) if cx is None else (hx, cx)):
            if h._size[0] != batch:
                raise RuntimeError(f"Input batch size {batch} doesn't match hidden{label} batch size {h._size[0]}")
            if h._size[1] != size:
                raise RuntimeError(f"hidden{label} has inconsistent hidden_size: got {h._size[1]}, expected {size}")
    _check_layer(kind, input, hx, w_ih, w_hh, b_ih, b_hh)
    dtype = input._dtype
    given = (input, hx, cx, w_ih, w_hh, b_ih, b_hh)
    narrow = dtype is not float32 and dtype is not float64
    if narrow:
        given = [None if t is None else t.float() for t in given]
    _, h, c = _run_layer(*given, kind, _equal_steps(1, batch), False, None, (batch, size), True)
    return (h.to(dtype), None if c is None else c.to(dtype)) if narrow else (h, c)


@op(method=False)
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None) -> tuple[Tensor, Tensor]:
    """One step: i, f, g, o = w_ih x + b_ih + w_hh h + b_hh; c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c').

    input (B, I), hx = (h, c) (B, H), w_ih (4 H, I), w_hh (4 H, H) -> (h', c').
    """
    h, c = hx
    return run_cell(LSTM, input, h, c, w_ih, w_hh, b_ih, b_hh)


@op(method=False)
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None) -> Tensor:
    """One step: r, z = s(x + y), n = tanh(x_n + r y_n), h' = (1 - z) n + z h; w_ih (3 H, I)."""
    return run_cell(GRU, input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


@op(method=False)
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None) -> Tensor:
    """One step: h' = tanh(w_ih x + b_ih + w_hh h + b_hh)."""
    return run_cell(RNN_TANH, input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]


@op(method=False)
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None) -> Tensor:
    """One step: h' = relu(w_ih x + b_ih + w_hh h + b_hh)."""
    return run_cell(RNN_RELU, input, hx, None, w_ih, w_hh, b_ih, b_hh)[0]
