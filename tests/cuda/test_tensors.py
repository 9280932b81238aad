"""Tensors on CUDA: in numba's simulator, and on a device where there is one."""

import pytest

import numtorch as torch

from .child import check


@pytest.mark.parametrize("where", ["simulator", "device"])
def test_tensors_on_cuda_behave_as_on_the_cpu(where):
    check("tensors_on_cuda.py", where)


@pytest.mark.parametrize("where", ["simulator", "device"])
def test_operators_on_cuda_agree_with_the_cpu(where):
    check("operators_on_cuda.py", where)


@pytest.mark.parametrize("where", ["simulator", "device"])
def test_the_op_table_on_cuda(where):
    check("table_on_cuda.py", where)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.zeros(1, device="cuda"),
        lambda: torch.zeros(1).cuda(),
        lambda: torch.zeros(1).to("cuda:0"),
        torch.cuda.current_device,
        torch.cuda.synchronize,
        lambda: torch.cuda.Stream(),
        torch.cuda.memory_allocated,
    ],
)
def test_without_a_device(ask):
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        ask()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_what_needs_no_device():
    assert torch.cuda.device_count() == 0 and not torch.cuda.is_available()
    torch.cuda.manual_seed_all(1)
    torch.cuda.empty_cache()
