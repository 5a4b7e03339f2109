"""BLIP as an answerer: a small model with random weights, against transformers' own generation."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, BlipForQuestionAnswering

from retrieval.answering.base import Answerer
from retrieval.answering.blip import BlipAnswerer
from retrieval.answering.registry import load_answerer
from retrieval.encoders.base import Pixels
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from tests.support.small_blip import DEVIATION, MEAN, save_blip

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
WORDS = [*MARKS, "how", "many", "cats", "are", "there", "is", "it", "yes", "no", "one", "two"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    return save_blip(
        folder,
        BlipForQuestionAnswering,
        WORDS,
        max_position_embeddings=16,
        bos_token_id=5,
        sep_token_id=3,
        eos_token_id=3,
    )


@pytest.fixture(scope="module")
def answerer(folder: Path) -> Answerer:
    return load_answerer(f"blip:{folder}")


@pytest.fixture(scope="module")
def pixels(photos: Path, answerer: Answerer) -> Pixels:
    paths = sorted(photos.iterdir())
    rule = answerer.preprocessing
    return np.stack([to_pixels(read_image(path, rule.size_px), rule) for path in paths])


def test_answers_are_those_that_the_library_writes_with_their_probability(
    answerer: Answerer, folder: Path, pixels: Pixels
) -> None:
    model = BlipForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer = BertTokenizer.from_pretrained(folder)
    found = answerer.answer("How many cats are there?", pixels)
    assert len({answer.text for answer in found}) > 1
    for row, answer in enumerate(found[:4]):
        words = tokenizer("How many cats are there?", return_tensors="pt")
        image = torch.from_numpy(pixels[row : row + 1]).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            written = model.generate(
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"],
                pixel_values=(image - MEAN) / DEVIATION,
                max_new_tokens=10,
                do_sample=False,
                return_dict_in_generate=True,
                output_scores=True,
            )
        text = tokenizer.batch_decode(written.sequences, skip_special_tokens=True)[0].strip()
        steps = [
            float(scores[0].log_softmax(-1)[token])
            for scores, token in zip(written.scores, written.sequences[0, 1:], strict=True)
        ]
        assert answer.text == text
        assert answer.confidence == pytest.approx(float(np.exp(sum(steps))), rel=1e-3)
        assert answer.is_sure == (answer.confidence >= 0.5)
        assert answer.kind == "number"


def test_it_answers_questions_of_any_kind_and_length(answerer: Answerer, pixels: Pixels) -> None:
    assert isinstance(answerer, Answerer)
    assert len(answerer.answer("why " * 40, pixels[:2])) == 2
    assert answerer.answer("is it?", pixels[:0]) == []


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UnknownModelError, match=r'pip install "mmsearch\[blip\]"'):
        load_answerer("blip")


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="cannot be had"):
        _ = BlipAnswerer(str(tmp_path)).preprocessing
