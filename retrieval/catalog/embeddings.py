"""What a catalogue tells of its vectors, float16 as they are stored.

Everything here is about the space that answers questions, unless another is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from retrieval.catalog.base import (
    IDS_A_STATEMENT,
    ROWS_A_CHUNK,
    CatalogBase,
    chunks,
    present_space,
)
from retrieval.catalog.schema import embeddings, removals, spaces
from retrieval.catalog.stacked import stacked

_IS_PRESENT = embeddings.c.space_id == present_space()


class EmbeddingReading(CatalogBase):
    """Reads vectors, all of them or those that a copy of them lacks."""

    def vectors(self, ids: Sequence[int]) -> dict[int, NDArray[np.float16]]:
        """Embeddings, float16 (dim,), by item id."""
        rows = zip(*self._vector_rows(list(ids)), strict=True)
        return {item_id: np.frombuffer(vector, dtype="<f2") for item_id, vector in rows}

    def vectors_of(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """Those of the ids that have embeddings, int64 (n,) ascending, and these, (n, dim)."""
        return stacked(*self._vector_rows(np.unique(ids).tolist()))

    def _vector_rows(self, ids: list[int]) -> tuple[list[int], list[bytes]]:
        held: list[int] = []
        vectors: list[bytes] = []
        with self._reading() as connection:
            for chunk in chunks(ids, IDS_A_STATEMENT):
                rows = connection.execute(
                    select(embeddings.c.item_id, embeddings.c.vector).where(
                        embeddings.c.item_id.in_(chunk), _IS_PRESENT
                    )
                )
                for item_id, vector in rows:
                    held.append(item_id)
                    vectors.append(vector)
        return held, vectors

    def vector_ids(self, since: int = 0) -> NDArray[np.int64]:
        """Ids, int64 (n,), of items whose vectors were written after a generation."""
        statement = select(embeddings.c.item_id).where(embeddings.c.generation > since, _IS_PRESENT)
        with self._reading() as connection:
            return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)

    def sample_vectors(self, count: int) -> NDArray[np.float16]:
        """About `count` embeddings, float16 (n, dim), evenly spread; all where there are fewer."""
        step = max(1, self.count_vectors_since(0) // count)
        statement = select(embeddings.c.vector).where(embeddings.c.item_id % step == 0, _IS_PRESENT)
        with self._reading() as connection:
            found = connection.execute(statement).scalars().all()
        return np.frombuffer(b"".join(found), dtype="<f2").reshape(len(found), -1)

    def count_vectors_since(self, generation: int) -> int:
        """How many vectors were written after a generation."""
        statement = (
            select(func.count())
            .select_from(embeddings)
            .where(embeddings.c.generation > generation, _IS_PRESENT)
        )
        with self._reading() as connection:
            return int(connection.execute(statement).scalar_one())

    @contextmanager
    def changes_since(
        self, generation: int
    ) -> Iterator[
        tuple[
            int,
            NDArray[np.int64],
            Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]],
        ]
    ]:
        """What a copy made at `generation` must do to catch up, read in one transaction.

        Yields the present generation, the ids removed since, int64 (r,), and an iterator over
        chunks of (ids int64 (n,), embeddings float16 (n, dim)) written since. An id written again
        is in the chunks only: the copy must replace it.
        """
        with self._reading() as connection:
            present = self._read_number(connection, "generation")
            dim = connection.execute(
                select(spaces.c.dim).where(spaces.c.id == present_space())
            ).scalar_one_or_none()
            gone = np.fromiter(
                connection.execute(
                    select(removals.c.item_id).where(removals.c.generation > generation)
                ).scalars(),
                dtype=np.int64,
            )
            written = _vector_chunks(connection, generation, int(dim or 0))
            yield present, gone, self._sound_chunks(written)

    def _sound_chunks(
        self, chunks: Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        try:
            yield from chunks
        except ValueError as error:
            raise self._database.damaged(str(error)) from error


def _vector_chunks(
    connection: Connection, generation: int, dim: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
    rows = connection.execution_options(yield_per=ROWS_A_CHUNK).execute(
        select(embeddings.c.item_id, embeddings.c.vector)
        .where(embeddings.c.generation > generation, _IS_PRESENT)
        .order_by(embeddings.c.item_id)
    )
    for chunk in rows.partitions():
        ids = np.fromiter((row[0] for row in chunk), dtype=np.int64, count=len(chunk))
        dim = dim or len(chunk[0][1]) // 2
        if {len(row[1]) for row in chunk} != {2 * dim}:
            raise ValueError(f"some vectors have not the {dim} dimensions of the model")
        halves = np.frombuffer(b"".join(row[1] for row in chunk), dtype="<f2").reshape(-1, dim)
        if not np.isfinite(halves).all():
            raise ValueError("some vectors are not of numbers")
        yield ids, halves
