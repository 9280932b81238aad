"""Recurrent layers: RNN, LSTM, GRU over sequences, and their cells.

Sequences, dense and packed, and cells run in the fused kernels of `numtorch.ops.rnn`.
"""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import numtorch
from numtorch._tensor import Tensor
from numtorch.nn import init
from numtorch.nn.modules.module import Module
from numtorch.nn.parameter import Parameter
from numtorch.nn.utils.rnn import PackedSequence
from numtorch.ops import rnn as _ops

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

# mode: the number of gates stacked in each weight
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_KINDS = {"LSTM": _ops.LSTM, "GRU": _ops.GRU, "RNN_TANH": _ops.RNN_TANH, "RNN_RELU": _ops.RNN_RELU}


def _rows(t: Tensor, permutation: Tensor | None) -> Tensor:
    """Batch rows (dimension 1) in the order of `permutation`."""
    return t if permutation is None else t.index_select(1, permutation)


class RNNBase(Module):
    """What RNN, LSTM and GRU share.

    Parameters, for layer k, with the suffix _reverse for the other direction: weight_ih_lk (G H, input), weight_hh_lk
    (G H, H), bias_ih_lk, bias_hh_lk (G H), weight_hr_lk (proj, H) with proj_size; G gates. All U(-s, s),
    s = 1 / sqrt(H).
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        if not isinstance(dropout, numbers.Number) or not 0 <= dropout <= 1 or isinstance(dropout, bool):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        for name, value in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(value, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(value, int):
                raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []
        gate_size = _GATES[mode] * hidden_size
        state_size = proj_size if proj_size > 0 else hidden_size
        for layer in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                layer_input = input_size if layer == 0 else state_size * (2 if bidirectional else 1)
                shapes = [("weight_ih", (gate_size, layer_input)), ("weight_hh", (gate_size, state_size))]
                if bias:
                    # Two biases where one would do, as in cuDNN's parameters, which torch follows.
                    shapes += [("bias_ih", (gate_size,)), ("bias_hh", (gate_size,))]
                if proj_size > 0:
                    shapes.append(("weight_hr", (proj_size, hidden_size)))
                names = [f"{kind}_l{layer}{suffix}" for kind, _ in shapes]
                for name, (_, shape) in zip(names, shapes, strict=True):
                    setattr(self, name, Parameter(numtorch.empty(shape, device=device, dtype=dtype)))
                self._flat_weights_names.extend(names)
                self._all_weights.append(names)
        self.reset_parameters()

    @property
    def _flat_weights(self) -> list[Tensor]:
        own = self._parameters
        try:
            return [own[name] for name in self._flat_weights_names]
        except KeyError:  # parametrised, or replaced by plain attributes
            return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Nothing to do: cuDNN wants its weights in one piece, our kernels do not."""

    def reset_parameters(self) -> None:
        """Draw every parameter, in the order of registration."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Dtype and shape of the input against the weights."""
        weight_dtype = self._flat_weights[0].dtype
        if input.dtype != weight_dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight_dtype}). "
                f"Convert input: input.to({weight_dtype}), or convert model: model.to({input.dtype})"
            )
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """(layers * directions, batch, state)."""
        batch = input.size(0 if self.batch_first else 1) if batch_sizes is None else int(batch_sizes[0])
        state = self.proj_size if self.proj_size > 0 else self.hidden_size
        return self.num_layers * (2 if self.bidirectional else 1), batch, state

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple[int, int, int], msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """Shape of an initial state."""
        if tuple(hx.size()) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Everything that a kernel relies on."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The state's rows in another order."""
        return _rows(hx, permutation)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join(parts)

    # ---- forward, shared by the three

    _name: str  # in messages

    def forward(
        self, input: Tensor | PackedSequence, hx: Any = None
    ) -> tuple[Tensor | PackedSequence, Tensor | tuple[Tensor, Tensor]]:
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            tensor = " tensor" if self._name == "RNN" else ""
            raise ValueError(f"{self._name}: Expected input to be 2D or 3D, got {input.dim()}D{tensor} instead")
        batched = input.dim() == 3
        if not batched:
            input = input.unsqueeze(0 if self.batch_first else 1)
        if hx is None:
            self.check_input(input, None)
        else:
            hx = self._batched_state(hx, batched)
            self.check_forward_args(input, hx, None)
        h, c = hx if hx is not None and self.mode == "LSTM" else (hx, None)
        output, *state = _ops.run(
            _KINDS[self.mode], input, h, c, self._flat_weights, self.bias, self.num_layers, self.dropout,
            self.training, self.bidirectional, self.batch_first,
        )  # fmt: skip
        if not batched:
            output = output.squeeze(0 if self.batch_first else 1)
            state = [s.squeeze(1) for s in state]
        return output, (tuple(state) if self.mode == "LSTM" else state[0])

    def _forward_packed(self, packed: PackedSequence, hx: Any):
        data, batch_sizes, sorted_indices, unsorted_indices = packed
        if hx is None:
            self.check_input(data, batch_sizes)
        else:
            hx = self.permute_hidden(hx, sorted_indices)
            self.check_forward_args(data, hx, batch_sizes)
        h, c = hx if hx is not None and self.mode == "LSTM" else (hx, None)
        output, *state = _ops.run_packed(
            _KINDS[self.mode], data, batch_sizes, h, c, self._flat_weights, self.bias, self.num_layers, self.dropout,
            self.training, self.bidirectional,
        )  # fmt: skip
        packed_output = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed_output, self.permute_hidden(tuple(state) if self.mode == "LSTM" else state[0], unsorted_indices)

    def _batched_state(self, hx: Tensor, batched: bool) -> Tensor:
        wanted = 3 if batched else 2
        if hx.dim() != wanted:
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(f"For {kind} input, hx should also be {wanted}-D but got {hx.dim()}-D tensor")
        return hx if batched else hx.unsqueeze(1)


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu.

    (T, N, input_size), h_0 (layers * directions, N, H) -> output (T, N, directions H), h_T. With batch_first, N comes
    before T in input and output.
    """

    _name = "RNN"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _no_projection(args, kwargs)
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if nonlinearity not in modes:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(modes[nonlinearity], *args, **kwargs)
        self.nonlinearity = nonlinearity


class GRU(RNNBase):
    """r, z = s(W x_t + b + W' h' + b'), n = tanh(W_n x_t + b_n + r (W'_n h' + b'_n)), h_t = (1 - z) n + z h'.

    h' is h_{t-1}. Shapes as in RNN; the gates lie in the weights in the order r, z, n. Cho et al. 2014.
    """

    _name = "GRU"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _no_projection(args, kwargs)
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """i, f, o = s(W x_t + b + W' h_{t-1} + b'), g = tanh(...), c_t = f c_{t-1} + i g, h_t = o tanh(c_t).

    (T, N, input_size), (h_0, c_0) -> output (T, N, directions H), (h_T, c_T). The gates lie in the weights in the order
    i, f, g, o. With proj_size h_t is W_hr h_t. Hochreiter & Schmidhuber 1997.
    """

    _name = "LSTM"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """(layers * directions, batch, hidden_size)."""
        layers, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return layers, batch, self.hidden_size

    def check_forward_args(self, input: Tensor, hidden: tuple[Tensor, Tensor], batch_sizes: Tensor | None) -> None:
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden[0], self.get_expected_hidden_size(input, batch_sizes), "Expected hidden[0] size {}, got {}"
        )
        self.check_hidden_size(
            hidden[1], self.get_expected_cell_size(input, batch_sizes), "Expected hidden[1] size {}, got {}"
        )

    def permute_hidden(self, hx: tuple[Tensor, Tensor], permutation: Tensor | None) -> tuple[Tensor, Tensor]:
        return _rows(hx[0], permutation), _rows(hx[1], permutation)

    def _batched_state(self, hx: tuple[Tensor, Tensor], batched: bool) -> tuple[Tensor, Tensor]:
        wanted = 3 if batched else 2
        if hx[0].dim() != wanted or hx[1].dim() != wanted:
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {wanted}-D but got "
                f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )
        return tuple(hx) if batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))


def _no_projection(args: tuple, kwargs: dict) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNNCellBase(Module):
    """What the cells share: weight_ih (G H, input), weight_hh (G H, H), bias_ih, bias_hh (G H)."""

    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device=None, dtype=None) -> None:
        factory = {"device": device, "dtype": dtype}
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(numtorch.empty((rows, input_size), **factory))
        self.weight_hh = Parameter(numtorch.empty((rows, hidden_size), **factory))
        self.register_parameter("bias_ih", Parameter(numtorch.empty(rows, **factory)) if bias else None)
        self.register_parameter("bias_hh", Parameter(numtorch.empty(rows, **factory)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-s, s), s = 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            parts.append(f"nonlinearity={self.nonlinearity}")
        return ", ".join(parts)

    def _step(self, kind: int, input: Tensor, hx: Any) -> tuple[Tensor, Tensor | None]:
        """(h', c'), with as many dimensions as the input; hx is h or, of an LSTM, (h, c), or None."""
        dims = len(input._size)
        if dims not in (1, 2):
            raise ValueError(f"{type(self).__name__}: Expected input to be 1D or 2D, got {dims}D instead")
        h, c = hx if kind == _ops.LSTM and hx is not None else (hx, None)
        for i, value in enumerate((h, c)):
            if value is not None and len(value._size) not in (1, 2):
                label = f"hx[{i}]" if kind == _ops.LSTM else "hidden"
                got = f"{len(value._size)}D instead"
                raise ValueError(f"{type(self).__name__}: Expected {label} to be 1D or 2D, got {got}")
        own = self._parameters
        try:
            weights = own["weight_ih"], own["weight_hh"], own["bias_ih"], own["bias_hh"]
        except KeyError:  # parametrised, or replaced by plain attributes
            weights = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        if dims == 2:
            return _ops.run_cell(kind, input, h, c, *weights)
        h, c = (None if t is None else t.unsqueeze(0) for t in (h, c))
        h, c = _ops.run_cell(kind, input.unsqueeze(0), h, c, *weights)
        return h.squeeze(0), None if c is None else c.squeeze(0)


class RNNCell(RNNCellBase):
    """One step of RNN: (N, input_size), (N, H) -> (N, H)."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(_ops.RNN_TANH if self.nonlinearity == "tanh" else _ops.RNN_RELU, input, hx)[0]


class LSTMCell(RNNCellBase):
    """One step of LSTM: (N, input_size), (h (N, H), c (N, H)) -> (h, c)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        return self._step(_ops.LSTM, input, hx)


class GRUCell(RNNCellBase):
    """One step of GRU: (N, input_size), (N, H) -> (N, H)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(_ops.GRU, input, hx)[0]
