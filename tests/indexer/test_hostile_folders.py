"""Folders that nobody tidied: names of any bytes, trees without end, and what is no file at all."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import index_folders
from indexer.pipeline import read as load
from retrieval.catalog import Catalog
from retrieval.errors import ImageError
from retrieval.images import files
from tests.support.small_encoder import ColorEncoder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names and files of POSIX systems")

NAMES = [
    b"two\nlines.png",
    b"return\rof the carriage.png",
    b"a tab\there.png",
    b"\x1b[2J clears the screen.png",
    b"del\x7f.png",
    b'it\'s "quoted" `here` $(there).png',
    b"-rf.png",
    b" space before and after .png",
    b"back\\slash.png",
    b"100%s {} *?.png",
    b"caf\xe9.png",
    b"\xff\xfe\xfd.png",
    "снимок 📷.png".encode(),
    "cafe\u0301.png".encode(),
    "\u202egnp.elbisrever.png".encode(),
    b"x" * 251 + b".png",
]


def paint(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 40)).save(path, "PNG")
    return path


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    for seed in range(3):
        paint(folder / f"{seed}.png", seed)
    return folder


def failures(index_dir: Path) -> dict[str, str]:
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        return {str(failure.path): failure.kind for failure in catalog.failures()}


def mmsearch(index_dir: Path, *arguments: str | os.PathLike[str]) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "--index-dir", index_dir, *arguments],
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stdout


def test_names_of_any_bytes_go_through_the_whole_program(tmp_path: Path) -> None:
    library, index_dir = tmp_path / "library", tmp_path / "index"
    library.mkdir()
    for seed, name in enumerate(NAMES):
        paint(tmp_path / "picture", seed).rename(library / os.fsdecode(name))
    (library / "bad\nname \udce9.png").write_bytes(b"no picture")
    summary = json.loads(mmsearch(index_dir, "index", library, "--json"))
    assert (summary["new"], summary["failed"]) == (len(NAMES), 1)
    paths = {os.fsencode(library) + b"/" + name for name in NAMES}
    asked = ("query", "colours", "-k", "100", "--all")

    page = tmp_path / "page.html"
    lines = mmsearch(index_dir, *asked, "--gallery", page).decode().splitlines()
    assert len(lines) == len(NAMES)
    assert all(line.isprintable() for line in lines)
    shown = "\n".join(lines)
    for written in (r"two\nlines", r"caf\xe9", r"\x1b[2J clears", r"\u202egnp", "снимок 📷"):
        assert written in shown
    assert page.read_text("utf-8").count('class="photo"') == len(NAMES)

    assert set(mmsearch(index_dir, *asked, "-0").split(b"\0")) == {*paths, b""}
    records = json.loads(mmsearch(index_dir, *asked, "--json"))
    assert {os.fsencode(record["path"]) for record in records} == paths
    listed = mmsearch(index_dir, "status", "--failures").decode()
    assert r"bad\nname \xe9.png" in listed


def test_pipes_sockets_and_devices_in_the_tree_never_make_a_run_wait(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(library / "pipe.png")
    (library / "zero.png").symlink_to("/dev/zero")
    (library / "link to pipe.png").symlink_to(library / "pipe.png")
    # The name of a socket must be short: bind it from its folder.
    monkeypatch.chdir(library)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        summary = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    assert (summary.new, summary.failed) == (3, 0)
    alone = index_folders([library / "pipe.png"], tmp_path / "index", encoder=ColorEncoder())
    assert alone.new == 0


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_file_whose_place_a_pipe_or_device_takes_before_it_is_read_is_a_failure(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    read = load.read_known_file

    def replace_first(path: Path) -> bytes:
        if path.name == "1.png":
            path.unlink()
            if kind == "pipe":
                os.mkfifo(path)
            elif kind == "device":
                path.symlink_to("/dev/zero")
            else:
                path.mkdir()
        return read(path)

    monkeypatch.setattr(load, "read_known_file", replace_first)
    done: list[int] = []

    def go() -> None:
        done.append(index_folders([library], tmp_path / "i", encoder=ColorEncoder()).failed)

    run = threading.Thread(target=go, daemon=True)
    run.start()
    run.join(timeout=60)
    assert done == [1]
    assert failures(tmp_path / "i") == {str(library / "1.png"): "unreadable"}


def test_a_file_that_grows_while_it_is_read_is_a_failure_and_read_again_the_next_time(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fstat = library / "1.png", os.fstat
    whole = path.read_bytes()

    def grow(descriptor: int) -> os.stat_result:
        facts = fstat(descriptor)
        if os.path.samestat(facts, path.stat()):
            with path.open("ab") as file:
                file.write(b"more")
        return facts

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fstat", grow)
        with pytest.raises(ImageError, match="changed while it was read"):
            load.read_known_file(path)
        summary = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    assert (summary.new, summary.failed) == (2, 1)
    path.write_bytes(whole)
    again = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    assert (again.new, again.unchanged, again.failed) == (1, 2, 0)


def test_a_folder_that_vanishes_in_the_middle_of_a_run_costs_its_own_files_only(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(10, 14):
        paint(library / "z" / f"{seed}.png", seed)
    read = load.read_known_file

    def lose(path: Path) -> bytes:
        if path.parent.name == "z":
            shutil.rmtree(path.parent, ignore_errors=True)
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(load, "read_known_file", lose)
        summary = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    assert (summary.new, summary.failed) == (3, 4)
    assert set(failures(tmp_path / "index").values()) == {"vanished"}
    assert index_folders([library], tmp_path / "index", encoder=ColorEncoder()).failed == 0


def test_a_tree_deeper_than_any_path_can_say_is_a_failure_and_the_rest_is_indexed(
    library: Path, tmp_path: Path
) -> None:
    depth = 0
    with _working_in(library):
        while depth * 101 < 6000:
            os.mkdir("d" * 100)  # noqa: PTH102
            os.chdir("d" * 100)
            depth += 1
        Image.new("RGB", (8, 8)).save("deepest.png")
    for seed, within in ((20, 1), (21, 20)):
        paint(library.joinpath(*["d" * 100] * within) / "reachable.png", seed)
    try:
        summary = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
        assert (summary.new, summary.failed) == (5, 1)
        ((path, kind),) = failures(tmp_path / "index").items()
        assert kind == "unreadable"
        assert len(path) > 3900
        again = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
        assert (again.unchanged, again.failed, again.new) == (5, 1, 0)
    finally:
        # `shutil.rmtree`, which pytest cleans up with, fails on such a tree.
        subprocess.run(["rm", "-rf", library / ("d" * 100)], check=True)


def test_links_that_go_round_in_circles_are_entered_once(library: Path, tmp_path: Path) -> None:
    (library / "self.png").symlink_to(library / "self.png")
    (library / "a").symlink_to(library / "b")
    (library / "b").symlink_to(library / "a")
    one, two = library / "one", library / "two"
    one.mkdir()
    two.mkdir()
    (one / "to two").symlink_to(two, target_is_directory=True)
    (two / "to one").symlink_to(one, target_is_directory=True)
    (two / "up").symlink_to("../..", target_is_directory=True)
    paint(two / "x.png", 40)
    summary = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    assert summary.new == 4
    kinds = failures(tmp_path / "index")
    assert all(kind in {"loop", "unreadable"} for kind in kinds.values())


class _working_in:  # noqa: N801
    """`contextlib.chdir` that comes back by descriptor, since the way back is too long to say."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._before = os.open(".", os.O_RDONLY)
        os.chdir(self._folder)

    def __exit__(self, *_: object) -> None:
        os.fchdir(self._before)
        os.close(self._before)
