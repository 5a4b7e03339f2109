"""The bytes of a picture's file: of a regular one, and not more than a picture has."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from retrieval.errors import ImageError

# No photograph is that large; reading a disk image that is called .tif would fill the memory.
MAX_FILE_BYTES = 2**30


def read_file(path: Path) -> bytes:
    """All bytes of a file; never waits for a pipe, nor reads a device that has no end.

    Raises OSError where it cannot be read, ImageError where it is no file or none of a picture.
    """
    with open(path, "rb", opener=_open_without_waiting) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError("unreadable", "it is no regular file")
        if facts.st_size > MAX_FILE_BYTES:
            raise ImageError("too-large", "the file is larger than 1 GiB")
        # One byte more than there should be, to see whether somebody is still writing.
        data = file.read(facts.st_size + 1)
    if len(data) != facts.st_size:
        raise ImageError("unreadable", "it changed while it was read")
    return data


def read_known_file(path: Path) -> bytes:
    """As `read_file`, of a file that was there before; what the system refuses is an ImageError."""
    try:
        return read_file(path)
    except FileNotFoundError as error:
        raise ImageError("vanished", "the file is no longer there") from error
    except OSError as error:
        raise ImageError("unreadable", f"it cannot be read ({error.strerror})") from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
