"""torch.save and torch.load: what comes back, what is refused, and what damaged files do."""

import copy
import io
import os
import pickle
import random
from collections import Counter, OrderedDict

import numpy as np
import pytest

import numtorch as torch
from numtorch import nn, serialization
from numtorch._zipfile import ArchiveReader, ArchiveWriter

DTYPES = [
    *(
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
    ),
    *(torch.float32, torch.float64, torch.complex64, torch.complex128),
]
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(value, **kwargs):
    file = io.BytesIO()
    torch.save(value, file, **kwargs)
    file.seek(0)
    return file


def back(value, zipped=True, **kwargs):
    return torch.load(saved(value, _use_new_zipfile_serialization=zipped), **kwargs)


# -- what comes back ------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(dtype, zipped):
    x = torch.tensor([[1, 0], [2, 3]]).to(dtype)
    y = back(x, zipped)
    assert y.dtype is dtype and torch.equal(x, y) and y.data_ptr() != x.data_ptr()


@FORMATS
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (2, 3, 4)])
def test_every_shape(shape, zipped):
    assert back(torch.zeros(shape), zipped).shape == shape


@FORMATS
def test_views_share_their_storage_again(zipped):
    base = torch.arange(6.0)
    loaded = back({"head": base[:4], "tail": base[2:], "square": base[2:].view(2, 2).t()}, zipped)
    loaded["head"][3] = 77
    assert loaded["tail"].tolist() == [2, 77, 4, 5]
    assert loaded["square"].tolist() == [[2, 4], [77, 5]]
    assert loaded["square"].stride() == (1, 2) and loaded["tail"].storage_offset() == 2


@FORMATS
def test_data_shares_memory_with_its_tensor(zipped):
    x = torch.ones(2, requires_grad=True)
    a, b = back([x, x.data], zipped)
    b[0] = 5
    assert a.tolist() == [5, 1]


@FORMATS
def test_containers_and_atoms(zipped):
    value = [
        *(
            1,
            2.5,
            "text",
            None,
            True,
            b"bytes",
            (1, 2),
            {3},
            frozenset([4]),
            bytearray(b"ab"),
            1 + 2j,
            10**40,
            -7,
            70000,
        ),
        *(
            {"a": [1]},
            OrderedDict(b=2),
            Counter("aab"),
            torch.Size([2, 3]),
            torch.float64,
            torch.device("cpu"),
        ),
    ]
    assert back(value[:8] + value[9:], zipped) == value[:8] + value[9:]
    assert back(value, zipped, weights_only=False) == value


@FORMATS
def test_requires_grad_and_parameters(zipped):
    leaf, parameter = back([torch.ones(2, requires_grad=True), nn.Parameter(torch.ones(3))], zipped)
    assert leaf.requires_grad and type(leaf) is torch.Tensor
    assert type(parameter) is nn.Parameter and parameter.requires_grad and parameter.is_leaf


@FORMATS
def test_attributes_of_a_tensor(zipped):
    x = torch.ones(2)
    x.note = "about x"
    assert back(x, zipped).note == "about x"


@FORMATS
def test_a_state_dict_keeps_its_metadata(zipped):
    state = nn.Linear(2, 3).state_dict()
    loaded = back(state, zipped)
    assert type(loaded) is OrderedDict and list(loaded) == ["weight", "bias"]
    assert loaded._metadata == state._metadata


def test_self_reference():
    value = [torch.ones(1)]
    value.append(value)
    loaded = back(value)
    assert loaded[1] is loaded


def test_whole_modules_need_trust():
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        back(net)
    loaded = back(net, weights_only=False)
    x = torch.ones(1, 2)
    assert type(loaded) is nn.Sequential and torch.equal(loaded(x), net(x))


def test_storages():
    typed = back(torch.arange(3).storage())
    assert typed.tolist() == [0, 1, 2] and typed.dtype is torch.int64
    untyped = back(torch.arange(3, dtype=torch.uint8).untyped_storage())
    assert untyped.tolist() == [0, 1, 2]


def test_one_storage_in_two_dtypes_is_refused():
    x = torch.zeros(2)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        saved([x, x.view(torch.int32)])


def test_plain_pickle_and_copy_keep_sharing():
    base = torch.arange(4.0)
    for way in (lambda v: pickle.loads(pickle.dumps(v)), copy.deepcopy):
        a, b = way([base, base[1:]])
        a[1] = 9
        assert b[0].item() == 9 and base[1].item() == 1
    parameter = pickle.loads(pickle.dumps(nn.Parameter(torch.ones(2))))
    assert type(parameter) is nn.Parameter and parameter.requires_grad


# -- files ----------------------------------------------------------------


def test_paths_strings_and_file_objects(tmp_path):
    x = torch.arange(3.0)
    for path in (tmp_path / "a.pth", str(tmp_path / "b.pth")):
        torch.save(x, path)
        assert torch.equal(torch.load(path), x)
    with open(tmp_path / "c.pth", "wb") as file:
        torch.save(x, file)
    with open(tmp_path / "c.pth", "rb") as file:
        assert torch.equal(torch.load(file), x)


