"""detect_anomaly: find the forward call behind an error, or a nan, in backward."""

from __future__ import annotations

import warnings

from numtorch.graph import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly


class set_detect_anomaly:
    """Switch anomaly mode on or off at once; as a context manager, put the former mode back at its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.prev = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        set_anomaly(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        set_anomaly(*self.prev)


class detect_anomaly:
    """In this block every node keeps the traceback of its forward call, and a nan in backward is an error.

    Slow: for debugging only.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.prev = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        set_anomaly(True, self.check_nan)

    def __exit__(self, *exc_info: object) -> None:
        set_anomaly(*self.prev)


__all__ = ["detect_anomaly", "set_detect_anomaly"]
