"""What a catalogue tells of its pictures, their files and folders: everything but their vectors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, false, func, or_, select, type_coerce
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import NullType

from retrieval.catalog.base import (
    IDS_A_STATEMENT,
    ROWS_A_CHUNK,
    CatalogBase,
    chunks,
)
from retrieval.catalog.records import Failure, KnownFile, Picture, Root, StoredFile
from retrieval.catalog.schema import FACTS_VERSION, failures, pictures, roots, vectors
from retrieval.errors import CatalogError


class ItemReading(CatalogBase):
    """Reads rows of pictures, roots and failures."""

    def roots(self) -> list[Root]:
        """The indexed folders, in the order in which they were added."""
        with self._reading() as connection:
            rows = connection.execute(select(roots.c.id, roots.c.path).order_by(roots.c.id))
            return [Root(row.id, Path(row.path)) for row in rows]

    def count_pictures(self, root_id: int | None = None) -> int:
        """How many pictures can be found, in all or below one root."""
        statement = select(func.count()).select_from(pictures)
        if root_id is not None:
            statement = statement.where(pictures.c.root_id == root_id)
        with self._reading() as connection:
            return int(connection.execute(statement).scalar_one())

    def item_ids(self) -> NDArray[np.int64]:
        """The ids of all pictures, int64 (n,) ascending."""
        with self._reading() as connection:
            found = connection.execute(select(pictures.c.id).order_by(pictures.c.id))
            return np.fromiter(found.scalars(), dtype=np.int64)

    def ids_without_vectors(self) -> NDArray[np.int64]:
        """The ids, int64 (n,) ascending, of pictures whose vector is not there: damage."""
        statement = (
            select(pictures.c.id)
            .outerjoin(vectors, vectors.c.picture_id == pictures.c.id)
            .where(vectors.c.picture_id.is_(None))
            .order_by(pictures.c.id)
        )
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def known_files(self, root_id: int, below: str = "") -> dict[str, KnownFile]:
        """Every file known under a root, by its path relative to the root.

        `below` restricts to a folder or a single file, relative to the root.
        """
        known: dict[str, KnownFile] = {}
        # The raw bytes are decoded here: a type decorator's call a row is most of a re-scan.
        picture_query = select(
            pictures.c.id,
            type_coerce(pictures.c.path, NullType()),
            pictures.c.size_bytes,
            pictures.c.mtime_ns,
            self._column(pictures.c.facts_version),
        ).where(pictures.c.root_id == root_id, _is_below(pictures.c.path, below))
        failure_query = select(
            failures.c.path, failures.c.size_bytes, failures.c.mtime_ns, failures.c.kind
        ).where(failures.c.root_id == root_id, _is_below(failures.c.path, below))
        with self._reading() as connection:
            for path, size, mtime, kind in connection.execute(failure_query):
                known[path] = KnownFile(size, mtime, None, kind)
            for rows in connection.execute(picture_query).partitions(ROWS_A_CHUNK):
                for item_id, raw, size, mtime, read_with in rows:
                    path = os.fsdecode(raw)
                    failed = known.get(path)
                    kind = None if failed is None else failed.failure_kind
                    lacks_facts = (read_with or 0) < FACTS_VERSION
                    known[path] = KnownFile(size, mtime, item_id, kind, lacks_facts)
        return known

    def stored_files(self, root_id: int) -> list[StoredFile]:
        """The files of all pictures under a root, as they were read, in the order of their ids."""
        statement = (
            select(
                pictures.c.id,
                pictures.c.path,
                pictures.c.size_bytes,
                pictures.c.mtime_ns,
                pictures.c.content_hash,
            )
            .where(pictures.c.root_id == root_id)
            .order_by(pictures.c.id)
        )
        with self._reading() as connection:
            return [
                StoredFile(id_, path, size, mtime, bytes(content))
                for id_, path, size, mtime, content in connection.execute(statement)
            ]

    def items(self, ids: Sequence[int]) -> dict[int, Picture]:
        """The pictures with these ids, by id; an id that is not there is left out."""
        found: dict[int, Picture] = {}
        with self._reading() as connection:
            for chunk in chunks(list(ids), IDS_A_STATEMENT):
                rows = connection.execute(
                    select(
                        pictures.c.id,
                        roots.c.path.label("root"),
                        pictures.c.path,
                        pictures.c.width_px,
                        pictures.c.height_px,
                        self._column(pictures.c.taken_at),
                    )
                    .join(roots, roots.c.id == pictures.c.root_id)
                    .where(pictures.c.id.in_(chunk))
                )
                for row in rows:
                    found[row.id] = Picture(
                        row.id,
                        Path(row.root) / row.path,
                        row.width_px,
                        row.height_px,
                        row.taken_at,
                    )
        return found

    def ids_with_content(self, content_hashes: Sequence[bytes]) -> dict[bytes, list[int]]:
        """Picture ids by content hash, for those of the hashes that are known."""
        found: dict[bytes, list[int]] = {}
        with self._reading() as connection:
            for chunk in chunks(list(content_hashes), IDS_A_STATEMENT):
                rows = connection.execute(
                    select(pictures.c.content_hash, pictures.c.id)
                    .where(pictures.c.content_hash.in_(chunk))
                    .order_by(pictures.c.id)
                )
                for content_hash, item_id in rows:
                    found.setdefault(bytes(content_hash), []).append(item_id)
        return found

    def ids_within(self, folder: Path) -> NDArray[np.int64]:
        """Ids, int64 (n,) ascending, of all pictures below a folder (or of the one file)."""
        conditions: list[ColumnElement[bool]] = []
        for root in self.roots():
            if root.path == folder or folder in root.path.parents:
                conditions.append(pictures.c.root_id == root.id)
            elif root.path in folder.parents:
                below = folder.relative_to(root.path).as_posix()
                conditions.append(
                    and_(pictures.c.root_id == root.id, _is_below(pictures.c.path, below))
                )
        statement = select(pictures.c.id).where(or_(false(), *conditions)).order_by(pictures.c.id)
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def ids_taken(
        self, after: datetime | None = None, before: datetime | None = None
    ) -> NDArray[np.int64]:
        """Ids, int64 (n,) ascending, of pictures taken at `after` or later and before `before`.

        Times are the camera's own, without a zone. Pictures without a known time are left out.
        Raises CatalogError where an older catalogue knows no times at all.
        """
        if self._version < pictures.c.taken_at.info["since"]:
            raise CatalogError(
                "This index does not know yet when its pictures were taken.", code="facts-unread"
            )
        conditions: list[ColumnElement[bool]] = [pictures.c.taken_at.is_not(None)]
        if after is not None:
            conditions.append(pictures.c.taken_at >= after)
        if before is not None:
            conditions.append(pictures.c.taken_at < before)
        statement = select(pictures.c.id).where(*conditions).order_by(pictures.c.id)
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def count_undated(self) -> int:
        """How many pictures have no known time, so that no question about time finds them."""
        statement = select(func.count()).where(pictures.c.taken_at.is_(None))
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


def _is_below(column: Any, below: str) -> ColumnElement[bool]:
    """True for the path itself and all that lies below it; for every path where it is empty."""
    if below in ("", "."):
        return column.is_not(None)  # type: ignore[no-any-return]
    # "0" follows "/" in ASCII, so this range holds just the paths that start with "below/".
    return or_(column == below, and_(column >= below + "/", column < below + "0"))
