"""The disk under an index: full or failing, said in one sentence, and files that it really took."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retrieval.errors import StorageError

# With less than this nothing of use can be written; databases name other causes for it then.
_NEXT_TO_NOTHING_BYTES = 256 * 1024
FULL_DISK_ERRORS = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_FAILING_DISK_ERRORS = frozenset(
    {errno.EIO, errno.EROFS, errno.ENXIO, getattr(errno, "ESTALE", errno.EIO)}
)
DISK_ERRORS = FULL_DISK_ERRORS | _FAILING_DISK_ERRORS


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Raise StorageError in place of an OSError that tells of a full or failing disk."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK_ERRORS:
            raise disk_full(folder) from error
        if error.errno in _FAILING_DISK_ERRORS:
            raise disk_failing(folder, error.strerror or str(error)) from error
        raise


def disk_full(folder: Path) -> StorageError:
    """The error for a disk without space."""
    return StorageError(
        f"The disk is full where the index is, {folder}: make space and run again; "
        "what was indexed is kept."
    )


def disk_failing(folder: Path, reason: str) -> StorageError:
    """The error for a disk that refuses to read or write."""
    return StorageError(
        f"The disk fails where the index is, {folder} ({reason}): see to the disk and run again; "
        "what was indexed is kept."
    )


def is_nearly_full(folder: Path) -> bool:
    """True where the disk has next to no space left."""
    try:
        return shutil.disk_usage(folder).free < _NEXT_TO_NOTHING_BYTES
    except OSError:
        return False


def delete_database(path: Path) -> None:
    """Delete an SQLite file, where it is there, and those that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def sync_file(path: Path) -> None:
    """Return once the disk has taken the file. Raises OSError where it does not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Have the disk take the names in a folder, on systems that can."""
    with suppress(OSError):
        sync_file(folder)
