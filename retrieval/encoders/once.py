"""A model that is loaded when it is first used, and once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LoadedOnce(Generic[T]):
    """What `load` gives, made at the first call. Threads that come meanwhile wait for it.

    Where loading raises, the next call tries again.
    """

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._loaded: T | None = None
        self._lock = threading.Lock()

    def __call__(self) -> T:
        """The model. Raises what loading it raises."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded
