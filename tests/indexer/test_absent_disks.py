"""A disk inside an indexed folder may be unplugged: its pictures are kept until it is back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.faults.library import paint
from indexer import IndexReport, index_folders, move_root, remove_folder
from indexer.pipeline.offline import MANY_FILES
from retrieval.catalog import Catalog
from tests.support.small_disks import mount, unmount
from tests.support.small_encoder import ColorEncoder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a picture of its own, and a disk with pictures at `root/disk`."""
    mount(tmp_path / "root" / "disk", "2m")
    for seed in range(4):
        paint(tmp_path / "root" / "disk" / "2019" / f"{seed}.png", seed)
    paint(tmp_path / "root" / "own.png", 50)
    yield tmp_path / "root"  # type: ignore[misc]
    unmount(tmp_path / "root" / "disk")


def run(folder: Path, index_dir: Path) -> IndexReport:
    return index_folders([folder], index_dir, encoder=ColorEncoder())


def shown(index_dir: Path) -> set[Path]:
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        ids = catalog.item_ids().tolist()
        return {image.path for image in catalog.items(ids).values()}


def pictures_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*.png"))


def test_pictures_of_an_unplugged_disk_inside_a_folder_are_kept(root: Path, tmp_path: Path) -> None:
    index_dir = tmp_path / "index"
    assert run(root, index_dir).new == 5
    before = pictures_below(root)
    unmount(root / "disk")
    summary = run(root, index_dir)
    assert (summary.removed, summary.absent_roots) == (0, [root / "disk"])
    assert shown(index_dir) == before
    # Some systems take the mount point away with the disk.
    (root / "disk").rmdir()
    summary = run(root, index_dir)
    assert (summary.removed, summary.absent_roots) == (0, [root / "disk"])
    assert shown(index_dir) == before


def test_pictures_are_kept_though_something_was_written_below_the_mount_point(
    root: Path, tmp_path: Path
) -> None:
    run(root, tmp_path / "index")
    before = pictures_below(root)
    unmount(root / "disk")
    paint(root / "disk" / "stray.png", 60)
    summary = run(root, tmp_path / "index")
    assert (summary.new, summary.removed) == (1, 0)
    assert shown(tmp_path / "index") == before | {root / "disk" / "stray.png"}


def test_pictures_are_kept_while_another_disk_is_in_the_place_of_theirs(
    root: Path, tmp_path: Path
) -> None:
    run(root, tmp_path / "index")
    before = pictures_below(root)
    unmount(root / "disk")
    mount(root / "disk", "2m")
    paint(root / "disk" / "other.png", 61)
    summary = run(root, tmp_path / "index")
    assert (summary.new, summary.removed) == (1, 0)
    assert before < shown(tmp_path / "index")


def test_a_picture_deleted_from_a_disk_that_is_there_is_forgotten(
    root: Path, tmp_path: Path
) -> None:
    run(root, tmp_path / "index")
    (root / "disk" / "2019" / "0.png").unlink()
    summary = run(root, tmp_path / "index")
    assert (summary.removed, summary.absent_roots) == (1, [])


def test_pictures_copied_from_the_disk_into_the_folder_are_no_longer_on_a_disk(
    root: Path, tmp_path: Path
) -> None:
    run(root, tmp_path / "index")
    shutil.copytree(root / "disk", tmp_path / "copy")
    unmount(root / "disk")
    shutil.copytree(tmp_path / "copy", root / "disk", dirs_exist_ok=True)
    assert run(root, tmp_path / "index").unchanged == 5
    shutil.rmtree(root / "disk")
    assert run(root, tmp_path / "index").removed == 4


def test_a_copy_of_an_unplugged_picture_is_not_taken_for_it(root: Path, tmp_path: Path) -> None:
    run(root, tmp_path / "index")
    before = pictures_below(root)
    shutil.copytree(root / "disk", tmp_path / "copy")
    unmount(root / "disk")
    summary = run(tmp_path / "copy", tmp_path / "index")
    assert (summary.new, summary.moved, summary.encoded) == (4, 0, 0)
    assert before < shown(tmp_path / "index")


def test_a_root_that_is_a_disk_is_known_to_be_away_though_its_mount_point_is_not_empty(
    root: Path, tmp_path: Path
) -> None:
    run(root / "disk", tmp_path / "index")
    unmount(root / "disk")
    paint(root / "disk" / "stray.png", 62)
    summary = run(root / "disk", tmp_path / "index")
    assert (summary.new, summary.removed, summary.absent_roots) == (1, 0, [root / "disk"])


def test_a_disk_is_remembered_when_its_folder_moves_and_can_be_forgotten(
    root: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    run(root, index_dir)
    unmount(root / "disk")
    moved = root.with_name("moved")
    root.rename(moved)
    move_root(root, moved, index_dir)
    assert run(moved, index_dir).absent_roots == [moved / "disk"]
    assert remove_folder(moved / "disk", index_dir) == 4
    summary = run(moved, index_dir)
    assert (summary.absent_roots, shown(index_dir)) == ([], {moved / "own.png"})
    root.mkdir()


def test_a_folder_of_many_pictures_that_is_empty_keeps_them_and_one_of_few_does_not(
    tmp_path: Path,
) -> None:
    library, index_dir = tmp_path / "library", tmp_path / "index"
    paint(library / "first.png", 0)
    for number in range(MANY_FILES + 1):
        copy = library / "many" / "deep" / f"{number}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(library / "first.png", copy)
    paint(library / "few" / "1.png", 1)
    assert run(library, index_dir).new == MANY_FILES + 3
    shutil.rmtree(library / "many" / "deep")
    (library / "few" / "1.png").unlink()
    summary = run(library, index_dir)
    assert (summary.removed, summary.absent_roots) == (1, [library / "many"])
    # Deleted with its folder, it was meant.
    (library / "many").rmdir()
    assert run(library, index_dir).removed == MANY_FILES + 1
