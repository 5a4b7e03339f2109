"""A server tells programs on its machine that it is there, by a small file in the index folder.

Only the file's owner may read it, since the token stands in it. A server that was killed leaves it
behind: whoever finds it asks the server at the address which one it is.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval.storage.index_dir import IndexDir

_NAME = "server.json"


@dataclass(frozen=True)
class Announcement:
    """Where a server of an index is, what it wants to be shown, and by what it is known again."""

    address: str
    token: str | None
    instance: str


def announce(location: IndexDir, announcement: Announcement) -> None:
    """Write the file; one of another server of the same index is replaced.

    Where that cannot be done, questions are answered as they would be without a server.
    """
    unfinished = location.folder / f".{secrets.token_hex(8)}.tmp"
    with suppress(OSError):
        try:
            opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                json.dump(asdict(announcement), file)
            unfinished.replace(location.folder / _NAME)
        finally:
            unfinished.unlink(missing_ok=True)


def withdraw(location: IndexDir, instance: str) -> None:
    """Remove the file, unless it is another server's by now."""
    found = find_announcement(location)
    if found is not None and found.instance == instance:
        with suppress(OSError):
            (location.folder / _NAME).unlink(missing_ok=True)


def find_announcement(location: IndexDir) -> Announcement | None:
    """What a server of the index said of itself; it may be gone by now. None where none did."""
    path: Path = location.folder / _NAME
    try:
        facts = os.stat(path)  # noqa: PTH116
        if hasattr(os, "getuid") and facts.st_uid != os.getuid():
            # Of another user's server nothing is believed.
            return None
        found = Announcement(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    is_told = isinstance(found.address, str) and isinstance(found.instance, str)
    return found if is_told else None
