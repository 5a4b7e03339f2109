"""What one writing transaction of the catalogue can do.

Rows and their vectors go in together; everything a transaction does carries its generation, so
that copies (the vector index) can tell what they miss.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from retrieval.catalog.base import (
    IDS_A_STATEMENT,
    NEXT_SPACE,
    SPACE,
    chunks,
    present_space,
    read_info,
)
from retrieval.catalog.database import Database
from retrieval.catalog.facts import (
    CAPTIONS_BY_MODELS,
    FROM_FILE,
    TEXT_KINDS,
    caption_kind,
    column_values,
    tag_rows,
    text_rows,
)
from retrieval.catalog.marks import delete_marks, write_marks
from retrieval.catalog.records import FileFacts, ItemFacts, Root
from retrieval.catalog.schema import (
    FACTS_VERSION,
    embeddings,
    failures,
    files,
    info,
    items,
    marks,
    removals,
    roots,
    spaces,
    tags,
    texts,
)
from retrieval.catalog.upsert import upsert
from retrieval.encoders.base import Vectors
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import EncoderMismatchError
from retrieval.images.facts import ImageMetadata
from retrieval.storage.patch_tokens import Tokens

if TYPE_CHECKING:
    from retrieval.catalog.postgres.work_queue import WorkQueue

# SQLite's default bound on the host parameters of one statement is 32,766; stay far below it.
_KEYS_A_STATEMENT = 10_000

PATCH_TOKENS = "patch_tokens"
DISKS = "disks"
REMOVED = "removed"
ELSEWHERE = "elsewhere"
# In `info`: where the vectors are searched, unless that is in files of the index folder.
VECTOR_STORE = "vector_store"
# Of shards that are in the index as a whole: a row of `info` each, with the shard's mark behind it.
SHARD_DONE = "shard done: "


class WriteTransaction:
    """Handed out by `Catalog.transaction`; not to be made by hand."""

    def __init__(self, connection: Connection, database: Database, generation: int) -> None:
        self._connection = connection
        self._database = database
        self.generation = generation

    def finish(self) -> None:
        """Write the words of what has changed, and stamp the catalogue with the generation."""
        self._database.refresh_words(self._connection)
        self._put_info("generation", str(self.generation))

    def set_encoder(self, encoder: EmbeddingSpace) -> None:
        """Bind an index that has no vectors yet to the space of those that are to come.

        Raises EncoderMismatchError where it is bound to another.
        """
        row = {
            "id": self._space,
            "name": encoder.name,
            "dim": encoder.dim,
            "fingerprint": encoder.fingerprint,
        }
        statement = select(spaces.c.name, spaces.c.dim, spaces.c.fingerprint).where(
            spaces.c.id == self._space
        )
        found = self._connection.execute(statement).one_or_none()
        if found is None:
            self._connection.execute(insert(spaces), [row])
        elif not EmbeddingSpace(*found).is_same(encoder):
            # Another process has begun the same index meanwhile.
            raise EncoderMismatchError(
                f"The index was made with the model {found.name}.", model=encoder.name
            )

    def begin_space(self, space: EmbeddingSpace) -> int:
        """Begin to move to another space, or go on with it; returns its id.

        What was made for a third space is dropped.
        """
        pending = read_info(self._connection, NEXT_SPACE)
        if pending is not None:
            fingerprint = self._connection.execute(
                select(spaces.c.fingerprint).where(spaces.c.id == int(pending))
            ).scalar_one_or_none()
            if fingerprint == space.fingerprint:
                return int(pending)
            self._drop_space(int(pending))
        highest = self._connection.execute(select(func.max(spaces.c.id))).scalar_one() or 0
        row = {"name": space.name, "dim": space.dim, "fingerprint": space.fingerprint}
        self._connection.execute(insert(spaces), [{"id": highest + 1, **row}])
        self._put_info(NEXT_SPACE, str(highest + 1))
        return int(highest) + 1

    def switch_space(self, *, has_patch_tokens: bool) -> None:
        """Let the space that the index moves to answer from now on; the former one is dropped.

        Items without a vector in it are forgotten, with their files.
        """
        following = int(read_info(self._connection, NEXT_SPACE) or 0)
        present = self._space
        lacking = self._connection.execute(
            select(items.c.file_id)
            .distinct()
            .where(
                items.c.id.not_in(
                    select(embeddings.c.item_id).where(embeddings.c.space_id == following)
                )
            )
        ).scalars()
        self.remove_files(list(lacking))
        self._put_info(SPACE, str(following))
        self._drop_space(present)
        # Whoever holds a copy of the former vectors replaces every one of them.
        self._connection.execute(update(embeddings).values(generation=self.generation))
        self._connection.execute(delete(info).where(info.c.key.in_([NEXT_SPACE, PATCH_TOKENS])))
        if has_patch_tokens:
            self.note_patch_tokens()

    def rename_space(self, name: str) -> None:
        """Let the index be asked through another encoder of the space that its vectors are in."""
        self._connection.execute(update(spaces).where(spaces.c.id == self._space).values(name=name))

    def _drop_space(self, space_id: int) -> None:
        self._connection.execute(delete(embeddings).where(embeddings.c.space_id == space_id))
        self._connection.execute(delete(spaces).where(spaces.c.id == space_id))

    def note_patch_tokens(self) -> None:
        """Say that the encoder gives patch tokens, so that each picture should have some."""
        self._put_info(PATCH_TOKENS, "1")

    def keep_patch_tokens(self, fingerprint: str, ids: Sequence[int], tokens: Tokens) -> bool:
        """Keep an encoder's tokens, int8 (n, patches, token_dim), where the catalogue does.

        Returns False where a file beside it keeps them.
        """
        return self._database.put_patch_tokens(self._connection, fingerprint, ids, tokens)

    def finish_work(self, queue: WorkQueue, paths: Sequence[str]) -> set[str]:
        """Take files out of a queue; returns those that whoever claimed them may write."""
        return queue.finish(self._connection, paths)

    def set_disks(self, folders: Sequence[Path]) -> None:
        """Remember which folders lie on disks of their own."""
        # Bytes that are no text are surrogates in the paths, which JSON keeps in its ASCII form.
        self._put_info(DISKS, json.dumps([str(folder) for folder in folders]))

    def set_removed(self, paths: Sequence[Path]) -> None:
        """Remember which files and folders of the roots are to stay out of the index."""
        self._put_info(REMOVED, json.dumps([str(path) for path in paths]))

    def set_elsewhere(self, folders: Sequence[Path]) -> None:
        """Remember which roots hold pictures whose files need not be on this machine."""
        self._put_info(ELSEWHERE, json.dumps([str(folder) for folder in folders]))

    def note_shard_done(self, mark: str) -> None:
        """Remember that a shard, by its mark, is in the index as a whole."""
        self._put_info(SHARD_DONE + mark, "")

    def set_vector_index_choice(self, choice: str) -> None:
        """Keep which kind of vector index its owner wants, see `retrieval.vectors.faiss.kinds`."""
        self._put_info("vector_index", choice)

    def set_vector_store(self, text: str) -> None:
        """Keep which vector store its owner wants, see `retrieval.vectors.registry`."""
        self._put_info(VECTOR_STORE, text)

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
        """Say that a whole root now lies elsewhere; what lies in it keeps its vectors."""
        self._connection.execute(update(roots).where(roots.c.id == root_id).values(path=str(path)))

    def merge_root(self, inner: Root, outer: Root) -> None:
        """Move all rows of a root to one that contains it, and forget the inner root."""
        prefix = inner.path.relative_to(outer.path).as_posix() + "/"
        # What was wrong with the inner root as a whole is seen anew from the outer one.
        self.forget_failures(inner.id, [""])
        for table in (files, failures):
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

    def add_files(
        self,
        root_id: int,
        added: Sequence[tuple[FileFacts, Sequence[ItemFacts]]],
        vectors: Vectors,
    ) -> list[int]:
        """Add files with their items and the items' vectors, (n, dim); returns the items' ids.

        Vectors and ids are in the order of the files, and of the items within each. A path that
        is known already keeps its ids and gets the new facts and vectors (the file's content
        changed). Failures noted for the paths are forgotten.
        """
        if not added:
            return []
        paths = [file.path for file, _ in added]
        self._upsert(files, ["root_id", "path"], [_file_values(root_id, file) for file, _ in added])
        file_ids = self._file_ids(root_id, paths)
        before = self._item_ids(list(file_ids.values()))
        rows = [
            {"file_id": file_ids[file.path], "position": position, **_item_values(part)}
            for file, parts in added
            for position, part in enumerate(parts)
        ]
        kept = {(row["file_id"], row["position"]) for row in rows}
        self.remove_items([id_ for place, id_ in before.items() if place not in kept])
        self._upsert(items, ["file_id", "position"], rows)
        id_of = self._item_ids(list(file_ids.values()))
        ids = [id_of[row["file_id"], row["position"]] for row in rows]
        self.set_vectors(ids, vectors)
        # In a space that the index is moving to, the vectors are of the former content.
        self._forget_vectors_elsewhere(list(before.values()))
        self._forget_words([before[place] for place in kept if place in before])
        self._write_words(ids, [part.metadata for _, parts in added for part in parts])
        self.forget_failures(root_id, paths)
        return ids

    def append_items(
        self, file_id: int, position: int, added: Sequence[ItemFacts], vectors: Vectors
    ) -> list[int]:
        """Add items to the end of a file, from `position` on, with their vectors, (n, dim)."""
        places = range(position, position + len(added))
        rows = [
            {"file_id": file_id, "position": place, **_item_values(item)}
            for place, item in zip(places, added, strict=True)
        ]
        self._upsert(items, ["file_id", "position"], rows)
        id_of = self._item_ids([file_id])
        ids = [id_of[file_id, place] for place in places]
        self.set_vectors(ids, vectors)
        self._write_words(ids, [item.metadata for item in added])
        return ids

    def file_id(self, root_id: int, path: str) -> int:
        """The id of a file that is there, by its path relative to the root."""
        return self._file_ids(root_id, [path])[path]

    def finish_file(self, file_id: int, root_id: int, file: FileFacts) -> None:
        """Say that all items of a file are there, which were added one part after another."""
        self._connection.execute(
            update(files).where(files.c.id == file_id).values(_file_values(root_id, file))
        )
        self.forget_failures(root_id, [file.path])

    def copy_file(self, file_id: int, root_id: int, file: FileFacts) -> list[tuple[int, int]]:
        """Add a file with the same content as another, whose facts and vectors it gets.

        Returns pairs of an item's id and that of its copy.
        """
        self._upsert(files, ["root_id", "path"], [_file_values(root_id, file)])
        copy_id = self._file_ids(root_id, [file.path])[file.path]
        theirs = self._item_ids([file_id])
        positions = {position for _, position in theirs}
        self.remove_items(
            [
                id_
                for (_, position), id_ in self._item_ids([copy_id]).items()
                if position not in positions
            ]
        )
        same = [column for column in items.c if column.name not in ("id", "file_id")]
        rows = [
            {**row, "file_id": copy_id}
            for row in self._connection.execute(
                select(*same).where(items.c.file_id == file_id)
            ).mappings()
        ]
        self._upsert(items, ["file_id", "position"], rows)
        mine = self._item_ids([copy_id])
        pairs = [(id_, mine[copy_id, position]) for (_, position), id_ in theirs.items()]
        for source, copy in pairs:
            self._forget_words([copy])
            for table in (embeddings, texts, tags):
                rest = [column for column in table.c if column.name not in ("item_id",)]
                found = self._connection.execute(
                    select(*rest).where(table.c.item_id == source)
                ).mappings()
                rows = [{**row, "item_id": copy} for row in found]
                if table is embeddings:
                    rows = [{**row, "generation": self.generation} for row in rows]
                self._upsert(table, [column.name for column in table.primary_key], rows)
        self.forget_failures(root_id, [file.path])
        return pairs

    def set_vectors(
        self, ids: Sequence[int], vectors: Vectors, space_id: int | None = None
    ) -> None:
        """Write the vectors, (n, dim), of items; those of another space where one is named."""
        halves = np.ascontiguousarray(vectors, dtype="<f2")
        space = self._space if space_id is None else space_id
        rows = [
            {
                "item_id": item_id,
                "space_id": space,
                "generation": self.generation,
                "vector": half.tobytes(),
            }
            for item_id, half in zip(ids, halves, strict=True)
        ]
        self._upsert(embeddings, ["item_id", "space_id"], rows)

    def move_file(self, file_id: int, root_id: int, file: FileFacts) -> None:
        """Say that a file is now elsewhere; its items keep their ids and vectors."""
        self._connection.execute(
            update(files)
            .where(files.c.id == file_id)
            .values({**_file_values(root_id, file), "facts_version": files.c.facts_version})
        )
        self.forget_failures(root_id, [file.path])

    def touch_file(self, file_id: int, file: FileFacts, metadata: ImageMetadata | None) -> None:
        """Note that a file was read again, and what it says of itself where that was read.

        Its content is the same.
        """
        values = {"size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns}
        if metadata is not None:
            values["facts_version"] = FACTS_VERSION
            ids = list(self._item_ids([file_id]).values())
            self._connection.execute(
                update(items).where(items.c.file_id == file_id).values(column_values(metadata))
            )
            # What labels were found to fit and models wrote is of the content, which is the same.
            self._delete(texts, ids, texts.c.kind.in_(TEXT_KINDS))
            self.remove_tags(None, FROM_FILE, ids)
            self._write_words(ids, [metadata] * len(ids))
        self._connection.execute(update(files).where(files.c.id == file_id).values(values))

    def add_tags(self, tag: str, source: str, scores: Mapping[int, float]) -> None:
        """Give items, by id, a tag of a source, each with how sure it is."""
        rows = [
            {"item_id": item_id, "tag": tag, "source": source, "score": score}
            for item_id, score in scores.items()
        ]
        self._upsert(tags, ["item_id", "tag", "source"], rows)

    def remove_tags(
        self, names: Sequence[str] | None, source: str, ids: Sequence[int] | None = None
    ) -> None:
        """Take tags of a source away: these names, or all; from these items, or from all."""
        statement = delete(tags).where(tags.c.source == source)
        if names is not None:
            lowered = [name.lower() for name in names]
            statement = statement.where(func.lower(tags.c.tag).in_(lowered))
        if ids is None:
            self._connection.execute(statement)
        else:
            # A list of names cannot be run many times at once.
            for chunk in chunks(list(ids), IDS_A_STATEMENT):
                self._connection.execute(statement.where(tags.c.item_id.in_(chunk)))

    def add_captions(self, model: str, captions: Mapping[int, str]) -> None:
        """Give items, by id, a caption that the model of this name wrote; a former one goes."""
        kind = caption_kind(model)
        rows = [
            {"item_id": item_id, "kind": kind, "language": "", "text": text}
            for item_id, text in captions.items()
        ]
        self._upsert(texts, ["item_id", "kind", "language"], rows)

    def remove_captions(self, model: str | None, ids: Sequence[int] | None = None) -> int:
        """Take the captions away that a model wrote, or all models; returns how many there were.

        From these items, or from all. The captions in the files themselves stay.
        """
        kind = texts.c.kind
        is_meant = kind.like(CAPTIONS_BY_MODELS) if model is None else kind == caption_kind(model)
        statement = delete(texts).where(is_meant)
        if ids is None:
            return int(self._connection.execute(statement).rowcount)
        return sum(
            int(self._connection.execute(statement.where(texts.c.item_id.in_(chunk))).rowcount)
            for chunk in chunks(list(ids), IDS_A_STATEMENT)
        )

    def mark_unread(self, file_ids: Sequence[int]) -> None:
        """Have these files read again by the next run; nothing is forgotten."""
        if file_ids:
            self._connection.execute(
                update(files).where(files.c.id == bindparam("unread")).values(facts_version=0),
                [{"unread": file_id} for file_id in file_ids],
            )

    def mark(self, question: str, ids: Sequence[int], *, is_right: bool) -> None:
        """Keep that these items are right or wrong for a question."""
        write_marks(self._connection, question, ids, is_right=is_right)

    def forget_marks(self, question: str | None) -> int:
        """Forget what was marked for a question, or for all; returns how many marks there were."""
        return delete_marks(self._connection, question)

    def drop_vectors(self, ids: Sequence[int]) -> None:
        """Drop vectors that belong to no item, by item id."""
        self._delete(embeddings, ids)
        self._upsert(removals, ["item_id"], self._removals(ids))

    def remove_files(self, file_ids: Sequence[int]) -> list[int]:
        """Forget files with their items, facts and vectors; returns the items' ids."""
        ids = list(self._item_ids(file_ids).values())
        self.remove_items(ids)
        for chunk in chunks(list(file_ids), IDS_A_STATEMENT):
            self._connection.execute(delete(files).where(files.c.id.in_(chunk)))
        return ids

    def remove_items(self, ids: Sequence[int]) -> None:
        """Forget items; a file of which none is left stays known as one without any."""
        if not ids:
            return
        self._delete(embeddings, ids)
        self._delete(marks, ids)
        self._forget_words(ids)
        for chunk in chunks(list(ids), IDS_A_STATEMENT):
            self._connection.execute(delete(items).where(items.c.id.in_(chunk)))
        self._upsert(removals, ["item_id"], self._removals(ids))

    def remove_root(self, root_id: int) -> None:
        """Forget a root that has no files left, with its failures."""
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

    @property
    def _space(self) -> int:
        return int(self._connection.execute(select(present_space())).scalar_one())

    def _file_ids(self, root_id: int, paths: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(paths), _KEYS_A_STATEMENT):
            chunk = list(paths[start : start + _KEYS_A_STATEMENT])
            for path, file_id in self._connection.execute(
                select(files.c.path, files.c.id).where(
                    files.c.root_id == root_id, files.c.path.in_(chunk)
                )
            ):
                found[path] = file_id
        return found

    def _item_ids(self, file_ids: Sequence[int]) -> dict[tuple[int, int], int]:
        """Item ids by file id and position, in their order."""
        found: dict[tuple[int, int], int] = {}
        for start in range(0, len(file_ids), _KEYS_A_STATEMENT):
            rows = self._connection.execute(
                select(items.c.file_id, items.c.position, items.c.id)
                .where(items.c.file_id.in_(list(file_ids[start : start + _KEYS_A_STATEMENT])))
                .order_by(items.c.file_id, items.c.position)
            )
            found |= {(file_id, position): id_ for file_id, position, id_ in rows}
        return found

    def _forget_vectors_elsewhere(self, ids: Sequence[int]) -> None:
        if ids:
            self._connection.execute(
                delete(embeddings).where(
                    embeddings.c.item_id == bindparam("gone"),
                    embeddings.c.space_id != self._space,
                ),
                [{"gone": item_id} for item_id in ids],
            )

    def _write_words(self, ids: Sequence[int], metadata: Sequence[ImageMetadata]) -> None:
        told = list(zip(ids, metadata, strict=True))
        self._upsert(
            texts,
            ["item_id", "kind", "language"],
            [row for item_id, facts in told for row in text_rows(item_id, facts)],
        )
        self._upsert(
            tags,
            ["item_id", "tag", "source"],
            [row for item_id, facts in told for row in tag_rows(item_id, facts)],
        )

    def _forget_words(self, ids: Sequence[int]) -> None:
        self._delete(texts, ids)
        self._delete(tags, ids)

    def _delete(self, table: Table, ids: Sequence[int], *which: ColumnElement[bool]) -> None:
        for chunk in chunks(list(ids), IDS_A_STATEMENT):
            self._connection.execute(delete(table).where(table.c.item_id.in_(chunk), *which))

    def _removals(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        return [{"item_id": item_id, "generation": self.generation} for item_id in ids]

    def _put_info(self, key: str, value: str) -> None:
        put_info(self._connection, key, value)

    def _upsert(self, table: Table, keys: list[str], rows: list[dict[str, Any]]) -> None:
        upsert(self._connection, table, keys, rows)


def put_info(connection: Connection, key: str, value: str) -> None:
    """Write one of the catalogue's own facts."""
    upsert(connection, info, ["key"], [{"key": key, "value": value}])


def _file_values(root_id: int, file: FileFacts) -> dict[str, Any]:
    return {"root_id": root_id, **vars(file), "facts_version": FACTS_VERSION}


def _item_values(item: ItemFacts) -> dict[str, Any]:
    return {
        "time_ms": item.time_ms,
        "width_px": item.width_px,
        "height_px": item.height_px,
        **column_values(item.metadata),
    }
