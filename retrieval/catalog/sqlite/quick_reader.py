"""What every question reads of a catalogue, over the standard library's sqlite3.

Loading SQLAlchemy takes longer than all else that a question needs. So the three statements of a
plain question stand here a second time; whatever is rarer, or is not as this module expects it,
goes through `Catalog`, which is opened when it is first needed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.records import Picture
from retrieval.encoders.base import EncoderIdentity
from retrieval.storage.closing import Closing

if TYPE_CHECKING:
    from retrieval.catalog.catalog import Catalog

# The version of the tables that these statements are for; others are read through `Catalog`.
READ_VERSION = 2
_IDS_A_STATEMENT = 500

_INFO = "SELECT key, value FROM info"
_GENERATION = "SELECT value FROM info WHERE key = 'generation'"
_PICTURES = """
SELECT pictures.id, roots.path, pictures.path, pictures.width_px, pictures.height_px,
    pictures.taken_at
FROM pictures JOIN roots ON roots.id = pictures.root_id WHERE pictures.id IN ({marks})
"""


class QuickReader(Closing):
    """A catalogue for asking. Thread-safe.

    What it cannot make sense of is asked of `full`, whose errors speak to people.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection | None) -> None:
        self._path = path
        self._connection = connection
        self._lock = threading.RLock()
        self._full: Catalog | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the catalogue at `path`; raises what `Catalog.open` raises."""
        reader = cls(path, _connect(path))
        if reader._connection is None:
            # It knows what is wrong, or what else can be done.
            _ = reader.full
        return reader

    @property
    def is_quick(self) -> bool:
        """Whether questions go without SQLAlchemy."""
        return self._connection is not None

    @property
    def full(self) -> Catalog:
        """The same catalogue with all that can be read of it."""
        with self._lock:
            if self._full is None:
                from retrieval.catalog.catalog import Catalog

                self._full = Catalog.open(self._path)
            return self._full

    @property
    def encoder(self) -> EncoderIdentity | None:
        """The encoder that made the vectors; None while nothing has been indexed."""
        rows = self._rows(_INFO)
        if rows is None:
            return self.full.encoder
        facts = dict(rows)
        if "encoder_name" not in facts:
            return None
        try:
            return EncoderIdentity(
                name=facts["encoder_name"],
                dim=int(facts["encoder_dim"]),
                fingerprint=facts["encoder_fingerprint"],
            )
        except (KeyError, TypeError, ValueError):
            return self.full.encoder

    @property
    def generation(self) -> int:
        """How many changes the catalogue has seen; a copy with the same number is up to date."""
        rows = self._rows(_GENERATION)
        try:
            return self.full.generation if rows is None else int(rows[0][0])
        except (IndexError, TypeError, ValueError):
            return self.full.generation

    def items(self, ids: Sequence[int]) -> dict[int, Picture]:
        """The pictures with these ids, by id; an id that is not there is left out."""
        found: dict[int, Picture] = {}
        for start in range(0, len(ids), _IDS_A_STATEMENT):
            chunk = list(ids[start : start + _IDS_A_STATEMENT])
            rows = self._rows(_PICTURES.format(marks=",".join("?" * len(chunk))), chunk)
            try:
                found |= {row[0]: _picture(*row) for row in rows or ()}
            except (TypeError, ValueError):
                rows = None
            if rows is None:
                return self.full.items(ids)
        return found

    def changes_since(
        self, generation: int
    ) -> AbstractContextManager[
        tuple[
            int,
            NDArray[np.int64],
            Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]],
        ]
    ]:
        """See `Catalog.changes_since`."""
        return self.full.changes_since(generation)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._full is not None:
                self._full.close()

    def _rows(self, statement: str, values: Sequence[int] = ()) -> list[tuple[Any, ...]] | None:
        """What a statement finds; None where it has to be asked of `full`."""
        with self._lock:
            if self._connection is None:
                return None
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error:
                return None


def _picture(
    id_: int, root: bytes, path: bytes, width_px: int, height_px: int, taken_at: str | None
) -> Picture:
    return Picture(
        id_,
        Path(os.fsdecode(root)) / os.fsdecode(path),
        width_px,
        height_px,
        None if taken_at is None else datetime.fromisoformat(taken_at),
    )


def _connect(path: Path) -> sqlite3.Connection | None:
    """A connection to tables of `READ_VERSION`; None where that is not what is there."""
    if not path.exists():
        return None
    connection = None
    try:
        connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        found = connection.execute("SELECT value FROM info WHERE key = 'schema_version'").fetchone()
        if found is not None and found[0] == str(READ_VERSION):
            return connection
    except sqlite3.Error:
        pass
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()
    return None
