"""torch.backends.openmp: OpenMP is not used here."""


def is_available() -> bool:
    """Whether OpenMP is used: never."""
    return False
