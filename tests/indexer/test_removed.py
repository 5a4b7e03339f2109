"""What was removed from the index stays out until it is named."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from indexer import index_folders, move_root, preview_index, remove_folder
from indexer.watch.watch import Round, watch_folders
from retrieval.catalog import Catalog
from retrieval.errors import MmsearchError
from retrieval.storage.index_dir import IndexDir
from tests.indexer.test_ignore import paint
from tests.support.small_encoder import ColorEncoder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def library(tmp_path: Path, index: Path) -> Path:
    """An indexed folder of three pictures, of which two are in `private`."""
    library = tmp_path / "library"
    paint(library / "a.png", library / "private" / "b.png", library / "private" / "deep" / "c.png")
    run(index, library)
    return library


def run(index: Path, *paths: Path) -> None:
    index_folders(list(paths), index, encoder=ColorEncoder())


def shown(index: Path) -> set[str]:
    with Catalog.open(IndexDir(index).catalog) as catalog:
        paths = [picture.path for picture in catalog.items(list(range(100))).values()]
    return {path.name for path in paths}


def removed(index: Path) -> list[Path]:
    with Catalog.open(IndexDir(index).catalog) as catalog:
        return catalog.removed()


def watch_for(
    at_most_s: float,
    stop: threading.Event,
    index: Path,
    paths: Sequence[Path],
    report: Callable[[Round], None],
) -> None:
    timer = threading.Timer(at_most_s, stop.set)
    timer.start()
    watch_folders(paths, index, stop=stop, report=report, encoder=ColorEncoder(), quiet_s=0.1)
    timer.cancel()


def test_a_removed_folder_stays_removed_until_it_is_named_itself(
    library: Path, index: Path
) -> None:
    assert remove_folder(library / "private", index) == 2
    run(index, library)
    assert shown(index) == {"a.png"}
    assert removed(index) == [library / "private"]
    run(index, library / "private")
    assert shown(index) == {"a.png", "b.png", "c.png"}
    assert removed(index) == []
    run(index, library)
    assert shown(index) == {"a.png", "b.png", "c.png"}


def test_a_removed_picture_stays_removed_as_a_folder_does(library: Path, index: Path) -> None:
    remove_folder(library / "private" / "b.png", index)
    run(index, library, library / "private")
    assert shown(index) == {"a.png", "c.png"}
    run(index, library / "private" / "b.png")
    assert shown(index) == {"a.png", "b.png", "c.png"}


def test_a_removed_whole_folder_stays_removed(library: Path, index: Path, tmp_path: Path) -> None:
    paint(tmp_path / "other" / "d.png")
    run(index, tmp_path / "other")
    remove_folder(library / "private", index)
    remove_folder(library, index)
    assert removed(index) == []
    with Catalog.open(IndexDir(index).catalog) as catalog:
        left = [root.path for root in catalog.roots()]
    assert left == [tmp_path / "other"]
    run(index, *left)
    assert shown(index) == {"d.png"}


def test_a_path_inside_of_a_removed_folder_is_refused_and_changes_nothing(
    library: Path, index: Path
) -> None:
    remove_folder(library / "private", index)
    for name in ("deep", "b.png"):
        with pytest.raises(MmsearchError, match="private itself to take it in again"):
            run(index, library / "private" / name)
    with pytest.raises(MmsearchError, match="There is nothing at"):
        run(index, library / "nowhere", library / "private")
    assert removed(index) == [library / "private"]
    assert shown(index) == {"a.png"}


def test_what_was_removed_inside_of_a_removed_folder_is_still_out_when_that_is_named(
    library: Path, index: Path
) -> None:
    remove_folder(library / "private" / "deep", index)
    remove_folder(library / "private", index)
    run(index, library / "private")
    assert shown(index) == {"a.png", "b.png"}


def test_a_removed_folder_is_not_brought_back_by_a_link_to_it_or_a_folder_around(
    library: Path, index: Path, tmp_path: Path
) -> None:
    remove_folder(library / "private", index)
    (library / "link").symlink_to(library / "private")
    (library / "deep link").symlink_to(library / "private" / "deep")
    run(index, library)
    assert shown(index) == {"a.png"}
    (library / ".mmsearchignore").write_text("!private/\n")
    index_folders([tmp_path], index, encoder=ColorEncoder(), exclude=["!private/"])
    assert shown(index) == {"a.png"}


def test_a_removed_folder_stays_removed_where_its_library_moves(
    library: Path, index: Path, tmp_path: Path
) -> None:
    remove_folder(library / "private", index)
    library.rename(tmp_path / "moved")
    move_root(library, tmp_path / "moved", index)
    run(index, tmp_path / "moved")
    assert shown(index) == {"a.png"}
    assert removed(index) == [tmp_path / "moved" / "private"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_removed_folder_whose_name_is_no_text_stays_removed(tmp_path: Path, index: Path) -> None:
    library = tmp_path / "library"
    hidden = library / os.fsdecode(b"priv\xe9")
    try:
        paint(library / "a.png", hidden / "b.png")
    except OSError:
        pytest.skip("this disk takes no such name")
    run(index, library)
    remove_folder(hidden, index)
    run(index, library)
    assert (shown(index), removed(index)) == ({"a.png"}, [hidden])


def test_a_preview_knows_what_was_removed_and_what_is_named(library: Path, index: Path) -> None:
    remove_folder(library / "private", index)
    assert preview_index([library], index).new == []
    assert len(preview_index([library / "private"], index).new) == 2
    assert removed(index) == [library / "private"]
    with pytest.raises(MmsearchError, match="was removed from the index"):
        preview_index([library / "private" / "deep"], index)


def test_a_watch_leaves_out_what_was_removed_and_takes_back_what_it_is_given(
    library: Path, index: Path
) -> None:
    remove_folder(library / "private", index)

    def watch(*paths: Path) -> list[Round]:
        """Two rounds: the first look, and one after a picture has come in each folder."""
        stop, rounds = threading.Event(), []

        def report(done: Round) -> None:
            rounds.append(done)
            if done.cause == "start":
                paint(library / "private" / f"{len(paths)}.png")
            else:
                stop.set()

        watch_for(3.0, stop, index, paths, report)
        return rounds

    assert not any(done.summary.new for done in watch())
    assert shown(index) == {"a.png"}
    watch(library / "private")
    assert shown(index) == {"a.png", "b.png", "c.png", "0.png", "1.png"}


def test_a_folder_that_is_removed_during_a_watch_stays_removed(library: Path, index: Path) -> None:
    stop = threading.Event()

    def report(done: Round) -> None:
        if done.cause == "start":
            remove_folder(library / "private", index)
            paint(library / "private" / "new.png", library / "d.png")
        elif "d.png" in shown(index):
            stop.set()

    watch_for(60.0, stop, index, [library], report)
    assert shown(index) == {"a.png", "d.png"}
