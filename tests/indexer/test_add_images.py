"""Pictures from memory are indexed under names, with a copy that the index can show."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer import add_images, index_folders, remove_folder
from retrieval import SearchEngine


def photo(photos: Path, name: str) -> Image.Image:
    with Image.open(photos / name) as image:
        image.load()
        return image


def test_a_picture_without_a_file_is_found_by_its_name_and_leaves_with_it(
    photos: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    turned = photo(photos, "rocket.jpg").convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2021:07:18 16:04:05"
    turned.info["exif"] = exif.tobytes()
    images = {"my cat": photo(photos, "chelsea.png"), "rocket": turned}
    assert add_images(images, index_dir).new == 2
    with SearchEngine.open(index_dir) as engine:
        cat = engine.search("a cat", k=1)[0]
        assert cat.path == index_dir / "pictures" / "my cat.png"
        rocket = engine.search(photo(photos, "rocket.jpg"), k=1)[0]
        assert rocket.path.stem == "rocket" and rocket.similarity > 0.98
        assert rocket.taken_at == datetime(2021, 7, 18, 16, 4, 5)
        assert np.allclose(
            engine.vectors_of([cat]), engine.embed_images([images["my cat"]]), atol=0.02
        )
        assert add_images({"my cat": photo(photos, "coffee.png")}, index_dir).changed == 1
        assert engine.search("a cup of coffee", k=1)[0].path == cat.path
        remove_folder(cat.path, index_dir)
        assert [hit.path.stem for hit in engine.search("a cat")] == ["rocket"]
        assert add_images(images, index_dir).new == 1
        index_folders([photos / "coffee.png"], index_dir)
        assert {hit.path.parent for hit in engine.search("a cat")} == {cat.path.parent, photos}


@pytest.mark.parametrize(
    ("images", "error"),
    [
        ({"": None}, ValueError),
        ({"../cat": None}, ValueError),
        ({".cat": None}, ValueError),
        ({"a\0b": None}, ValueError),
        ({"x" * 300: None}, ValueError),
        ({7: None}, TypeError),
        ({"cat": "cat.png"}, TypeError),
        (["cat.png"], TypeError),
    ],
)
def test_what_is_no_picture_with_a_name_is_refused_and_nothing_made(
    tmp_path: Path, images: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        add_images(images, tmp_path / "index")
    assert not (tmp_path / "index").exists()
