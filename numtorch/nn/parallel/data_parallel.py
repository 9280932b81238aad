"""DataParallel: replicas of a module on several CUDA devices, each with its part of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numtorch
from numtorch._tensor import Tensor
from numtorch.nn.modules.module import Module


def _device_ids(device_ids: Sequence | None) -> list[Any]:
    """The given devices, or every CUDA device there is."""
    if device_ids is not None:
        return list(device_ids)
    cuda = getattr(numtorch, "cuda", None)
    return list(range(cuda.device_count())) if cuda is not None and cuda.is_available() else []


def _device(device: Any):
    return numtorch.device("cuda", device) if isinstance(device, int) else numtorch.device(device)


def scatter(inputs: Any, target_gpus: Sequence, dim: int = 0) -> list[Any]:
    """`inputs` for each device: tensors split along `dim`, tuples, lists and dicts by member, the rest as it is."""
    devices = list(target_gpus)
    if isinstance(inputs, Tensor):
        parts = inputs.chunk(len(devices), dim)
        return [part.to(_device(d)) for part, d in zip(parts, devices, strict=False)]
    if isinstance(inputs, (tuple, list)) and len(inputs) > 0:
        members = zip(*(scatter(member, devices, dim) for member in inputs), strict=False)
        if hasattr(inputs, "_fields"):
            return [type(inputs)(*m) for m in members]
        return [type(inputs)(m) for m in members]
    if isinstance(inputs, dict) and inputs:
        values = zip(*(scatter(v, devices, dim) for v in inputs.values()), strict=False)
        return [type(inputs)(zip(inputs, v, strict=True)) for v in values]
    return [inputs for _ in devices]


def gather(outputs: Sequence, target_device: Any, dim: int = 0) -> Any:
    """The outputs of the replicas as one, on `target_device`."""
    first = outputs[0]
    if isinstance(first, Tensor):
        device = _device(target_device)
        parts = [o.to(device) for o in outputs]
        if first.dim() == 0:
            return numtorch.stack(parts)
        return numtorch.cat(parts, dim)
    if first is None:
        return None
    if isinstance(first, dict):
        return type(first)((k, gather([o[k] for o in outputs], target_device, dim)) for k in first)
    members = (gather(m, target_device, dim) for m in zip(*outputs, strict=True))
    return type(first)(*members) if hasattr(first, "_fields") else type(first)(members)


def replicate(network: Module, devices: Sequence, detach: bool = False) -> list[Module]:
    """Copies of `network`, one for each device, whose parameters are (differentiable) copies of its own."""
    replicas = []
    for d in devices:
        device = _device(d)
        copies: dict[Module, Module] = {}
        for module in network.modules():
            copies[module] = module._replicate_for_data_parallel()
        for module, copied in copies.items():
            for name, child in module._modules.items():
                copied._modules[name] = copies.get(child)
            for name, param in module._parameters.items():
                value = None if param is None else (param.detach() if detach else param).to(device)
                # a plain attribute: a copy that belongs to the graph cannot be a parameter
                copied.__dict__[name] = value
            for name, buf in module._buffers.items():
                copied._buffers[name] = None if buf is None else buf.to(device)
        replicas.append(copies[network])
    return replicas


def parallel_apply(
    modules: Sequence[Module],
    inputs: Sequence,
    kwargs_tup: Sequence[dict] | None = None,
    devices: Sequence | None = None,
) -> list[Any]:
    """Each module on its input. One after the other: launches on a device return at once, so devices overlap."""
    kwargs_tup = kwargs_tup or [{}] * len(modules)
    results = []
    for module, args, kwargs in zip(modules, inputs, kwargs_tup, strict=True):
        results.append(module(*(args if isinstance(args, (tuple, list)) else (args,)), **kwargs))
    return results


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict | None = None,
) -> Any:
    """`module(*inputs)` on several devices."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    module_kwargs = module_kwargs or {}
    devices = _device_ids(device_ids)
    if not devices:
        return module(*inputs, **module_kwargs)
    output_device = devices[0] if output_device is None else output_device
    _check_home(module, devices[0])
    args, kwargs = scatter(inputs, devices, dim), scatter(module_kwargs, devices, dim)
    used = devices[: len(args)]
    if len(used) == 1:
        return module(*args[0], **kwargs[0])
    outputs = parallel_apply(replicate(module, used), args, kwargs[: len(used)], used)
    return gather(outputs, output_device, dim)


def _check_home(module: Module, home: Any) -> None:
    device = _device(home)
    for t in (*module.parameters(), *module.buffers()):
        if t.device != device:
            raise RuntimeError(
                f"module must have its parameters and buffers on device {device} (device_ids[0]) but found one of "
                f"them on device: {t.device}"
            )


class DataParallel(Module):
    """Splits the batch over `device_ids` (all CUDA devices by default); without any it only calls `module`."""

    def __init__(
        self, module: Module, device_ids: Sequence | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids = _device_ids(device_ids)
        self.dim = dim
        self.output_device = output_device
        if self.device_ids:
            self.output_device = self.device_ids[0] if output_device is None else output_device
            if len(self.device_ids) == 1:
                module.to(_device(self.device_ids[0]))

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        return data_parallel(self.module, inputs, self.device_ids, self.output_device, self.dim, kwargs)
