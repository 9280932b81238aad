"""Optimizer steps and gradient clipping: many small parameters, and a few large ones."""

from . import Family

FAMILY = Family("optim")

MANY_SMALL = [(32, 32), (32,)] * 50
FEW_LARGE = [(1024, 1024)] * 4


def _parameters(torch, sizes):
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(*size)) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn(*parameter.shape)
    return parameters


def _step(name, label, sizes, **settings):
    @FAMILY.workload(f"{name}, {label}")
    def prepare(torch):
        return getattr(torch.optim, name)(_parameters(torch, sizes), lr=1e-6, **settings).step


def _clip(label, sizes):
    @FAMILY.workload(f"clip_grad_norm_, {label}")
    def prepare(torch):
        parameters = _parameters(torch, sizes)
        return lambda: torch.nn.utils.clip_grad_norm_(parameters, 1e6)


for _label, _sizes in (("100 small", MANY_SMALL), ("4 of 1M", FEW_LARGE)):
    _step("Adam", _label, _sizes)
    _step("SGD", _label, _sizes, momentum=0.9)
    _clip(_label, _sizes)
