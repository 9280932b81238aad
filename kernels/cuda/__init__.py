"""The same definitions compiled for CUDA."""
