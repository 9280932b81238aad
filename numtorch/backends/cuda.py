"""torch.backends.cuda: the CUDA toolkit is not used here."""


def is_available() -> bool:
    """Whether the CUDA toolkit is used: never."""
    return False


def is_built() -> bool:
    """Whether this build has CUDA kernels compiled in: they are compiled when first used."""
    return False
