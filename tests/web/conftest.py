from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient

from web.app import create_app
from web.service import Service
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


@pytest.fixture(scope="session")
def address(web_index: Path) -> Iterator[str]:
    """The address of a server on a real socket."""
    with serving(ServeSettings(web_index, port=0)) as address:
        yield address


@contextmanager
def serving(settings: ServeSettings) -> Iterator[str]:
    """A server that runs for the length of the block; its address."""
    service = Service(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(settings, service), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        service.closing.set()
        server.should_exit = True
        thread.join()
        listening.close()
