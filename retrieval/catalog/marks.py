"""What a catalogue keeps of answers that were marked right or wrong for a question."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, select

from retrieval.catalog.base import CatalogBase
from retrieval.catalog.schema import files, items, marks, roots
from retrieval.catalog.upsert import upsert


@dataclass(frozen=True)
class KeptMark:
    """A picture that was marked as right or wrong for a question, as the question is kept."""

    question: str
    item_id: int
    path: Path
    is_right: bool


class MarkReading(CatalogBase):
    """Reads marks."""

    def marks(self, question: str) -> dict[int, bool]:
        """Whether each item that was marked for a question is right, by item id."""
        with self._reading() as connection:
            rows = connection.execute(
                select(marks.c.item_id, marks.c.is_right).where(marks.c.question == question)
            )
            return {item_id: bool(is_right) for item_id, is_right in rows}

    def all_marks(self) -> list[KeptMark]:
        """Every mark that is kept, by question, right ones first."""
        statement = (
            select(
                marks.c.question,
                marks.c.item_id,
                roots.c.path.label("root"),
                files.c.path,
                marks.c.is_right,
            )
            .join(items, items.c.id == marks.c.item_id)
            .join(files, files.c.id == items.c.file_id)
            .join(roots, roots.c.id == files.c.root_id)
            .order_by(marks.c.question, marks.c.is_right.desc(), roots.c.path, files.c.path)
        )
        with self._reading() as connection:
            return [
                KeptMark(row.question, row.item_id, Path(row.root) / row.path, bool(row.is_right))
                for row in connection.execute(statement)
            ]


def write_marks(
    connection: Connection, question: str, ids: Sequence[int], *, is_right: bool
) -> None:
    """Mark items for a question; one that was marked otherwise before is marked anew."""
    now = time.time()
    upsert(
        connection,
        marks,
        ["question", "item_id"],
        [
            {"question": question, "item_id": id_, "is_right": int(is_right), "marked_at": now}
            for id_ in ids
        ],
    )


def delete_marks(connection: Connection, question: str | None) -> int:
    """Forget the marks of a question, or all of them; returns how many there were."""
    statement = delete(marks)
    if question is not None:
        statement = statement.where(marks.c.question == question)
    return int(connection.execute(statement).rowcount)
