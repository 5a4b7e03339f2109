"""The training of an encoder, on vectors with something to learn that the towers miss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrieval.evaluation.encoded_set import EncodedSet
from retrieval.tuning.data import (
    EncoderTrainingError,
    default_settings,
    draw_captions,
    matching_pairs,
    split_pictures,
)
from retrieval.tuning.heads import HeadsTraining
from retrieval.tuning.train import CaptionedSet, Epoch, train

SETTINGS = default_settings("heads", epochs=20, learning_rate=0.02)


def _encoded(images: int = 300, dim: int = 12) -> EncodedSet:
    """Captions say what their picture shows, in a space that is turned against the pictures'."""
    rng = np.random.default_rng(0)
    shown = rng.normal(size=(images, dim))
    turned, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    owner = np.repeat(np.arange(images), 2)
    written = (shown[owner] + 0.1 * rng.normal(size=(len(owner), dim))) @ turned

    def unit(vectors: np.ndarray) -> np.ndarray:
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return EncodedSet(
        names=tuple(f"{i}.jpg" for i in range(images)),
        image_vectors=unit(shown),
        patch_tokens=None,
        captions=tuple(f"caption {i}" for i in range(len(owner))),
        owner=owner,
        text_vectors=unit(written),
        skipped=(),
    )


def _trained(
    encoded: EncodedSet, checkpoint: Path | None = None, stop_in: str = ""
) -> tuple[HeadsTraining, tuple[Epoch, ...]]:
    torch.manual_seed(0)
    training = HeadsTraining(encoded, "both")
    parts = split_pictures(len(encoded.names), 0)
    data = CaptionedSet(encoded.captions, encoded.owner, parts, "f0")

    def progress(stage: str, done: int, total: int) -> None:
        if stage == stop_in:
            raise KeyboardInterrupt

    epochs = train(training, data, SETTINGS, checkpoint=checkpoint, progress=progress)
    return training, epochs


def test_training_learns_what_the_towers_miss() -> None:
    encoded = _encoded()
    training, epochs = _trained(encoded)
    assert epochs[0].mrr < 0.3
    assert max(epoch.mrr for epoch in epochs) > 0.8
    heads = training.exported()
    assert heads.texts is not None and heads.images is not None
    scores = heads.texts.apply(encoded.text_vectors) @ heads.images.apply(encoded.image_vectors).T
    assert (scores.argmax(axis=1) == encoded.owner).mean() > 0.8


def test_exported_heads_do_what_the_trained_ones_do() -> None:
    training, _ = _trained(_encoded(60))
    heads = training.exported()
    assert heads.texts is not None
    places = np.arange(5)
    with torch.inference_mode():
        expected = training.text_vectors(places).numpy()
    vectors = _encoded(60).text_vectors[:5]
    assert heads.texts.apply(vectors) == pytest.approx(expected, abs=1e-5)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    _, whole = _trained(_encoded(60))
    with pytest.raises(KeyboardInterrupt):
        _trained(_encoded(60), tmp_path / "c.pt", stop_in="epoch 5")
    _, resumed = _trained(_encoded(60), tmp_path / "c.pt")
    assert [epoch.number for epoch in resumed] == [epoch.number for epoch in whole]
    assert [epoch.mrr for epoch in resumed] == pytest.approx([epoch.mrr for epoch in whole])
    assert [epoch.loss for epoch in resumed[1:]] == pytest.approx(
        [epoch.loss for epoch in whole[1:]], rel=1e-4
    )


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    _trained(_encoded(40), tmp_path / "c.pt")
    with pytest.raises(EncoderTrainingError, match="another training"):
        _trained(_encoded(50), tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes(b"PK damaged")
    with pytest.raises(EncoderTrainingError, match="cannot be read"):
        _trained(_encoded(40), tmp_path / "c.pt")


def test_where_there_is_nothing_to_learn_the_weights_stay_as_they_were() -> None:
    encoded = _encoded(60)
    aligned = EncodedSet(
        **{**vars(encoded), "text_vectors": encoded.image_vectors[encoded.owner].copy()}
    )
    training, epochs = _trained(aligned)
    assert epochs[0].mrr == 1.0
    heads = training.exported()
    assert heads.texts is not None
    assert not heads.texts.weight.any()


@given(count=st.integers(12, 500), seed=st.integers(0, 50))
def test_each_picture_is_in_one_part(count: int, seed: int) -> None:
    parts = split_pictures(count, seed)
    together = np.concatenate([parts.training, parts.validation, parts.comparison])
    assert sorted(together.tolist()) == list(range(count))
    assert min(len(parts.validation), len(parts.comparison)) >= 2


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(EncoderTrainingError, match="too few"):
        split_pictures(11, 0)


@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=30), seed=st.integers(0, 50))
def test_a_drawn_caption_is_the_pictures_own(counts: list[int], seed: int) -> None:
    owner = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    pictures = rng.permutation(len(counts))
    assert owner[draw_captions(owner, pictures, rng)].tolist() == pictures.tolist()


@given(texts=st.lists(st.sampled_from(["a dog", "A dog", "a cat", "two"]), min_size=1, max_size=9))
def test_the_same_words_fit_the_same_pictures(texts: list[str]) -> None:
    pairs = matching_pairs(texts)
    assert pairs.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(pairs, pairs.T)
    for row, text in enumerate(texts):
        assert [bool(x) for x in pairs[row]] == [t.lower() == text.lower() for t in texts]


def test_a_training_that_diverges_says_so() -> None:
    encoded = _encoded(60)
    parts = split_pictures(60, 0)
    data = CaptionedSet(encoded.captions, encoded.owner, parts, "f0")
    with pytest.raises(EncoderTrainingError, match=r"rate of 1e\+30: give a smaller") as told:
        train(HeadsTraining(encoded, "both"), data, replace(SETTINGS, learning_rate=1e30))
    assert told.value.code == "diverged"


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0, 0.0, 1.5])
def test_a_learning_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(EncoderTrainingError, match="above 0 and at most 1"):
        default_settings("heads", learning_rate=rate)


def test_the_loss_before_any_training_is_none_also_of_an_older_checkpoint(tmp_path: Path) -> None:
    _, epochs = _trained(_encoded(60), tmp_path / "c.pt")
    assert [epoch.loss is None for epoch in epochs] == [True] + [False] * (len(epochs) - 1)
    kept = torch.load(tmp_path / "c.pt", weights_only=True)
    kept["epochs"][0]["loss"] = float("nan")
    torch.save(kept, tmp_path / "c.pt")
    _, resumed = _trained(_encoded(60), tmp_path / "c.pt")
    assert resumed[0].loss is None
