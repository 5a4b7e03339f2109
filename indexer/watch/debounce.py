"""What changed in a folder since it was last looked at, gathered until it is quiet there.

Knows paths and time, and nothing of how changes are noticed.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

# So many single paths are looked at one by one; more of them, folder by folder.
MAX_PATHS = 256


@dataclass
class _Changes:
    since_s: float
    last_s: float
    paths: set[str] = field(default_factory=set)


class Debouncer:
    """Changed paths below one folder. Thread-safe.

    `quiet_s`: changes are ready when none has come for so long; `max_delay_s`: or when the first
    of them is as old as that, so that a folder that is never quiet is looked at, too.
    """

    def __init__(self, folder: Path, quiet_s: float, max_delay_s: float) -> None:
        self._folder = os.fspath(folder)
        self._quiet_s = quiet_s
        self._max_delay_s = max_delay_s
        self._changes: _Changes | None = None
        self._lock = threading.Lock()

    def note(self, path: str) -> None:
        """Something changed at or below a path."""
        now = time.monotonic()
        with self._lock:
            if self._changes is None:
                self._changes = _Changes(now, now)
            self._changes.last_s = now
            self._changes.paths.add(path)
            if len(self._changes.paths) > MAX_PATHS:
                self._changes.paths = self._fewer(self._changes.paths)

    def note_everything(self) -> None:
        """Anything may have changed: the folder is to be looked at as a whole."""
        self.note(self._folder)

    def is_ready(self) -> bool:
        """Whether there are changes and it is time to look at them."""
        now = time.monotonic()
        with self._lock:
            changes = self._changes
            return changes is not None and (
                now - changes.last_s >= self._quiet_s or now - changes.since_s >= self._max_delay_s
            )

    def take(self) -> list[Path]:
        """The changed paths, none of them below another; nothing is pending afterwards."""
        with self._lock:
            changes, self._changes = self._changes, None
        if changes is None:
            return []
        return [Path(path) for path in sorted(_topmost(changes.paths))]

    def _fewer(self, paths: set[str]) -> set[str]:
        """The folders of the paths in place of the paths; the whole folder where those are many."""
        folders = _topmost({path if path == self._folder else _parent(path) for path in paths})
        return folders if len(folders) <= MAX_PATHS // 2 else {self._folder}


def _topmost(paths: set[str]) -> set[str]:
    kept: set[str] = set()
    for path in sorted(paths, key=len):
        above = _parent(path)
        while above not in kept and above != _parent(above):
            above = _parent(above)
        if above not in kept:
            kept.add(path)
    return kept


def _parent(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120 - for ten thousand strings in a burst