def test_saving_replaces_a_file_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(torch.ones(1), path)
    os.chmod(path, 0o640)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        torch.save([torch.zeros(1), lambda: None], path)
    assert torch.load(path).item() == 1
    torch.save(torch.zeros(1), path)
    assert torch.load(path).item() == 0 and os.stat(path).st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["a.pth"]


def test_saving_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    torch.save(torch.ones(1), tmp_path / "file")
    torch.save(torch.zeros(1), tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and torch.load(tmp_path / "file").item() == 0


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        torch.load(tmp_path / "none.pth")
    with pytest.raises(RuntimeError, match="Parent directory .* does not exist"):
        torch.save(1, tmp_path / "none" / "a.pth")


def test_objects_that_are_no_files():
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like object"):
        torch.save(1, 7)
    with pytest.raises(AttributeError, match="only torch.load from a file that is seekable"):
        torch.load(object())


def test_storages_start_at_multiples_of_64_bytes():
    file = saved([torch.ones(3), torch.ones(5, dtype=torch.uint8), torch.ones(2)])
    archive = ArchiveReader(file)
    assert [archive.offset(f"data/{key}") % 64 for key in range(3)] == [0, 0, 0]
    assert archive.names()[:4] == ["data.pkl", ".format_version", ".storage_alignment", "byteorder"]


def test_equal_objects_make_equal_files():
    assert saved([torch.ones(3), "x"]).getvalue() == saved([torch.ones(3), "x"]).getvalue()


def test_mmap_reads_and_does_not_write_back(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"x": torch.arange(4.0), "empty": torch.zeros(0)}, path)
    loaded = torch.load(path, mmap=True)
    loaded["x"][0] = 9
    assert loaded["x"].tolist() == [9, 1, 2, 3] and loaded["empty"].numel() == 0
    assert torch.load(path)["x"].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="f must be a file path"):
        torch.load(saved(1), mmap=True)


def test_files_of_the_other_byte_order():
    x = torch.arange(3, dtype=torch.int32)
    file = saved(x)
    other = file.getvalue().replace(b"little", b"big\0\0\0")
    with pytest.raises(RuntimeError, match="checksum"):
        torch.load(io.BytesIO(other))
    serialization.set_crc32_options(False)
    try:
        plain = saved(x, _disable_byteorder_record=True)
        serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
        assert torch.load(plain).tolist() == x.numpy().byteswap().tolist()
    finally:
        serialization.set_default_load_endianness(None)
        serialization.set_crc32_options(True)


# -- map_location ---------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [
        "cpu",
        torch.device("cpu"),
        {"cuda:1": "cpu"},
        lambda storage, place: storage,
        lambda storage, place: None,
    ],
)
@FORMATS
def test_map_location(where, zipped):
    assert back(torch.ones(2), zipped, map_location=where).tolist() == [1, 1]


def test_the_function_of_map_location_sees_storage_and_place():
    seen = []
    back(
        [torch.ones(2), torch.ones(3, dtype=torch.int8)],
        map_location=lambda s, place: seen.append((s.dtype, s.size(), place)),
    )
    assert seen == [(torch.float32, 2, "cpu"), (torch.int8, 3, "cpu")]


def test_unknown_places():
    with pytest.raises(RuntimeError, match="don't know how to restore data location .*tagged with mars"):
        back(torch.ones(1), map_location={"cpu": "mars"})


@pytest.mark.skipif(hasattr(torch, "cuda") and torch.cuda.is_available(), reason="there is CUDA")
def test_cuda_without_cuda():
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        back(torch.ones(1), map_location="cuda:0")


# -- trust ----------------------------------------------------------------


class Config:
    def __init__(self):
        self.depth = 3


class Attack:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


EXECUTED = []


def note(*arguments):
    EXECUTED.append(arguments)


@FORMATS
@pytest.mark.parametrize(
    "attack, named",
    [
        (Attack(note, 1), "note"),
        (Attack(eval, "1"), "eval"),
        (Attack(os.system, "true"), "posix|nt"),
        (Attack(getattr, OrderedDict, "keys"), "getattr"),
        (Attack(np.zeros, 3), "numpy"),
        (Config(), "Config"),
    ],
)
def test_untrusted_files_run_nothing(attack, named, zipped):
    with pytest.raises(pickle.UnpicklingError, match=named) as failure:
        back({"weights": torch.ones(2), "attack": attack}, zipped)
    assert "Weights only load failed" in str(failure.value)
    assert not EXECUTED


def test_the_refusal_tells_both_ways_on():
    with pytest.raises(pickle.UnpicklingError, match="weights_only=False") as failure:
        back(Config())
    assert "add_safe_globals([" in str(failure.value) and "Config" in str(failure.value)


def test_trusted_files_are_unpickled_fully():
    assert back(Config(), weights_only=False).depth == 3
    assert back(Config(), pickle_module=pickle).depth == 3


