"""CoCa and BLIP as captioners, on small models with random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

from retrieval.captioning.base import Captioner, PictureToCaption
from retrieval.captioning.coca import CocaCaptioner
from retrieval.captioning.registry import load_captioner
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from retrieval.images.preprocess import Preprocessing
from tests.support.small_encoder import ColorEncoder
from tests.support.small_open_clip import COCA, save_model

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
WORDS = [*MARKS, "a", "cat", "astronaut", "in", "an", "orange", "suit", "on", "the", "moon"]
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)


def loud(model: torch.nn.Module) -> None:
    """Weights as they are drawn make all logits alike; larger ones tell pictures apart."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(
        text_config={
            **sizes, "vocab_size": len(WORDS), "encoder_hidden_size": 32, "intermediate_size": 64,
            "max_position_embeddings": 40, "pad_token_id": 0, "bos_token_id": 5,
            "sep_token_id": 3, "eos_token_id": 3, "is_decoder": True,
        },
        vision_config={**sizes, "intermediate_size": 64, "image_size": 48, "patch_size": 16},
        image_text_hidden_size=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(config)
    loud(model)
    model.save_pretrained(folder)
    return folder


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
