"""Each store under the same tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.retrieval.vectors.followed import Followed
from tests.support.postgres import PostgresServer
from tests.support.vector_stores import milvus_address, pgvector_server

STORES = ("faiss", "milvus", "pgvector")


@pytest.fixture(scope="session")
def pgvector() -> Iterator[PostgresServer]:
    with pgvector_server() as server:
        yield server


@pytest.fixture(params=STORES)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is, of each kind in turn."""
    if request.param == "milvus":
        return milvus_address(tmp_path)
    if request.param == "pgvector":
        return str(request.getfixturevalue("pgvector").new_database())
    return str(request.param)


@pytest.fixture
def followed(address: str, tmp_path: Path) -> Iterator[Followed]:
    """An empty catalogue with a store of each kind."""
    (tmp_path / "index").mkdir()
    followed = Followed(tmp_path / "index", address)
    yield followed
    followed.close()
