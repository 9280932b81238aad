"""Arithmetic over flat buffers, compiled by Numba: knows no Tensor and no autograd."""
