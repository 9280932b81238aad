"""The CUDA kernels against numpy and against plain Python: in numba's simulator, and on a device where there is one."""

import pytest

from ..cuda.child import check


@pytest.mark.parametrize("where", ["simulator", "device"])
def test_kernels_agree_with_numpy(where):
    check("kernels_on_cuda.py", where)


@pytest.mark.parametrize("where", ["simulator", "device"])
def test_scalar_texts_agree_with_plain_python(where):
    check("texts_on_cuda.py", where)
