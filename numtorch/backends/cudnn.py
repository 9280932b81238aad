"""torch.backends.cudnn: cuDNN is not used here."""


def is_available() -> bool:
    """Whether cuDNN is used: never."""
    return False


def version() -> None:
    """The version of cuDNN: none."""


#: Switches of cuDNN that scripts set for speed or reproducibility; they change nothing.
enabled = True
benchmark = False
deterministic = False
allow_tf32 = True
