from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from web.app import create_app
from web.settings import ServeSettings

ADDRESS = "http://127.0.0.1:8017"


@pytest.fixture(scope="session")
def web_index(photo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the index of `photos`, since a server keeps thumbnails beside it."""
    return Path(shutil.copytree(photo_index, tmp_path_factory.mktemp("web") / "index"))


@pytest.fixture(scope="session")
def client(web_index: Path) -> Iterator[TestClient]:
    """A client of a server on this machine alone."""
    with TestClient(create_app(ServeSettings(web_index)), base_url=ADDRESS) as client:
        yield client
