"""Patch tokens in the catalogue's own database, where every machine that asks finds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.sql.elements import ColumnElement

from retrieval.catalog.base import IDS_A_STATEMENT, chunks
from retrieval.catalog.postgres.database import PostgresDatabase
from retrieval.catalog.postgres.schema import patch_tokens
from retrieval.catalog.upsert import upsert
from retrieval.storage.patch_token_inventory import TokenInventory
from retrieval.storage.patch_tokens import Tokens, check_size

_KEYS = ("fingerprint", "item_id")


class ServerPatchTokens:
    """See `retrieval.storage.patch_tokens.PatchTokens`: those of one encoder. Thread-safe."""

    def __init__(self, database: PostgresDatabase, fingerprint: str) -> None:
        self._database = database
        self._fingerprint = fingerprint

    def put(self, ids: Sequence[int], tokens: Tokens) -> None:
        """Keep tokens, int8 (n, patches, token_dim), of pictures."""
        with self._database.errors(), self._database.engine.begin() as connection:
            put_tokens(connection, self._fingerprint, ids, tokens)

    def copy(self, item_id: int, other_id: int) -> None:
        """Give a picture's tokens, where it has some, to another of the same content."""
        found = self.get([item_id])
        if item_id in found:
            self.put([other_id], found[item_id][np.newaxis])

    def get(self, ids: Sequence[int]) -> dict[int, Tokens]:
        """Tokens, int8 (patches, token_dim), of those of the pictures that have some."""
        found: dict[int, Tokens] = {}
        with self._reading() as connection:
            for chunk in chunks([int(id_) for id_ in ids], IDS_A_STATEMENT):
                rows = connection.execute(
                    select(
                        patch_tokens.c.item_id, patch_tokens.c.patches, patch_tokens.c.tokens
                    ).where(self._is_mine, patch_tokens.c.item_id.in_(chunk))
                )
                for item_id, patches, blob in rows:
                    found[item_id] = np.frombuffer(blob, dtype=np.int8).reshape(patches, -1)
        return found

    def remove(self, ids: Sequence[int]) -> None:
        """Drop the tokens of these pictures."""
        with self._database.errors(), self._database.engine.begin() as connection:
            for chunk in chunks([int(id_) for id_ in ids], IDS_A_STATEMENT):
                connection.execute(
                    delete(patch_tokens).where(self._is_mine, patch_tokens.c.item_id.in_(chunk))
                )

    def remove_others(self) -> None:
        """Drop the tokens of all other encoders."""
        with self._database.errors(), self._database.engine.begin() as connection:
            connection.execute(delete(patch_tokens).where(~self._is_mine))

    def ids(self) -> NDArray[np.int64]:
        """The pictures that have tokens, int64 (n,) ascending."""
        statement = select(patch_tokens.c.item_id).where(self._is_mine)
        with self._reading() as connection:
            found = connection.execute(statement.order_by(patch_tokens.c.item_id)).scalars()
            return np.fromiter(found, dtype=np.int64)

    def inventory(self) -> TokenInventory:
        """The ids that have tokens, by whether those are as large as most are."""
        size = func.length(patch_tokens.c.tokens)
        statement = select(patch_tokens.c.item_id, patch_tokens.c.patches, size)
        with self._reading() as connection:
            rows = connection.execute(statement.where(self._is_mine)).all()
        usual = next(iter(Counter(row[1:] for row in rows).most_common(1)), (None, 0))[0]
        return TokenInventory(
            frozenset(row[0] for row in rows if row[1:] == usual),
            frozenset(row[0] for row in rows if row[1:] != usual),
        )

    def close(self) -> None:
        """Nothing to let go of: the connections are the catalogue's."""

    @property
    def _is_mine(self) -> ColumnElement[bool]:
        return patch_tokens.c.fingerprint == self._fingerprint

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._database.errors(), self._database.reading.connect() as connection:
            yield connection


def put_tokens(
    connection: Connection, fingerprint: str, ids: Sequence[int], tokens: Tokens
) -> None:
    """Keep tokens within a transaction that is open."""
    check_size(tokens)
    rows = [
        {
            "fingerprint": fingerprint,
            "item_id": int(item_id),
            "patches": own.shape[0],
            "tokens": own.tobytes(),
        }
        for item_id, own in zip(ids, tokens, strict=True)
    ]
    upsert(connection, patch_tokens, _KEYS, rows)
