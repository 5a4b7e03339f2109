"""Files that are to be read, shared out among all who index one catalogue at the same time.

Whoever finds a file in need of reading puts it here; whoever is free takes some, under a lease that
is renewed while the taker lives. One that is killed renews no more, and its files are taken by
others once the lease has run out. A file leaves the queue in the transaction that writes its rows,
by the one that holds its lease then, so that none is lost and none is written twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ColumnElement

from retrieval.catalog.base import IDS_A_STATEMENT, chunks
from retrieval.catalog.items import is_below
from retrieval.catalog.postgres import lease
from retrieval.catalog.postgres.database import PostgresDatabase
from retrieval.catalog.postgres.schema import work

# The server's clock, not that of when its transaction began.
_NOW = func.clock_timestamp()


@dataclass(frozen=True)
class Task:
    """A file that is to be read: its path relative to the root, size and time as last seen."""

    path: str
    size_bytes: int
    mtime_ns: int


class WorkQueue:
    """What is to be read at or below a path of one root. Thread-safe.

    `lease_s` is how long a taker is waited for that gives no sign of life.
    """

    def __init__(
        self, database: PostgresDatabase, root_id: int, below: str, lease_s: float | None = None
    ) -> None:
        self.lease_s = lease.LEASE_S if lease_s is None else lease_s
        self._database = database
        self._root_id = root_id
        self._here = and_(work.c.root_id == root_id, is_below(work.c.path, below))
        self._worker = uuid.uuid4().hex

    def forget_unclaimed(self) -> None:
        """Drop what earlier runs have left, unless somebody is at work; before a scan."""
        # About other rows than the one that may go.
        other = work.alias()
        is_at_work = exists(
            select(other.c.path).where(other.c.root_id == self._root_id, other.c.lease_until > _NOW)
        )
        with self._database.errors(), self._database.engine.begin() as connection:
            connection.execute(delete(work).where(self._here, ~is_at_work))

    def add(self, tasks: Sequence[Task]) -> None:
        """Put files in; one that is there already stays with whoever has it."""
        with self._database.errors(), self._database.engine.begin() as connection:
            for chunk in chunks(tasks, IDS_A_STATEMENT):
                connection.execute(
                    postgresql.insert(work).on_conflict_do_nothing(),
                    [
                        {
                            "root_id": self._root_id,
                            "path": task.path,
                            "size_bytes": task.size_bytes,
                            "mtime_ns": task.mtime_ns,
                        }
                        for task in chunk
                    ],
                )

    def claim(self, count: int) -> list[Task]:
        """Take at most `count` files that nobody has, or whose lease has run out."""
        chosen = (
            select(work.c.path)
            .where(self._here, self._is_free)
            .order_by(work.c.path)
            .limit(count)
            # Those that another is about to take are passed over, not waited for.
            .with_for_update(skip_locked=True)
            .cte("chosen")
        )
        statement = (
            update(work)
            .where(work.c.root_id == self._root_id, work.c.path == chosen.c.path)
            .values(claimed_by=self._worker, lease_until=self._lease)
            .returning(work.c.path, work.c.size_bytes, work.c.mtime_ns)
        )
        with self._database.errors(), self._database.engine.begin() as connection:
            found = [Task(*row) for row in connection.execute(statement)]
        return sorted(found, key=lambda task: task.path)

    def renew(self) -> None:
        """Say that whoever holds leases here is still at work."""
        with self._database.errors(), self._database.engine.begin() as connection:
            connection.execute(
                update(work)
                .where(self._here, work.c.claimed_by == self._worker)
                .values(lease_until=self._lease)
            )

    def release(self) -> None:
        """Give back what was taken and not finished."""
        with self._database.errors(), self._database.engine.begin() as connection:
            connection.execute(
                update(work)
                .where(self._here, work.c.claimed_by == self._worker)
                .values(claimed_by=None, lease_until=None)
            )

    def finish(self, connection: Connection, paths: Sequence[str]) -> set[str]:
        """Take files out within a transaction; returns those whose lease is still held here.

        The others were taken over by somebody else, who writes them.
        """
        if not paths:
            return set()
        statement = (
            delete(work)
            .where(
                work.c.root_id == self._root_id,
                work.c.path.in_(list(paths)),
                work.c.claimed_by == self._worker,
            )
            .returning(work.c.path)
        )
        return set(connection.execute(statement).scalars())

    def is_empty(self) -> bool:
        """Whether all is done, by whomever."""
        with self._database.errors(), self._database.engine.begin() as connection:
            return not connection.execute(select(exists().where(self._here))).scalar_one()

    @property
    def _lease(self) -> ColumnElement[object]:
        until: ColumnElement[object] = _NOW + timedelta(seconds=self.lease_s)
        return until

    @property
    def _is_free(self) -> ColumnElement[bool]:
        return or_(work.c.lease_until.is_(None), work.c.lease_until < _NOW)
