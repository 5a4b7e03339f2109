"""What one writing transaction of the catalogue can do.

Rows and their vectors go in together; everything a transaction does carries its generation, so
that copies (the vector index) can tell what they miss.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import sqlite

from retrieval.catalog.records import ImageFacts, Root
from retrieval.catalog.schema import (
    FACTS_VERSION,
    failures,
    info,
    pictures,
    removals,
    roots,
    vectors,
)
from retrieval.encoders.base import EncoderIdentity, Vectors

# SQLite's default bound on the host parameters of one statement is 32,766; stay far below it.
_PATHS_A_STATEMENT = 10_000

PATCH_TOKENS = "patch_tokens"
DISKS = "disks"
REMOVED = "removed"


class WriteTransaction:
    """Handed out by `Catalog.transaction`; not to be made by hand."""

    def __init__(self, connection: Connection, generation: int) -> None:
        self._connection = connection
        self.generation = generation

    def finish(self) -> None:
        """Stamp the catalogue with the generation of this transaction."""
        self._put_info("generation", str(self.generation))

    def set_encoder(self, encoder: EncoderIdentity) -> None:
        """Bind the index to the encoder that makes its vectors."""
        self._put_info("encoder_name", encoder.name)
        self._put_info("encoder_dim", str(encoder.dim))
        self._put_info("encoder_fingerprint", encoder.fingerprint)

    def note_patch_tokens(self) -> None:
        """Say that the encoder gives patch tokens, so that each picture should have some."""
        self._put_info(PATCH_TOKENS, "1")

    def set_disks(self, folders: Sequence[Path]) -> None:
        """Remember which folders lie on disks of their own."""
        # Bytes that are no text are surrogates in the paths, which JSON keeps in its ASCII form.
        self._put_info(DISKS, json.dumps([str(folder) for folder in folders]))

    def set_removed(self, paths: Sequence[Path]) -> None:
        """Remember which files and folders of the roots are to stay out of the index."""
        self._put_info(REMOVED, json.dumps([str(path) for path in paths]))

    def set_vector_index_choice(self, choice: str) -> None:
        """Keep which kind of vector index its owner wants, see `retrieval.vectors.faiss.kinds`."""
        self._put_info("vector_index", choice)

    def add_root(self, path: Path) -> Root:
        """Add a root folder; one that is there already is returned as it is."""
        found = self._connection.execute(
            select(roots.c.id).where(roots.c.path == str(path))
        ).scalar_one_or_none()
        if found is None:
            result = self._connection.execute(insert(roots).values(path=str(path)))
            assert result.inserted_primary_key is not None
            found = result.inserted_primary_key[0]
        return Root(found, path)

    def set_root_path(self, root_id: int, path: Path) -> None:
        """Say that a whole root now lies elsewhere; its pictures keep their vectors."""
        self._connection.execute(update(roots).where(roots.c.id == root_id).values(path=str(path)))

    def merge_root(self, inner: Root, outer: Root) -> None:
        """Move all rows of a root to one that contains it, and forget the inner root."""
        prefix = inner.path.relative_to(outer.path).as_posix() + "/"
        # What was wrong with the inner root as a whole is seen anew from the outer one.
        self.forget_failures(inner.id, [""])
        for table in (pictures, failures):
            paths = self._connection.execute(
                select(table.c.path).where(table.c.root_id == inner.id)
            ).scalars()
            renames = [{"old": path, "new": prefix + path} for path in paths]
            if renames:
                self._connection.execute(
                    update(table)
                    .where(table.c.root_id == inner.id, table.c.path == bindparam("old"))
                    .values(root_id=outer.id, path=bindparam("new")),
                    renames,
                )
        self._connection.execute(delete(roots).where(roots.c.id == inner.id))

    def add_pictures(
        self,
        root_id: int,
        paths: Sequence[str],
        facts: Sequence[ImageFacts],
        embeddings: Vectors,
    ) -> list[int]:
        """Add pictures with their vectors, (n, dim); returns their ids, in order.

        A path that is known already keeps its id and gets the new facts and vector (the file's
        content changed). A failure noted for the path is forgotten.
        """
        rows = [
            {"root_id": root_id, "path": path, **_fact_values(fact)}
            for path, fact in zip(paths, facts, strict=True)
        ]
        if not rows:
            return []
        self._upsert(pictures, ["root_id", "path"], rows)
        id_of: dict[str, int] = {}
        for start in range(0, len(paths), _PATHS_A_STATEMENT):
            chunk = list(paths[start : start + _PATHS_A_STATEMENT])
            for path, item_id in self._connection.execute(
                select(pictures.c.path, pictures.c.id).where(
                    pictures.c.root_id == root_id, pictures.c.path.in_(chunk)
                )
            ):
                id_of[path] = item_id
        ids = [id_of[path] for path in paths]
        self.set_vectors(ids, embeddings)
        self.forget_failures(root_id, paths)
        return ids

    def set_vectors(self, ids: Sequence[int], embeddings: Vectors) -> None:
        """Write the vectors, (n, dim), of pictures that have rows."""
        halves = np.ascontiguousarray(embeddings, dtype="<f2")
        rows = [
            {"picture_id": item_id, "generation": self.generation, "embedding": half.tobytes()}
            for item_id, half in zip(ids, halves, strict=True)
        ]
        self._upsert(vectors, ["picture_id"], rows)

    def move_picture(self, item_id: int, root_id: int, path: str, facts: ImageFacts) -> None:
        """Say that a picture's file is now elsewhere; its id and vector stay."""
        self._connection.execute(
            update(pictures)
            .where(pictures.c.id == item_id)
            .values(root_id=root_id, path=path, **_fact_values(facts))
        )
        self.forget_failures(root_id, [path])

    def touch_picture(
        self, item_id: int, size_bytes: int, mtime_ns: int, taken_at: datetime | None
    ) -> None:
        """Note that a file was read again and its content is the same."""
        self._connection.execute(
            update(pictures)
            .where(pictures.c.id == item_id)
            .values(
                size_bytes=size_bytes,
                mtime_ns=mtime_ns,
                taken_at=taken_at,
                facts_version=FACTS_VERSION,
            )
        )

    def mark_unread(self, ids: Sequence[int]) -> None:
        """Have the files of these pictures read again by the next run; nothing is forgotten."""
        if ids:
            self._connection.execute(
                update(pictures)
                .where(pictures.c.id == bindparam("unread"))
                .values(facts_version=0),
                [{"unread": item_id} for item_id in ids],
            )

    def drop_vectors(self, ids: Sequence[int]) -> None:
        """Drop vectors that belong to no picture, by picture id."""
        rows = [{"picture_id": item_id, "generation": self.generation} for item_id in ids]
        if rows:
            self._connection.execute(
                delete(vectors).where(vectors.c.picture_id == bindparam("gone")),
                [{"gone": item_id} for item_id in ids],
            )
            self._upsert(removals, ["picture_id"], rows)

    def remove_pictures(self, ids: Sequence[int]) -> None:
        """Forget pictures: their rows and vectors."""
        rows = [{"picture_id": item_id, "generation": self.generation} for item_id in ids]
        if not rows:
            return
        keys = [{"gone": item_id} for item_id in ids]
        self._connection.execute(
            delete(vectors).where(vectors.c.picture_id == bindparam("gone")), keys
        )
        self._connection.execute(delete(pictures).where(pictures.c.id == bindparam("gone")), keys)
        self._connection.execute(insert(removals), rows)

    def remove_root(self, root_id: int) -> None:
        """Forget a root that has no pictures left, with its failures."""
        self._connection.execute(delete(failures).where(failures.c.root_id == root_id))
        self._connection.execute(delete(roots).where(roots.c.id == root_id))

    def record_failure(
        self, root_id: int, path: str, *, size_bytes: int, mtime_ns: int, kind: str, reason: str
    ) -> None:
        """Note that a file could not be indexed, and why."""
        row = {
            "root_id": root_id,
            "path": path,
            "size_bytes": size_bytes,
            "mtime_ns": mtime_ns,
            "kind": kind,
            "reason": reason,
            "failed_at": time.time(),
        }
        self._upsert(failures, ["root_id", "path"], [row])

    def forget_failures(self, root_id: int, paths: Sequence[str]) -> None:
        """Drop the failures noted for these paths."""
        if paths:
            self._connection.execute(
                delete(failures).where(
                    failures.c.root_id == root_id, failures.c.path == bindparam("gone")
                ),
                [{"gone": path} for path in paths],
            )

    def _put_info(self, key: str, value: str) -> None:
        put_info(self._connection, key, value)

    def _upsert(self, table: Table, keys: list[str], rows: list[dict[str, Any]]) -> None:
        _upsert(self._connection, table, keys, rows)


def put_info(connection: Connection, key: str, value: str) -> None:
    """Write one of the catalogue's own facts."""
    _upsert(connection, info, ["key"], [{"key": key, "value": value}])


def _upsert(
    connection: Connection, table: Table, keys: list[str], rows: list[dict[str, Any]]
) -> None:
    """Insert rows; where one with the same keys stands, overwrite its other columns."""
    if not rows:
        return
    statement: Any = sqlite.insert(table)
    if connection.dialect.name == "postgresql":
        # Here, since it would cost every question a twentieth of a second.
        from sqlalchemy.dialects import postgresql

        statement = postgresql.insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _fact_values(facts: ImageFacts) -> dict[str, Any]:
    return {
        "size_bytes": facts.size_bytes,
        "mtime_ns": facts.mtime_ns,
        "content_hash": facts.content_hash,
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "taken_at": facts.taken_at,
        "facts_version": FACTS_VERSION,
    }
