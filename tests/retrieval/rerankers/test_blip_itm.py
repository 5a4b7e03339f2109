"""BLIP as a reranker, on a small model with random weights, against transformers' own forward."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, BlipForImageTextRetrieval

from retrieval.encoders.compact import CompactEncoder
from retrieval.errors import UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from retrieval.images.preprocess import Preprocessing
from retrieval.rerankers.base import Reranker
from retrieval.rerankers.blip_itm import BlipItmReranker
from retrieval.rerankers.registry import load_reranker
from tests.support.small_blip import DEVIATION, MEAN, save_blip
from tests.support.small_rerankers import candidates, question

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*MARKS, "a", "cat", "astronaut", "in", "an", "orange", "suit", "on", "the", "moon"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    return save_blip(folder, BlipForImageTextRetrieval, WORDS, max_position_embeddings=12)


@pytest.fixture(scope="module")
def reranker(folder: Path) -> BlipItmReranker:
    return BlipItmReranker(str(folder))


@pytest.fixture(scope="module")
def paths(photos: Path) -> list[Path]:
    return sorted(photos.iterdir())


@pytest.mark.parametrize("text", ["a cat", "an astronaut in an orange suit on the moon"])
def test_scores_are_the_probabilities_that_the_librarys_forward_gives(
    reranker: BlipItmReranker, folder: Path, paths: list[Path], text: str
) -> None:
    rule = Preprocessing(48, "squash", "bicubic")
    pixels = np.stack([to_pixels(read_image(path, 48), rule) for path in paths])
    model = BlipForImageTextRetrieval.from_pretrained(folder).eval()
    words = BertTokenizer.from_pretrained(folder)([text] * len(paths), return_tensors="pt")
    with torch.inference_mode():
        out = model(
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
            pixel_values=(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - MEAN) / DEVIATION,
            use_itm_head=True,
        )
    expected = out.itm_score.softmax(dim=-1)[:, 1].numpy()
    scores = reranker.rerank(question(text), candidates(paths))
    assert scores.dtype == np.float32
    assert scores == pytest.approx(expected, abs=1e-5)
    assert np.ptp(scores) > 1e-2


def test_pixels_are_what_the_librarys_own_processor_makes(paths: list[Path]) -> None:
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    image = read_image(paths[0])
    theirs = BlipImageProcessorPil(size={"height": 48, "width": 48})(image, return_tensors="np")
    ours = to_pixels(image, Preprocessing(48, "squash", "bicubic"))
    prepared = (torch.from_numpy(ours.copy()).permute(2, 0, 1)[None] / 255 - MEAN) / DEVIATION
    assert prepared.numpy() == pytest.approx(np.asarray(theirs["pixel_values"]), abs=1e-4)


def test_it_is_a_reranker_that_opens_the_files(reranker: BlipItmReranker) -> None:
    assert isinstance(reranker, Reranker)
    assert reranker.needs_images
    assert not reranker.needs_tokens


def test_a_question_longer_than_the_model_takes_is_cut(
    reranker: BlipItmReranker, paths: list[Path]
) -> None:
    assert np.isfinite(reranker.rerank(question("a cat " * 40), candidates(paths[:2]))).all()


def test_a_picture_that_cannot_be_read_has_no_score(
    reranker: BlipItmReranker, paths: list[Path], tmp_path: Path
) -> None:
    scores = reranker.rerank(question("a cat"), candidates([tmp_path / "gone.jpg", paths[0]]))
    assert np.isnan(scores).tolist() == [True, False]


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UnknownModelError, match=r'pip install "mmsearch\[blip\]"'):
        load_reranker("blip", CompactEncoder())


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="cannot be had"):
        BlipItmReranker(str(tmp_path)).rerank(question("a cat"), candidates([tmp_path / "x.jpg"]))
