"""Tensors on CUDA as users handle them: devices, transfers, views, in-place writes, printing, errors, streams, memory."""

import copy
import gc
import io

import pytest

import numtorch as torch
from numtorch import nn


def cuda(*values, **options):
    return torch.tensor(values, device="cuda", **options)


# -- devices and transfers --------------------------------------------------------------------------------------------


def test_there_is_a_device():
    assert torch.cuda.is_available()
    assert torch.cuda.device_count() >= 1
    assert torch.cuda.current_device() == 0
    assert isinstance(torch.cuda.get_device_name(), str)
    assert len(torch.cuda.get_device_capability()) == 2
    torch.cuda.synchronize()


@pytest.mark.parametrize(
    "move",
    [
        lambda t: t.cuda(),
        lambda t: t.cuda(0),
        lambda t: t.to("cuda"),
        lambda t: t.to("cuda:0"),
        lambda t: t.to(torch.device("cuda", 0)),
        lambda t: t.to(torch.zeros(1).cuda()),
        lambda t: t.type("torch.cuda.FloatTensor"),
        lambda t: t.to("cuda", torch.float32),
    ],
)
def test_every_way_to_the_device(move):
    x = torch.arange(6.0).reshape(2, 3)
    y = move(x)
    assert y.device == torch.device("cuda:0") and y.is_cuda and not y.is_cpu and y.get_device() == 0
    assert y.cpu().tolist() == x.tolist() == y.tolist()
    assert move(y) is y or move(y).tolist() == x.tolist()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "bfloat16", "float64", "complex64"])
def test_transfers_keep_dtype_and_layout(dtype):
    x = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]).to(getattr(torch, dtype)).t()
    y = x.cuda()
    assert y.dtype is x.dtype and y.stride() == x.stride() == y.cpu().stride()
    assert (y.cpu() == x).all()
    assert (x[::2].cuda().cpu() == x[::2]).all()


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda **o: torch.zeros(2, **o), [0, 0]),
        (lambda **o: torch.ones(2, dtype=torch.int32, **o), [1, 1]),
        (lambda **o: torch.full((2,), 2.5, **o), [2.5, 2.5]),
        (lambda **o: torch.arange(3, **o), [0, 1, 2]),
        (lambda **o: torch.linspace(0, 1, 3, **o), [0, 0.5, 1]),
        (lambda **o: torch.tensor([1, 2], **o), [1, 2]),
        (lambda **o: torch.as_tensor([1, 2], **o), [1, 2]),
        (lambda **o: torch.empty(0, **o), []),
        (lambda **o: torch.zeros(1, **o).new_full((2,), 3), [3, 3]),
        (lambda **o: torch.ones_like(torch.zeros(2, **o)), [1, 1]),
    ],
)
def test_factories(make, expected):
    made = make(device="cuda")
    assert made.device == torch.device("cuda:0") and made.tolist() == expected


def test_random_tensors_repeat_with_their_seed():
    torch.cuda.manual_seed_all(3)
    x = torch.randn(4, device="cuda")
    torch.cuda.manual_seed(3)
    assert torch.randn(4, device="cuda").tolist() == x.tolist()


def test_gradients_cross_devices():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x.cuda() * cuda(3.0, 4.0)).sum().backward()
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [3, 4]
    y = cuda(1.0, 2.0, requires_grad=True)
    (y.cpu() ** 2).sum().backward()
    assert y.grad.is_cuda and y.grad.tolist() == [2, 4]


def test_a_number_on_the_cpu_goes_with_any_device():
    s = torch.tensor(2.0, requires_grad=True)
    x = cuda(1.0, 2.0)
    assert (x * s).tolist() == [2, 4] == (s * x).tolist()
    (s * x).sum().backward()
    assert s.grad.device.type == "cpu" and s.grad.item() == 3


def test_the_current_device():
    with torch.cuda.device(0):
        assert torch.zeros(1, device="cuda").device.index == 0
    with torch.cuda.device_of(cuda(1.0)):
        torch.cuda.set_device("cuda:0")
    assert torch.cuda.current_device() == 0


# -- views and writes -------------------------------------------------------------------------------------------------


def test_views_share_memory():
    x = torch.zeros(3, 4, device="cuda")
    x[1] = 5
    x[:, 2] += 1
    x.t()[0].mul_(2).sub_(1)
    x.view(-1)[-1:].fill_(9)
    assert x.tolist() == [[-1, 0, 1, 0], [9, 5, 6, 5], [-1, 0, 1, 9]]
    assert x[1].data_ptr() == x.data_ptr() + 16 and x.storage_offset() == 0


def test_overlapping_copies():
    x = torch.arange(6.0, device="cuda")
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor"):
        x[1:].copy_(x[:-1])
    x[3:].copy_(x[:3])
    assert x.tolist() == [0, 1, 2, 0, 1, 2]


def test_copies_between_devices():
    x, y = torch.zeros(2, 2, device="cuda"), torch.tensor([[1, 2], [3, 4]])
    x.t().copy_(y)
    assert x.tolist() == [[1, 3], [2, 4]]
    assert torch.zeros(2, 2).copy_(x).tolist() == [[1, 3], [2, 4]]
    assert torch.add(x, 1, out=torch.empty(2, 2, device="cuda")).tolist() == [[2, 4], [3, 5]]


def test_autograd_through_views_and_writes():
    x = cuda(1.0, 2.0, 3.0, requires_grad=True)
    y = x * 2
    y[1:] = y[1:].clone() * y[0].clone()
    y.sum().backward()
    assert x.grad.tolist() == [2 + 4 * (2 + 3), 4, 4]


def test_gradients_of_copies_between_devices():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.zeros(2, device="cuda")
    y.copy_(x)
    (y * y).sum().backward()
    assert x.grad.device.type == "cpu" and x.grad.tolist() == [2, 4]


def test_versions_are_checked():
    x = cuda(1.0, 2.0, requires_grad=True)
    y = x.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_data_has_a_version_of_its_own():
    x = cuda(1.0, requires_grad=True)
    x.data.add_(1)
    assert x.tolist() == [2] and x._version == 0


# -- modules, copies, files, text -------------------------------------------------------------------------------------


def test_modules_move():
    module = nn.BatchNorm1d(3).cuda()
    assert module.weight.is_cuda and module.running_mean.is_cuda and module.weight.is_leaf
    assert not module.cpu().weight.is_cuda


def test_deepcopy():
    x = cuda(1.0, 2.0)
    y = copy.deepcopy([x, x[1:]])
    y[0].add_(1)
    assert y[1].tolist() == [3] and x.tolist() == [1, 2] and y[0].is_cuda


def test_files():
    file = io.BytesIO()
    torch.save({"x": cuda(1.0, 2.0), "e": torch.empty(0, device="cuda")}, file)
    file.seek(0)
    assert torch.load(file)["x"].is_cuda
    file.seek(0)
    assert torch.load(file, map_location="cpu")["x"].tolist() == [1, 2]


def test_text():
    assert repr(cuda(1.0, 2.0)) == "tensor([1., 2.], device='cuda:0')"
    assert "device='cuda:0', grad_fn=<MulBackward0>" in repr(cuda(1.0, requires_grad=True) * 2)
    assert cuda(1.0).type() == "torch.cuda.FloatTensor" and isinstance(cuda(1.0), torch.cuda.FloatTensor)
    assert f"{torch.tensor(0.5).cuda():.2f}" == "0.50"


# -- errors -----------------------------------------------------------------------------------------------------------

MIXED = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"


@pytest.mark.parametrize(
    "fn",
    [
        lambda c, g: c + g,
        lambda c, g: g == c,
        lambda c, g: torch.where(g > 0, g, c),
        lambda c, g: torch.cat([g, c]),
        lambda c, g: g.index_select(0, torch.zeros(1, dtype=torch.int64)),
        lambda c, g: c.gather(0, g.long()),
        lambda c, g: g.scatter_add(0, torch.zeros(2, dtype=torch.int64).cuda(), c),
    ],
)
def test_mixed_devices(fn):
    with pytest.raises(RuntimeError, match=MIXED):
        fn(torch.ones(2), torch.ones(2).cuda())


@pytest.mark.parametrize(
    "fn, error, message",
    [
        (lambda x: x.gather(0, cuda(0, 3)), RuntimeError, "index 3 is out of bounds for dimension 0 with size 3"),
        (lambda x: x.scatter_(0, cuda(-1), 1.0), RuntimeError, "index -1 is out of bounds"),
        (lambda x: x.index_select(0, cuda(9)), IndexError, "index out of range in self"),
        (lambda x: torch.embedding(x.view(3, 1), cuda(4)), IndexError, "index out of range in self"),
        (lambda x: x.numpy(), TypeError, "can't convert cuda:0 device type tensor to numpy"),
        (lambda x: torch.zeros(1, device="cuda:99"), RuntimeError, "invalid device ordinal"),
        (lambda x: x.to(torch.float32).view(2), RuntimeError, "invalid for input of size 3"),
    ],
)
def test_errors(fn, error, message):
    with pytest.raises(error, match=message):
        fn(cuda(1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    "fn, name",
    [
        (lambda: nn.functional.conv2d(torch.ones(1, 1, 3, 3).cuda(), torch.ones(1, 1, 2, 2).cuda()), "conv2d"),
        (lambda: nn.LSTM(2, 3).cuda()(torch.ones(4, 1, 2).cuda()), "lstm"),
        (lambda: cuda(2.0, 1.0).sort(), "sort"),
        (lambda: cuda(2.0, 1.0).cumsum(0), "cumsum"),
        (lambda: cuda(2.0, 1.0)[cuda(0, 1)], "CUDA tensors"),
    ],
)
def test_what_is_missing_says_its_name(fn, name):
    with pytest.raises(NotImplementedError, match=name) as caught:
        fn()
    assert "is not implemented for CUDA tensors yet" in str(caught.value)


# -- streams and memory -----------------------------------------------------------------------------------------------


def test_streams_and_events():
    x = cuda(1.0, 2.0)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with torch.cuda.stream(side):
        assert torch.cuda.current_stream() == side
        start.record()
        y = x * 3
        end.record()
    torch.cuda.current_stream().wait_stream(side)
    end.synchronize()
    assert end.query() and side.query()
    assert start.elapsed_time(end) >= 0
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert y.tolist() == [3, 6]


def test_memory_is_counted_and_kept():
    gc.collect()
    before, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    x = torch.zeros(1000, device="cuda")
    assert torch.cuda.memory_allocated() == before + 4096
    assert torch.cuda.memory_stats()["allocated_bytes.all.current"] == before + 4096
    view = x[10:]
    del x
    assert torch.cuda.memory_allocated() == before + 4096
    del view
    assert torch.cuda.memory_allocated() == before
    assert torch.cuda.memory_reserved() >= reserved
    assert torch.cuda.max_memory_allocated() >= before + 4096
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == before
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == before
