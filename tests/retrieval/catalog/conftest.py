"""What the catalogue's tests share: a place for it in each of the databases."""

from __future__ import annotations

import pytest

from tests.support.catalog_places import CatalogPlaces, PostgresPlaces, SqlitePlaces


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def places(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> CatalogPlaces:
    """Where catalogues may be made: first files of SQLite, then a PostgreSQL database."""
    if request.param == "sqlite":
        return SqlitePlaces(tmp_path_factory.mktemp("catalogs"))
    return PostgresPlaces(request.getfixturevalue("postgres_server"))
