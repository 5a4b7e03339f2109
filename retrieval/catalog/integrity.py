"""What can be wrong inside a catalogue: damage, rows that lack others, vectors that are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, select
from sqlalchemy.exc import DBAPIError

from retrieval.catalog.base import present_space
from retrieval.catalog.schema import embeddings, files, items, roots

# A vector of unit length, in float16, is off by less: each of its numbers by 2^-11 of itself.
LENGTH_TOLERANCE = 0.01
_ROWS_A_CHUNK = 16_384


@dataclass
class CatalogDefects:
    """What is wrong in a catalogue. All lists are of item ids, ascending, save `damage`.

    `damage`: what the database says of its own file. `without_vector`: items that no search
    can find. `wrong_dim`: vectors of another dimension than the encoder's. `no_numbers`: those
    that are infinite or no numbers. `wrong_length`: those whose length is not one.
    `without_item`: vectors that belong to nothing.
    `without_root`: items whose folder is not known.
    """

    damage: list[str] = field(default_factory=list)
    without_vector: list[int] = field(default_factory=list)
    wrong_dim: list[int] = field(default_factory=list)
    no_numbers: list[int] = field(default_factory=list)
    wrong_length: list[int] = field(default_factory=list)
    without_item: list[int] = field(default_factory=list)
    without_root: list[int] = field(default_factory=list)


def find_defects(connection: Connection, dim: int | None, damage: list[str]) -> CatalogDefects:
    """Everything that is wrong besides the `damage` that the database itself complains of.

    `dim` is the encoder's dimension, None where there is none yet.
    """
    defects = CatalogDefects()
    try:
        defects.damage = damage
        if defects.damage:
            # What a damaged file says of its rows is worth nothing.
            return defects
        known = select(roots.c.id)
        defects.without_root = _ids(
            connection,
            select(items.c.id).where(
                items.c.file_id.not_in(select(files.c.id).where(files.c.root_id.in_(known)))
            ),
        )
        defects.without_vector = _ids(
            connection,
            select(items.c.id).where(
                items.c.id.not_in(
                    select(embeddings.c.item_id).where(embeddings.c.space_id == present_space())
                )
            ),
        )
        defects.without_item = _ids(
            connection,
            select(embeddings.c.item_id).where(embeddings.c.item_id.not_in(select(items.c.id))),
        )
        _measure_vectors(connection, dim, defects)
    except DBAPIError as error:
        defects.damage.append(str(error.orig))
    return defects


def _measure_vectors(connection: Connection, dim: int | None, defects: CatalogDefects) -> None:
    rows = connection.execution_options(yield_per=_ROWS_A_CHUNK).execute(
        select(embeddings.c.item_id, embeddings.c.vector)
        .where(embeddings.c.space_id == present_space())
        .order_by(embeddings.c.item_id)
    )
    for chunk in rows.partitions():
        fitting = [row for row in chunk if dim is None or len(row[1]) == 2 * dim]
        if len(fitting) < len(chunk):
            right = {row[0] for row in fitting}
            defects.wrong_dim += [row[0] for row in chunk if row[0] not in right]
        if dim is None or not fitting:
            continue
        halves = np.frombuffer(b"".join(row[1] for row in fitting), dtype="<f2")
        lengths = np.linalg.norm(halves.reshape(-1, dim).astype(np.float32), axis=1)
        wrong = np.abs(lengths - 1) > LENGTH_TOLERANCE
        defects.no_numbers += [fitting[at][0] for at in np.flatnonzero(~np.isfinite(lengths))]
        defects.wrong_length += [
            fitting[at][0] for at in np.flatnonzero(wrong & np.isfinite(lengths))
        ]


def _ids(connection: Connection, statement: Select[Any]) -> list[int]:
    return sorted(int(row[0]) for row in connection.execute(statement))
