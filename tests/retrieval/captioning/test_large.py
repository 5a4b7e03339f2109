"""CoCa and BLIP as captioners, on small models with random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, BlipForConditionalGeneration

from retrieval.captioning.base import Captioner, PictureToCaption
from retrieval.captioning.coca import CocaCaptioner
from retrieval.captioning.registry import load_captioner
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from retrieval.images.preprocess import Preprocessing
from tests.support.small_blip import DEVIATION, MEAN, save_blip
from tests.support.small_encoder import ColorEncoder
from tests.support.small_open_clip import COCA, save_model

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
WORDS = [*MARKS, "a", "cat", "astronaut", "in", "an", "orange", "suit", "on", "the", "moon"]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    return save_blip(
        folder,
        BlipForConditionalGeneration,
        WORDS,
        layers=1,
        max_position_embeddings=40,
        bos_token_id=5,
        sep_token_id=3,
        eos_token_id=3,
        is_decoder=True,
    )


@pytest.fixture(scope="module")
def coca(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return str(save_model(tmp_path_factory.mktemp("coca") / "model", COCA, "coca_small_captions"))


@pytest.fixture(scope="module")
def pictures(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[PictureToCaption]:
    broken = tmp_path_factory.mktemp("broken") / "broken.jpg"
    broken.write_bytes(b"no picture")
    paths = [photos / "chelsea.png", broken, photos / "rocket.jpg"]
    return [PictureToCaption(path) for path in paths]


def test_blip_says_what_its_library_says(blip: Path, pictures: list[PictureToCaption]) -> None:
    captioner = load_captioner(f"blip:{blip}", ColorEncoder())
    assert isinstance(captioner, Captioner)
    assert captioner.needs_images and not captioner.needs_tokens
    first, none, last = captioner.caption(pictures)
    assert none is None and first is not None and last is not None
    assert first.score <= 0.0
    rule = Preprocessing(48, "squash", "bicubic")
    pixels = np.stack([to_pixels(read_image(pictures[i].path, 48), rule) for i in (0, 2)])
    model = BlipForConditionalGeneration.from_pretrained(blip).eval()
    said = model.generate(
        pixel_values=(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - MEAN) / DEVIATION,
        num_beams=5,
        length_penalty=1.0,
        max_new_tokens=30,
    )
    texts = BertTokenizer.from_pretrained(blip).batch_decode(said, skip_special_tokens=True)
    assert [first.text, last.text] == [" ".join(text.split()) for text in texts]


def test_coca_describes_what_can_be_read(coca: str, pictures: list[PictureToCaption]) -> None:
    captioner = CocaCaptioner(coca, beams=2)
    assert isinstance(captioner, Captioner)
    assert captioner.needs_images and not captioner.needs_tokens
    first, none, last = captioner.caption(pictures)
    assert none is None and first is not None and last is not None
    assert first.text and first.score <= 0.0


def test_a_model_that_cannot_say_anything_is_refused(
    tmp_path: Path, pictures: list[PictureToCaption]
) -> None:
    with pytest.raises(UnknownModelError, match="cannot be had"):
        load_captioner(f"blip:{tmp_path}", ColorEncoder()).caption(pictures)
    with pytest.raises(UnknownModelError):
        load_captioner("coca_of_nobody/none", ColorEncoder()).caption(pictures)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UnknownModelError, match=r"mmsearch\[blip\]"):
        load_captioner("blip", ColorEncoder())
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UnknownModelError, match=r"mmsearch\[clip\]"):
        load_captioner("coca_ViT-B-32/any", ColorEncoder())
