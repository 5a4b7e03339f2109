"""Checking, backing up, restoring and watching an index, as a person meets them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_command_line import mmsearch


@pytest.fixture
def index_dir(photo_index: Path, tmp_path: Path) -> Path:
    shutil.copytree(photo_index, tmp_path / "index")
    return tmp_path / "index"


def test_a_whole_index_is_said_to_be_well(index_dir: Path) -> None:
    checked = mmsearch("check", "--content", index_dir=index_dir)
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert checked.stdout.startswith(b"All is well: ")


def test_what_differs_is_said_with_counts_and_mended_when_asked(index_dir: Path) -> None:
    for path in [*index_dir.glob("tokens.sqlite*"), *index_dir.glob("vectors-*.faiss")]:
        path.unlink()
    checked = mmsearch("check", "--json", index_dir=index_dir)
    assert checked.returncode == 1
    record = json.loads(checked.stdout)
    counts = {finding["kind"]: finding["count"] for finding in record["findings"]}
    assert counts == {"vector-index": 1, "no-tokens": record["pictures"]}
    assert not record["ok"]
    mended = mmsearch("check", "--fix", index_dir=index_dir)
    assert mended.returncode == 0, mended.stdout
    lines = mended.stdout.decode().splitlines()
    assert lines[0].startswith(f"Mended: {record['pictures']} pictures given patch tokens")
    assert lines[1].startswith("All is well: ")


def test_a_file_that_changed_is_named_with_what_to_do(tmp_path: Path, photos: Path) -> None:
    folder, index_dir = tmp_path / "pictures", tmp_path / "index"
    folder.mkdir()
    shutil.copyfile(photos / "coffee.png", folder / "coffee.png")
    assert mmsearch("index", folder, index_dir=index_dir).returncode == 0
    shutil.copyfile(photos / "rocket.jpg", folder / "coffee.png")
    checked = mmsearch("check", index_dir=index_dir)
    assert checked.returncode == 1
    assert b"1 picture whose file was changed" in checked.stdout
    assert b"coffee.png" in checked.stdout
    assert b"`mmsearch index`" in checked.stdout


def test_a_backup_is_restored_with_the_same_answers(index_dir: Path, tmp_path: Path) -> None:
    asked = ("query", "a cup of coffee", "--json", "--rerank", "off")
    before = mmsearch(*asked, index_dir=index_dir).stdout
    backup = tmp_path / "photos.backup"
    backed_up = mmsearch("backup", backup, index_dir=index_dir)
    assert backed_up.returncode == 0
    assert b"Backed up " in backed_up.stdout
    refused = mmsearch("restore", backup, index_dir=index_dir)
    assert refused.returncode == 1
    assert b"--force" in refused.stderr
    (index_dir / "catalog.sqlite").write_bytes(b"ruined" * 1000)
    restored = mmsearch("restore", "--force", backup, index_dir=index_dir)
    assert restored.returncode == 0, restored.stderr
    assert b"is kept in" in restored.stdout
    assert b"mmsearch check --fix" in restored.stdout
    assert mmsearch(*asked, index_dir=index_dir).stdout == before


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database")
    refused = mmsearch("restore", tmp_path / "text", index_dir=tmp_path / "index")
    assert refused.returncode == 6
    assert refused.stderr.startswith(b"Error: ") and b"Traceback" not in refused.stderr
    assert not (tmp_path / "index").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_watch_finds_what_is_new_and_stops_when_told(
    tmp_path: Path, photos: Path, number: int, code: int
) -> None:
    folder, index_dir = tmp_path / "pictures", tmp_path / "index"
    folder.mkdir()
    shutil.copyfile(photos / "coffee.png", folder / "coffee.png")
    command = [sys.executable, "-m", "cli.main", "--index-dir", os.fspath(index_dir), "watch"]
    with subprocess.Popen(
        [*command, os.fspath(folder), "--json", "--quiet", "0.2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watch:
        assert watch.stdout is not None and watch.stderr is not None
        try:
            first = json.loads(watch.stdout.readline())
            assert (first["cause"], first["new"]) == ("start", 1)
            shutil.copyfile(photos / "chelsea.png", folder / "cat.png")
            second = json.loads(watch.stdout.readline())
            assert (second["cause"], second["new"], second["interrupted"]) == ("change", 1, False)
            watch.send_signal(number)
            assert watch.wait(60) == code
            assert watch.stderr.read() == b""
        finally:
            watch.kill()
    found = mmsearch("query", "a cat", "-k1", "--json", index_dir=index_dir)
    assert json.loads(found.stdout)[0]["path"] == str(folder / "cat.png")


def test_a_watch_of_a_file_or_of_nothing_is_refused(tmp_path: Path, photos: Path) -> None:
    refused = mmsearch("watch", photos / "coffee.png", index_dir=tmp_path / "index")
    assert (refused.returncode, b"name the folder" in refused.stderr) == (1, True)
    refused = mmsearch("watch", index_dir=tmp_path / "index")
    assert (refused.returncode, b"mmsearch index" in refused.stderr) == (2, True)
    assert not (tmp_path / "index").exists()


def test_a_repair_that_finds_nothing_to_save_says_what_to_do(
    photo_index: Path, tmp_path: Path
) -> None:
    index = Path(shutil.copytree(photo_index, tmp_path / "index"))
    (index / "catalog.sqlite").write_bytes(b"")
    done = mmsearch("repair", index_dir=index)
    assert done.returncode == 0
    assert done.stdout.startswith(b"Nothing of the catalogue could be read: bring back a backup")
