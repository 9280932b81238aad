"""Checkpoints cross between torch and numtorch, both ways, with the same values, sharing and errors."""

import io
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import numtorch
from numtorch import nn

torch = pytest.importorskip("torch")

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
BOTH_WAYS = pytest.mark.parametrize(
    "source, target", [(numtorch, torch), (torch, numtorch)], ids=["to torch", "from torch"]
)
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def cross(value, source, target, zipped=True, **kwargs):
    file = io.BytesIO()
    source.save(value, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    return target.load(file, **kwargs)


def content(library):
    """The same things made with either library."""
    base = library.arange(6.0)
    value = {name: library.tensor([[1, 0], [2, 3]]).to(getattr(library, name)) for name in DTYPES}
    value |= {
        "base": base,
        "view": base[2:].view(2, 2).t(),
        "empty": library.zeros(2, 0),
        "scalar": library.tensor(2.5),
    }
    value |= {"parameter": library.nn.Parameter(library.ones(2)), "leaf": library.ones(1, requires_grad=True)}
    value |= {"size": library.Size([2, 3]), "dtype": library.bfloat16, "device": library.device("cpu")}
    value |= {"list": [1, 2.5, "x", None, True, b"ab", {3}, (1, 2), bytearray(b"q"), 1 + 2j, 10**30]}
    state = library.nn.Linear(2, 3).state_dict()
    with library.no_grad():
        for tensor in state.values():
            tensor.fill_(0.5)
    return value | {"state": state}


def plain(value):
    """Tensors and the like as text, so that == compares across libraries."""
    if isinstance(value, (torch.Tensor, numtorch.Tensor)):
        return type(value).__name__, repr(value), tuple(value.stride()), value.storage_offset()
    if isinstance(value, dict):
        return type(value).__name__, {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value).__name__ != "Size":
        return type(value)(map(plain, value))
    return repr(value)


@FORMATS
@pytest.mark.parametrize("trusted", [False, True])
def test_from_numtorch_to_torch(zipped, trusted):
    loaded = cross(content(numtorch), numtorch, torch, zipped, weights_only=not trusted)
    assert plain(loaded) == plain(content(torch))
    assert loaded["state"]._metadata == content(torch)["state"]._metadata
    loaded["base"][2] = 77
    assert loaded["view"][0, 0].item() == 77


@FORMATS
@pytest.mark.parametrize("trusted", [False, True])
def test_from_torch_to_numtorch(zipped, trusted):
    loaded = cross(content(torch), torch, numtorch, zipped, weights_only=not trusted)
    assert plain(loaded) == plain(content(numtorch))
    loaded["base"][2] = 77
    assert loaded["view"][0, 0].item() == 77


def make_net(library):
    torch_nn = library.nn
    return torch_nn.Sequential(
        OrderedDict(
            conv=torch_nn.Conv2d(1, 2, 3),
            norm=torch_nn.BatchNorm2d(2),
            act=torch_nn.ReLU(),
            pool=torch_nn.MaxPool2d(2),
            flat=torch_nn.Flatten(),
            drop=torch_nn.Dropout(0.1),
            out=torch_nn.Linear(18, 3),
        )  # fmt: skip
    )


@pytest.mark.parametrize("source, target", [(numtorch, torch), (torch, numtorch)], ids=["to torch", "from torch"])
def test_state_dicts_give_the_same_network(source, target):
    x = np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)
    here, there = make_net(source).eval(), make_net(target).eval()
    there.load_state_dict(cross(here.state_dict(), source, target))
    a, b = here(source.from_numpy(x)), there(target.from_numpy(x))
    assert np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("source, target", [(numtorch, torch), (torch, numtorch)], ids=["to torch", "from torch"])
def test_whole_networks_cross(source, target):
    x = np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)
    here = make_net(source).eval()
    there = cross(here, source, target, weights_only=False)
    assert type(there) is target.nn.Sequential and repr(there) == repr(here)
    a, b = here(source.from_numpy(x)), there(target.from_numpy(x))
    assert np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("source, target", [(numtorch, torch), (torch, numtorch)], ids=["to torch", "from torch"])
def test_the_state_of_an_optimizer_crosses(source, target):
    def trained(library):
        parameter = library.nn.Parameter(library.ones(3))
        optimizer = library.optim.Adam([parameter], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()
        return optimizer.state_dict()

    assert plain(cross(trained(source), source, target)) == plain(trained(target))


def test_torch_maps_our_storages_into_memory(tmp_path):
    from torch.utils.serialization import config

    path = tmp_path / "a.pth"
    numtorch.save({"x": numtorch.arange(100.0), "e": numtorch.zeros(0), "y": numtorch.ones(3)}, path)
    config.load.calculate_storage_offsets = True  # torch then computes where its own writer puts them
    try:
        loaded = torch.load(path, mmap=True)
    finally:
        config.load.calculate_storage_offsets = False
    assert loaded["x"].tolist() == list(range(100)) and loaded["y"].tolist() == [1, 1, 1]


def records(file):
    with zipfile.ZipFile(file) as archive:
        return [(i.filename, i.header_offset, i.flag_bits, i.file_size) for i in archive.infolist()]


def test_our_archives_are_laid_out_as_torchs():
    ours, theirs = io.BytesIO(), io.BytesIO()
    numtorch.save([numtorch.ones(3), numtorch.zeros(0)], ours)
    torch.save([torch.ones(3), torch.zeros(0)], theirs)
    assert records(ours) == records(theirs)
    with zipfile.ZipFile(ours) as a, zipfile.ZipFile(theirs) as b:
        assert a.read("archive/data.pkl") == b.read("archive/data.pkl")


def test_files_of_torch_without_checksums():
    torch.serialization.set_crc32_options(False)
    try:
        assert cross(torch.ones(3), torch, numtorch).tolist() == [1, 1, 1]
    finally:
        torch.serialization.set_crc32_options(True)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(protocol):
    file = io.BytesIO()
    torch.save({"a": torch.ones(2), "b": [1, b"x"]}, file, pickle_protocol=protocol)
    file.seek(0)
    assert numtorch.load(file)["a"].tolist() == [1, 1]
    file = io.BytesIO()
    numtorch.save({"a": numtorch.ones(2), "b": [1, b"x"]}, file, pickle_protocol=protocol)
    file.seek(0)
    assert torch.load(file, weights_only=False)["a"].tolist() == [1, 1]


def test_module_names_in_our_pickles_are_torchs():
    file = io.BytesIO()
    numtorch.save(nn.Linear(1, 1), file)
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        assert b"numtorch" not in archive.read("archive/data.pkl")
