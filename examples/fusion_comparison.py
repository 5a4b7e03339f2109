"""Four ways to bring a picture and a sentence together, trained on the same pairs and compared.

Each scores every sentence of a batch with every picture of it; the loss is CLIP's, the right pair
against all others, whatever makes the scores. `examples/fusion.ipynb` tells the story.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.evaluation.metrics import Ranks, rank_right_answers
from retrieval.fusion.features import ConcatenationFusion, WeightedAverageFusion
from retrieval.fusion.shared_space import SharedSpace
from retrieval.rerankers.training.data import TokenSet
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
from retrieval.tuning.data import draw_captions

WIDTH = 256
PAIRS_A_BATCH = 32
_TEXTS_AT_ONCE = 16
_PICTURES_AT_ONCE = 64
Floats = NDArray[np.float32]


class PairScores(nn.Module):
    """Scores of texts with pictures by a fused vector: fusion, ReLU, one linear map to a number.

    Such a model has to see picture and text together, so that every pair is a run of its own.
    """

    def __init__(self, fusion: ConcatenationFusion | WeightedAverageFusion) -> None:
        super().__init__()
        self.fusion = fusion
        self.output = nn.Linear(WIDTH, 1)

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        """Pictures (p, dim) and texts (t, dim) → scores (t, p)."""
        t, p = len(texts), len(images)
        fused = self.fusion(images.repeat(t, 1), texts.repeat_interleave(p, dim=0))
        scores: Tensor = self.output(F.relu(fused)).view(t, p)
        return scores


@dataclass(frozen=True)
class Method:
    """A way to score all pairs of some texts and some pictures of a set of tokens."""

    name: str
    network: nn.Module
    scores: Callable[[TokenSet, NDArray[np.int64], NDArray[np.int64]], Tensor]
    learning_rate: float


def methods(data: TokenSet, grid: int, token_scale: float) -> list[Method]:
    """The four methods, untrained, for a set of tokens. `grid`: the number of its patches."""
    dim = data.image_vectors.shape[1]
    torch.manual_seed(0)
    shape = RerankerShape(
        token_dim=data.patches.shape[2],
        patches=grid,
        patch_scale=token_scale,
        word_dim=data.words.shape[1],
        whole_rows=data.patches.shape[1] - grid,
    )
    return [
        _of_vectors("concatenation", PairScores(ConcatenationFusion([dim, dim], WIDTH)), 1e-3),
        _of_vectors("weighted average", PairScores(WeightedAverageFusion([dim, dim], WIDTH)), 1e-3),
        _of_vectors("shared space", SharedSpace(dim), 3e-4, scale=50.0),
        _of_tokens("cross-attention", RerankerNetwork(shape)),
    ]


def train(method: Method, data: TokenSet, epochs: int, seed: int = 0) -> list[float]:
    """Train in place; each epoch shows every picture with one of its captions. Returns losses."""
    optimiser = torch.optim.AdamW(
        method.network.parameters(), lr=method.learning_rate, weight_decay=0.05
    )
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    steps = max(1, len(data.patches) // PAIRS_A_BATCH) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, method.learning_rate, steps + epochs)
    losses = []
    method.network.train()
    for _ in range(epochs):
        order = rng.permutation(len(data.patches))
        captions = draw_captions(data.owner, order, rng)
        course = []
        for start in range(0, len(order) - 1, PAIRS_A_BATCH):
            batch = slice(start, start + PAIRS_A_BATCH)
            scores = method.scores(data, captions[batch], order[batch])
            if len(scores) < 2:
                continue
            right = torch.arange(len(scores))
            loss = (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            course.append(loss.item())
        losses.append(float(np.mean(course)))
    method.network.eval()
    return losses


def all_scores(method: Method, data: TokenSet) -> Floats:
    """Scores (t, p) of all texts with all pictures, some at a time."""
    t, p = len(data.owner), len(data.patches)
    found = np.empty((t, p), np.float32)
    with torch.inference_mode():
        for row in range(0, t, _TEXTS_AT_ONCE):
            texts = np.arange(row, min(row + _TEXTS_AT_ONCE, t))
            for column in range(0, p, _PICTURES_AT_ONCE):
                images = np.arange(column, min(column + _PICTURES_AT_ONCE, p))
                found[np.ix_(texts, images)] = method.scores(data, texts, images).numpy()
    return found


def ranks_of(scores: Floats, data: TokenSet) -> Ranks:
    """Where each text's picture came among all of them."""
    return rank_right_answers(scores, data.owner, np.arange(len(data.patches), dtype=np.int64))


def _of_vectors(name: str, network: nn.Module, rate: float, scale: float = 1.0) -> Method:
    def scores(data: TokenSet, texts: NDArray[np.int64], images: NDArray[np.int64]) -> Tensor:
        found: Tensor = scale * network(
            torch.from_numpy(data.image_vectors[images]), torch.from_numpy(data.text_vectors[texts])
        )
        return found

    return Method(name, network, scores, rate)


def _of_tokens(name: str, network: RerankerNetwork) -> Method:
    def scores(data: TokenSet, texts: NDArray[np.int64], images: NDArray[np.int64]) -> Tensor:
        words, mask = data.padded_words(texts)
        patches = network.dequantised(torch.from_numpy(data.patches[images]))
        return network.every_pair(torch.from_numpy(words), torch.from_numpy(mask), patches)

    return Method(name, network, scores, 1e-3)
