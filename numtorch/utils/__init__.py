"""torch.utils: data loading, and what else torch keeps here."""

from . import data

__all__ = ["data"]
