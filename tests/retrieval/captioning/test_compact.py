"""The built-in captioner, on real photographs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from retrieval.captioning.base import Captioner, PictureToCaption
from retrieval.captioning.compact import SETTINGS_FILE, CompactCaptioner
from retrieval.captioning.registry import list_captioners, load_captioner
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from tests.support.small_encoder import ColorEncoder


@pytest.fixture(scope="module")
def encoder() -> CompactEncoder:
    return CompactEncoder()


@pytest.fixture(scope="module")
def captioner(encoder: CompactEncoder) -> CompactCaptioner:
    return CompactCaptioner(encoder)


def seen(path: Path, encoder: CompactEncoder) -> PictureToCaption:
    encoding = encoder.encode_images(to_pixels(read_image(path), encoder.preprocessing)[None])
    assert encoding.patch_tokens is not None
    return PictureToCaption(path, encoding.vectors[0], encoding.patch_tokens[0])


@pytest.fixture(scope="module")
def pictures(photos: Path, encoder: CompactEncoder) -> list[PictureToCaption]:
    return [seen(photos / name, encoder) for name in ("chelsea.png", "coffee.png", "rocket.jpg")]


def test_photographs_get_sentences(
    captioner: CompactCaptioner, pictures: list[PictureToCaption]
) -> None:
    found = captioner.caption(pictures)
    for caption in found:
        assert caption is not None
        assert len(caption.text.split()) >= 3
        assert "##" not in caption.text and "[" not in caption.text
        assert caption.score <= 0.0
    assert len({caption.text for caption in found if caption}) == 3
    assert found[0] is not None and "cat" in found[0].text.split()


def test_a_caption_does_not_hang_on_the_pictures_beside_it(
    captioner: CompactCaptioner, pictures: list[PictureToCaption]
) -> None:
    together = captioner.caption(pictures)
    assert [captioner.caption([own])[0] for own in pictures] == together


def test_what_has_no_tokens_gets_none(
    captioner: CompactCaptioner, pictures: list[PictureToCaption]
) -> None:
    bare = PictureToCaption(pictures[0].path, pictures[0].vector)
    other = PictureToCaption(pictures[0].path, pictures[0].vector, np.zeros((5, 7), dtype=np.int8))
    found = captioner.caption([bare, pictures[1], other])
    assert found[0] is None and found[2] is None
    assert found[1] == captioner.caption([pictures[1]])[0]
    assert captioner.caption([]) == []


def test_it_is_a_captioner_by_name(encoder: CompactEncoder) -> None:
    found = load_captioner("compact", encoder)
    assert isinstance(found, Captioner)
    assert (found.name, found.needs_tokens, found.needs_images) == ("compact", True, False)
    assert "compact" in [info.name for info in list_captioners()]


def test_it_needs_its_own_encoder(encoder: CompactEncoder, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="made with the compact model"):
        load_captioner("compact", ColorEncoder())
    with pytest.raises(UnknownModelError, match="no captioner called nothing"):
        load_captioner("nothing", encoder)
    bare = tmp_path / "bare"
    shutil.copytree(COMPACT_DIR, bare)
    settings = json.loads((bare / SETTINGS_FILE).read_text("utf-8"))
    (bare / SETTINGS_FILE).write_text(json.dumps(settings | {"encoder": "another"}), "utf-8")
    with pytest.raises(UnknownModelError, match="trained for another model"):
        load_captioner("compact", CompactEncoder(bare))
    (bare / SETTINGS_FILE).unlink()
    with pytest.raises(UnknownModelError, match="holds no captioner"):
        load_captioner("compact", CompactEncoder(bare))
