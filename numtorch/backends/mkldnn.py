"""torch.backends.mkldnn: oneDNN is not used here."""


def is_available() -> bool:
    """Whether oneDNN is used: never."""
    return False
