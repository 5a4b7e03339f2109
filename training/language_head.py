"""The head that takes sentence vectors of many languages into a model's space, trained.

Distillation: a sentence's vector goes to the text tower's vector of its English sentence, by
cosine and by contrast with the others of its batch (in the manner of Reimers and Gurevych, Making
monolingual sentence embeddings multilingual using knowledge distillation, EMNLP 2020); and by
contrast to the vectors of its picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.encoders.languages.multilingual import LanguageHead

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Pairs:
    """n sentences and what they go with.

    `sentences` (n, d). `english` and `pictures`, int64 (n,): rows of `english_vectors` and of
    `picture_vectors`, both of unit length, or -1 where there is none.
    """

    sentences: Vectors
    english: NDArray[np.int64]
    pictures: NDArray[np.int64]
    english_vectors: Vectors
    picture_vectors: Vectors


@dataclass(frozen=True)
class HeadRecipe:
    """Sizes and lengths. `temperature` is of both contrasts; weights are of parts of the loss."""

    hidden: int = 512
    epochs: int = 12
    batch: int = 512
    rate: float = 1e-3
    temperature: float = 0.05
    dropout: float = 0.1
    contrast_weight: float = 0.3
    picture_weight: float = 0.3


class HeadNetwork(nn.Module):
    """`LanguageHead` while it is trained."""

    def __init__(self, width: int, dim: int, recipe: HeadRecipe) -> None:
        super().__init__()
        self.direct = nn.Linear(width, dim)
        self.inner = nn.Linear(width, recipe.hidden)
        self.outer = nn.Linear(recipe.hidden, dim, bias=False)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, sentences: Tensor) -> Tensor:
        """Unit vectors (n, dim) of standardised sentence vectors."""
        hidden = self.dropout(F.gelu(self.inner(sentences), approximate="tanh"))
        return F.normalize(self.direct(sentences) + self.outer(hidden), dim=1)


def train_head(
    pairs: Pairs,
    recipe: HeadRecipe,
    fingerprint: str,
    seed: int,
    report: Callable[[int, float], None],
) -> LanguageHead:
    """Train; `report` is told each epoch and its mean loss."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean = pairs.sentences.mean(axis=0)
    deviation = pairs.sentences.std(axis=0) + 1e-6
    sentences = torch.from_numpy((pairs.sentences - mean) / deviation)
    english, pictures = (
        torch.from_numpy(vectors) for vectors in (pairs.english_vectors, pairs.picture_vectors)
    )
    network = HeadNetwork(sentences.shape[1], english.shape[1], recipe).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.05)
    steps = recipe.epochs * -(-len(sentences) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=recipe.rate, total_steps=steps, pct_start=0.1
    )
    for epoch in range(recipe.epochs):
        total = 0.0
        order = rng.permutation(len(sentences))
        for start in range(0, len(order), recipe.batch):
            rows = order[start : start + recipe.batch]
            found = network(sentences[torch.from_numpy(rows)])
            loss = _loss(found, english, pairs.english[rows], recipe, recipe.contrast_weight, 1.0)
            loss = loss + _loss(
                found, pictures, pairs.pictures[rows], recipe, recipe.picture_weight, 0.0
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        report(epoch, total / len(order))
    return _as_head(network.eval(), mean, deviation, fingerprint)


def _loss(
    found: Tensor,
    vectors: Tensor,
    rows: NDArray[np.int64],
    recipe: HeadRecipe,
    contrast: float,
    cosine: float,
) -> Tensor:
    """One part of the loss: to the vectors' own rows, away from those of the batch's others."""
    there = np.flatnonzero(rows >= 0)
    if len(there) < 2:
        return found.sum() * 0.0
    # Several sentences of a batch may go with one row.
    unique, own = np.unique(rows[there], return_inverse=True)
    targets = vectors[torch.from_numpy(unique)]
    mine = found[torch.from_numpy(there)]
    similarities = mine @ targets.T
    right = torch.from_numpy(own)
    loss = contrast * F.cross_entropy(similarities / recipe.temperature, right)
    if cosine:
        loss = loss + cosine * (1.0 - similarities.gather(1, right[:, None])).mean()
    return loss


def _as_head(
    network: HeadNetwork, mean: Vectors, deviation: Vectors, fingerprint: str
) -> LanguageHead:
    """The network with the standardisation of its input inside its weights."""

    def folded(layer: nn.Linear) -> tuple[Vectors, Vectors]:
        weight = np.asarray(layer.weight.detach().numpy().T / deviation[:, np.newaxis], np.float32)
        return weight, np.asarray(layer.bias.detach().numpy() - mean @ weight, np.float32)

    direct, bias = folded(network.direct)
    inner, inner_bias = folded(network.inner)
    outer = network.outer.weight.detach().numpy().T
    return LanguageHead(direct, inner, inner_bias, outer, bias, fingerprint)
