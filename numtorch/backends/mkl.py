"""torch.backends.mkl: Intel MKL is not used here."""


def is_available() -> bool:
    """Whether Intel MKL is used: never."""
    return False
