"""All pictures as a page lays them out, kept as they were sent until the index changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from retrieval.query.filters import Filter

# What several pages show at a time; each is some 15 bytes a picture.
_KEPT = 4

_Key = tuple[int, Filter | None]


class Arrangements:
    """The latest answers by generation of the catalogue and filter. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, generation: int, filter_: Filter | None, make: Callable[[], bytes]) -> bytes:
        """The answer that was kept, or a new one; those of other generations are dropped."""
        key = (generation, filter_)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            for former in [one for one in self._kept if one[0] != generation]:
                del self._kept[former]
            self._kept[key] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made
