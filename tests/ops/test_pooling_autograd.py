"""Pooling and resampling as users call them: nodes, second derivatives, the forms with indices."""

import numpy as np
import pytest

import numtorch as torch
import numtorch.nn.functional as F
from numtorch.autograd import grad, gradcheck, gradgradcheck


def random(*shape, dtype=torch.float64):
    values = np.random.default_rng(sum(shape)).permutation(int(np.prod(shape))).reshape(shape)
    return torch.tensor(values / 7.0, dtype=dtype, requires_grad=True)


NODES = {
    "MaxPool2DWithIndicesBackward0": lambda: F.max_pool2d(random(2, 3, 5, 5), 2),
    "MaxPool3DWithIndicesBackward0": lambda: F.max_pool3d(random(2, 3, 4, 4, 4), 2),
    "AvgPool2DBackward0": lambda: F.avg_pool2d(random(2, 3, 5, 5), 2),
    "AvgPool3DBackward0": lambda: F.avg_pool3d(random(2, 3, 4, 4, 4), 2),
    "AdaptiveAvgPool2DBackward0": lambda: F.adaptive_avg_pool2d(random(2, 3, 5, 5), 2),
    "AdaptiveMaxPool2DBackward0": lambda: F.adaptive_max_pool2d(random(2, 3, 5, 5), 2),
    "MeanBackward1": lambda: F.adaptive_avg_pool2d(random(2, 3, 5, 5), 1),
    "SqueezeBackward1": lambda: F.max_pool1d(random(2, 3, 5), 2),
    "ConstantPadNdBackward0": lambda: F.pad(random(2, 3), (1, 1)),
    "ReflectionPad2DBackward0": lambda: F.pad(random(2, 3, 5, 5), (1, 1, 1, 1), mode="reflect"),
    "ReplicationPad1DBackward0": lambda: F.pad(random(2, 3, 5), (1, 1), mode="replicate"),
    "Im2ColBackward0": lambda: F.unfold(random(2, 3, 5, 5), 2),
    "Col2ImBackward0": lambda: F.fold(random(2, 12, 4), (3, 3), 2),
    "UpsampleNearest2DBackward0": lambda: F.interpolate(random(2, 3, 5, 5), 8),
    "UpsampleBilinear2DBackward0": lambda: F.interpolate(random(2, 3, 5, 5), 8, mode="bilinear"),
    "UpsampleBicubic2DAaBackward0": lambda: F.interpolate(random(2, 3, 5, 5), 3, mode="bicubic", antialias=True),
    "GridSampler2DBackward0": lambda: F.grid_sample(random(1, 1, 2, 2), random(1, 2, 2, 2), align_corners=True),
}


@pytest.mark.parametrize("name", NODES)
def test_nodes_have_torchs_names(name):
    assert NODES[name]().grad_fn.name() == name


def test_max_pooling_spreads_its_gradient_to_the_maxima():
    x = torch.tensor([[[[1.0, 5.0, 2.0], [4.0, 3.0, 6.0], [0.0, 9.0, 8.0]]]], requires_grad=True)
    y, index = F.max_pool2d(x, 2, 1, return_indices=True)
    assert y.tolist() == [[[[5, 6], [9, 9]]]]
    assert index.tolist() == [[[[1, 5], [7, 7]]]] and index.dtype == torch.int64
    y.sum().backward()
    assert x.grad.tolist() == [[[[0, 1, 0], [0, 0, 1], [0, 2, 0]]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_the_maximum_of_a_window_that_misses_the_input_is_the_lowest_number(dtype):
    lowest = -np.inf if dtype.is_floating_point else -(2**63)
    column = torch.arange(1, 10).to(dtype)[:3].reshape(1, 1, 3, 1)
    value, index = F.max_pool2d(column, 3, (2, 3), (0, 1), (1, 2), True, True)
    assert value.tolist() == [[[[lowest]]]]
    assert 0 <= index.item() < 3


def test_the_second_derivative_of_a_square_of_maxima():
    x = random(1, 2, 4, 4)
    assert gradcheck(lambda t: F.max_pool2d(t, 2) ** 2, (x,))
    assert gradgradcheck(lambda t: F.max_pool2d(t, 2) ** 2, (x,))


def test_unpooling_undoes_pooling_where_it_can():
    x = random(1, 2, 5, 4)
    y, index = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, index, 2, output_size=x.shape)
    assert back.shape == x.shape
    assert torch.equal(F.max_pool2d(back, 2), y)


def test_grid_sampling_has_no_second_derivative():
    x, points = random(1, 1, 3, 3), torch.tensor([[[[0.1, -0.3]]]], dtype=torch.float64, requires_grad=True)
    y = F.grid_sample(x, points, align_corners=True)
    (first,) = grad(y.sum(), points, create_graph=True)
    with pytest.raises(RuntimeError, match="grid_sampler_2d_backward is not implemented"):
        first.sum().backward()


def test_uint8_images_resample_to_uint8():
    x = torch.tensor(np.random.default_rng(0).integers(0, 256, (1, 3, 6, 5), dtype=np.uint8))
    y = F.interpolate(x, (9, 4), mode="bilinear")
    expected = F.interpolate(x.float(), (9, 4), mode="bilinear")
    assert y.dtype == torch.uint8
    assert (y.float() - expected).abs().max() <= 0.5001


def test_strided_inputs():
    x = random(2, 5, 6, 3)
    y = F.avg_pool2d(x.permute(0, 3, 1, 2), 2)
    assert torch.equal(y, F.avg_pool2d(x.permute(0, 3, 1, 2).contiguous(), 2))
    y.sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("amounts", [(-1, 1), (1, -1)])
def test_circular_padding_needs_something_to_repeat(amounts):
    with pytest.raises(RuntimeError, match="Negative padding value is resulting in an empty dimension"):
        F.pad(torch.zeros(2, 3, 1), amounts, mode="circular")
