"""Patch tokens kept beside the index, so that the reranker opens no picture again.

A SQLite file of its own: a cache that can always be dropped. Damage of any sort costs time, never
an answer, so nothing here raises for it; a damaged file is begun anew. Only removing raises where
it cannot be done, since tokens of a picture that changed would make answers wrong.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import StorageError
from retrieval.storage.closing import Closing
from retrieval.storage.disk import delete_database, disk_full, is_nearly_full

logger = logging.getLogger(__name__)
T = TypeVar("T")
U = TypeVar("U")

Tokens = NDArray[np.int8]
MAX_TOKEN_BYTES = 16 * 1024
# How long a lock of another process is waited for.
WAIT_S = 30.0
_IDS_A_STATEMENT = 500
_IN_MEMORY = Path(":memory:")
_DAMAGED = "The cache of patch tokens is damaged: to mend the index makes them again."

_SCHEMA = """
CREATE TABLE IF NOT EXISTS origin (fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (
    picture_id INTEGER PRIMARY KEY,
    patches INTEGER NOT NULL,
    tokens BLOB NOT NULL
);
-- Lists the ids without going through the tokens themselves.
CREATE INDEX IF NOT EXISTS tokens_by_picture ON tokens (picture_id);
"""
_COLUMNS = ("picture_id", "patches", "tokens")


class PatchTokens(Protocol):
    """Patch tokens, int8 (patches, token_dim), by picture id, wherever they are. Thread-safe."""

    def put(self, ids: Sequence[int], tokens: Tokens) -> None:
        """Keep tokens, int8 (n, patches, token_dim); ValueError where one's are too large."""
        ...

    def copy(self, item_id: int, other_id: int) -> None:
        """Give a picture's tokens, where it has some, to another of the same content."""
        ...

    def get(self, ids: Sequence[int]) -> dict[int, Tokens]:
        """Tokens, int8 (patches, token_dim), of those of the pictures that have some."""
        ...

    def remove(self, ids: Sequence[int]) -> None:
        """Drop the tokens of these pictures; raises MmsearchError where that cannot be done."""
        ...

    def ids(self) -> NDArray[np.int64] | None:
        """The pictures that have tokens, int64 (n,) ascending; None where that cannot be told."""
        ...

    def close(self) -> None:
        """Let go of where they are."""
        ...


def check_size(tokens: Tokens) -> None:
    """Raise ValueError where one picture's tokens, of int8 (n, patches, token_dim), are too large.

    16 KiB is the most.
    """
    if tokens.size and tokens[0].nbytes > MAX_TOKEN_BYTES:
        raise ValueError(f"The tokens of a picture take more than {MAX_TOKEN_BYTES} bytes.")


class PatchTokenStore(Closing):
    """Patch tokens, int8 (patches, token_dim), by picture id. Thread-safe."""

    def __init__(
        self,
        path: Path,
        fingerprint: str,
        connection: sqlite3.Connection,
        *,
        begins_anew: bool = True,
    ) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._connection = connection
        self._begins_anew = begins_anew
        self._has_told = False
        self._lock = threading.Lock()
        self._stands_in = False

    @classmethod
    def open(cls, path: Path, fingerprint: str, *, begins_anew: bool = True) -> Self:
        """Open or begin the cache at `path` for the encoder with this fingerprint.

        One that another encoder made is emptied; a damaged one is deleted and begun anew, unless
        `begins_anew` is false: then what can be read of it is, and it stays. Where the folder may
        not be written, or the disk is full, an empty cache in memory stands in.
        """
        told = "The cache of patch tokens cannot be used: reranking has to do without."
        for is_certain in (False, True, True):
            try:
                connection = _connect(path, fingerprint)
                return cls(path, fingerprint, connection, begins_anew=begins_anew)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    break
                # A disk that fails once looks like a damaged file; the second time it is one.
                if is_certain and not begins_anew:
                    told = _DAMAGED
                    break
                if is_certain:
                    logger.warning("The cache of patch tokens is damaged: beginning it anew.")
                    discard(path)
        logger.warning("%s", told)
        cache = cls(path, fingerprint, _connect(_IN_MEMORY, fingerprint), begins_anew=begins_anew)
        cache._stands_in = True
        return cache

    def put(self, ids: Sequence[int], tokens: Tokens) -> None:
        """Keep tokens, int8 (n, patches, token_dim), of pictures.

        Raises ValueError where one picture's take more than 16 KiB.
        """
        check_size(tokens)
        rows = [
            (item_id, own.shape[0], own.tobytes()) for item_id, own in zip(ids, tokens, strict=True)
        ]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", rows)

        self._attempt(write, None)

    def copy(self, item_id: int, other_id: int) -> None:
        """Give a picture's tokens, where it has some, to another of the same content."""
        found = self.get([item_id])
        if item_id in found:
            self.put([other_id], found[item_id][np.newaxis])

    def get(self, ids: Sequence[int]) -> dict[int, Tokens]:
        """Tokens, int8 (patches, token_dim), of those of the pictures that have some."""

        def read(connection: sqlite3.Connection) -> dict[int, Tokens]:
            found: dict[int, Tokens] = {}
            for start in range(0, len(ids), _IDS_A_STATEMENT):
                chunk = [int(id_) for id_ in ids[start : start + _IDS_A_STATEMENT]]
                marks = ",".join("?" * len(chunk))
                for item_id, patches, blob in connection.execute(
                    f"SELECT picture_id, patches, tokens FROM tokens WHERE picture_id IN ({marks})",
                    chunk,
                ):
                    found[item_id] = np.frombuffer(blob, dtype=np.int8).reshape(patches, -1)
            return found

        found = self._attempt(read, None)
        if found is None and len(ids) > 1 and self._has_told:
            # A damaged page is one of many: the others' tokens are as they were.
            found = {}
            for id_ in ids:
                found |= self.get([id_])
        return found or {}

    def remove(self, ids: Sequence[int]) -> None:
        """Drop the tokens of these pictures. Raises StorageError where that cannot be done."""
        if self._stands_in and self._path.exists():
            raise self._stuck("it cannot be opened")

        def delete(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(
                    "DELETE FROM tokens WHERE picture_id = ?", [(int(id_),) for id_ in ids]
                )

        with self._lock:
            try:
                self._certainly(delete)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise self._stuck(str(error)) from error
                self._begin_anew()

    def ids(self) -> NDArray[np.int64] | None:
        """The pictures that have tokens, int64 (n,) ascending; None where that cannot be told."""
        if self._stands_in:
            return None

        def read(connection: sqlite3.Connection) -> NDArray[np.int64]:
            rows = connection.execute("SELECT picture_id FROM tokens ORDER BY picture_id")
            return np.fromiter((row[0] for row in rows), dtype=np.int64)

        return self._attempt(read, None)

    def __len__(self) -> int:
        def count(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM tokens").fetchone()[0])

        return self._attempt(count, 0)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _attempt(self, action: Callable[[sqlite3.Connection], T], otherwise: U) -> T | U:
        with self._lock:
            try:
                return self._certainly(action)
            except (sqlite3.Error, ValueError) as error:
                if _is_damage(error) and not self._begins_anew:
                    if not self._has_told:
                        logger.warning("%s", _DAMAGED)
                    self._has_told = True
                elif _is_damage(error):
                    self._begin_anew()
                else:
                    logger.warning("The cache of patch tokens failed (%s): doing without.", error)
                return otherwise

    def _certainly(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """The action's result; what looks like damage is tried once more on a new connection.

        A disk that fails once looks like a damaged file; the second time it is one.
        """
        try:
            return action(self._connection)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error) or self._stands_in:
                raise
        self._connection.close()
        self._connection = _connect(self._path, self._fingerprint)
        return action(self._connection)

    def _stuck(self, reason: str) -> StorageError:
        if is_nearly_full(self._path.parent) or "full" in reason:
            return disk_full(self._path.parent)
        return StorageError(
            f"Outdated patch tokens cannot be removed from {self._path} ({reason}): run again, or "
            "delete that file."
        )

    def _begin_anew(self) -> None:
        """Put an empty cache in place of one whose damage showed in use."""
        logger.warning("The cache of patch tokens is damaged: beginning it anew.")
        with suppress(sqlite3.Error):
            self._connection.close()
        discard(self._path)
        try:
            self._connection = _connect(self._path, self._fingerprint)
        except sqlite3.Error:
            self._connection = _connect(_IN_MEMORY, self._fingerprint)
            self._stands_in = True


def fingerprint_of(path: Path) -> str | None:
    """Which encoder made the cache at `path`; None where there is none or it does not say."""
    if not path.exists():
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT fingerprint FROM origin").fetchone()
        return None if found is None else str(found[0])
    return None


def _is_damage(error: Exception) -> bool:
    """Whether the file itself is wrong, rather than busy, out of reach, or on a full disk."""
    # Its subclasses tell of other things: a lock, a full disk, a cache that was closed.
    return type(error) is sqlite3.DatabaseError


def _connect(path: Path, fingerprint: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A cache: a power cut may cost its last rows, so it need not wait for the disk.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        columns = tuple(row[1] for row in connection.execute("PRAGMA table_info(tokens)"))
        if columns != _COLUMNS:
            raise sqlite3.DatabaseError("the file holds other tables than a cache of tokens")
        with connection:
            origin = connection.execute("SELECT fingerprint FROM origin").fetchone()
            if origin is None or origin[0] != fingerprint:
                connection.execute("DELETE FROM tokens")
                connection.execute("DELETE FROM origin")
                connection.execute("INSERT INTO origin VALUES (?)", (fingerprint,))
    except BaseException:
        connection.close()
        raise
    return connection


def discard(path: Path) -> None:
    """Delete the cache at `path`; nothing is lost but time."""
    delete_database(path)
