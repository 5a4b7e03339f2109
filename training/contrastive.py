"""Joint contrastive training of both towers on cached activations of their frozen parts.

Three losses: pictures against captions; ImageNet samples against the names of their classes,
so that objects absent from the captions are findable; and, on general English, agreement with
the frozen teacher about which texts are alike, so that general words are not forgotten.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.fusion.losses import ContrastiveLoss
from retrieval.rerankers.training.network import RerankerNetwork
from training.activations import Activations, as_tensor
from training.averaging import update_average
from training.precision import half_where_fast
from training.text_states import TextStates
from training.towers import ImageHeads, TextTower
from training.word_patch import without_marks, word_patch_loss


@dataclass(frozen=True)
class ContrastiveSettings:
    """How long and how fast to train."""

    epochs: int = 20
    batch_size: int = 256
    captions_per_picture: int = 2
    general_batch_size: int = 256
    labelled_batch_size: int = 32
    head_rate: float = 1e-3
    tail_rate: float = 2e-4
    text_rate: float = 1e-4
    weight_decay: float = 0.05
    warm_up: float = 0.1
    soft_share: float = 0.2
    soft_temperature: float = 0.05
    general_weight: float = 1.0
    labelled_weight: float = 0.25
    word_dropout: float = 0.1
    average_decay: float = 0.99
    # The reranker's share: its loss's weight, how many pairs compete, patches that are hidden.
    reranker_weight: float = 1.0
    reranker_group: int = 128
    hidden_patches: float = 0.25


@dataclass(frozen=True)
class Material:
    """What the training reads: row i of `views` and captions owned by picture i."""

    views: Sequence[Activations]
    rows: NDArray[np.int64]
    captions: TextStates
    caption_teacher: Tensor
    captions_of: Sequence[NDArray[np.int64]]
    general: TextStates
    general_teacher: Tensor
    labelled: Activations | None
    labels: TextStates | None


class Towers(nn.Module):
    """Both towers, the reranker over their tokens and the loss's temperature, trained together."""

    def __init__(
        self, tail: nn.Module, picture: ImageHeads, text: TextTower, reranker: RerankerNetwork
    ) -> None:
        super().__init__()
        self.tail = tail
        self.picture = picture
        self.text = text
        self.reranker = reranker
        self.loss = ContrastiveLoss()

    def features(self, activations: Tensor) -> Tensor:
        """Trunk activations (n, 96, h, w) → features (n, 1280, h / 2, w / 2)."""
        with half_where_fast():
            features: Tensor = self.tail(activations.contiguous(memory_format=torch.channels_last))
        return features.float()

    def words(self, states: Tensor, mask: Tensor) -> Tensor:
        """States of the frozen layers → contextual word vectors, both (n, L, width)."""
        with half_where_fast():
            words = self.text.encoder.upper(states, mask)
        return words.float()

    def embed_pictures(self, activations: Tensor) -> Tensor:
        """Trunk activations (n, 96, h, w) → unit vectors (n, dim)."""
        return self.picture.embed(self.features(activations))

    def embed_texts(self, states: Tensor, mask: Tensor) -> Tensor:
        """States of the frozen layers (n, L, width) and mask → unit vectors (n, dim)."""
        return self.text.embed(self.words(states, mask), mask)


