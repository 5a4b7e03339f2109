"""The tests' own PostgreSQL server: each test has an empty database, behind a password."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text


def test_a_database_starts_empty_and_keeps_any_name(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        tables = text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert connection.execute(tables).scalar_one() == 0
        assert connection.execute(text("SELECT 'Straße 東京'")).scalar_one() == "Straße 東京"
    engine.dispose()


def test_the_server_asks_for_the_password(postgres_url: str) -> None:
    url = make_url(postgres_url)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            host=url.host, port=url.port, user=url.username, dbname=url.database, password="no"
        )
