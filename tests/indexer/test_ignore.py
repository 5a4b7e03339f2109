"""What a scan passes over: programs' folders and what `.mmsearchignore` files name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from indexer import index_folders
from indexer.pipeline.scan import Scan
from tests.support.small_encoder import ColorEncoder


def paint(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (number * 20 % 256, 90, 160)).save(path)


def names(root: Path, below: str = "") -> list[str]:
    return [file.path for file in Scan(root, below)]


@pytest.mark.parametrize(
    "folder", ["@eaDir", "#recycle", "$RECYCLE.BIN", "node_modules", "Lightroom.lrdata", ".hidden"]
)
def test_folders_that_programs_keep_for_themselves_are_passed_over(
    tmp_path: Path, folder: str
) -> None:
    paint(tmp_path / "a.png", tmp_path / folder / "b.png", tmp_path / "deep" / folder / "c.png")
    assert names(tmp_path) == ["a.png"]


def test_an_ignore_file_is_read_as_git_reads_its_own(tmp_path: Path) -> None:
    paint(
        tmp_path / "kept.png",
        tmp_path / "draft_1.png",
        tmp_path / "raw" / "one.png",
        tmp_path / "trip" / "raw" / "two.png",
        tmp_path / "trip" / "draft_2.png",
        tmp_path / "trip" / "draft_best.png",
    )
    (tmp_path / ".mmsearchignore").write_text("# drafts\ndraft_*\n!draft_best.png\n/raw/\n")
    assert names(tmp_path) == ["kept.png", "trip/draft_best.png", "trip/raw/two.png"]


def test_a_deeper_ignore_file_has_the_last_word_below_its_folder(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", tmp_path / "in" / "b.png", tmp_path / "in" / "c.png")
    (tmp_path / ".mmsearchignore").write_text("*.png\n")
    (tmp_path / "in" / ".mmsearchignore").write_text("!b.png\n")
    assert names(tmp_path) == ["in/b.png"]


def test_a_part_of_a_root_follows_the_rules_of_the_folders_above_it(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "secret" / "a.png", tmp_path / "in" / "open" / "b.png")
    (tmp_path / ".mmsearchignore").write_text("secret/\n")
    assert names(tmp_path, "in") == ["in/open/b.png"]
    assert names(tmp_path, "in/secret") == []
    assert names(tmp_path, "in/secret/a.png") == []
    assert names(tmp_path, "in/open/b.png") == ["in/open/b.png"]


def test_pictures_that_are_ignored_from_now_on_leave_the_index_and_come_back(
    tmp_path: Path,
) -> None:
    library, index = tmp_path / "library", tmp_path / "index"
    paint(library / "a.png", library / "private" / "b.png")
    encoder = ColorEncoder()
    assert index_folders([library], index, encoder=encoder).new == 2
    (library / ".mmsearchignore").write_text("private/\n")
    assert index_folders([library], index, encoder=encoder).removed == 1
    (library / ".mmsearchignore").unlink()
    assert index_folders([library], index, encoder=encoder).new == 1


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions as Unix has them")
def test_nothing_is_forgotten_where_an_ignore_file_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, index = tmp_path / "library", tmp_path / "index"
    paint(library / "a.png", library / "in" / "b.png")
    encoder = ColorEncoder()
    index_folders([library], index, encoder=encoder)
    loop = library / "in" / ".mmsearchignore"
    loop.symlink_to(loop)
    summary = index_folders([library], index, encoder=encoder)
    assert (summary.removed, summary.failed) == (0, 1)
