"""Sorting and selecting: rows of a matrix, a long vector, the largest few, and the elements under a mask."""

from . import Family

FAMILY = Family("sorting")


def _values(torch, *size):
    torch.manual_seed(0)
    return torch.randn(*size)


@FAMILY.workload("sort 1M")
def sort_vector(torch):
    x = _values(torch, 1_000_000)
    return lambda: x.sort()


@FAMILY.workload("sort 1024x1000 along dim 1")
def sort_rows(torch):
    x = _values(torch, 1024, 1000)
    return lambda: x.sort(1)


@FAMILY.workload("topk 10 of 1024x1000 along dim 1")
def topk(torch):
    x = _values(torch, 1024, 1000)
    return lambda: x.topk(10, 1)


@FAMILY.workload("median of 1M")
def median(torch):
    x = _values(torch, 1_000_000)
    return lambda: x.median()


@FAMILY.workload("masked_select 1M")
def masked_select(torch):
    x = _values(torch, 1_000_000)
    mask = x > 0
    return lambda: x.masked_select(mask)


@FAMILY.workload("nonzero 1M")
def nonzero(torch):
    mask = _values(torch, 1_000_000) > 1
    return lambda: mask.nonzero()
