"""One writer at a time: a lock on the index that the system lets go of when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from retrieval.errors import CatalogError, IndexBusyError
from retrieval.locations import IndexLocation


@contextmanager
def writer_lock(location: IndexLocation) -> Iterator[None]:
    """Be the one writer of an index for the length of the block.

    Raises IndexBusyError, naming the other's process id, where another process is writing.
    """
    try:
        location.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogError(
            f"The index folder {location.folder} cannot be made ({error.strerror}): "
            "choose another with --index-dir."
        ) from error
    # The lock's own file is emptied by whoever tries, so the holder's id stands in another.
    holder = location.lock.with_suffix(".pid")
    lock = FileLock(location.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise IndexBusyError(
            f"Process {_read(holder)} is writing to the index in {location.folder}: "
            "wait until it is done, or stop it."
        ) from error
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read(holder: Path) -> str:
    try:
        return holder.read_text().strip() or "unknown"
    except OSError:
        return "unknown"
