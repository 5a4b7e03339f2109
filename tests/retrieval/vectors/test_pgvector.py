"""What belongs to pgvector alone: how wide its graph is searched."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from retrieval.vectors.address import StoreAddress
from retrieval.vectors.database.pgvector import set_beam
from tests.support.postgres import PostgresServer


@pytest.fixture
def connection(pgvector: PostgresServer) -> Iterator[psycopg.Connection]:
    address = StoreAddress.parse(pgvector.new_database())
    with psycopg.connect(address.postgres_url, password=address.secret) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("CREATE TABLE vectors (id bigint)")
        yield connection


@pytest.mark.parametrize(
    ("count", "k", "beam"),
    [
        (-1, 10, 200),
        (100_000, 10, 200),
        (100_000, 500, 500),
        (1_000_000, 10, 632),
        (1_000_000, 5_000, 1_000),
        (100_000_000, 10, 1_000),
    ],
)
def test_the_larger_the_table_the_wider_the_graph_is_searched(
    connection: psycopg.Connection, count: int, k: int, beam: int
) -> None:
    connection.execute(
        "UPDATE pg_class SET reltuples = %s WHERE oid = 'vectors'::regclass", [count]
    )
    set_beam(connection, "vectors", k)
    row = connection.execute("SHOW hnsw.ef_search").fetchone()
    assert row is not None
    assert int(row[0]) == beam


def test_a_table_that_is_gone_is_searched_as_a_small_one(connection: psycopg.Connection) -> None:
    set_beam(connection, "no_such_table", 10)
    row = connection.execute("SHOW hnsw.ef_search").fetchone()
    assert row is not None
    assert int(row[0]) == 200
