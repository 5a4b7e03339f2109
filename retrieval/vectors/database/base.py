"""What a database must be able to do for the vectors to be kept in it."""

from __future__ import annotations

from typing import Protocol

from retrieval.encoders.base import Vectors
from retrieval.vectors.base import Halves, Ids

# Smaller tables are compared with a question row by row, which is exact and as quick.
INDEXED_FROM = 20_000


class VectorDatabase(Protocol):
    """Tables of vectors by inner product, under ids, in one database. Searching is thread-safe.

    Everything raises VectorStoreError where the database is not to be reached or refuses.
    """

    @property
    def place(self) -> str:
        """Its address, without secrets, for messages."""
        ...

    @property
    def kind(self) -> str:
        """How a large table is searched, in a few words."""
        ...

    def tables(self, name: str) -> list[str]:
        """The tables whose names begin with `name`."""
        ...

    def create(self, table: str, dim: int) -> None:
        """Make an empty table for vectors of `dim` dimensions."""
        ...

    def drop(self, table: str) -> None:
        """Drop a table, if it is there."""
        ...

    def put(self, table: str, ids: Ids, roots: Ids, vectors: Halves) -> None:
        """Add vectors (n, dim) under ids (n,) that are not in the table; `roots` (n,) says whose.

        Where the database divides a table, it does so by the roots.
        """
        ...

    def remove(self, table: str, ids: Ids) -> None:
        """Drop those of the ids that are there."""
        ...

    def settle(self, table: str, count: int) -> None:
        """Make what was put and removed durable, and the search of about `count` vectors quick."""
        ...

    def search(
        self,
        table: str,
        queries: Vectors,
        k: int,
        *,
        within: Ids | None,
        without: Ids | None,
        roots: tuple[int, ...] | None,
    ) -> tuple[Vectors, Ids]:
        """As `VectorIndex.search`; `roots`, where given, has those of all ids in `within`."""
        ...

    def ids(self, table: str) -> Ids:
        """All ids of a table, in no order."""
        ...

    def vectors_of(self, table: str, ids: Ids) -> tuple[Ids, Halves]:
        """Those of the ids that are there, ascending, with their vectors (n, dim)."""
        ...

    def read_state(self, name: str) -> str | None:
        """The text that was last written under a name; None where none was."""
        ...

    def write_state(self, name: str, text: str) -> None:
        """Write a text under a name, whole or not at all."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...
