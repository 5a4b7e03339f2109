"""What every question reads of a catalogue, over the standard library's sqlite3.

Loading SQLAlchemy takes longer than all else that a question needs. So the statements of a plain
question stand here a second time, as a test compares; whatever is rarer, or is not as this module
expects it, goes through `Catalog`, which is opened when it is first needed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog.facts import (
    CAPTIONS_BY_MODELS,
    COLUMNS,
    FROM_FILE,
    TEXT_KINDS,
    captions_from_rows,
    from_rows,
)
from retrieval.catalog.filters import compile_filter, register_functions
from retrieval.catalog.full_text import FullText
from retrieval.catalog.records import Item, Root
from retrieval.catalog.stacked import stacked
from retrieval.encoders.space import EmbeddingSpace
from retrieval.query.filters import Filter
from retrieval.storage.catalog_url import CatalogUrl
from retrieval.storage.closing import Closing

if TYPE_CHECKING:
    from retrieval.catalog.catalog import Catalog

# The versions of the tables that these statements are for; others are read through `Catalog`.
_READ_VERSIONS = frozenset({"3", "4", "5"})
_IDS_A_STATEMENT = 500

_SPACE = "coalesce((SELECT CAST(value AS INTEGER) FROM info WHERE key = 'space'), 1)"
_ENCODER = f"SELECT name, dim, fingerprint FROM spaces WHERE id = {_SPACE}"
_VECTORS = f"""
SELECT item_id, vector FROM embeddings WHERE space_id = {_SPACE} AND item_id IN ({{marks}})
"""
_GENERATION = "SELECT value FROM info WHERE key = 'generation'"
_VECTOR_STORE = "SELECT value FROM info WHERE key = 'vector_store'"
_ITEMS = f"""
SELECT items.id, roots.path, files.path, items.width_px, items.height_px, items.time_ms,
    {", ".join(f"items.{name}" for name in COLUMNS)}
FROM items JOIN files ON files.id = items.file_id JOIN roots ON roots.id = files.root_id
WHERE items.id IN ({{marks}})
"""
_TEXTS = f"""
SELECT item_id, kind, text FROM texts
WHERE (kind IN ({", ".join(f"'{kind}'" for kind in TEXT_KINDS)})
    OR kind LIKE '{CAPTIONS_BY_MODELS}') AND item_id IN ({{marks}})
