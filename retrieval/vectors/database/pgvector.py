"""Vectors in PostgreSQL with the extension pgvector, as halves, which is what the catalogue has.

Large tables get a graph as their index (Malkov and Yashunin, PAMI 2018). Among few ids every
vector is compared with the question; among many the graph is walked until enough are met.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg_pool import ConnectionPool, PoolTimeout

from retrieval.encoders.base import Vectors
from retrieval.errors import VectorStoreError
from retrieval.vectors.address import StoreAddress
from retrieval.vectors.base import Halves, Ids
from retrieval.vectors.database.base import INDEXED_FROM

# So many vectors are compared one by one in less time than the graph takes to meet as many.
_SCANNED_WHOLE = 20_000
_LINKS, _BUILD_BEAM, _BEAM, _LARGEST_BEAM = 16, 64, 200, 1_000
# Of larger tables a beam of that width would miss the more the larger they are.
_BEAM_SERVES = 100_000
_STATES = "mmsearch_states"
_CONNECTIONS = 8
_TIMEOUT_S = 10.0
_NEAREST = """
SELECT id, -(vector <#> %(query)s) FROM {table} {condition}
ORDER BY vector <#> %(query)s LIMIT %(k)s
"""
# Materialized, or the planner might walk the graph, and meet none of the few that are wanted.
_NEAREST_OF_FEW = """
WITH chosen AS MATERIALIZED (SELECT id, vector FROM {table} WHERE id = ANY(%(within)s))
SELECT id, -(vector <#> %(query)s) AS score FROM chosen ORDER BY score DESC LIMIT %(k)s
"""


class PgvectorDatabase:
    """Tables of one PostgreSQL database (a `VectorDatabase`). Connects when it is first asked."""

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        self._lock = threading.Lock()

    @property
    def place(self) -> str:
        """Its address, without the password."""
        return self._address.text

    @property
    def kind(self) -> str:
        """How a large table is searched."""
        return f"HNSW{_LINKS},halfvec"

    def tables(self, name: str) -> list[str]:
        """The tables whose names begin with `name`."""
        with self._asking() as connection:
            rows = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
                " AND starts_with(tablename, %s)",
                [name],
            )
            return [row[0] for row in rows]

    def create(self, table: str, dim: int) -> None:
        """Make an empty table."""
        with self._asking() as connection:
            connection.execute(
                _on(
                    "CREATE TABLE {table} (id bigint PRIMARY KEY, root bigint NOT NULL,"
                    " vector halfvec({dim}) NOT NULL)",
                    table,
                    dim=sql.Literal(dim),
                )
            )
            # Compressed, they would be as large and slower to read.
            connection.execute(_on("ALTER TABLE {table} ALTER vector SET STORAGE PLAIN", table))

    def drop(self, table: str) -> None:
        """Drop a table, if it is there."""
        with self._asking() as connection:
            connection.execute(_on("DROP TABLE IF EXISTS {table}", table))

    def put(self, table: str, ids: Ids, roots: Ids, vectors: Halves) -> None:
        """Add vectors by COPY."""
        with (
            self._asking() as connection,
            connection.cursor() as cursor,
            cursor.copy(
                _on("COPY {table} (id, root, vector) FROM STDIN WITH (FORMAT BINARY)", table)
            ) as copy,
        ):
            copy.set_types(["int8", "int8", "halfvec"])
            for id_, root, vector in zip(ids.tolist(), roots.tolist(), vectors, strict=True):
                copy.write_row((id_, root, HalfVector(vector)))

    def remove(self, table: str, ids: Ids) -> None:
        """Drop those of the ids that are there."""
        if len(ids):
            with self._asking() as connection:
                connection.execute(
                    _on("DELETE FROM {table} WHERE id = ANY(%s)", table), [ids.tolist()]
                )

    def settle(self, table: str, count: int) -> None:
        """Make the graph of a table that is large enough, once."""
        with self._asking() as connection:
            if count >= INDEXED_FROM:
                connection.execute(
                    _on(
                        "CREATE INDEX IF NOT EXISTS {index} ON {table} USING hnsw"
                        " (vector halfvec_ip_ops) WITH (m = {links}, ef_construction = {beam})",
                        table,
                        index=sql.Identifier(f"{table}_graph"),
                        links=sql.Literal(_LINKS),
                        beam=sql.Literal(_BUILD_BEAM),
                    )
                )
            connection.execute(_on("ANALYZE {table}", table))

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
        """The k nearest; restrictions go as arrays."""
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        statement = _NEAREST
        # Lists: pgvector takes arrays for vectors.
        values = {
            "within": None if within is None else within.tolist(),
            "without": None if without is None else without.tolist(),
            "k": k,
        }
        condition = ""
        if within is not None and len(within) <= _SCANNED_WHOLE:
            statement = _NEAREST_OF_FEW
        elif within is not None:
            condition = "WHERE id = ANY(%(within)s)"
        elif without is not None:
            condition = "WHERE id <> ALL(%(without)s)"
        asked = _on(statement, table, condition=sql.SQL(condition))
        with self._asking() as connection:
            set_beam(connection, table, k)
            for row, query in enumerate(queries):
                found = connection.execute(asked, {**values, "query": HalfVector(query)}).fetchall()
                ids[row, : len(found)] = [id_ for id_, _ in found]
                scores[row, : len(found)] = [score for _, score in found]
        return scores, ids

    def ids(self, table: str) -> Ids:
        """All ids of a table."""
        with self._asking() as connection:
            rows = connection.execute(_on("SELECT id FROM {table}", table)).fetchall()
        return np.array([row[0] for row in rows], dtype=np.int64)

    def vectors_of(self, table: str, ids: Ids) -> tuple[Ids, Halves]:
        """Those of the ids that are there, ascending, with their vectors."""
        with self._asking() as connection:
            rows = connection.execute(
                _on("SELECT id, vector FROM {table} WHERE id = ANY(%s) ORDER BY id", table),
                [ids.tolist()],
            ).fetchall()
            dim = connection.execute(
                "SELECT atttypmod FROM pg_attribute WHERE attrelid = %s::regclass"
                " AND attname = 'vector'",
                [table],
            ).fetchone()
        held = np.array([row[0] for row in rows], dtype=np.int64)
        vectors = np.array([row[1].to_numpy() for row in rows], dtype=np.float16)
        return held, vectors.reshape(len(held), dim[0] if dim else 0)

    def read_state(self, name: str) -> str | None:
        """The text under a name in a table of such."""
        with self._asking() as connection:
            row = connection.execute(
                f"SELECT text FROM {_STATES} WHERE name = %s", [name]
            ).fetchone()
            return None if row is None else str(row[0])

    def write_state(self, name: str, text: str) -> None:
        """Write a text under a name."""
        with self._asking() as connection:
            connection.execute(
                f"INSERT INTO {_STATES} (name, text) VALUES (%s, %s)"
                " ON CONFLICT (name) DO UPDATE SET text = excluded.text",
                [name, text],
            )

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    @contextmanager
    def _asking(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection in a transaction, which ends with the block."""
        try:
            with self._connected().connection() as connection:
                yield connection
        except PoolTimeout:
            raise VectorStoreError(
                f"The vector store at {self.place} does not answer, or does not let this account "
                "in.",
                place=self.place,
            ) from None
        except psycopg.errors.UndefinedFile:
            raise VectorStoreError(
                f"The PostgreSQL server at {self.place} does not have the extension pgvector.",
                place=self.place,
            ) from None
        except psycopg.Error as error:
            # Its text may quote the statement, vectors and all.
            raise VectorStoreError(
                f"The vector store at {self.place} refuses ({type(error).__name__}).",
                place=self.place,
            ) from None

    def _connected(self) -> ConnectionPool[psycopg.Connection[Any]]:
        with self._lock:
            if self._pool is None:
                secret = self._address.secret
                access: dict[str, Any] = {"password": secret} if secret else {}
                # Once by hand, since a pool only says that it has waited.
                with psycopg.connect(
                    self._address.postgres_url, connect_timeout=int(_TIMEOUT_S), **access
                ) as connection:
                    _prepare(connection)
                self._pool = ConnectionPool(
                    self._address.postgres_url,
                    kwargs=access,
                    min_size=1,
                    max_size=_CONNECTIONS,
                    timeout=_TIMEOUT_S,
                    configure=_configure,
                    open=True,
                )
            return self._pool


def set_beam(connection: psycopg.Connection[Any], table: str, k: int) -> None:
    """How many vectors the graph's walk keeps in view for k answers, until the transaction ends.

    It grows with the square root of what the server knows of the table's size.
    """
    row = connection.execute(
        "SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", [table]
    ).fetchone()
    count = max(0.0, row[0]) if row else 0.0
    beam = min(max(round(_BEAM * max(1.0, count / _BEAM_SERVES) ** 0.5), k), _LARGEST_BEAM)
    connection.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(beam)])


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_STATES} (name text PRIMARY KEY, text text NOT NULL)"
    )


def _configure(connection: psycopg.Connection[Any]) -> None:
    register_vector(connection)
    # With a restriction the graph is walked on until enough have been met (pgvector 0.8).
    connection.execute("SET hnsw.iterative_scan = strict_order")
    connection.execute("SET hnsw.max_scan_tuples = 200000")
    connection.commit()


def _on(statement: str, table: str, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(statement).format(table=sql.Identifier(table or "none"), **parts)
