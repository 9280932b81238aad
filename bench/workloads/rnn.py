"""Recurrent layers: a language model's LSTM, a tiny one, their kin, and a cell in a Python loop."""

from . import Family

FAMILY = Family("rnn")


def _layer(kind, steps, batch, inputs, hidden, layers):
    label = f"{kind} ({steps}, {batch}, {inputs}) -> {hidden}" + (f" x {layers}" if layers > 1 else "")

    @FAMILY.workload(label)
    def forward(torch):
        torch.manual_seed(0)
        layer, x = getattr(torch.nn, kind)(inputs, hidden, layers), torch.randn(steps, batch, inputs)

        def run():
            with torch.no_grad():
                return layer(x)

        return run

    @FAMILY.workload(f"{label}, with backward")
    def forward_backward(torch):
        torch.manual_seed(0)
        layer, x = getattr(torch.nn, kind)(inputs, hidden, layers), torch.randn(steps, batch, inputs)
        grad = torch.randn(steps, batch, hidden)

        def run():
            layer.zero_grad()
            layer(x)[0].backward(grad)

        return run


for _kind in ("LSTM", "GRU", "RNN"):
    _layer(_kind, 10, 1, 32, 32, 1)
    _layer(_kind, 50, 32, 128, 256, 1)
    _layer(_kind, 35, 20, 200, 200, 2)


@FAMILY.workload("LSTMCell 32 -> 32, 10 steps of batch 4, with backward")
def cell_loop(torch):
    torch.manual_seed(0)
    cell, xs = torch.nn.LSTMCell(32, 32), torch.randn(10, 4, 32)

    def run():
        cell.zero_grad()
        state = torch.zeros(4, 32), torch.zeros(4, 32)
        outputs = []
        for t in range(10):
            state = cell(xs[t], state)
            outputs.append(state[0])
        torch.stack(outputs).sum().backward()

    return run
