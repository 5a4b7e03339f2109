"""The compact reranker: what its graph says, for which candidates, and where it comes from."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.encoders.base import TextEncoding
from retrieval.encoders.compact import CompactEncoder
from retrieval.errors import UnknownModelError
from retrieval.rerankers.base import Candidate, Reranker, RerankQuery
from retrieval.rerankers.compact import CompactReranker
from tests.support.small_rerankers import candidates, question, untrained_network, write_reranker

ENCODER = CompactEncoder()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("trained"), ENCODER)


@pytest.fixture(scope="module")
def reranker(folder: Path) -> CompactReranker:
    return CompactReranker.trained(folder, ENCODER)


@pytest.fixture(scope="module")
def found(photos: Path) -> list[Candidate]:
    return candidates(sorted(photos.iterdir())[:4], ENCODER)


def test_it_is_a_reranker_that_opens_no_file(reranker: CompactReranker) -> None:
    assert isinstance(reranker, Reranker)
    assert reranker.needs_tokens
    assert not reranker.needs_images


def test_scores_and_attention_are_those_of_the_network_it_was_made_from(
    reranker: CompactReranker, found: list[Candidate]
) -> None:
    asked = question("a cat in front of a wall", ENCODER)
    words, mask = asked.encoding.word_tokens, asked.encoding.word_mask
    assert words is not None
    assert mask is not None
    patches = np.stack([own.patch_tokens for own in found if own.patch_tokens is not None])
    with torch.inference_mode():
        scores, attention = untrained_network()(
            torch.from_numpy(words).expand(4, -1, -1),
            torch.from_numpy(mask).expand(4, -1),
            torch.from_numpy(patches),
        )
    attended = reranker.attend(asked, found)
    assert attended.scores.dtype == np.float32
    assert np.allclose(attended.scores, scores.numpy(), atol=1e-4)
    assert np.allclose(attended.attention, attention.numpy(), atol=1e-5)
    assert np.array_equal(reranker.rerank(asked, found), attended.scores)


def test_what_a_word_gives_to_the_patches_and_to_nothing_sums_to_one(
    reranker: CompactReranker, found: list[Candidate]
) -> None:
    attention = reranker.attend(question("a cup of coffee", ENCODER), found).attention
    assert (attention >= 0.0).all()
    looked = attention.sum(axis=-1)
    # An untrained word looks at the slot for nothing as at any patch.
    assert ((looked > 0.9) & (looked < 1.0)).all()


def test_a_score_does_not_hang_on_the_rest_of_the_list(
    reranker: CompactReranker, found: list[Candidate]
) -> None:
    asked = question("a wall of bricks", ENCODER)
    many = [found[i % 4] for i in range(300)]
    alone = reranker.rerank(asked, found)
    assert reranker.rerank(asked, many) == pytest.approx(np.tile(alone, 75), abs=1e-4)


def test_a_candidate_without_whole_tokens_has_no_score(
    reranker: CompactReranker, found: list[Candidate]
) -> None:
    bare = dataclasses.replace(found[1], patch_tokens=None)
    torn = dataclasses.replace(found[2], patch_tokens=np.zeros((81, 100), dtype=np.int8))
    attended = reranker.attend(question("a cat", ENCODER), [found[0], bare, torn, found[3]])
    assert np.isnan(attended.scores).tolist() == [False, True, True, False]
    assert np.isnan(attended.attention).any(axis=(1, 2)).tolist() == [False, True, True, False]
    fused = reranker.fusion.fuse([0.3, 0.3, 0.3, 0.3], attended.scores)
    assert np.isfinite(fused).all()


@pytest.mark.parametrize("text", ["", "   "])
def test_a_question_without_words_has_no_scores(
    reranker: CompactReranker, found: list[Candidate], text: str
) -> None:
    assert np.isnan(reranker.rerank(question(text, ENCODER), found)).all()


def test_a_picture_as_question_has_no_scores(
    reranker: CompactReranker, found: list[Candidate]
) -> None:
    asked = RerankQuery("", TextEncoding(np.ones((1, 256), dtype=np.float32) / 16))
    assert np.isnan(reranker.rerank(asked, found)).all()
    assert reranker.attend(asked, found).attention.shape == (4, 0, 196)


def test_no_candidates_have_no_scores(reranker: CompactReranker) -> None:
    assert reranker.rerank(question("a cat", ENCODER), []).shape == (0,)


def test_the_weight_is_the_trained_one(reranker: CompactReranker) -> None:
    assert reranker.fusion.fuse([0.2], [3.0]) == pytest.approx([0.5])


def test_a_reranker_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    settings = json.loads((folder / "reranker.json").read_text())
    (tmp_path / "other" / "reranker.json").write_text(json.dumps({**settings, "encoder": "x"}))
    with pytest.raises(UnknownModelError, match="another model"):
        CompactReranker.trained(tmp_path / "other", ENCODER)


@pytest.mark.parametrize("settings", ["", "[]", "{}", '{"encoder": "x", "weight": "heavy"}'])
def test_a_folder_without_sound_settings_is_refused(
    folder: Path, tmp_path: Path, settings: str
) -> None:
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "reranker.json").write_text(settings)
    with pytest.raises(UnknownModelError, match="holds no trained reranker"):
        CompactReranker.trained(tmp_path / "other", ENCODER)
