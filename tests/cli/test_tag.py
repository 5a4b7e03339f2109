"""`mmsearch tag`: labels from a file to tags, and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.program import mmsearch


@pytest.fixture(scope="module")
def index_dir(photo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of one's own to write to."""
    folder = tmp_path_factory.mktemp("tagged") / "index"
    shutil.copytree(photo_index, folder)
    return folder


def test_labels_become_tags_that_questions_know(index_dir: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cats: a cat | a kitten\n", "utf-8")
    dry = mmsearch(
        "tag", labels, "--threshold", "2", "--dry-run", "--json", index_dir=index_dir
    ).stdout
    [would] = json.loads(dry)
    assert would["name"] == "cats" and would["pictures"] >= 1
    assert Path(would["examples"][0]).stem == "chelsea"
    assert mmsearch("query", "tag:cats", index_dir=index_dir).returncode == 1
    told = mmsearch("tag", labels, "--threshold", "2", index_dir=index_dir)
    assert told.returncode == 0 and told.stdout.splitlines()[0].split()[-1] == "cats"
    paths = mmsearch("query", "tag:cats", "--paths", "-k", "50", index_dir=index_dir).stdout
    assert len(paths.splitlines()) == would["pictures"]
    listed = json.loads(mmsearch("tag", "--list", "--json", index_dir=index_dir).stdout)
    assert listed == [{"name": "cats", "pictures": would["pictures"], "examples": []}]
    assert mmsearch("tag", "--remove", "cats", index_dir=index_dir).returncode == 0
    assert mmsearch("query", "tag:cats", index_dir=index_dir).returncode == 1


def test_what_makes_no_sense_is_a_sentence(index_dir: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("dog\n: none\n", "utf-8")
    wrong = mmsearch("tag", labels, index_dir=index_dir)
    assert wrong.returncode == 2 and "Line 2 of" in wrong.stderr
    assert mmsearch("tag", index_dir=index_dir).returncode == 2
    assert mmsearch("tag", labels, "--list", index_dir=index_dir).returncode == 2
    assert mmsearch("tag", "--list", "--dry-run", index_dir=index_dir).returncode == 2
    gone = mmsearch("tag", "--remove", "nothing", index_dir=index_dir)
    assert gone.returncode == 1 and "mmsearch tag --list" in gone.stderr
