"""Explanations: words as written, heat that is attention, and erasure that finds what decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from retrieval.encoders.base import ImageEncoding, Pixels, TextEncoding
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.space import EmbeddingSpace
from retrieval.images.preprocess import Preprocessing
from retrieval.rerankers.compact import CompactReranker
from retrieval.search.explain import cover, erasure_test, explain, join_pieces
from tests.support.small_rerankers import candidates, question, write_reranker

ENCODER = CompactEncoder()


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> CompactReranker:
    folder = write_reranker(tmp_path_factory.mktemp("trained"), ENCODER)
    return CompactReranker.trained(folder, ENCODER)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a photographer", ["a", "photographer"]),
        ("A photographer's tripod", ["a", "photographer's", "tripod"]),
        ("stands, unbelievably, on greyhounds.", ["stands", "unbelievably", "on", "greyhounds"]),
        ("a close-up of a t-shirt", ["a", "close-up", "of", "a", "t-shirt"]),
        ('the "cat" - a dog', ["the", "cat", "a", "dog"]),
        ("?!", []),
        ("", []),
    ],
)
def test_word_pieces_are_joined_to_the_words_that_were_written(text: str, words: list[str]) -> None:
    encoding = ENCODER.encode_texts([text])
    assert encoding.words is not None
    assert encoding.word_mask is not None
    pieces = [p for p, kept in zip(encoding.words[0], encoding.word_mask[0], strict=True) if kept]
    assert [word for word, _ in join_pieces(pieces, text)] == words


@given(st.lists(st.sampled_from(["dog", "##s", "'", "-", "a", ",", "##"]), max_size=12))
def test_no_piece_belongs_to_two_words(pieces: list[str]) -> None:
    places = [i for _, own in join_pieces(pieces, "dog's a-dog") for i in own]
    assert len(places) == len(set(places))


def test_heat_is_the_attention_of_each_words_pieces(
    reranker: CompactReranker, photos: Path
) -> None:
    found = candidates([photos / "coffee.png", photos / "chelsea.png"], ENCODER)
    asked = question("two greyhounds, asleep", ENCODER)
    attention = reranker.attend(asked, found).attention
    explanations = explain(reranker, asked, found)
    for row, explanation in enumerate(explanations):
        assert explanation is not None
        assert explanation.words == ("two", "greyhounds", "asleep")
        assert explanation.heat.shape == (3, 14, 14)
        assert explanation.heat.dtype == np.float32
        assert explanation.heat.sum(axis=(1, 2)) == pytest.approx(1.0, abs=1e-4)
        assert explanation.item_id == row + 1
        # [CLS] two greyhound ##s , asleep [SEP]
        pieces = attention[row, 2:4].mean(axis=0)
        assert explanation.presence[1] == pytest.approx(pieces.sum(), abs=1e-6)
        assert explanation.heat[1].ravel() == pytest.approx(pieces / pieces.sum(), abs=1e-6)


def test_what_cannot_be_explained_is_none(reranker: CompactReranker, photos: Path) -> None:
    whole = candidates([photos / "coffee.png"], ENCODER)
    bare = candidates([photos / "coffee.png"])
    assert explain(reranker, question("a cup", ENCODER), bare) == [None]
    assert explain(reranker, question("...", ENCODER), whole) == [None]
    assert explain(reranker, question("a cup"), whole) == [None]


def test_covering_all_cells_leaves_only_grey_and_none_leaves_all() -> None:
    pixels = np.random.default_rng(0).integers(0, 120, size=(50, 50, 3)).astype(np.uint8)
    assert (cover(pixels, (9, 9), np.arange(81)) == 128).all()
    assert np.array_equal(cover(pixels, (9, 9), np.arange(0)), pixels)
    one = cover(pixels, (5, 5), np.array([7]))
    assert (one[10:20, 20:30] == 128).all()
    assert (one == 128).all(axis=2).sum() == 100


class _ColourEncoder:
    """A token for each cell of an 8 × 8 grid: its mean colour. The word `red` is the colour red."""

    space = EmbeddingSpace("colours", 3, "colours")
    preprocessing = Preprocessing(64, "squash", "bilinear")

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        cells = pixels.reshape(-1, 8, 8, 8, 8, 3).mean(axis=(2, 4)) - 128.0
        vectors = np.ones((len(pixels), 3), dtype=np.float32) / np.sqrt(3, dtype=np.float32)
        return ImageEncoding(vectors, np.clip(cells.reshape(-1, 64, 3), -127, 127).astype("i1"))

    def encode_texts(self, texts: Sequence[str]) -> TextEncoding:
        red = np.tile(np.array([1, -1, -1], dtype=np.float32), (len(texts), 1, 1))
        mask = np.ones((len(texts), 1), dtype=bool)
        return TextEncoding(red[:, 0] / np.sqrt(3), red, mask, tuple(("red",) for _ in texts))


class _BestMatch(nn.Module):
    """Softmax attention of words over patches, scored by how well what was gathered matches."""

    def forward(
        self, words: torch.Tensor, mask: torch.Tensor, patches: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        matches = torch.einsum("lc,npc->nlp", words[0], patches.float() / 64)
        attention = matches.softmax(dim=-1)
        kept = mask[0].float()[None]
        return ((attention * matches).sum(-1) * kept).sum(1) / kept.sum(), attention


@pytest.fixture(scope="module")
def colour_reranker(tmp_path_factory: pytest.TempPathFactory) -> CompactReranker:
    path = tmp_path_factory.mktemp("colours") / "reranker.onnx"
    example = (torch.ones(1, 1, 3), torch.ones(1, 1, dtype=torch.bool))
    torch.onnx.export(
        _BestMatch(),
        (*example, torch.ones(4, 64, 3, dtype=torch.int8)),
        path,
        input_names=["words", "mask", "patches"],
        output_names=["scores", "attention"],
        dynamic_shapes={"words": None, "mask": None, "patches": {0: torch.export.Dim.DYNAMIC}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return CompactReranker(path, (8, 8), "colours", 1.0)


def _red_corner() -> Pixels:
    pixels = np.random.default_rng(1).integers(100, 150, size=(64, 64, 3)).astype(np.uint8)
    pixels[:32, 32:] = (250, 10, 10)
    return pixels


def test_heat_lies_where_the_word_is_to_be_seen(colour_reranker: CompactReranker) -> None:
    encoder = _ColourEncoder()
    tokens = encoder.encode_images(_red_corner()[None]).patch_tokens
    assert tokens is not None
    (found,) = candidates([Path("corner")])
    found = type(found)(1, Path("corner"), 0.3, tokens[0])
    (explanation,) = explain(colour_reranker, question("red", encoder), [found])
    assert explanation is not None
    assert explanation.heat[0, :4, 4:].sum() > 0.95


def test_covering_the_hottest_patches_costs_more_than_covering_random_ones(
    colour_reranker: CompactReranker,
) -> None:
    erasure = erasure_test(_ColourEncoder(), colour_reranker, _red_corner(), "red")
    assert erasure is not None
    assert erasure.hottest_drop > 5 * abs(erasure.random_drop)
    assert erasure.hottest_drop > 1


def test_erasure_without_words_tells_nothing(reranker: CompactReranker) -> None:
    side = ENCODER.preprocessing.size_px
    pixels = np.zeros((side, side, 3), dtype=np.uint8)
    assert erasure_test(ENCODER, reranker, pixels, "...") is None
