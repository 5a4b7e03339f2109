"""The command that makes the built-in model runs whole, on a few photographs."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.rerankers.compact import CompactReranker
from retrieval.rerankers.registry import load_reranker
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
from retrieval.storage.patch_tokens import MAX_TOKEN_BYTES
from samples.photos import CAPTIONS, copy_photos
from training.compact import train
from training.contrastive import agreement_loss, soft_targets
from training.export import optimise
from training.hubness import (
    HubnessCorrection,
    HubnessSettings,
    QuestionBank,
    condense,
    fit_hubness,
    popularity,
)
from training.metrics import ranks_of, recall
from training.packing import PackedEmbedding
from training.recipe import TINY
from training.token_codes import eight_bit_step
from training.word_patch import without_marks, word_patch_loss

# What ONNX Runtime makes of a dynamic quantisation and the product after it.
_EIGHT_BIT_PRODUCTS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")


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
    pictures = encoder.encode_images(pixels)
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


def test_an_eight_bit_code_holds_nearly_all_of_the_tokens() -> None:
    tokens = torch.randn(500, 20, generator=torch.Generator().manual_seed(0)) * 3.0
    codes = tokens / eight_bit_step(tokens)
    assert float((codes.abs() <= 127).float().mean()) > 0.999
    assert float(codes.abs().max()) > 100


def test_the_text_towers_lower_layers_take_four_bits_a_weight(
    trained: tuple[Path, list[float]],
) -> None:
    graph = onnx.load(trained[0] / "text.onnx").graph
    kinds = Counter(node.op_type for node in graph.node)
    assert TINY.text is not None
    assert kinds["MatMulNBits"] == 6 * TINY.text.frozen_layers
    eight_bits = sum(kinds[name] for name in _EIGHT_BIT_PRODUCTS)
    assert eight_bits >= 6 * (TINY.text.layers - TINY.text.frozen_layers)


def test_the_text_graph_is_stored_as_it_is_run_and_gives_the_same_numbers(
    trained: tuple[Path, list[float]], tmp_path: Path
) -> None:
    file = tmp_path / "text.onnx"
    shutil.copy(trained[0] / "text.onnx", file)
    kinds = Counter(node.op_type for node in onnx.load(file).graph.node)
    assert "MatMulInteger" not in kinds
    inputs = {
        "input_ids": np.array([[2, 7, 9, 3]], dtype=np.int64),
        "attention_mask": np.ones((1, 4), dtype=np.int64),
    }
    before = OnnxSession(file).run(["embedding", "tokens"], inputs)
    optimise(file)
    after = OnnxSession(file).run(["embedding", "tokens"], inputs)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_reranker_comes_with_its_weight(trained: tuple[Path, list[float]]) -> None:
    reranker = load_reranker("compact", CompactEncoder(trained[0]))
    assert isinstance(reranker, CompactReranker)
    assert reranker.fusion.weight >= 0.0


def test_the_marks_of_a_text_are_no_words() -> None:
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    assert without_marks(mask).tolist() == [[False, True, True, False], [False] * 4]


def test_words_that_find_their_patch_cost_less_than_words_that_do_not() -> None:
    network = RerankerNetwork(RerankerShape(16, patches=4, patch_scale=1.0, width=16, heads=2))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    things = torch.randn(6, 16, generator=generator)
    patches = 0.1 * torch.randn(6, 4, 16, generator=generator)
    patches[:, 2] += things
    words, mask = things[:, None].repeat(1, 3, 1), torch.ones(6, 3, dtype=torch.bool)
    losses = []
    for _ in range(60):
        loss = word_patch_loss(
            network, words, mask, patches, torch.eye(6),
            group=6, hidden=0.0, rng=np.random.default_rng(0),
        )  # fmt: skip
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def _unit(rows: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return nn.functional.normalize(torch.randn(rows, 32, generator=generator), dim=1)


def _bank(vectors: torch.Tensor) -> QuestionBank:
    return QuestionBank(vectors, torch.full((len(vectors),), 1 / len(vectors)))


def test_a_corrected_product_is_the_cosine_less_the_excess_popularity() -> None:
    pictures, texts = _unit(9, 1), _unit(7, 2)
    settings = HubnessSettings(sharpness=10.0, strength=0.5)
    correction = HubnessCorrection(_bank(_unit(40, 0)), pictures, settings)
    found_images, found_texts = correction.pictures(pictures), correction.texts(texts)
    for vectors in (found_images, found_texts):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)
    excess = correction.popularity(pictures) - correction.popularity(pictures).mean()
    wanted = texts @ pictures.T - 0.5 * excess
    found = found_texts @ found_images.T
    # The length that all pictures share and the texts' length, see the constants.
    assert torch.allclose(found * math.sqrt(1.25 * 1.0625), wanted, atol=1e-5)


def test_a_hub_is_found_out_on_what_was_held_out() -> None:
    texts = nn.functional.normalize(_unit(1, 3) + _unit(6, 0), dim=1)
    hub = nn.functional.normalize(texts.sum(dim=0, keepdim=True), dim=1)
    # The hub is nearer to each text than its own picture is.
    pictures = torch.cat([nn.functional.normalize(texts + 2.2 * _unit(6, 2), dim=1), hub])
    owner = np.arange(6)
    similarities = texts @ pictures.T
    settings = fit_hubness(_bank(texts), pictures, texts, owner)
    shift = settings.strength * popularity(pictures, _bank(texts), settings.sharpness)
    assert int(shift.argmax()) == 6
    before = recall(ranks_of(similarities.numpy(), owner))
    after = recall(ranks_of((similarities - shift).numpy(), owner))
    assert after.at_1 > before.at_1


def test_centres_stand_for_all_questions() -> None:
    kinds = _unit(5, 3)
    counts = torch.tensor([40, 30, 20, 8, 2])
    questions = kinds.repeat_interleave(counts, dim=0) + 0.01 * torch.randn(100, 32)
    questions = nn.functional.normalize(questions, dim=1)
    bank = condense(questions, 12, seed=0)
    assert float(bank.shares.sum()) == pytest.approx(1.0)
    assert torch.allclose(bank.centres.norm(dim=1), torch.ones(len(bank.centres)), atol=1e-5)
    pictures = _unit(9, 1)
    whole = popularity(pictures, _bank(questions), 10.0)
    assert torch.allclose(popularity(pictures, bank, 10.0), whole, atol=0.02)
