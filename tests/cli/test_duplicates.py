"""`mmsearch duplicates`: groups for people, for scripts, and paths."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from indexer import index_folders
from samples.photos import copy_photos
from tests.support.program import mmsearch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, the cat once more and once smaller."""
    folder = tmp_path_factory.mktemp("twice")
    copy_photos(folder / "photos")
    shutil.copy2(folder / "photos" / "chelsea.png", folder / "photos" / "longer name.png")
    with Image.open(folder / "photos" / "chelsea.png") as image:
        image.convert("RGB").resize((220, 146)).save(folder / "photos" / "small.jpg")
    index_folders([folder / "photos"], folder / "index")
    return folder


def test_groups_are_told_to_people_and_to_programs(folder: Path) -> None:
    index_dir = folder / "index"
    told = json.loads(mmsearch("duplicates", "--json", index_dir=index_dir).stdout)
    assert [Path(group["best"]["path"]).name for group in told] == ["chelsea.png"]
    kinds = {Path(copy["path"]).name: copy["kind"] for copy in told[0]["copies"]}
    assert kinds == {"longer name.png": "identical", "small.jpg": "resized"}
    assert told[0]["spare_bytes"] == sum(copy["size_bytes"] for copy in told[0]["copies"])
    shown = mmsearch("duplicates", index_dir=index_dir)
    assert shown.returncode == 0 and "(best: " in shown.stdout and "(resized)" in shown.stdout
    assert shown.stdout.splitlines()[-1].startswith("1 picture has 2 copies, which take ")
    exact = mmsearch("duplicates", "--exact", "--paths", index_dir=index_dir).stdout.splitlines()
    assert [Path(path).name for path in exact] == ["longer name.png"]
    assert all(Path(copy["path"]).exists() for copy in told[0]["copies"])


def test_no_duplicates_are_no_failure(folder: Path) -> None:
    found = mmsearch("duplicates", "--filter", "name:rocket*", index_dir=folder / "index")
    assert (found.returncode, found.stdout) == (0, "There are no duplicates.\n")
    both = mmsearch("duplicates", "--json", "--paths", index_dir=folder / "index")
    assert both.returncode == 2