def train_contrastive(
    towers: Towers,
    material: Material,
    settings: ContrastiveSettings,
    seed: int,
    report: Callable[[int, float, Towers], None],
) -> Towers:
    """Train in place; returns the exponential average of the weights.

    `report` is called after each epoch with its number, its mean loss and the average.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    steps = max(1, len(material.rows) // settings.batch_size)
    optimizer = _optimizer(towers, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _cosine(step, steps * settings.epochs, settings.warm_up)
    )
    average = copy.deepcopy(towers)
    for epoch in range(settings.epochs):
        towers.train()
        losses = []
        order = rng.permutation(len(material.rows))
        for step in range(steps):
            chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            loss = _loss(towers, material, material.rows[chosen], settings, rng)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            update_average(average, towers, settings.average_decay)
            losses.append(float(loss.detach()))
        average.eval()
        report(epoch, float(np.mean(losses)), average)
    return average


def soft_targets(teacher: Tensor, share: float, temperature: float) -> Tensor:
    """Mostly the identity, and a `share` spread over captions that the teacher finds alike.

    teacher: unit vectors (n, width) → (n, n), each row summing to one.
    """
    alike = (teacher @ teacher.T / temperature).softmax(dim=-1)
    return (1.0 - share) * torch.eye(len(teacher)) + share * alike


def agreement_loss(vectors: Tensor, teacher: Tensor, temperature: float = 0.05) -> Tensor:
    """Cross-entropy between student and teacher about which texts of the batch are alike.

    vectors (n, dim) and teacher (n, width), unit vectors; a text is not compared to itself.
    """
    itself = torch.eye(len(teacher), dtype=torch.bool)
    wanted = (teacher @ teacher.T / temperature).masked_fill(itself, -1e4).softmax(dim=-1)
    found = (vectors @ vectors.T / temperature).masked_fill(itself, -1e4).log_softmax(dim=-1)
    return F.kl_div(found, wanted, reduction="batchmean")


def _loss(
    towers: Towers,
    material: Material,
    pictures: NDArray[np.int64],
    settings: ContrastiveSettings,
    rng: np.random.Generator,
) -> Tensor:
    features = towers.features(_views(material, pictures, rng))
    vectors = towers.picture.embed(features)
    total = torch.zeros(())
    for number, texts in enumerate(
        _captions(material, pictures, settings.captions_per_picture, rng)
    ):
        states, whole = material.captions.batch(texts)
        mask = _drop_words(whole, settings.word_dropout, rng)
        targets = soft_targets(
            material.caption_teacher[texts], settings.soft_share, settings.soft_temperature
        )
        words = towers.words(states, mask)
        found = towers.loss(vectors, towers.text.embed(words, mask), targets)
        total = total + found / settings.captions_per_picture
        if settings.reranker_weight and number == 0:
            total = total + settings.reranker_weight * word_patch_loss(
                towers.reranker,
                towers.text.tokens(words),
                mask & without_marks(whole),
                towers.picture.patches(features),
                targets,
                group=settings.reranker_group,
                hidden=settings.hidden_patches,
                rng=rng,
            )
    if settings.general_weight:
        total = total + settings.general_weight * _general_loss(towers, material, settings, rng)
    if material.labelled is not None and settings.labelled_weight:
        total = total + settings.labelled_weight * _labelled_loss(towers, material, settings, rng)
    return total


def _general_loss(
    towers: Towers, material: Material, settings: ContrastiveSettings, rng: np.random.Generator
) -> Tensor:
    texts = rng.integers(len(material.general), size=settings.general_batch_size)
    vectors = towers.embed_texts(*material.general.batch(texts))
    return agreement_loss(vectors, material.general_teacher[texts])


def _labelled_loss(
    towers: Towers, material: Material, settings: ContrastiveSettings, rng: np.random.Generator
) -> Tensor:
    assert material.labelled is not None and material.labels is not None
    rows = rng.permutation(len(material.labelled))[: settings.labelled_batch_size]
    pictures = towers.embed_pictures(as_tensor(material.labelled, np.sort(rows)))
    texts = towers.embed_texts(*material.labels.batch(np.sort(rows)))
    loss: Tensor = towers.loss(pictures, texts)
    return loss


def _views(material: Material, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    choice = rng.integers(len(material.views), size=len(rows))
    picked = np.stack([material.views[v][row] for v, row in zip(choice, rows, strict=True)])
    return as_tensor(picked, np.arange(len(rows)))


def _captions(
    material: Material, rows: NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """`count` arrays of caption numbers, one caption a picture in each."""
    picked = [rng.permutation(material.captions_of[row]) for row in rows]
    return [np.array([texts[k % len(texts)] for texts in picked]) for k in range(count)]


def _drop_words(mask: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Hide a share of the words from the layers above; the first token always stays."""
    kept = torch.from_numpy(rng.random(tuple(mask.shape)) >= share)
    kept[:, 0] = True
    return mask & kept


def _optimizer(towers: Towers, settings: ContrastiveSettings) -> torch.optim.Optimizer:
    upper = list(towers.text.encoder.upper_layers.parameters())
    tail = list(towers.tail.parameters())
    special = {id(parameter) for parameter in [*upper, *tail]}
    frozen = {id(parameter) for parameter in towers.text.encoder.parameters()}
    heads = [p for p in towers.parameters() if id(p) not in special | frozen]
    return torch.optim.AdamW(
        [
            {"params": heads, "lr": settings.head_rate},
            {"params": tail, "lr": settings.tail_rate},
            {"params": upper, "lr": settings.text_rate},
        ],
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )


def _cosine(step: int, total: int, warm_up: float) -> float:
    warm = max(1, int(total * warm_up))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
