"""The example classifier: its pairs are fair, and fusing is what makes the task possible."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from examples.fusion_classifier import compare, main, split_pairs
from retrieval.evaluation.encoded_set import EncodedSet


def _captioned(images: int = 400, each: int = 3) -> EncodedSet:
    """Pictures of one of eight things; captions are noisy views of their picture's vector."""
    rng = np.random.default_rng(0)
    things = rng.normal(size=(8, 16))
    shown = things[rng.integers(8, size=images)] + 0.2 * rng.normal(size=(images, 16))
    owner = np.repeat(np.arange(images), each)
    written = shown[owner] + 0.2 * rng.normal(size=(len(owner), 16))

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


def test_no_picture_and_no_caption_is_on_both_sides() -> None:
    training, held_out = split_pairs(_captioned())
    for seen, unseen in (
        (training.pictures, held_out.pictures),
        (training.texts, held_out.texts),
    ):
        assert not {tuple(row) for row in seen.tolist()} & {tuple(row) for row in unseen.tolist()}


def test_either_branch_alone_sees_as_many_right_as_wrong_pairs() -> None:
    for pairs in split_pairs(_captioned()):
        assert pairs.belongs.mean().item() == 0.5
        for vectors in (pairs.pictures, pairs.texts):
            right = torch.unique(vectors[pairs.belongs > 0.5], dim=0, return_counts=True)
            wrong = torch.unique(vectors[pairs.belongs < 0.5], dim=0, return_counts=True)
            assert torch.equal(right[0], wrong[0])
            assert torch.equal(right[1], wrong[1])


def test_a_wrong_pair_is_never_a_right_one() -> None:
    for pairs in split_pairs(_captioned()):
        both = torch.cat([pairs.pictures, pairs.texts], dim=1)
        right = {tuple(row) for row in both[pairs.belongs > 0.5].tolist()}
        assert not right & {tuple(row) for row in both[pairs.belongs < 0.5].tolist()}


def test_fusions_tell_what_neither_branch_alone_can() -> None:
    accuracies = compare(*split_pairs(_captioned()), epochs=15)
    assert accuracies["picture only"] < 0.6
    assert accuracies["text only"] < 0.6
    assert accuracies["concatenation"] > 0.75
    assert accuracies["weighted average"] > 0.75


def test_the_example_runs_on_real_photographs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--tiny", "--epochs", "2"])
    printed = capsys.readouterr().out
    for name in ("picture only", "text only", "concatenation", "weighted average"):
        assert f"{name} " in printed
