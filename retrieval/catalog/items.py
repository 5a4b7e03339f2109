"""What a catalogue tells of its items, their files and folders: everything but their vectors."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Connection,
    Select,
    and_,
    false,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
)
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from retrieval.catalog.base import (
    IDS_A_STATEMENT,
    ROWS_A_CHUNK,
    CatalogBase,
    chunks,
    present_space,
)
from retrieval.catalog.facts import (
    CAPTIONS_BY_MODELS,
    COLUMNS,
    FROM_FILE,
    TEXT_KINDS,
    caption_kind,
    captions_from_rows,
    from_rows,
)
from retrieval.catalog.filters import compile_filter
from retrieval.catalog.full_text import FullText
from retrieval.catalog.records import Failure, Item, KnownFile, Root, StoredFile
from retrieval.catalog.schema import (
    FACTS_VERSION,
    embeddings,
    failures,
    files,
    items,
    roots,
    tags,
    texts,
)
from retrieval.query.filters import Filter


class ItemReading(CatalogBase):
    """Reads rows of items, files, roots and failures."""

    def roots(self) -> list[Root]:
        """The indexed folders, in the order in which they were added."""
        with self._asking() as connection:
            rows = connection.execute(select(roots.c.id, roots.c.path).order_by(roots.c.id))
            return [Root(row.id, Path(row.path)) for row in rows]

    def count_items(self, root_id: int | None = None) -> int:
        """How many items can be found, in all or below one root."""
        statement = select(func.count()).select_from(items)
        if root_id is not None:
            statement = statement.join(files, files.c.id == items.c.file_id).where(
                files.c.root_id == root_id
            )
        with self._reading() as connection:
            return int(connection.execute(statement).scalar_one())

    def item_ids(self) -> NDArray[np.int64]:
        """The ids of all items, int64 (n,) ascending."""
        return self._ids(select(items.c.id).order_by(items.c.id))

    def ids_without_vectors(self, space_id: int | None = None) -> NDArray[np.int64]:
        """The ids, int64 (n,) ascending, of items whose vector is not there.

        That is damage, save in a space that the index is only moving to.
        """
        return self._ids(
            select(items.c.id)
            .select_from(items)
            .outerjoin(
                embeddings,
                and_(
                    embeddings.c.item_id == items.c.id,
                    embeddings.c.space_id
                    == (present_space() if space_id is None else literal(space_id)),
                ),
            )
            .where(embeddings.c.item_id.is_(None))
            .order_by(items.c.id)
        )

    def known_files(
        self, root_id: int, below: str = ""
    ) -> Generator[tuple[str, KnownFile], None, None]:
        """Every file known under a root, by its path relative to the root.

        In the order of the paths' bytes, and all as they are when the first is asked for. `below`
        restricts to a folder or a single file, relative to the root.
        """
        with self._reading() as connection:
            failed = deque(_failed_files(connection, root_id, below))
            for path, file in _indexed_files(connection, root_id, below):
                while failed and failed[0][0] < path:
                    yield _decoded(*failed.popleft())
                if failed and failed[0][0] == path:
                    file = file._replace(failure_kind=failed.popleft()[1].failure_kind)
                yield _decoded(path, file)
            for failure in failed:
                yield _decoded(*failure)

    def knows_files(self, root_id: int, below: str = "") -> bool:
        """Whether there is any of `known_files`."""
        with closing(self.known_files(root_id, below)) as known:
            return next(known, None) is not None

    def stored_files(self, root_id: int) -> list[StoredFile]:
        """The indexed files under a root, as they were read, in the order of their ids."""
        statement = (
            select(
                files.c.id,
                files.c.path,
                files.c.size_bytes,
                files.c.mtime_ns,
                files.c.content_hash,
                items.c.id,
            )
            .join(items, items.c.file_id == files.c.id)
            .where(files.c.root_id == root_id)
            .order_by(files.c.id, items.c.position)
        )
        found: list[StoredFile] = []
        with self._reading() as connection:
            for file, rows in groupby(connection.execute(statement), key=lambda row: row[:5]):
                file_id, path, size, mtime, content = file
                ids = tuple(row[5] for row in rows)
                found.append(StoredFile(file_id, path, size, mtime, bytes(content), ids))
        return found

    def file_ids_at(self, root_id: int, paths: Sequence[str]) -> dict[str, int]:
        """The files at these paths of a root, by path; one that is not known is left out."""
        found: dict[str, int] = {}
        with self._reading() as connection:
            for chunk in chunks(list(paths), IDS_A_STATEMENT):
                rows = connection.execute(
                    select(files.c.path, files.c.id).where(
                        files.c.root_id == root_id, files.c.path.in_(chunk)
                    )
                )
                found.update((row[0], row[1]) for row in rows)
        return found

    def file_paths(self, file_ids: Sequence[int]) -> dict[int, Path]:
        """Where these files are, by id; an id that is not there is left out."""
        found: dict[int, Path] = {}
        with self._reading() as connection:
            for chunk in chunks(list(file_ids), IDS_A_STATEMENT):
                rows = connection.execute(
                    select(files.c.id, roots.c.path.label("root"), files.c.path)
                    .join(roots, roots.c.id == files.c.root_id)
                    .where(files.c.id.in_(chunk))
                )
                for row in rows:
                    found[row.id] = Path(row.root) / row.path
        return found

    def item_ids_of(self, file_ids: Sequence[int]) -> list[int]:
        """The ids of the items of these files."""
        found: list[int] = []
        with self._reading() as connection:
            for chunk in chunks(list(file_ids), IDS_A_STATEMENT):
                found += connection.execute(
                    select(items.c.id).where(items.c.file_id.in_(chunk)).order_by(items.c.id)
                ).scalars()
        return found

    def file_ids_of(self, item_ids: Sequence[int]) -> list[int]:
        """The ids of the files that these items are of, ascending."""
        found: set[int] = set()
        with self._reading() as connection:
            for chunk in chunks(list(item_ids), IDS_A_STATEMENT):
                found.update(
                    connection.execute(
                        select(items.c.file_id).where(items.c.id.in_(chunk))
                    ).scalars()
                )
        return sorted(found)

    def root_ids_of(self, item_ids: Sequence[int]) -> NDArray[np.int64]:
        """The root, int64 (n,), that the file of each item is in; 0 where there is no such item."""
        found: dict[int, int] = {}
        with self._reading() as connection:
            for chunk in chunks(list(item_ids), IDS_A_STATEMENT):
                rows = connection.execute(
                    select(items.c.id, files.c.root_id)
                    .join(files, files.c.id == items.c.file_id)
                    .where(items.c.id.in_(chunk))
                )
                found.update((item_id, root_id) for item_id, root_id in rows)
        return np.array([found.get(item_id, 0) for item_id in item_ids], dtype=np.int64)

    def items(self, ids: Sequence[int]) -> dict[int, Item]:
        """The items with these ids, by id; an id that is not there is left out."""
        found: dict[int, Item] = {}
        with self._reading() as connection:
            for chunk in chunks(list(ids), IDS_A_STATEMENT):
                in_words: dict[int, dict[str, str]] = {}
                for item_id, kind, text in connection.execute(
                    select(texts.c.item_id, texts.c.kind, texts.c.text).where(
                        texts.c.item_id.in_(chunk),
                        or_(texts.c.kind.in_(TEXT_KINDS), texts.c.kind.like(CAPTIONS_BY_MODELS)),
                    )
                ):
                    in_words.setdefault(item_id, {})[kind] = text
                keywords: dict[int, list[str]] = {}
                for item_id, tag in connection.execute(
                    select(tags.c.item_id, tags.c.tag).where(
                        tags.c.item_id.in_(chunk), tags.c.source == FROM_FILE
                    )
                ):
                    keywords.setdefault(item_id, []).append(tag)
                for row in connection.execute(_ITEMS.where(items.c.id.in_(chunk))):
                    id_, root, path, width_px, height_px, time_ms, *values = row
                    found[id_] = Item(
                        id_,
                        Path(root) / path,
                        width_px,
                        height_px,
                        from_rows(
                            dict(zip(COLUMNS, values, strict=True)),
                            in_words.get(id_, {}),
                            keywords.get(id_, ()),
                        ),
                        time_ms,
                        captions_from_rows(in_words.get(id_, {})),
                    )
        return found

    def files_with_content(self, content_hashes: Sequence[bytes]) -> dict[bytes, list[int]]:
        """File ids by content hash, for those of the hashes that are known."""
        found: dict[bytes, list[int]] = {}
        with self._reading() as connection:
            for chunk in chunks(list(content_hashes), IDS_A_STATEMENT):
                rows = connection.execute(
                    select(files.c.content_hash, files.c.id)
                    .where(files.c.content_hash.in_(chunk))
                    .order_by(files.c.id)
                )
                for content_hash, file_id in rows:
                    found.setdefault(bytes(content_hash), []).append(file_id)
        return found

    def ids_captioned_by(self, model: str) -> NDArray[np.int64]:
        """The ids, int64 (n,) ascending, of the items that a model has described."""
        return self._ids(
            select(texts.c.item_id)
            .where(texts.c.kind == caption_kind(model))
            .order_by(texts.c.item_id)
        )

    def ids_within(self, folder: Path) -> NDArray[np.int64]:
        """Ids, int64 (n,) ascending, of all items below a folder (or of the one file)."""
        conditions: list[ColumnElement[bool]] = []
        for root in self.roots():
            if root.path == folder or folder in root.path.parents:
                conditions.append(files.c.root_id == root.id)
            elif root.path in folder.parents:
                below = folder.relative_to(root.path).as_posix()
                conditions.append(and_(files.c.root_id == root.id, is_below(files.c.path, below)))
        return self._ids(
            select(items.c.id)
            .join(files, files.c.id == items.c.file_id)
            .where(or_(false(), *conditions))
            .order_by(items.c.id)
        )

    def ids_matching(self, filter_: Filter) -> NDArray[np.int64]:
        """Ids, int64 (n,) ascending, of the items that fit a filter.

        Raises CatalogError where an older catalogue does not know what the filter is about.
        """
        compiled = compile_filter(filter_, self.roots(), self._database.expressions)
        for name in sorted(compiled.columns):
            self._require_known(name, items.c[name].info if name in items.c else {})
        with self._reading() as connection:
            found = connection.execute(text(compiled.statement), compiled.parameters)
            return np.sort(np.fromiter(found.scalars(), dtype=np.int64))

    @property
    def full_text(self) -> FullText:
        """What can be asked of the items' words."""
        return self._database.full_text(self.raw_rows)

    def raw_rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What a statement in SQL finds, its values in the places of its question marks."""
        with self._asking() as connection:
            return self._database.rows(connection, statement, values)

    def count_undated(self) -> int:
        """How many items have no known time, so that no question about time finds them."""
        statement = select(func.count()).where(items.c.taken_at.is_(None))
        with self._reading() as connection:
            return connection.execute(statement).scalar_one()

    def failures(self) -> list[Failure]:
        """The files that could not be indexed, by path."""
        statement = (
            select(
                roots.c.path.label("root"),
                failures.c.path,
                failures.c.kind,
                failures.c.reason,
                failures.c.failed_at,
            )
            .join(roots, roots.c.id == failures.c.root_id)
            .order_by(roots.c.path, failures.c.path)
        )
        with self._reading() as connection:
            return [
                Failure(Path(row.root) / row.path, row.kind, row.reason, row.failed_at)
                for row in connection.execute(statement)
            ]

    def _ids(self, statement: Select[tuple[int]]) -> NDArray[np.int64]:
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)


_ITEMS = (
    select(
        items.c.id,
        roots.c.path,
        files.c.path,
        items.c.width_px,
        items.c.height_px,
        items.c.time_ms,
        *(items.c[name] for name in COLUMNS),
    )
    .join(files, files.c.id == items.c.file_id)
    .join(roots, roots.c.id == files.c.root_id)
)


def is_below(column: Any, below: str) -> ColumnElement[bool]:
    """True for the path itself and all that lies below it; for every path where it is empty."""
    return or_(*_places_below(column, below))


def _places_below(column: Any, below: str) -> list[ColumnElement[bool]]:
    """Conditions of which one is true for a path `is_below`; the first for what sorts first."""
    if below in ("", "."):
        return [column.is_not(None)]
    # "0" follows "/" in ASCII, so this range holds just the paths that start with "below/".
    return [column == below, and_(column >= below + "/", column < below + "0")]


def _indexed_files(
    connection: Connection, root_id: int, below: str
) -> Iterator[tuple[bytes, KnownFile]]:
    """The files under a root in the order of their paths, a chunk at a time."""
    statement = (
        select(
            files.c.id,
            # The raw bytes are decoded later: a type decorator's call a row is most of a re-scan.
            type_coerce(files.c.path, NullType()),
            files.c.size_bytes,
            files.c.mtime_ns,
            files.c.facts_version,
        )
        .where(files.c.root_id == root_id)
        .order_by(files.c.path)
    )
    # One after the other, since the two together would have to be sorted.
    for place in _places_below(files.c.path, below):
        rows = connection.execution_options(yield_per=ROWS_A_CHUNK).execute(statement.where(place))
        for chunk in rows.partitions():
            for file_id, path, size, mtime, read_with in chunk:
                lacks_facts = (read_with or 0) < FACTS_VERSION
                yield bytes(path), KnownFile(size, mtime, file_id, None, lacks_facts)


def _failed_files(
    connection: Connection, root_id: int, below: str
) -> list[tuple[bytes, KnownFile]]:
    """The files under a root that could not be read, in the order of their paths."""
    statement = select(
        type_coerce(failures.c.path, NullType()),
        failures.c.size_bytes,
        failures.c.mtime_ns,
        failures.c.kind,
    ).where(failures.c.root_id == root_id, is_below(failures.c.path, below))
    rows = sorted(connection.execute(statement), key=lambda row: bytes(row[0]))
    return [(bytes(path), KnownFile(size, mtime, None, kind)) for path, size, mtime, kind in rows]


def _decoded(path: bytes, file: KnownFile) -> tuple[str, KnownFile]:
    return os.fsdecode(path), file
