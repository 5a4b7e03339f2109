"""Pictures like a picture: by the kept vector or by the file, itself left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import index_folders
from retrieval import ImageError, SearchEngine
from retrieval.encoders.compact import CompactEncoder
from samples.photos import copy_photos


def test_the_picture_itself_is_left_out_and_the_rest_is_as_its_vector_finds(
    photos: Path, photo_index: Path
) -> None:
    cat = photos / "chelsea.png"
    with SearchEngine.open(photo_index) as engine:
        everything = engine.search(engine.vectors_of([cat])[0], k=1000)
        assert everything[0].path == cat
        found = engine.similar(cat, k=1000)
        assert [hit.item_id for hit in found] == [hit.item_id for hit in everything[1:]]
        assert [hit.rank for hit in found] == list(range(1, len(everything)))
        # A hit asks as its path does, and pages fit together.
        assert engine.similar(everything[0], k=3) == found[:3]
        assert engine.similar(str(cat), k=2, offset=2) == found[2:4]


def test_an_indexed_picture_asks_without_being_encoded_or_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_photos(tmp_path / "photos")
    index_folders([tmp_path / "photos"], tmp_path / "index")
    with SearchEngine.open(tmp_path / "index") as engine:
        before = engine.similar(tmp_path / "photos" / "chelsea.png")
        shutil.rmtree(tmp_path / "photos")

        def refuse(self: object, pixels: np.ndarray) -> None:
            raise AssertionError("a picture was encoded")

        monkeypatch.setattr(CompactEncoder, "encode_images", refuse)
        assert engine.similar(tmp_path / "photos" / "chelsea.png") == before


def test_a_file_that_is_not_indexed_is_read(
    photos: Path, photo_index: Path, tmp_path: Path
) -> None:
    with Image.open(photos / "chelsea.png") as image:
        small = image.convert("RGB").resize((image.width // 2, image.height // 2))
    small.save(tmp_path / "cat.jpg")
    with SearchEngine.open(photo_index) as engine:
        assert engine.similar(tmp_path / "cat.jpg", k=1)[0].path == photos / "chelsea.png"
        assert engine.similar(small, k=1)[0].path == photos / "chelsea.png"
        (tmp_path / "text.jpg").write_text("no picture")
        for broken in (tmp_path / "text.jpg", tmp_path / "missing.jpg", tmp_path):
            with pytest.raises(ImageError, match=broken.name):
                engine.similar(broken)
        with pytest.raises(TypeError, match="vector"):
            engine.similar(7)  # type: ignore[arg-type]


def test_filters_hold_and_itself_need_not_fit_them(photos: Path, photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        cat = photos / "chelsea.png"
        assert all(hit.path.suffix == ".jpg" for hit in engine.similar(cat, filter="type:jpg"))
        assert engine.similar(cat, filter="name:chelsea*") == []
