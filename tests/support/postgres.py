"""A PostgreSQL server of the tests' own, in a temporary folder, gone when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

USER = "mmsearch"
PASSWORD = "a secret: of/the@tests"
# What makes a server safe against power cuts costs the tests seconds.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


class PostgresServer:
    """A server that runs; `new_database` makes an empty database and says where it is."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = process
        self._names = (f"test_{number}" for number in count())

    def url(self, database: str, password: str | None = PASSWORD) -> str:
        """The database's address, as `--catalog` takes it; without the password where None."""
        from sqlalchemy import URL

        return URL.create(
            "postgresql+psycopg", USER, password, "127.0.0.1", self.port, database
        ).render_as_string(hide_password=False)

    def new_database(self) -> str:
        """Make an empty database; returns its address with the password in it."""
        name = next(self._names)
        self._execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is still connected to it."""
        from sqlalchemy import make_url

        self._execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_server(programs: Path | None = None) -> Iterator[PostgresServer]:
    """Start a server and stop it at the end; the test is skipped where none is installed.

    `programs` is the folder of another server's programs than Debian's.
    """
    programs = programs or _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (mmsearch[postgres])")
    # Not pytest's folder, which the server's user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="mmsearch-postgres-"))
    try:
        as_user = _server_user(folder)
        data = folder / "data"
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        subprocess.run(
            [
                programs / "initdb",
                f"--pgdata={data}",
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **as_user,
        )
        port = _free_port()
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, f"--port={port}", *settings],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                **as_user,
            )
        try:
            _wait_until_it_answers(process, port, folder / "log")
            yield PostgresServer(process, port)
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of `initdb` and `postgres`, which Debian keeps out of PATH; the newest."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in versions), default=None, key=lambda path: path.parent.name)


def _server_user(folder: Path) -> dict[str, Any]:
    """How `subprocess` starts the server: by another user than root, which it refuses."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no other user for it")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import psycopg

    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(
                host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres"
            ).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text(errors="replace")) from None
            time.sleep(0.05)
