"""The command that makes the built-in model runs whole, on a few photographs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from retrieval.encoders.compact import CompactEncoder
from retrieval.token_cache import MAX_TOKEN_BYTES
from tests.photos import copy_photos
from training.compact import train
from training.contrastive import agreement_loss, soft_targets
from training.export import PackedEmbedding
from training.recipe import TINY
from training.token_projection import set_projection

CAPTIONS = Path(__file__).resolve().parent.parent / "data" / "captions.tsv"


def run(out: Path, seed: int = 0) -> list[float]:
    photos = out.parent / "photos"
    copy_photos(photos)
    cache = out.parent / f"cache_{out.name}"
    cache.mkdir()
    return train(
        TINY,
        captions=CAPTIONS,
        images=photos,
        data=out.parent / "nothing",
        wordnet=out.parent / "nothing",
        cache=cache,
        out=out,
        seed=seed,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    out = tmp_path_factory.mktemp("training") / "model"
    return out, run(out)


def test_the_loss_falls(trained: tuple[Path, list[float]]) -> None:
    _out, losses = trained
    assert losses[-1] < losses[0]


def test_what_was_trained_is_an_encoder_of_the_product(trained: tuple[Path, list[float]]) -> None:
    encoder = CompactEncoder(trained[0])
    side = encoder.preprocessing.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    pictures = encoder.encode_pictures(pixels)
    texts = encoder.encode_texts(["a cat", "a cup of coffee on a table"])
    for vectors in (pictures.vectors, texts.vectors):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert pictures.patch_tokens is not None
    assert pictures.patch_tokens.dtype == np.int8
    rows, columns = encoder.token_grid
    assert pictures.patch_tokens.shape[1] == rows * columns
    assert pictures.patch_tokens[0].nbytes <= MAX_TOKEN_BYTES
    assert json.loads((trained[0] / "config.json").read_text())["dim"] == texts.vectors.shape[1]


def test_the_same_seed_gives_the_same_losses(
    trained: tuple[Path, list[float]], tmp_path: Path
) -> None:
    assert run(tmp_path / "again") == pytest.approx(trained[1], rel=1e-4)


def test_four_bits_keep_a_vector_within_a_block_s_step() -> None:
    table = torch.randn(50, 96, generator=torch.Generator().manual_seed(0))
    packed = PackedEmbedding(table)
    found = packed(torch.arange(50))
    steps = table.view(50, 3, 32).abs().amax(-1, keepdim=True) / 7
    assert ((found - table).view(50, 3, 32).abs() <= 0.51 * steps + 1e-3).all()
    assert packed.packed.numel() == table.numel() // 2


def test_soft_targets_sum_to_one_and_favour_the_own_caption() -> None:
    teacher = nn.functional.normalize(torch.randn(6, 8), dim=1)
    targets = soft_targets(teacher, 0.2, 0.05)
    assert torch.allclose(targets.sum(dim=1), torch.ones(6))
    assert (targets.argmax(dim=1) == torch.arange(6)).all()


def test_vectors_that_agree_with_the_teacher_cost_nothing() -> None:
    teacher = nn.functional.normalize(torch.randn(6, 8), dim=1)
    assert float(agreement_loss(teacher, teacher)) == pytest.approx(0.0, abs=1e-5)
    assert float(agreement_loss(teacher.flip(0), teacher)) > 0.01


def test_a_projection_keeps_the_main_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(500, 4, generator=generator)
    samples = hidden @ torch.randn(4, 20, generator=generator) + 3.0
    layer = nn.Linear(20, 4)
    step = set_projection(layer, samples)
    projected = layer(samples)
    assert step > 0
    assert torch.allclose(projected.mean(dim=0), torch.zeros(4), atol=1e-3)
    rebuilt = projected @ layer.weight + samples.mean(dim=0)
    assert torch.allclose(rebuilt, samples, atol=1e-2)
