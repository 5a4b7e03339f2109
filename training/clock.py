"""Lines on how far a training is, each with the seconds since it began."""

from __future__ import annotations

import time
from collections.abc import Callable


def clock() -> Callable[[str], None]:
    """Prints what it is told, with the time since this was called."""
    started = time.monotonic()
    return lambda what: print(f"[{time.monotonic() - started:6.0f} s] {what}", flush=True)
