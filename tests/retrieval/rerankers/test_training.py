"""The reranker's training on token sets with something to learn that the first stage misses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.rerankers.training.data import (
    RerankerTrainingError,
    TokenSet,
    hard_negatives,
    split_images,
    subset,
)
from retrieval.rerankers.training.export import export
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
from retrieval.rerankers.training.train import TrainingSettings, fit_fusion, train

SHAPE = RerankerShape(token_dim=16, patches=4, patch_scale=0.02, width=32, heads=2)
SETTINGS = TrainingSettings(epochs=4, negatives=4, learning_rate=3e-3, patience=4)


def _tokens(images: int, seed: int) -> TokenSet:
    """Each picture shows one of eight things in one patch; its caption's one word names it.

    The first stage's vectors are noise, so only words and patches tell.
    """
    things = np.random.default_rng(9).normal(size=(8, 16))
    rng = np.random.default_rng(seed)
    shown = np.arange(images) % 8
    patches = rng.normal(scale=0.1, size=(images, 4, 16))
    patches[np.arange(images), rng.integers(4, size=images)] += things[shown]
    vectors = rng.normal(size=(2, images, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return TokenSet(
        image_vectors=vectors[0],
        patches=np.clip(patches / SHAPE.patch_scale, -127, 127).astype(np.int8),
        text_vectors=vectors[1],
        words=things[shown].astype(np.float16),
        starts=np.arange(images + 1),
        owner=np.arange(images),
    )


def _network() -> RerankerNetwork:
    torch.manual_seed(0)
    return RerankerNetwork(SHAPE)


def test_training_learns_what_the_first_stage_misses() -> None:
    trained = train(_network(), _tokens(400, 1), _tokens(8, 2), SETTINGS)
    assert trained.best.first_stage < 0.5
    assert trained.best.reranked > 0.8
    assert trained.best.weight > 0


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    data, validation = _tokens(64, 1), _tokens(8, 2)
    whole = train(_network(), data, validation, SETTINGS)

    class CutOffError(Exception):
        pass

    def cut_off(stage: str, done: int, total: int) -> None:
        if stage == "epoch 3":
            raise CutOffError

    with pytest.raises(CutOffError):
        train(
            _network(), data, validation, SETTINGS,
            checkpoint=tmp_path / "c.pt", progress=cut_off,
        )  # fmt: skip
    resumed = train(_network(), data, validation, SETTINGS, checkpoint=tmp_path / "c.pt")
    assert [epoch.number for epoch in resumed.epochs] == [1, 2, 3, 4]
    assert [epoch.loss for epoch in resumed.epochs] == pytest.approx(
        [epoch.loss for epoch in whole.epochs], rel=1e-4
    )


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    train(_network(), _tokens(16, 1), _tokens(8, 2), SETTINGS, checkpoint=tmp_path / "c.pt")
    with pytest.raises(RerankerTrainingError, match="another training"):
        train(_network(), _tokens(24, 1), _tokens(8, 2), SETTINGS, checkpoint=tmp_path / "c.pt")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"PK damaged")
    with pytest.raises(RerankerTrainingError, match="cannot be read"):
        train(_network(), _tokens(16, 1), _tokens(8, 2), SETTINGS, checkpoint=tmp_path / "c.pt")


def test_the_exported_reranker_agrees_with_the_trained_one(tmp_path: Path) -> None:
    export(_network(), tmp_path / "reranker.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["reranker.onnx"]


def test_padding_does_not_change_a_score() -> None:
    network = _network().eval()
    words, patches = torch.randn(1, 3, 16), torch.randint(-90, 90, (1, 4, 16), dtype=torch.int8)
    padded = torch.cat([words, torch.randn(1, 5, 16)], dim=1)
    mask = torch.arange(8)[None] < 3
    with torch.inference_mode():
        alone, _ = network(words, torch.ones(1, 3, dtype=torch.bool), patches)
        among, attention = network(padded, mask, patches)
    assert torch.allclose(alone, among, atol=1e-5)
    # One of five slots stands for nothing.
    assert ((attention.sum(-1) > 0.5) & (attention.sum(-1) < 1.0)).all()


def test_all_pairs_at_once_score_as_one_by_one() -> None:
    network = _network().eval()
    words, mask = torch.randn(3, 5, 16), torch.arange(5)[None] < torch.tensor([[2], [5], [1]])
    patches = torch.randint(-90, 90, (4, 4, 16), dtype=torch.int8)
    with torch.inference_mode():
        together = network.every_pair(words, mask, network.dequantised(patches))
        for text in range(3):
            alone, _ = network(words[text].expand(4, -1, -1), mask[text].expand(4, -1), patches)
            assert torch.allclose(together[text], alone, atol=1e-4)


def test_a_question_multiplied_in_another_order_scores_alike() -> None:
    network = _network().eval()
    # As after training: what begins at zero must count as well.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    words, mask = torch.randn(1, 5, 16), torch.arange(5)[None] < 4
    patches = torch.randint(-90, 90, (7, 4, 16), dtype=torch.int8)
    with torch.inference_mode():
        scores, attention = network.score_question(words, mask, patches)
        expected = network(words.expand(7, -1, -1), mask.expand(7, -1), patches)
    assert torch.allclose(scores, expected[0], atol=1e-4, rtol=1e-4)
    assert torch.allclose(attention, expected[1], atol=1e-5)


def test_a_hidden_patch_changes_nothing() -> None:
    network = _network().eval()
    words, mask = torch.randn(2, 3, 16), torch.ones(2, 3, dtype=torch.bool)
    patches = torch.randn(2, 4, 16)
    shown = torch.tensor([0, 2, 3])
    with torch.inference_mode():
        before = network.every_pair(words, mask, patches, shown)
        patches[:, 1] = torch.randn(2, 16)
        assert torch.allclose(network.every_pair(words, mask, patches, shown), before, atol=1e-5)


def test_hard_negatives_are_the_wrong_pictures_that_look_best() -> None:
    data = _tokens(20, 3)
    similarities = data.text_vectors @ data.image_vectors.T
    for row, found in enumerate(hard_negatives(data, 5)):
        wrong = [int(i) for i in np.argsort(-similarities[row]) if i != row]
        assert found.tolist() == wrong[:5]


def test_a_subset_keeps_each_captions_words_and_picture() -> None:
    data = _tokens(10, 4)
    part = subset(data, np.array([2, 7]))
    assert part.owner.tolist() == [0, 1]
    assert np.array_equal(part.words, data.words[[2, 7]])
    assert np.array_equal(part.patches, data.patches[[2, 7]])


def test_a_reranker_that_knows_nothing_gets_no_weight() -> None:
    similarities = np.array([[0.9, 0.1], [0.8, 0.2]], dtype=np.float32)
    right = np.array([[True, False], [True, False]])
    assert fit_fusion(similarities, -similarities * 3, right) == (0.0, 1.0)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(RerankerTrainingError, match="too few"):
        split_images(3, 0.2, seed=0)
