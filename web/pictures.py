"""Indexed files by their ids, and nothing else of the disk.

A file is given out where its bytes are those that were indexed: their hash is compared, over the
very file that is then read from. Whatever stands under its name now, a link to elsewhere say, is
not given out.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from retrieval.catalog.originals import Original, original_of
from retrieval.catalog.records import CONTENT_HASH_BYTES, is_of_content
from retrieval.errors import MmsearchError
from retrieval.search.engine import SearchEngine

_BLOCK_BYTES = 2**20
_REMEMBERED = 4096
# Neither waiting for a pipe's writer nor becoming the controlling terminal's process.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_FLAGS |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_State = tuple[int, int, int, int, int]


class Pictures:
    """Opens indexed files. Thread-safe."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[_State, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def open(self, engine: SearchEngine, item_id: int) -> Iterator[tuple[Original, BinaryIO]]:
        """The file of an item, as it was indexed, at its beginning.

        Raises MmsearchError with the code `not-found` for an id that is not indexed or whose file
        is gone, `changed` where it is another file by now.
        """
        original = require_original(engine, item_id)
        try:
            descriptor = os.open(original.path, _FLAGS)
        except (OSError, ValueError) as error:
            raise MmsearchError("The picture's file is not there now.", code="not-found") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise MmsearchError("There is no file where the picture was.", code="changed")
        with os.fdopen(descriptor, "rb") as file:
            found = self._hash(file, original)
            if found is None or not is_of_content(original.content_hash, found):
                raise MmsearchError(
                    "The picture's file has changed since it was indexed.", code="changed"
                )
            file.seek(0)
            yield original, file

    def _hash(self, file: BinaryIO, original: Original) -> bytes | None:
        facts = os.fstat(file.fileno())
        if facts.st_size != original.size_bytes:
            return None
        state = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        with self._lock:
            known = self._hashes.get(state)
        if known is not None:
            return known
        digest = hashlib.blake2b(digest_size=CONTENT_HASH_BYTES)
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
        with self._lock:
            self._hashes[state] = digest.digest()
            while len(self._hashes) > _REMEMBERED:
                self._hashes.popitem(last=False)
        return digest.digest()


def require_original(engine: SearchEngine, item_id: int) -> Original:
    """The file of an item as it was indexed; MmsearchError `not-found` for an unknown id."""
    # SQLite numbers rows with 63 bits.
    known = 0 < item_id < 2**63
    original = original_of(engine.catalog.raw_rows, item_id) if known else None
    if original is None:
        raise MmsearchError(f"No picture has the id {item_id}.", code="not-found")
    return original
