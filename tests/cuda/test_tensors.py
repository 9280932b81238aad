"""Tensors on CUDA: in numba's simulator, and on a device where there is one."""

import pytest

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
