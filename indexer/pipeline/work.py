"""Which of the files that are to be read this process reads: all of them, or a share.

An index in a file has one writer, which reads what it has found. A catalogue on a server may have
several, which share what any of them has found, see `retrieval.catalog.postgres.work_queue`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from indexer.pipeline.scan import ScannedFile
from retrieval.catalog import WriteTransaction
from retrieval.errors import MmsearchError
from retrieval.storage.closing import Closing

if TYPE_CHECKING:
    from retrieval.catalog.postgres.work_queue import Task, WorkQueue

logger = logging.getLogger(__name__)
# So many files are taken at once, of which most wait for a decoder.
_AT_ONCE = 32
# How often the rest, which others are at work on, is looked at.
_PAUSE_S = 0.5


class Work(Protocol):
    """The files of one target that are to be read here."""

    def rounds(self) -> Iterator[Iterable[ScannedFile]]:
        """One or more lists of files; each is to be written before the next is asked for."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether others write to the catalogue at the same time."""
        ...

    def finish(self, change: WriteTransaction, paths: Sequence[str]) -> set[str]:
        """Say within a transaction that files are written; returns those that are ours to write."""
        ...

    def close(self) -> None:
        """Give back what was not finished."""
        ...


class OwnWork(Closing):
    """All files that were found, for the one writer."""

    is_shared = False

    def __init__(self, files: Sequence[ScannedFile]) -> None:
        self._files = files

    def rounds(self) -> Iterator[Iterable[ScannedFile]]:
        """See `Work`."""
        yield self._files

    def finish(self, change: WriteTransaction, paths: Sequence[str]) -> set[str]:
        """See `Work`."""
        return set(paths)

    def close(self) -> None:
        """Nothing to give back."""


class SharedWork(Closing):
    """A share of the files that any of the indexers has found; leases are renewed meanwhile.

    Its rounds end when no file is left, here or with others: whose lease runs out has theirs read
    here. Raises KeyboardInterrupt in between once `stop` is set.
    """

    is_shared = True

    def __init__(
        self, queue: WorkQueue, files: Sequence[ScannedFile], stop: threading.Event
    ) -> None:
        from retrieval.catalog.postgres.work_queue import Task

        self._queue = queue
        self._stop = stop
        self._is_closed = threading.Event()
        queue.add([Task(file.path, file.size_bytes, file.mtime_ns) for file in files])
        self._renewing = threading.Thread(target=self._renew, name="renew-leases", daemon=True)
        self._renewing.start()

    def rounds(self) -> Iterator[Iterable[ScannedFile]]:
        """See `Work`."""
        while True:
            first = self._queue.claim(_AT_ONCE)
            if first:
                yield chain(_scanned(first), self._further())
            elif self._queue.is_empty():
                return
            elif self._stop.wait(_PAUSE_S):
                raise KeyboardInterrupt

    def finish(self, change: WriteTransaction, paths: Sequence[str]) -> set[str]:
        """See `Work`."""
        return change.finish_work(self._queue, paths)

    def close(self) -> None:
        """See `Work`."""
        self._is_closed.set()
        self._renewing.join()
        # What is not given back here is taken when its lease has run out.
        with suppress(MmsearchError):
            self._queue.release()

    def _further(self) -> Iterator[ScannedFile]:
        while claimed := self._queue.claim(_AT_ONCE):
            yield from _scanned(claimed)

    def _renew(self) -> None:
        while not self._is_closed.wait(self._queue.lease_s / 3):
            try:
                self._queue.renew()
            except MmsearchError as error:
                logger.warning("The leases of files in hand were not renewed (%s).", error)


def _scanned(tasks: Iterable[Task]) -> Iterator[ScannedFile]:
    return (ScannedFile(task.path, task.size_bytes, task.mtime_ns) for task in tasks)
