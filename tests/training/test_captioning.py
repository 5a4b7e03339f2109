"""The captioner's training: what it learns from, that it learns, and that its graphs are it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.captioning.compact import MEMORY_FILE, STEP_FILE
from training.captioning.examples import agreement
from training.captioning.export import EightBitLinear, export_captioner
from training.captioning.fit import (
    CaptionedTokens,
    CaptionSettings,
    batches,
    held_out_loss,
    padded,
    train_captioner,
)
from training.captioning.network import CaptionDecoder, DecoderShape
from training.data import Picture

SHAPE = DecoderShape(
    12, rows=6, token_dim=8, vector_dim=10, width=16, memory_width=8, inner_width=16, layers=1,
    heads=2, longest=6,
)  # fmt: skip
SETTINGS = CaptionSettings(epochs=30, captions=8, rate=1e-2, warm_up=0.0, average=0.9)


def material(count: int = 8) -> CaptionedTokens:
    """Pictures of which each has a piece of its own that it is to be named by."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(count, 10)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tokens = rng.integers(-127, 128, (count, 6, 8)).astype(np.int8)
    captions = [[[3 + place, 2, 1], [3 + place, 1]] for place in range(count)]
    return CaptionedTokens(vectors, tokens, captions, [[1.0, 1.0]] * count)


def test_it_learns_to_name_pictures_and_goes_on_where_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shares: list[float] = []
    before = held_out_loss(CaptionDecoder(SHAPE).eval(), material())
    network = train_captioner(
        SHAPE, material(), SETTINGS, 0, tmp_path, lambda _e, share, _l, _n: shares.append(share)
    )
    assert held_out_loss(network, material()) < 0.6 * before
    assert shares == sorted(shares) and shares[-1] == 1.0
    again = train_captioner(SHAPE, material(), SETTINGS, 0, tmp_path, lambda *_: shares.append(9))
    assert 9 not in shares
    assert torch.equal(again.words.weight, network.words.weight)


def test_captions_of_a_batch_are_as_many_and_all_come_once() -> None:
    captions = [[[1]] * (1 + place % 3) for place in range(50)]
    found = list(batches(captions, 10, np.random.default_rng(0)))
    assert sorted(int(place) for own in found for place in own) == list(range(50))
    for own in found:
        assert len({len(captions[place]) for place in own}) == 1


def test_padding_does_not_count() -> None:
    said, wanted, worth = padded(material(), np.array([1, 0]))
    assert said.tolist() == [[[4, 2], [4, 1]], [[3, 2], [3, 1]]]
    assert wanted.tolist() == [[[4, 2, 1], [4, 1, -100]], [[3, 2, 1], [3, 1, -100]]]
    assert worth.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_what_the_others_say_is_worth_more() -> None:
    pytest.importorskip("pycocoevalcap")
    told = Picture(
        Path("a"), "train", ("a dog on a beach", "a dog on the beach", "my holidays in may")
    )
    filler = Picture(Path("b"), "train", ("two cats", "a red car in a street", "trees"))
    [worth, *_] = agreement([told, filler, Picture(Path("c"), "train", ("one",))])
    assert worth[0] > worth[2] and worth[1] > worth[2]
    assert sum(worth) == pytest.approx(3.0)


def test_each_place_sees_what_was_said_before_it_alone() -> None:
    torch.manual_seed(0)
    network = CaptionDecoder(SHAPE).eval()
    vectors, tokens = torch.randn(1, 10), torch.randint(-127, 128, (1, 6, 8))
    one = network(vectors, tokens, torch.tensor([[[3, 4, 5]]]))
    other = network(vectors, tokens, torch.tensor([[[3, 4, 9]]]))
    assert torch.allclose(one[:, :, :3], other[:, :, :3], atol=1e-5)
    assert not torch.allclose(one[:, :, 3], other[:, :, 3], atol=1e-3)


def test_eight_bits_keep_a_product_within_a_step() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 8)
    x = torch.randn(5, 32)
    step = layer.weight.abs().amax(dim=1) / 127
    error = (EightBitLinear(layer)(x) - layer(x)).abs()
    assert (error <= 0.5 * step * x.abs().sum(dim=1, keepdim=True) + 1e-5).all()


def test_the_graphs_are_checked_against_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_captioner(CaptionDecoder(SHAPE).eval(), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [MEMORY_FILE, STEP_FILE]
