"""The reranker's further training: weights read back, what it is trained on, and what it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.encoders.compact import CompactEncoder
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
from samples.photos import copy_photos, read_captions
from training.captioning.examples import EncodedPictures
from training.captions import words_of
from training.data import Picture
from training.export import export_reranker
from training.losses import lead_loss
from training.reranking.examples import RerankingExamples, make_examples
from training.reranking.fit import RerankingSettings, train_reranker
from training.reranking.weights import UnreadableGraphError, read_reranker

SHAPE = RerankerShape(16, 9, 0.1, word_dim=24, whole_rows=2)


def network(seed: int = 0, shape: RerankerShape = SHAPE) -> RerankerNetwork:
    torch.manual_seed(seed)
    made = RerankerNetwork(shape)
    with torch.no_grad():
        # As if trained: constants that are alike would become one in the graph.
        for weights in made.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    return made.eval()


def test_what_is_read_back_from_a_graph_scores_as_what_was_written(tmp_path: Path) -> None:
    written = network()
    file = tmp_path / "reranker.onnx"
    export_reranker(written, SHAPE.patch_scale, file)
    read = read_reranker(file, SHAPE, 0.2).eval()
    for name, weights in written.state_dict().items():
        if name != "attention.key.bias":
            step = float(weights.abs().max()) / 100
            torch.testing.assert_close(read.state_dict()[name], weights, atol=step, rtol=0.0)
    assert read.dropout.p == 0.2


@pytest.mark.parametrize("other", [{"width": 96}, {"token_dim": 20}, {"patches": 16}])
def test_a_graph_of_another_network_is_refused(tmp_path: Path, other: dict[str, int]) -> None:
    file = tmp_path / "reranker.onnx"
    export_reranker(network(), SHAPE.patch_scale, file)
    with pytest.raises(UnreadableGraphError):
        read_reranker(file, replace(SHAPE, **other), 0.0)


def test_a_lead_that_the_texts_alone_give_is_worth_nothing() -> None:
    even, better = torch.full((4,), 5.0), torch.full((4,), 9.0)
    assert lead_loss(better, even) < lead_loss(even, even)
    torch.testing.assert_close(lead_loss(even, even), lead_loss(better, better))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> RerankingExamples:
    folder = tmp_path_factory.mktemp("photos")
    captions = read_captions()
    pictures = [
        Picture(path, "train", tuple(captions[path.name]))
        for path in copy_photos(folder)
        if path.name in captions
    ]
    encoder = CompactEncoder()
    encoded = EncodedPictures(encoder, folder / "cache").of([own.path for own in pictures])
    return make_examples(
        encoder, pictures, encoded.vectors, encoded.tokens, folder / "cache", seed=0
    )


def test_texts_come_with_the_words_of_the_encoder(examples: RerankingExamples) -> None:
    words, mask, stems = examples.captions.padded(np.array([0, 3]))
    assert words.shape[:2] == mask.shape == stems.shape
    assert mask.any(dim=1).all() and not mask[:, 0].any()
    # Marks show nothing, and words that show something are among those that count.
    assert not ((stems >= 0) & ~mask).any()
    caption = next(iter(read_captions().values()))[0]
    alone = CompactEncoder().encode_texts([" ".join(words_of(caption))])
    assert alone.word_tokens is not None
    rows = [
        examples.captions.words[start:end].astype(np.float32)
        for start, end in zip(
            examples.captions.texts.starts, examples.captions.texts.starts[1:], strict=False
        )
    ]
    own = alone.word_tokens[0]
    assert any(row.shape == own.shape and np.allclose(row, own, atol=1e-2) for row in rows)


def test_a_pictures_own_words_are_not_absent(examples: RerankingExamples) -> None:
    rows = np.arange(len(examples.captions.texts))
    _words, _mask, stems = examples.captions.padded(rows)
    owner = examples.captions.texts.owner
    assert not examples.absent(stems, owner).any()
    elsewhere = examples.absent(stems, (owner + 1) % len(examples.vectors))
    assert elsewhere.any() and not (elsewhere & (stems < 0)).any()


def test_it_learns_to_tell_captions_from_false_twins_by_the_picture(
    examples: RerankingExamples,
) -> None:
    rows, dim = examples.tokens.shape[1:]
    shape = RerankerShape(
        dim, rows - 4, 4 / 127, word_dim=examples.captions.words.shape[1], whole_rows=4
    )
    torch.manual_seed(0)
    made = RerankerNetwork(shape)
    settings = RerankingSettings(
        steps=40, pictures=12, pool=8, learning_rate=1e-3, warm_up=0.0, retrieval_weight=0.1
    )
    before = leads(made, examples)
    losses = train_reranker(made, examples, settings, 0, lambda *_: None)
    assert len(losses) == 40
    assert leads(made, examples) > before + 0.5


@torch.inference_mode()
def leads(made: RerankerNetwork, examples: RerankingExamples) -> float:
    """By how much captions lead more with their own picture than with the next, on the mean."""
    made.eval()
    twins = np.arange(len(examples.twins.texts))
    captions = examples.twins.texts.owner
    pictures = examples.captions.texts.owner[captions]
    told = examples.captions.padded(captions)[:2]
    false = examples.twins.padded(twins)[:2]
    found = []
    for own in (pictures, (pictures + 1) % len(examples.vectors)):
        patches = torch.from_numpy(examples.tokens[own])
        found.append(made(*told, patches)[0] - made(*false, patches)[0])
    return float((found[0] - found[1]).mean())
