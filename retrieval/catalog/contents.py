"""What a catalogue tells of contents: which files are the same, byte by byte, and of tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select

from retrieval.catalog.base import IDS_A_STATEMENT, CatalogBase, chunks
from retrieval.catalog.facts import CAPTIONS_BY_MODELS, captioned_by
from retrieval.catalog.schema import files, items, tags, texts


@dataclass(frozen=True)
class FileState:
    """An item's file as it was last read: its bytes by their hash, and when it was written."""

    size_bytes: int
    modified_at: datetime
    content_hash: bytes


class ContentReading(CatalogBase):
    """Reads what files hold and weigh."""

    def same_contents(self) -> list[list[int]]:
        """Ids of items whose files have the same bytes, a list for each content, by id.

        Items of one place in their files alone: of videos, their first moments.
        """
        repeated = (
            select(files.c.content_hash).group_by(files.c.content_hash).having(func.count() > 1)
        )
        statement = (
            select(files.c.content_hash, items.c.id)
            .join(items, items.c.file_id == files.c.id)
            .where(items.c.position == 0, files.c.content_hash.in_(repeated))
            .order_by(items.c.id)
        )
        found: dict[bytes, list[int]] = {}
        with self._reading() as connection:
            for content_hash, item_id in connection.execute(statement):
                found.setdefault(bytes(content_hash), []).append(item_id)
        return [ids for ids in found.values() if len(ids) > 1]

    def count_tags(self, source: str) -> dict[str, int]:
        """How many items have each of the tags of a source, by tag."""
        statement = (
            select(tags.c.tag, func.count())
            .where(tags.c.source == source)
            .group_by(tags.c.tag)
            .order_by(tags.c.tag)
        )
        with self._reading() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(statement)}

    def count_captions(self) -> dict[str, int]:
        """How many items each model has described, by its name."""
        statement = (
            select(texts.c.kind, func.count())
            .where(texts.c.kind.like(CAPTIONS_BY_MODELS))
            .group_by(texts.c.kind)
            .order_by(texts.c.kind)
        )
        with self._reading() as connection:
            found = {captioned_by(row[0]): int(row[1]) for row in connection.execute(statement)}
            return {model: count for model, count in found.items() if model is not None}

    def file_states(self, item_ids: Sequence[int]) -> dict[int, FileState]:
        """The states of the files of items, by item id; one that is not there is left out."""
        found: dict[int, FileState] = {}
        with self._reading() as connection:
            for chunk in chunks(list(item_ids), IDS_A_STATEMENT):
                rows = connection.execute(
                    select(items.c.id, files.c.size_bytes, files.c.mtime_ns, files.c.content_hash)
                    .join(files, files.c.id == items.c.file_id)
                    .where(items.c.id.in_(chunk))
                )
                for item_id, size_bytes, mtime_ns, content_hash in rows:
                    modified_at = datetime.fromtimestamp(mtime_ns / 1e9, UTC)
                    found[item_id] = FileState(size_bytes, modified_at, bytes(content_hash))
        return found
