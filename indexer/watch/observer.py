"""One folder whose changes are followed through the operating system's notifications.

The one module that knows watchdog, which loads when the first folder is followed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from indexer.watch.debounce import Debouncer
from retrieval.media.base import SUFFIXES

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

logger = logging.getLogger(__name__)

_Identity = tuple[int, int]
_WATCHDOG_LOGGERS = ("watchdog.observers.inotify", "watchdog.observers.inotify_c")


class FolderObserver:
    """A folder whose changes come in as `changes`; it may go and come back.

    `passed_over` are folders whose changes do not count: an index that lies inside, say.
    """

    def __init__(
        self, path: Path, passed_over: Sequence[Path], quiet_s: float, max_delay_s: float
    ) -> None:
        self.path = path
        self.changes = Debouncer(path, quiet_s, max_delay_s)
        self._passed_over = tuple(os.fspath(folder) for folder in passed_over)
        self._observer: BaseObserver | None = None
        self._identity: _Identity | None = None
        self._overflow = _OverflowFilter(self.changes)

    @property
    def is_there(self) -> bool:
        """Whether the folder was there when it was last looked for."""
        return self._identity is not None

    def look_for(self) -> None:
        """Begin to follow the folder where it has come (back), stop where it has gone.

        A folder that has come may hold anything, so all of it counts as changed.
        """
        identity = _identity(self.path)
        if identity == self._identity:
            return
        self.stop()
        self._identity = identity
        if identity is not None:
            self._start()
            self.changes.note_everything()

    def stop(self) -> None:
        """Follow it no longer."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None
            for name in _WATCHDOG_LOGGERS:
                logging.getLogger(name).removeFilter(self._overflow)
        self._identity = None

    def counts(self, path: str) -> bool:
        """Whether a change at a path can matter: no hidden file, nothing that is passed over."""
        if any(path == over or path.startswith(over + os.sep) for over in self._passed_over):
            return False
        return f"{os.sep}." not in path.removeprefix(os.fspath(self.path))

    def _start(self) -> None:
        from watchdog import events
        from watchdog.observers import Observer

        observer = Observer()
        try:
            observer.schedule(
                cast("events.FileSystemEventHandler", _Handler(self)),
                os.fspath(self.path),
                recursive=True,
                # Not of opening and closing, which the indexer itself does to every file.
                event_filter=[
                    events.FileCreatedEvent,
                    events.FileModifiedEvent,
                    events.FileClosedEvent,
                    events.FileMovedEvent,
                    events.FileDeletedEvent,
                    events.DirCreatedEvent,
                    events.DirMovedEvent,
                    events.DirDeletedEvent,
                ],
            )
            observer.start()
        except OSError as error:
            observer.unschedule_all()
            logger.warning(
                "The system cannot tell of changes in %s (%s): it is looked at now and then.",
                self.path,
                error.strerror or error,
            )
            return
        for name in _WATCHDOG_LOGGERS:
            logging.getLogger(name).addFilter(self._overflow)
        self._observer = observer


class _Handler:
    """Takes watchdog's events; an event handler by its shape, so that watchdog loads late."""

    def __init__(self, folder: FolderObserver) -> None:
        self._folder = folder

    def dispatch(self, event: FileSystemEvent) -> None:
        """Note the paths of an event that can matter."""
        for path in (os.fsdecode(event.src_path), os.fsdecode(event.dest_path)):
            if not path or not self._folder.counts(path):
                continue
            suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
            if event.is_directory or suffix in SUFFIXES:
                self._folder.changes.note(path)


class _OverflowFilter(logging.Filter):
    """Hears watchdog say that the system dropped notifications: then anything may have changed."""

    def __init__(self, changes: Debouncer) -> None:
        super().__init__()
        self._changes = changes

    def filter(self, record: logging.LogRecord) -> bool:
        """Note it, and keep the line from the user, for whom nothing is lost."""
        if "overflow" not in str(record.msg).lower():
            return True
        self._changes.note_everything()
        return False


def _identity(path: Path) -> _Identity | None:
    """Device and number of a folder; None where it is not there, or empty as a mount point is."""
    try:
        facts = path.stat()
        with os.scandir(path) as entries:
            if next(entries, None) is None:
                return None
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
