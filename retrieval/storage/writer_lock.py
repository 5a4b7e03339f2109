"""One writer at a time: a lock on the index that the system lets go of when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from retrieval.errors import CatalogError, IndexBusyError
from retrieval.storage.disk import storage_errors
from retrieval.storage.index_dir import IndexDir

# A writer that has just begun has its id on disk by then.
_NAMED_WITHIN_S = 0.5


@dataclass(frozen=True)
class WriterLock:
    """The lock while it is held. `was_cut_off`: the writer before did not end by itself."""

    was_cut_off: bool


@contextmanager
def writer_lock(location: IndexDir) -> Iterator[WriterLock]:
    """Be the one writer of an index for the length of the block.

    Raises IndexBusyError, naming the other's process id, where another process is writing, and
    StorageError where the disk of the index is full or fails, now or during the block.
    """
    with storage_errors(location.folder):
        try:
            location.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise CatalogError(
                f"The index folder {location.folder} cannot be made ({error.strerror}).",
                code="index-denied",
                folder=location.folder,
            ) from error
        # A lock's own file may not be readable while it is held, so the id stands in another.
        holder = location.lock.with_suffix(".pid")
        lock = FileLock(location.lock, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise IndexBusyError(
                f"Process {_name(holder)} is writing to the index in {location.folder}: "
                "wait until it is done, or stop it."
            ) from error
        except PermissionError as error:
            raise CatalogError(
                f"The index in {location.folder} may not be written to ({error.strerror}).",
                code="index-denied",
                folder=location.folder,
            ) from error
        try:
            was_cut_off = holder.exists()
            # Others are told who writes; a disk too full for that has room for no picture either.
            holder.write_text(str(os.getpid()))
            yield WriterLock(was_cut_off)
        finally:
            with suppress(OSError):
                holder.unlink(missing_ok=True)
            lock.release()


def _name(holder: Path) -> str:
    """The id of the process that holds the lock; it may not have written it down yet."""
    until = time.monotonic() + _NAMED_WITHIN_S
    name = "unknown"
    while time.monotonic() < until:
        with suppress(OSError, ValueError):
            process = int(holder.read_text())
            name = str(process)
            if _is_alive(process):
                break
        time.sleep(0.01)
    return name


def _is_alive(process: int) -> bool:
    """False where the id is that of a writer before; on Windows asking would end the process."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
