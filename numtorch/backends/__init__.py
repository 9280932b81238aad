"""torch.backends: the switches that scripts set; numtorch has none of these libraries, and says so."""

from . import cuda, cudnn, mkl, mkldnn, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "openmp"]
