"""`mmsearch query` asks a server of the same index where one runs, and answers the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import group
from retrieval.storage.index_dir import IndexDir
from web.announcement import Announcement, announce, find_announcement, withdraw
from web.client.client import Client
from web.client.running import running_client


@pytest.fixture(scope="module")
def index(photo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(photo_index, tmp_path_factory.mktemp("served") / "index"))


@pytest.fixture(scope="module")
def server(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server in a process of its own, which asks for a token; its process id."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("0123456789abcdef0123456789abcdef")
    command = [sys.executable, "-m", "mmsearch", "--index-dir", str(index), "serve", "--port", "0"]
    with subprocess.Popen([*command, "--token-file", token], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None and b"Serving" in process.stderr.readline()
        yield process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    assert find_announcement(IndexDir(index)) is None


def ask(index: Path, *words: str) -> Result:
    return CliRunner().invoke(group, ["--index-dir", str(index), "query", *words])


@pytest.mark.parametrize(
    "question",
    [
        ["a", "cat", "--json"],
        ["a cat without people", "--json", "-k", "3", "--offset", "1"],
        ["type:png", "--json"],
        ["after:2000", "--paths"],
        ["a cat", "--fold", "--rerank", "off", "--csv"],
        ["a", "dog", "--explain"],
        ["zebra type:gif"],
        ["a cat", "--rerank", "nonsense"],
        ["cat " * 700, "-k", "3"],
        ["a cat", "--not", "a dog " * 400],
        ["a cat", "--offset", "200000"],
        ["a cat", "--min-score", "inf"],
    ],
    ids=lambda words: " ".join(words)[:30],
)
def test_the_answer_is_the_same(
    index: Path, server: int, question: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = Client._ask

    def counted(self: Client, method: str, path: str, **request: object) -> object:
        asked.append(path)
        return real(self, method, path, **request)

    monkeypatch.setattr(Client, "_ask", counted)
    with_server, without = ask(index, *question), ask(index, *question, "--no-server")
    assert asked
    assert (with_server.exit_code, with_server.output) == (without.exit_code, without.output)
    assert type(with_server.exception) is type(without.exception)
    assert str(with_server.exception) == str(without.exception)


def test_pictures_and_marks_are_asked_with_the_same_way(
    index: Path, server: int, photos: Path
) -> None:
    picture = ["--image", str(photos / "coffee.png"), "--json"]
    assert ask(index, *picture).output == ask(index, *picture, "--no-server").output
    cat = str(photos / "chelsea.png")
    CliRunner().invoke(group, ["--index-dir", str(index), "feedback", "a cat", "--right", cat])
    marked = ask(index, "a cat", "--json")
    assert "1 marked right" in marked.output
    assert marked.output == ask(index, "a cat", "--json", "--no-server").output


def test_only_its_own_server_is_believed(index: Path, server: int, tmp_path: Path) -> None:
    found = find_announcement(IndexDir(index))
    assert found is not None
    assert (index / "server.json").stat().st_mode & 0o077 == 0
    client = running_client(IndexDir(index))
    assert client is not None
    client.close()
    # Left behind by a server that was killed, whose port another one has by now.
    other = IndexDir(tmp_path)
    announce(other, Announcement(found.address, found.token, "another"))
    assert running_client(other) is None
    announce(other, Announcement("http://127.0.0.1:9/", None, "gone"))
    assert running_client(other) is None
    withdraw(other, "not this one")
    assert find_announcement(other) is not None
    (tmp_path / "server.json").write_text(json.dumps({"address": 7}))
    assert find_announcement(other) is None
    assert running_client(other) is None
    assert os.getpid() != server
