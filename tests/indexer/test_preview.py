"""A preview says what the run after it does, and writes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from indexer import IndexPreview, IndexReport, index_folders, preview_index
from retrieval.errors import EncoderMismatchError, MmsearchError
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.writer_lock import writer_lock
from tests.indexer.test_ignore import paint
from tests.retrieval.catalog.test_versions import OLD_VERSIONS, STORED, rows, version_of
from tests.support.small_encoder import ColorEncoder


def counts(preview: IndexPreview) -> dict[str, int]:
    return {
        "new": len(preview.new),
        "changed": len(preview.changed),
        "moved": len(preview.moved),
        "removed": len(preview.removed),
        "unchanged": preview.unchanged,
        "failed": preview.failed,
    }


def same_counts(report: IndexReport) -> dict[str, int]:
    kinds = ("new", "changed", "moved", "removed", "unchanged", "failed")
    return {kind: getattr(report, kind) for kind in kinds}


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    library = tmp_path / "library"
    names = ["same", "touched", "changed", "moved", "gone", "private/a"]
    paint(*(library / f"{name}.png" for name in names))
    return library


def disturb(library: Path) -> None:
    os.utime(library / "touched.png", ns=(1, 1))
    shutil.copyfile(library / "same.png", library / "changed.png")
    os.utime(library / "changed.png", ns=(1, 1))
    (library / "elsewhere").mkdir()
    (library / "moved.png").rename(library / "elsewhere" / "moved.png")
    shutil.copyfile(library / "elsewhere" / "moved.png", library / "elsewhere" / "twin.png")
    (library / "gone.png").unlink()
    (library / "empty.png").touch()
    paint(*(library / f"number {number}" / "new.png" for number in range(3)))
    (library / "loop").symlink_to(library)


def test_a_preview_counts_what_the_run_then_does(library: Path, tmp_path: Path) -> None:
    index, encoder = tmp_path / "index", ColorEncoder()
    index_folders([library], index, encoder=encoder)
    disturb(library)
    before = tree(index)
    preview = preview_index([library], index, exclude=["private/"])
    assert tree(index) == before
    assert preview.moved == [(library / "moved.png", library / "elsewhere" / "moved.png")]
    assert preview.changed == [library / "changed.png"]
    assert preview.removed == [library / "gone.png", library / "private" / "a.png"]
    report = index_folders([library], index, encoder=encoder, exclude=["private/"])
    assert counts(preview) == same_counts(report)
    assert report.moved == 1 and report.new == 4 and report.failed == 2


def test_where_there_is_no_index_none_is_made(library: Path, tmp_path: Path) -> None:
    preview = preview_index([library, library / "private"], tmp_path / "index")
    assert (len(preview.new), preview.unchanged) == (6, 0)
    assert not (tmp_path / "index").exists()
    with pytest.raises(MmsearchError, match="There is nothing at"):
        preview_index([library / "nowhere"], tmp_path / "index")


def test_a_folder_around_indexed_ones_is_previewed_as_it_would_take_them_in(
    library: Path, tmp_path: Path
) -> None:
    index, encoder = tmp_path / "index", ColorEncoder()
    index_folders([library / "private"], index, encoder=encoder)
    (library / "private" / "a.png").rename(library / "private" / "b.png")
    preview = preview_index([library / "same.png", library], index)
    assert preview.moved == [(library / "private" / "a.png", library / "private" / "b.png")]
    assert counts(preview) == same_counts(
        index_folders([library / "same.png", library], index, encoder=encoder)
    )
    inside = preview_index([library / "private" / "b.png", library / "private"], index)
    assert counts(inside) | {"unchanged": 0} == dict.fromkeys(counts(inside), 0)
    assert inside.unchanged == 1


def test_pictures_of_a_folder_that_is_away_are_kept_in_a_preview(
    library: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    index_folders([library], index, encoder=ColorEncoder())
    library.rename(tmp_path / "away")
    assert preview_index([library], index).absent_roots == [library]
    library.mkdir()
    preview = preview_index([library], index)
    assert (preview.absent_roots, preview.removed) == ([library], [])


def test_a_preview_needs_no_writer_s_lock(library: Path, tmp_path: Path) -> None:
    location = IndexDir(tmp_path / "index")
    index_folders([library], location.folder, encoder=ColorEncoder())
    with writer_lock(location):
        assert preview_index([library], location.folder).unchanged == 6


def test_a_model_that_would_not_fit_is_told_in_a_preview(library: Path, tmp_path: Path) -> None:
    index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    with pytest.raises(EncoderMismatchError):
        preview_index([library], tmp_path / "index", model="compact")


def change_something(library: Path, random: Random) -> None:
    """One thing that a person does to a file: adding, copying, moving, touching, rewriting, ..."""
    files = sorted(path for path in library.rglob("*.png") if path.is_file())
    one = random.choice(files)
    other = library / random.choice(["a", "b", "b/deep"]) / f"{random.randrange(30)}.png"
    other.parent.mkdir(parents=True, exist_ok=True)
    match random.choice(["add", "copy", "move", "touch", "delete", "ignore", "rename"]):
        case "add":
            Image.new("RGB", (40, 30), (random.randrange(256), 90, 20)).save(other)
        case "copy":
            shutil.copyfile(one, other)
        case "move":
            one.rename(other)
        case "touch":
            os.utime(one, (random.randrange(10**9), 1))
        case "delete" if len(files) > 3:
            one.unlink()
        case "ignore":
            (library / "b" / ".mmsearchignore").write_text(f"{random.randrange(3)}*.png\n")
        case "rename" if (library / "a").exists():
            (library / "a").rename(library / f"was a {random.randrange(10**9)}")


@pytest.mark.parametrize("seed", range(12))
def test_after_any_changes_a_preview_counts_what_the_run_then_does(
    tmp_path: Path, seed: int
) -> None:
    random, encoder = Random(seed), ColorEncoder()
    library, index = tmp_path / "library", tmp_path / "index"
    paint(*(library / folder / f"{n}.png" for folder in ("a", "b", "b/deep") for n in range(3)))
    named = [library / "b" / "deep"]
    for _ in range(6):
        named = random.choice([named, [library], [library / "b", library / "b" / "deep"]])
        named = [path for path in named if path.exists()]
        exclude = random.choice([[], ["/b/1*"], ["deep/", "!2.png"]])
        preview = preview_index(named, index, exclude=exclude)
        report = index_folders(named, index, encoder=encoder, exclude=exclude)
        assert counts(preview) == same_counts(report)
        for _ in range(random.randrange(6)):
            change_something(library, random)


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_an_older_index_is_previewed_as_it_is(tmp_path: Path, version: int) -> None:
    index, library = tmp_path / "index", tmp_path / "library"
    index.mkdir()
    shutil.copyfile(STORED / f"v{version}.sqlite", index / "catalog.sqlite")
    shutil.copytree(STORED / "pictures", library)
    before = rows(index / "catalog.sqlite")
    preview = preview_index([library], index)
    assert rows(index / "catalog.sqlite") == before
    assert version_of(index / "catalog.sqlite") == version
    assert len(preview.new) == len(list(library.glob("*.*")))
