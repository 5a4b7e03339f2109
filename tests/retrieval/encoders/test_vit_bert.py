"""A ViT and a BERT as one encoder, with small towers of random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, VisionTextDualEncoderModel

from indexer import index_folders
from retrieval.encoders.base import Encoder, Pixels, gives_patch_tokens
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.vit_bert import VitBertEncoder
from retrieval.errors import UnknownModelError
from retrieval.evaluation import captions
from retrieval.images.decode import read_image, to_pixels
from retrieval.rerankers.training.install import train_for_index
from retrieval.rerankers.training.network import RerankerShape
from retrieval.rerankers.training.train import TrainingSettings
from retrieval.search.engine import SearchEngine
from samples.photos import CAPTIONS, read_captions
from tests.support.small_rerankers import write_reranker
from tests.support.small_vit_bert import save_towers

SHAPE = RerankerShape(token_dim=64, patches=16, patch_scale=0.03, width=32)
TEXTS = ["a cat looking into the camera", "a rocket"]


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    texts = [text for texts in read_captions().values() for text in texts]
    return save_towers(tmp_path_factory.mktemp("towers"), texts)


@pytest.fixture(scope="module")
def encoder(name: str) -> VitBertEncoder:
    return VitBertEncoder(name)


@pytest.fixture(scope="module")
def folder(encoder: VitBertEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model saved as one."""
    folder = tmp_path_factory.mktemp("whole")
    encoder.loaded.save(folder)
    return folder


@pytest.fixture(scope="module")
def pixels(photos: Path, encoder: VitBertEncoder) -> Pixels:
    rule = encoder.preprocessing
    return np.stack([to_pixels(read_image(path), rule) for path in sorted(photos.iterdir())[:5]])


def test_vectors_are_those_of_the_librarys_own_forward(
    encoder: VitBertEncoder, folder: Path, pixels: Pixels
) -> None:
    model = VisionTextDualEncoderModel.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)(TEXTS, return_tensors="pt", padding=True)
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 * 2 - 1
    with torch.inference_mode():
        out = model(
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
            pixel_values=inputs,
        )
    assert encoder.encode_images(pixels).vectors == pytest.approx(
        out.image_embeds.numpy(), abs=1e-5
    )
    assert encoder.encode_texts(TEXTS).vectors == pytest.approx(out.text_embeds.numpy(), abs=1e-5)


def test_vectors_have_unit_length(encoder: VitBertEncoder, pixels: Pixels) -> None:
    for vectors in (encoder.encode_images(pixels).vectors, encoder.encode_texts(TEXTS).vectors):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == encoder.space.dim
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_saved_as_one_it_is_in_the_same_space(encoder: VitBertEncoder, folder: Path) -> None:
    assert load_encoder(f"vit-bert:{folder}").space.is_same(encoder.space)


def test_projections_that_are_drawn_are_the_same_each_time(
    encoder: VitBertEncoder, name: str
) -> None:
    torch.manual_seed(17)
    assert VitBertEncoder(name).space.fingerprint == encoder.space.fingerprint


def test_another_vit_is_another_space_and_another_bert_is_not(
    encoder: VitBertEncoder, name: str, tmp_path: Path
) -> None:
    vit, bert = name.split("+")
    other_vit, other_bert = save_towers(tmp_path, TEXTS, seed=1).split("+")
    assert not VitBertEncoder(f"{other_vit}+{bert}").space.is_same(encoder.space)
    assert VitBertEncoder(f"{vit}+{other_bert}").space.is_same(encoder.space)


def test_patch_tokens_keep_the_direction_of_the_vits_states(
    encoder: VitBertEncoder, pixels: Pixels
) -> None:
    found = encoder.encode_images(pixels).patch_tokens
    assert found is not None
    assert found.shape[:2] == (5, 16)
    assert encoder.token_grid == (4, 4)
    with torch.inference_mode():
        states = encoder.loaded.image_states(pixels)[1].numpy()
    tokens = found * encoder.token_scale
    cosines = (tokens * states).sum(-1) / np.linalg.norm(tokens, axis=-1)
    assert cosines / np.linalg.norm(states, axis=-1) == pytest.approx(1, abs=1e-2)


def test_words_are_told_from_marks_and_padding(encoder: VitBertEncoder) -> None:
    found = encoder.encode_texts(TEXTS)
    assert found.words is not None and found.word_mask is not None
    kept = [
        [word for word, is_word in zip(words, mask, strict=True) if is_word]
        for words, mask in zip(found.words, found.word_mask, strict=True)
    ]
    assert kept == [text.split() for text in TEXTS]


def test_padding_changes_no_vector(encoder: VitBertEncoder) -> None:
    alone, among = encoder.encode_texts(TEXTS[1:]), encoder.encode_texts(TEXTS)
    assert alone.vectors[0] == pytest.approx(among.vectors[1], abs=1e-5)


def test_a_text_longer_than_bert_takes_is_cut(encoder: VitBertEncoder) -> None:
    assert np.isfinite(encoder.encode_texts(["a cat " * 60]).vectors).all()


def test_no_picture_and_no_text_make_no_vector(encoder: VitBertEncoder, pixels: Pixels) -> None:
    assert encoder.encode_images(pixels[:0]).vectors.shape == (0, encoder.space.dim)
    assert encoder.encode_texts([]).vectors.shape == (0, encoder.space.dim)


def test_an_index_is_made_and_asked_with_it_and_reranked_by_cross_attention(
    folder: Path, photos: Path, tmp_path: Path
) -> None:
    name = f"vit-bert:{folder}"
    index_folders([photos], tmp_path / "index", model=name)
    with SearchEngine.open(tmp_path / "index") as engine:
        assert isinstance(engine.encoder, Encoder)
        plain = engine.search("a cat looking into the camera", k=18)
        assert len(plain) == 18
        asked_with_itself = engine.search(photos / "coffee.png", k=1)
        assert asked_with_itself[0].path.name == "coffee.png"
    write_reranker(tmp_path / "index" / "reranker", load_encoder(name), 1.0, SHAPE)
    with SearchEngine.open(tmp_path / "index") as engine:
        hits = engine.search("a cat looking into the camera", k=18)
        assert [hit.score for hit in hits] != [hit.score for hit in plain]
        explained = engine.explain(hits[0])
        assert explained is not None
        assert explained.words == ("a", "cat", "looking", "into", "the", "camera")
        assert explained.heat.shape[1:] == (4, 4)


def test_a_reranker_is_trained_for_it(folder: Path, photos: Path, tmp_path: Path) -> None:
    report = train_for_index(
        load_encoder(f"vit-bert:{folder}"),
        captions.read_captions(CAPTIONS),
        photos,
        tmp_path,
        TrainingSettings(epochs=1),
    )
    assert report.epochs == 1
    assert report.pictures == 18


def test_whether_it_gives_tokens_is_told_without_loading_it() -> None:
    assert gives_patch_tokens(VitBertEncoder("vit-bert:nowhere"))
    assert not gives_patch_tokens(load_encoder("ViT-B-32/laion2b_s34b_b79k"))


def test_a_folder_that_holds_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="cannot be had"):
        _ = load_encoder(f"vit-bert:{tmp_path}").space


def test_eight_bits_are_refused(name: str) -> None:
    with pytest.raises(UnknownModelError, match="fp32 alone"):
        load_encoder(name, "int8")


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UnknownModelError, match=r'pip install "mmsearch\[vit-bert\]"'):
        load_encoder("vit-bert:google/vit-base-patch16-224+bert-base-uncased")
