"""The user's configuration file, as the program meets it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from retrieval.catalog import Catalog
from retrieval.storage.index_dir import IndexDir


class Desk:
    """A person's pictures and configuration file, and the program run there."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self.folder = folder
        self.file = folder / "settings" / "config.toml"
        self.file.parent.mkdir()
        self.library = folder / "library"
        (self.library / "private").mkdir(parents=True)
        shutil.copyfile(photos / "coffee.png", self.library / "coffee.png")
        shutil.copyfile(photos / "rocket.jpg", self.library / "rocket.jpg")
        shutil.copyfile(photos / "chelsea.png", self.library / "private" / "cat.png")

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def environment(self, **variables: str) -> dict[str, str]:
        return os.environ | {"MMSEARCH_CONFIG": str(self.file)} | variables

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=self.environment(**variables),
        )

    def json(self, *arguments: str | Path, **variables: str) -> Any:
        done = self.run(*arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def desk(tmp_path: Path, photos: Path) -> Desk:
    return Desk(tmp_path, photos)


def test_a_plain_index_begins_with_the_folders_of_the_file(desk: Desk) -> None:
    desk.write('folders = ["../library"]\nexclude = ["private/"]\nindex_dir = "../index"\n')
    assert desk.json("index")["new"] == 2
    status = desk.json("status")
    assert status["index_dir"] == str(desk.folder / "index")
    assert status["config"] == str(desk.file)
    assert [folder["path"] for folder in status["folders"]] == [str(desk.library)]
    assert f"config        {desk.file}" in desk.run("status").stdout
    # Once there are folders, those are looked at.
    desk.write('folders = ["../elsewhere"]\nindex_dir = "../index"\n')
    assert desk.json("index")["new"] == 1


def test_what_is_typed_beats_the_environment_which_beats_the_file(desk: Desk) -> None:
    by_file, by_variable, typed = (desk.folder / name for name in ("file", "variable", "typed"))
    desk.write(f"index_dir = '{by_file}'\n")
    desk.run("index", desk.library)
    desk.run("index", desk.library, MMSEARCH_INDEX_DIR=str(by_variable))
    desk.run("--index-dir", typed, "index", desk.library, MMSEARCH_INDEX_DIR=str(by_variable))
    for index_dir in (by_file, by_variable, typed):
        assert IndexDir(index_dir).catalog.exists()
        shutil.rmtree(index_dir)


def test_a_question_takes_k_and_rerank_from_the_file(desk: Desk, photo_index: Path) -> None:
    desk.write(f"k = 3\nrerank = \"off\"\nindex_dir = '{photo_index}'\n")
    hits = desk.json("query", "a cat")
    assert len(hits) == 3
    assert all(hit["score"] == hit["similarity"] for hit in hits)
    assert len(desk.json("query", "a cat", "-k", "2")) == 2
    desk.write(f"rerank = \"clairvoyant\"\nindex_dir = '{photo_index}'\n")
    assert desk.run("query", "a cat").returncode == 4
    assert desk.run("query", "a cat", "--rerank", "off").returncode == 0


def test_patterns_of_the_file_hold_beside_typed_ones_which_decide(desk: Desk) -> None:
    desk.write('exclude = ["private/", "*.jpg"]\nindex_dir = "../index"\n')
    assert desk.json("index", desk.library, "--dry-run", "--exclude", "coffee*")["new"] == 0
    assert desk.json("index", desk.library, "--exclude", "!rocket.jpg")["new"] == 2


def test_the_model_of_the_file_is_that_of_a_new_index_alone(desk: Desk, photo_index: Path) -> None:
    index = desk.folder / "index"
    shutil.copytree(photo_index, index)
    desk.write(f'model = "no-such-model"\nindex_dir = "{index}"\n')
    assert desk.run("index", desk.library).returncode == 0
    refused = desk.run("--index-dir", desk.folder / "new", "index", desk.library)
    assert (refused.returncode, "no-such-model" in refused.stderr) == (4, True)
    typed = ("index", desk.library, "--model", "compact")
    assert desk.run("--index-dir", desk.folder / "other", *typed).returncode == 0


def test_a_watch_begins_with_the_folders_of_the_file(desk: Desk) -> None:
    desk.write('folders = ["../library"]\nexclude = ["private/"]\nindex_dir = "../index"\n')
    watch = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "watch", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=desk.environment(),
    )
    try:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["new"] == 2
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.communicate(timeout=60)
    with Catalog.open(IndexDir(desk.folder / "index").catalog) as catalog:
        assert [root.path for root in catalog.roots()] == [desk.library]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("modle = 'compact'", "'modle' that is not known: did you mean 'model'?"),
        ("zzz = 1", "it takes model, folders, exclude, index_dir, k, rerank."),
        ("[query]\nk = 3", "'query' that is not known"),
        ("k = 'ten'", "'k' is to be a whole number of at least 1, not 'ten'."),
        ("k = 0", "'k' is to be a whole number of at least 1, not 0."),
        ("k = true", "'k' is to be a whole number"),
        ("k = 2.5", "'k' is to be a whole number"),
        ("model = 3", "'model' is to be the name of a model, in quotes, not 3."),
        ("model = ' '", "'model' is to be the name of a model"),
        ("folders = '~/Pictures'", "'folders' is to be a list of folders, each in quotes"),
        ("exclude = ['*.gif', 3]", "'exclude' is to be a list of patterns, each in quotes"),
        ("index_dir = ['a']", "'index_dir' is to be a folder, in quotes"),
        ("rerank = false", '\'rerank\' is to be "auto", "off" or the name of a reranker'),
        ("exclude = ['!']", "in 'exclude', '!' is no pattern"),
        ("k = ", "is no TOML ("),
        ("k = 1\nk = 2", "is no TOML ("),
    ],
)
def test_what_is_wrong_in_the_file_is_told_in_one_sentence(
    desk: Desk, text: str, told: str
) -> None:
    desk.write(text)
    done = desk.run("--index-dir", desk.folder / "index", "index", desk.library)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {desk.file}")
    assert told in done.stderr and done.stderr.count("\n") == 1
    assert not (desk.folder / "index").exists()