"""
_KEYWORDS = f"""
SELECT item_id, tag FROM tags WHERE source = '{FROM_FILE}' AND item_id IN ({{marks}})
"""
_ROOTS = "SELECT id, path FROM roots ORDER BY id"
_TIMES = "SELECT id, taken_at FROM items"
_UNDATED = "SELECT count(*) FROM items WHERE taken_at IS NULL"
_MARKS = "SELECT item_id, is_right FROM marks WHERE question = :question"
_HAS_MARKS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'marks'"
_TAKEN_AT = COLUMNS.index("taken_at")


class QuickReader(Closing):
    """A catalogue for asking. Thread-safe.

    What it cannot make sense of is asked of `full`, whose errors speak to people.
    """

    def __init__(self, where: Path | CatalogUrl, connection: sqlite3.Connection | None) -> None:
        self._where = where
        self._connection = connection
        self._lock = threading.RLock()
        self._full: Catalog | None = None

    @classmethod
    def open(cls, where: Path | CatalogUrl) -> Self:
        """Open the catalogue there; raises what `Catalog.open` raises.

        One on a server is no file, so that all is asked of `full`.
        """
        reader = cls(where, None if isinstance(where, CatalogUrl) else _connect(where))
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

                self._full = Catalog.open(self._where)
            return self._full

    @property
    def encoder(self) -> EmbeddingSpace | None:
        """The encoder that made the vectors; None while nothing has been indexed."""
        rows = self._rows(_ENCODER)
        if rows is None:
            return self.full.encoder
        return EmbeddingSpace(*rows[0]) if rows else None

    @property
    def generation(self) -> int:
        """How many changes the catalogue has seen; a copy with the same number is up to date."""
        rows = self._rows(_GENERATION)
        try:
            return self.full.generation if rows is None else int(rows[0][0])
        except (IndexError, TypeError, ValueError):
            return self.full.generation

    @property
    def vector_store(self) -> str | None:
        """See `Catalog.vector_store`."""
        rows = self._rows(_VECTOR_STORE)
        if rows is None:
            return self.full.vector_store
        return rows[0][0] if rows else None

    def items(self, ids: Sequence[int]) -> dict[int, Item]:
        """The items with these ids, by id; an id that is not there is left out."""
        found: dict[int, Item] = {}
        for start in range(0, len(ids), _IDS_A_STATEMENT):
            chunk = self._chunk_of_items(list(ids[start : start + _IDS_A_STATEMENT]))
            if chunk is None:
                return self.full.items(ids)
            found |= chunk
        return found

    def roots(self) -> list[Root]:
        """The indexed folders, in the order in which they were added."""
        rows = self._rows(_ROOTS)
        if rows is None:
            return self.full.roots()
        return [Root(id_, Path(os.fsdecode(path))) for id_, path in rows]

    def ids_matching(self, filter_: Filter) -> NDArray[np.int64]:
        """See `Catalog.ids_matching`."""
        compiled = compile_filter(filter_, self.roots())
        found = self._ids(compiled.statement, compiled.parameters)
        return self.full.ids_matching(filter_) if found is None else np.sort(found)

    @property
    def full_text(self) -> FullText:
        """See `Catalog.full_text`."""
        if self._connection is None:
            return self.full.full_text
        return FullText(self.raw_rows)

    def raw_rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """See `Catalog.raw_rows`."""
        found = self._rows(statement, values)
        return self.full.raw_rows(statement, values) if found is None else found

    def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float16]]:
        """See `Catalog.vectors`."""
        rows = self._vector_rows(list(ids))
        if rows is None:
            return self.full.vectors(ids)
        return {id_: np.frombuffer(vector, dtype="<f2") for id_, vector in zip(*rows, strict=True)}

    def vectors_of(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """See `Catalog.vectors_of`."""
        rows = self._vector_rows(np.unique(ids).tolist())
        return self.full.vectors_of(ids) if rows is None else stacked(*rows)

    def marks(self, question: str) -> dict[int, bool]:
        """See `Catalog.marks`."""
        if self._rows(_HAS_MARKS) == []:
            # Of a version before, in which nothing is marked yet.
            return {}
        rows = self._rows(_MARKS, {"question": question})
        if rows is None:
            return self.full.marks(question)
        return {item_id: bool(is_right) for item_id, is_right in rows}

    def newest(self, ids: NDArray[np.int64], count: int, offset: int = 0) -> list[Item]:
        """Of the items with these ids, `count` from `offset` on, the latest taken first.

        Those without a known time come last; what is equal goes by id, the latest first.
        """
        rows = self._rows(_TIMES)
        if rows is None:
            times = {id_: item.metadata.taken_at for id_, item in self.items(ids.tolist()).items()}
            rows = [(id_, moment and moment.isoformat(" ")) for id_, moment in times.items()]
        wanted = set(ids.tolist())
        order = sorted(((moment or "", id_) for id_, moment in rows if id_ in wanted), reverse=True)
        chosen = [id_ for _, id_ in order[offset : offset + count]]
        items = self.items(chosen)
        return [items[id_] for id_ in chosen if id_ in items]

    def count_undated(self) -> int:
        """See `Catalog.count_undated`."""
        rows = self._rows(_UNDATED)
        return self.full.count_undated() if rows is None else int(rows[0][0])

    def _chunk_of_items(self, ids: list[int]) -> dict[int, Item] | None:
        marks = ",".join("?" * len(ids))
        rows, words, keywords = (
            self._rows(statement.format(marks=marks), ids)
            for statement in (_ITEMS, _TEXTS, _KEYWORDS)
        )
        if rows is None or words is None or keywords is None:
            return None
        texts_of: dict[int, dict[str, str]] = {}
        for item_id, kind, text in words:
            texts_of.setdefault(item_id, {})[kind] = text
        keywords_of: dict[int, list[str]] = {}
        for item_id, tag in keywords:
            keywords_of.setdefault(item_id, []).append(tag)
        try:
            return {
                row[0]: _item(row, texts_of.get(row[0], {}), keywords_of.get(row[0], ()))
                for row in rows
            }
        except (TypeError, ValueError):
            return None

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

    def _vector_rows(self, ids: list[int]) -> tuple[list[int], list[bytes]] | None:
        """Ids and vectors of those that are there; None as by `_rows`."""
        held: list[int] = []
        vectors: list[bytes] = []
        for start in range(0, len(ids), _IDS_A_STATEMENT):
            chunk = ids[start : start + _IDS_A_STATEMENT]
            rows = self._rows(_VECTORS.format(marks=",".join("?" * len(chunk))), chunk)
            if rows is None:
                return None
            held += [row[0] for row in rows]
            vectors += [row[1] for row in rows]
        return held, vectors

    def _ids(self, statement: str, values: Mapping[str, Any]) -> NDArray[np.int64] | None:
        """The ids that a statement finds, which may be millions; None as by `_rows`."""
        # As one text: rows become Python's objects one by one, which takes most of the time.
        rows = self._rows(f"SELECT group_concat(id) FROM ({statement})", values)
        if rows is None:
            return None
        listed = rows[0][0]
        return np.fromstring(listed, np.int64, sep=",") if listed else np.empty(0, np.int64)

    def _rows(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]] | None:
        """What a statement finds; None where it has to be asked of `full`."""
        with self._lock:
            if self._connection is None:
                return None
            try:
                return self._connection.execute(statement, values).fetchall()
            except (sqlite3.Error, UnicodeDecodeError):
                return None


def _item(row: tuple[Any, ...], texts: dict[str, str], keywords: Sequence[str]) -> Item:
    id_, root, path, width_px, height_px, time_ms, *values = row
    if values[_TAKEN_AT] is not None:
        values[_TAKEN_AT] = datetime.fromisoformat(values[_TAKEN_AT])
    return Item(
        id_,
        Path(os.fsdecode(root)) / os.fsdecode(path),
        width_px,
        height_px,
        from_rows(dict(zip(COLUMNS, values, strict=True)), texts, keywords),
        time_ms,
        captions_from_rows(texts),
    )


def _connect(path: Path) -> sqlite3.Connection | None:
    """A connection to tables of `_READ_VERSIONS`; None where that is not what is there."""
    if not path.exists():
        return None
    connection = None
    try:
        connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        found = connection.execute("SELECT value FROM info WHERE key = 'schema_version'").fetchone()
        if found is not None and found[0] in _READ_VERSIONS:
            register_functions(connection)
            return connection
    except (sqlite3.Error, UnicodeDecodeError):
        pass
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()
    return None