def test_safe_globals():
    with serialization.safe_globals([Config]):
        assert serialization.get_safe_globals() == [Config]
        assert back(Config()).depth == 3
    assert serialization.get_safe_globals() == []
    serialization.add_safe_globals([(Config, f"{__name__}.Config")])
    assert back(Config()).depth == 3
    serialization.clear_safe_globals()
    with pytest.raises(pickle.UnpicklingError):
        back(Config())


def test_unsafe_globals_are_listed_without_loading():
    names = serialization.get_unsafe_globals_in_checkpoint(saved([torch.ones(1), Config(), Attack(note, 1)]))
    assert names == [f"{__name__}.Config", f"{__name__}.note"] and not EXECUTED


def test_weights_only_excludes_a_pickle_module():
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        back(1, weights_only=True, pickle_module=pickle)


def archive_of(body, *tensors):
    """An archive with this pickle and the storages of these tensors."""
    file = io.BytesIO()
    archive = ArchiveWriter(file.write, "archive")
    archive.record("data.pkl", body)
    for key, tensor in enumerate(tensors):
        archive.record(f"data/{key}", tensor.numpy().view(np.uint8))
    archive.close()
    file.seek(0)
    return file


def pickled(*opcodes):
    """An archive with a pickle made by hand."""
    return archive_of(b"\x80\x02" + b"".join(opcodes) + b".")


@pytest.mark.parametrize(
    "opcodes",
    {
        "attributes of a class": (b"ctorch\nTensor\n", b"}X\x05\x00\x00\x00item1NsX\x01\x00\x00\x00a", b"b"),
        "state of a function": (b"ctorch._utils\n_rebuild_tensor_v2\n", b"}b"),
        "call of an object": (b"]", b")", b"R"),
        "instance of a dtype": (b"ctorch\nfloat32\n", b")", b"\x81"),
        "append to a string": (b"X\x01\x00\x00\x00a", b"K\x01", b"a"),
        "an item of a list": (b"]", b"K\x00", b"K\x01", b"s"),
        "a huge bytearray": (b"cbuiltins\nbytearray\n", b"\x8a\x05\x00\x00\x00\x00\x7f", b"\x85", b"R"),
        "a memo that is not there": (b"h\x05",),
        "an unknown opcode": (b"\xff",),
        "a tensor without storage": (b"ctorch._utils\n_rebuild_tensor_v2\n", b"(NK\x00))\x89)tR"),
        "a mark too many": (b"(",),
        "a module by attribute path": (b"cos.path\njoin\n",),
        "nothing": (b"0",),
    }.values(),
)
def test_pickles_by_hand_are_refused(opcodes):
    with pytest.raises(pickle.UnpicklingError):
        torch.load(pickled(*opcodes))


def test_keys_nested_too_deep_are_refused():
    with pytest.raises(pickle.UnpicklingError, match="nested too deep"):
        torch.load(pickled(b"}", b"K\x01", b"\x85" * 300_000, b"K\x01", b"s"))


def test_tensors_outside_of_their_storage_are_refused():
    real = saved(torch.arange(4.0)).getvalue()
    for size in (5, 255):
        record = bytes(ArchiveReader(io.BytesIO(real)).read("data.pkl"))
        record = record.replace(b"K\x04\x85", b"K" + bytes([size]) + b"\x85")
        with pytest.raises(RuntimeError, match="out of bounds for storage of size 16"):
            torch.load(archive_of(record, torch.arange(4.0)))


# -- damage ---------------------------------------------------------------


def test_files_that_are_something_else():
    with pytest.raises(EOFError):
        torch.load(io.BytesIO(b""))
    with pytest.raises(RuntimeError, match="Invalid magic number; corrupt file"):
        torch.load(io.BytesIO(b"hello, world"))
    with pytest.raises(RuntimeError, match="failed finding central directory"):
        torch.load(io.BytesIO(b"PK\x03\x04 and more"))


DAMAGED = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError)


@FORMATS
def test_truncated_files(zipped):
    whole = saved({"x": torch.arange(20.0), "n": [1, 2]}, _use_new_zipfile_serialization=zipped).getvalue()
    for length in range(0, len(whole), 7):
        with pytest.raises(DAMAGED):
            torch.load(io.BytesIO(whole[:length]))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@FORMATS
@pytest.mark.parametrize("checksum", [True, False])
def test_random_damage_is_an_exception_or_nothing(zipped, checksum):
    value = {
        "x": torch.arange(6.0),
        "p": nn.Parameter(torch.ones(2)),
        "o": OrderedDict(a=(1, "b")),
        "e": torch.zeros(0),
    }
    serialization.set_crc32_options(checksum)
    try:
        whole = saved([value, Attack(note, 1)], _use_new_zipfile_serialization=zipped).getvalue()
    finally:
        serialization.set_crc32_options(True)
    rng = random.Random(0)
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 5])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            torch.load(io.BytesIO(bytes(damaged)))
        except (*DAMAGED, NotImplementedError):
            pass
    assert not EXECUTED