def test_a_file_that_is_no_text_or_not_there_is_told(desk: Desk) -> None:
    missing = desk.run("status")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert f"There is no file at {desk.file}, which MMSEARCH_CONFIG names" in missing.stderr
    desk.file.write_bytes(b"model = '\xff'")
    assert "is no TOML" in desk.run("status").stderr
    desk.file.unlink()
    desk.file.mkdir()
    unreadable = desk.run("status")
    assert (unreadable.returncode, "cannot be read" in unreadable.stderr) == (2, True)


def test_help_does_not_read_the_file(desk: Desk) -> None:
    desk.write("k = ")
    assert desk.run("--help").returncode == 0
    assert desk.run("--version").returncode == 0
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli.main", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=desk.environment(),
    ).stderr
    assert "click" in loaded
    assert "tomllib" not in loaded
    took = []
    for _ in range(3):
        started = time.perf_counter()
        desk.run("--help")
        took.append(time.perf_counter() - started)
    assert min(took) < 0.3


@pytest.mark.skipif(sys.platform != "linux", reason="sets the folder as Linux does")
def test_the_file_lies_in_the_user_s_folder_unless_it_is_named(
    desk: Desk, config_home: Path, photo_index: Path
) -> None:
    own = {"MMSEARCH_CONFIG": "", "MMSEARCH_INDEX_DIR": str(photo_index)}
    assert desk.json("status", **own)["config"] is None
    assert "config" not in desk.run("status", **own).stdout
    file = desk.folder / "home" / "mmsearch" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xef\xbb\xbfk = 1\r\n")
    own["XDG_CONFIG_HOME"] = str(desk.folder / "home")
    assert desk.json("status", **own)["config"] == str(file)
    assert len(desk.json("query", "a cat", **own)) == 1
