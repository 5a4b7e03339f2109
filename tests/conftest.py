"""What all tests share: real photographs, and an index made of them, each made once a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# No test may reach for the network, whatever it loads.
os.environ["HF_HUB_OFFLINE"] = "1"
from samples.photos import copy_photos
from tests.support.postgres import PostgresServer, running_server


@pytest.fixture(scope="session", autouse=True)
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are exported to: not the cache of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["MMSEARCH_CACHE_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def config_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where configuration files are looked for: not in the folder of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("config")
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    os.environ.pop("MMSEARCH_CONFIG", None)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real photographs; to be read only."""
    folder = tmp_path_factory.mktemp("photos")
    copy_photos(folder)
    return folder


@pytest.fixture(scope="session")
def photo_index(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of `photos` with the compact model; to be read only."""
    from indexer import index_folders

    index_dir = tmp_path_factory.mktemp("index")
    index_folders([photos], index_dir)
    return index_dir


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; what asks for it is skipped where none is installed."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address, with the password, of an empty database that is dropped after the test."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)
