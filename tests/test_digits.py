"""The digits that come with the package."""

import numtorch as torch
from numtorch.datasets import Digits, load_digits


def test_all_of_them():
    images, labels = load_digits()
    assert images.shape == (1797, 1, 8, 8) and images.dtype is torch.float32
    assert images.min().item() == 0 and images.max().item() == 1
    assert torch.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (images[0, 0, :2] * 16).tolist() == [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]


def test_the_split_is_complete_disjoint_and_fixed():
    train, held_out = Digits(train=True), Digits(train=False)
    assert (len(train), len(held_out)) == (1437, 360)
    whole = torch.cat([train.tensors[1], held_out.tensors[1]])
    assert torch.bincount(whole).tolist() == torch.bincount(load_digits()[1]).tolist()
    assert held_out.tensors[1][:8].tolist() == [6, 5, 5, 7, 9, 9, 8, 4]
