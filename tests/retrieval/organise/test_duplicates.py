"""Copies are found in an index whatever was done to them; other pictures and moments are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from indexer import index_folders
from retrieval import SearchEngine
from samples.photos import copy_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs; the cat and the rocket with copies, the coffee twice within seconds."""
    folder = tmp_path_factory.mktemp("duplicates")
    photos = folder / "photos"
    copy_photos(photos)
    shutil.copy2(photos / "rocket.jpg", photos / "another name.jpg")
    with Image.open(photos / "chelsea.png") as image:
        cat = image.convert("RGB")
    cat.resize((cat.width // 2, cat.height // 2)).save(photos / "small.jpg", quality=80)
    ImageOps.mirror(cat).save(photos / "mirrored.jpg", quality=90)
    cat.save(photos / "again.jpg", quality=50)
    cat.crop((30, 20, 30 + cat.width * 4 // 5, 20 + cat.height * 4 // 5)).save(photos / "part.jpg")
    with Image.open(photos / "coffee.png") as image:
        coffee = image.convert("RGB")
    for second in (1, 3):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2021:07:18 12:00:0{second}"
        coffee.save(photos / f"moment{second}.jpg", quality=90, exif=exif)
    (photos / "coffee.png").unlink()
    index_folders([photos], folder / "index")
    return folder


def test_every_copy_is_grouped_with_the_best_of_them(folder: Path) -> None:
    told: list[str] = []
    with SearchEngine.open(folder / "index") as engine:
        found = engine.duplicates(progress=lambda what, done, total: told.append(what))
    groups = {
        group.best.path.name: {copy.path.name: copy.kind for copy in group.others}
        for group in found.groups
    }
    assert groups["chelsea.png"] == {
        "again.jpg": "saved again",
        "mirrored.jpg": "mirrored",
        "part.jpg": "cropped",
        "small.jpg": "resized",
    }
    assert groups["rocket.jpg"] == {"another name.jpg": "identical"}
    # Nothing else: the two moments were seconds apart by the camera's clock.
    assert set(groups) == {"chelsea.png", "rocket.jpg"}
    reasons = {group.best.path.name: group.reason for group in found.groups}
    assert reasons == {"chelsea.png": "least compressed", "rocket.jpg": "shortest path"}
    assert found.unreadable == 0
    assert {"reading", "comparing"} == set(told)


def test_exact_duplicates_need_no_file(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "index", tmp_path / "index")
    (folder / "photos").rename(folder / "away")
    try:
        with SearchEngine.open(tmp_path / "index") as engine:
            found = engine.duplicates(exact=True)
            assert [group.best.path.name for group in found.groups] == ["rocket.jpg"]
            # Without files nothing but the same bytes is known, and that is said.
            found = engine.duplicates()
            assert [group.best.path.name for group in found.groups] == ["rocket.jpg"]
            assert found.unreadable > 0
    finally:
        (folder / "away").rename(folder / "photos")


def test_a_filter_says_what_is_looked_at(folder: Path) -> None:
    with SearchEngine.open(folder / "index") as engine:
        assert engine.duplicates("name:rocket*", exact=True).groups == ()
        found = engine.duplicates("name:chelsea.png or name:small.jpg").groups
        assert [len(group.others) for group in found] == [1]
        assert engine.duplicates("name:nothing").groups == ()
