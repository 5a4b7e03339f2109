"""`--exclude`, as it is typed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.program import mmsearch


def test_exclude_is_repeatable_and_holds_for_one_run(photos: Path, tmp_path: Path) -> None:
    library, index = tmp_path / "library", tmp_path / "index"
    (library / "private").mkdir(parents=True)
    for name in ("coffee.png", "rocket.jpg"):
        shutil.copyfile(photos / name, library / name)
    shutil.copyfile(photos / "chelsea.png", library / "private" / "cat.png")
    asked = ("index", library, "--json")
    options = ("--exclude", "private/", "--exclude", "*.jpg")
    assert json.loads(mmsearch(*asked, *options, index_dir=index).stdout)["new"] == 1
    assert json.loads(mmsearch(*asked, index_dir=index).stdout)["new"] == 2
    refused = mmsearch(*asked, "--exclude", "!", index_dir=index)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1 and "'!' is no pattern" in refused.stderr


def test_a_watch_passes_over_what_is_excluded(photos: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "private").mkdir(parents=True)
    shutil.copyfile(photos / "coffee.png", library / "coffee.png")
    shutil.copyfile(photos / "chelsea.png", library / "private" / "cat.png")
    run = [sys.executable, "-m", "cli.main", "--index-dir", str(tmp_path / "index")]
    watch = subprocess.Popen(
        [*run, "watch", library, "--exclude", "private/", "--quiet", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["new"] == 1
        shutil.copyfile(photos / "rocket.jpg", library / "private" / "rocket.jpg")
        shutil.copyfile(photos / "rocket.jpg", library / "rocket.jpg")
        new = 0
        while not new:
            new = json.loads(watch.stdout.readline())["new"]
        assert new == 1
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.communicate(timeout=60)
    assert watch.returncode == 0
    assert "2" in mmsearch("status", index_dir=tmp_path / "index").stdout.splitlines()[0]
