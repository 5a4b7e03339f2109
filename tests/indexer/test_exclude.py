"""What a run is told to pass over."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer import index_folders
from indexer.pipeline.scan import Scan
from retrieval.catalog import Catalog
from retrieval.errors import MmsearchError
from retrieval.storage.index_dir import IndexDir
from tests.indexer.test_ignore import paint
from tests.support.small_encoder import ColorEncoder


def indexed(index: Path) -> set[str]:
    with Catalog.open(IndexDir(index).catalog) as catalog:
        return {path for root in catalog.roots() for path, _ in catalog.known_files(root.id)}


def test_patterns_are_read_as_lines_of_an_ignore_file_in_the_folder(tmp_path: Path) -> None:
    library = tmp_path / "library"
    paint(
        library / "a.png",
        library / "a.gif",
        library / "private" / "b.png",
        library / "trip" / "private" / "c.png",
        library / "trip" / "best.gif",
    )
    patterns = ["/private/", "*.gif", "!best.gif"]
    index_folders([library], tmp_path / "index", encoder=ColorEncoder(), exclude=patterns)
    assert indexed(tmp_path / "index") == {"a.png", "trip/private/c.png", "trip/best.gif"}


def test_what_is_excluded_leaves_the_index_and_comes_back_with_a_run_without(
    tmp_path: Path,
) -> None:
    library, index = tmp_path / "library", tmp_path / "index"
    paint(library / "a.png", library / "private" / "b.png")
    encoder = ColorEncoder()
    assert index_folders([library], index, encoder=encoder).new == 2
    report = index_folders([library], index, encoder=encoder, exclude=["private/"])
    assert (report.removed, report.unchanged) == (1, 1)
    assert indexed(index) == {"a.png"}
    assert index_folders([library], index, encoder=encoder).new == 1


def test_an_exclusion_holds_for_a_file_or_a_folder_that_is_named_itself(tmp_path: Path) -> None:
    library, index = tmp_path / "library", tmp_path / "index"
    paint(library / "a.png", library / "private" / "deep" / "b.png")
    encoder = ColorEncoder()
    index_folders([library], index, encoder=encoder, exclude=["private/"])
    for named in (library / "private", library / "private" / "deep" / "b.png"):
        report = index_folders([named], index, encoder=encoder, exclude=["private/"])
        assert (report.new, report.removed) == (0, 0)
    assert indexed(index) == {"a.png"}


def test_an_exclusion_has_the_last_word_over_ignore_files(tmp_path: Path) -> None:
    library = tmp_path / "library"
    paint(library / "a.png", library / "in" / "b.png", library / "in" / "c.png")
    (library / "in" / ".mmsearchignore").write_text("!b.png\nc.png\n")
    report = index_folders(
        [library], tmp_path / "index", encoder=ColorEncoder(), exclude=["*.png", "!c.png"]
    )
    assert report.new == 1
    assert indexed(tmp_path / "index") == {"in/c.png"}


@pytest.mark.parametrize("pattern", ["!", "x\\", "[z-a].png"])
def test_what_is_no_pattern_is_refused_before_anything_is_made(
    tmp_path: Path, pattern: str
) -> None:
    paint(tmp_path / "library" / "a.png")
    with pytest.raises(MmsearchError, match="is no pattern"):
        index_folders([tmp_path / "library"], tmp_path / "index", exclude=["*.gif", pattern])
    assert not (tmp_path / "index").exists()


def test_a_single_pattern_outside_of_a_list_is_a_type_error(tmp_path: Path) -> None:
    paint(tmp_path / "library" / "a.png")
    with pytest.raises(TypeError, match="put a single one in a list"):
        index_folders([tmp_path / "library"], tmp_path / "index", exclude="*.gif")


@pytest.mark.parametrize("line", ["!", "x\\", "[z-a].png"])
def test_a_line_of_an_ignore_file_that_is_no_pattern_is_passed_over(
    tmp_path: Path, line: str
) -> None:
    paint(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / ".mmsearchignore").write_text(f"{line}\nb.png\n")
    assert [file.path for file in Scan(tmp_path)] == ["a.png"]
