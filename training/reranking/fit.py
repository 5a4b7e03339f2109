"""Training the reranker alone, on frozen towers: what is where, and captions against false twins.

The towers know the pictures that they learnt from too well for their mistakes to teach much. What
can be learnt from them is what else a caption might have said of the same picture: another colour,
count, relation or role.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.rerankers.training.network import RerankerNetwork
from training.corpus import Integers
from training.losses import both_ways, lead_loss, looking_loss, shown_patches
from training.neighbours import nearest_others
from training.reranking.examples import RerankingExamples
from training.text_pretraining import cosine

Report = Callable[[int, float], None]
_REPORT_EVERY = 50


@dataclass(frozen=True)
class RerankingSettings:
    """How long, how fast and by what.

    A batch holds about `pictures` of them, in families of `relatives` drawn from the `pool`
    nearest. `noise`: the deviation of what is added to patch tokens, which have one of 1.
    `keep_weight`: how dear it is to score captions and pictures otherwise than before.
    """

    steps: int = 300
    pictures: int = 64
    relatives: int = 4
    pool: int = 32
    learning_rate: float = 3e-4
    weight_decay: float = 0.2
    warm_up: float = 0.05
    dropout: float = 0.3
    noise: float = 0.3
    hidden_patches: float = 0.35
    retrieval_weight: float = 0.1
    keep_weight: float = 1.0
    twin_weight: float = 1.0
    presence_weight: float = 0.1
    overlap_weight: float = 0.05


def train_reranker(
    network: RerankerNetwork,
    examples: RerankingExamples,
    settings: RerankingSettings,
    seed: int,
    report: Report,
) -> list[float]:
    """Train in place; returns the loss of each step. `report` is told the step and a mean loss."""
    course = _Course(network, examples, settings, seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    losses: list[float] = []
    network.train()
    for step in range(settings.steps):
        rate = settings.learning_rate * cosine(step / settings.steps, settings.warm_up)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = course.loss()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) % _REPORT_EVERY == 0:
            report(len(losses), float(np.mean(losses[-_REPORT_EVERY:])))
    network.eval()
    return losses


class _Course:
    """Draws batches and judges the network by them."""

    def __init__(
        self,
        network: RerankerNetwork,
        examples: RerankingExamples,
        settings: RerankingSettings,
        seed: int,
    ) -> None:
        self._network = network
        self._teacher = copy.deepcopy(network).eval()
        self._examples = examples
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self._captions_of = examples.captions.texts.of_each(len(examples.vectors))
        self._twins_of = examples.twins.texts.of_each(len(examples.captions.texts))
        self._nearest = nearest_others(torch.from_numpy(examples.vectors), settings.pool)

    def loss(self) -> Tensor:
        """Of one batch."""
        settings, network, rng = self._settings, self._network, self._rng
        pictures = self._draw()
        captions = np.array([rng.choice(self._captions_of[own]) for own in pictures])
        words, mask, stems = self._examples.captions.padded(captions)
        patches = network.dequantised(torch.from_numpy(self._examples.tokens[pictures]))
        patches = patches + settings.noise * torch.randn_like(patches)
        total = self._retrieval(words, mask, patches)
        # Another picture of the batch: sometimes a relative, mostly any.
        other = torch.roll(torch.arange(len(pictures)), 1)
        own_scores, own_maps = network.score_pairs(words, mask, patches)
        other_scores, other_maps = network.score_pairs(words, mask, patches[other])
        total = total + self._where(own_maps, other_maps, mask, stems, pictures[other.numpy()])
        rows, twins = self._twins(captions)
        if not len(rows):
            return total
        words, mask, _stems = self._examples.twins.padded(twins)
        false_own, _ = network.score_pairs(words, mask, patches[rows])
        false_other, _ = network.score_pairs(words, mask, patches[other][rows])
        leads = lead_loss(own_scores[rows] - false_own, other_scores[rows] - false_other)
        return total + settings.twin_weight * leads

    def _draw(self) -> Integers:
        """Different pictures, families among them, in an order without them."""
        rng, settings = self._rng, self._settings
        count = max(1, settings.pictures // settings.relatives)
        seeds = rng.integers(len(self._nearest), size=count)
        families = [
            np.append(rng.permutation(self._nearest[own])[: settings.relatives - 1], own)
            for own in seeds
        ]
        chosen: Integers = rng.permutation(np.unique(np.concatenate(families)))
        return chosen

    def _retrieval(self, words: Tensor, mask: Tensor, patches: Tensor) -> Tensor:
        settings, count = self._settings, self._network.shape.patches
        shown = shown_patches(count, settings.hidden_patches, words.device)
        scores = self._network.every_pair(words, mask, patches, shown)
        with torch.no_grad():
            before = self._teacher.every_pair(words, mask, patches, shown)
        moved = (scores - before).square().mean() / before.var()
        found = both_ways(scores, torch.eye(len(words)))
        return settings.retrieval_weight * found + settings.keep_weight * moved

    def _where(
        self, own: Tensor, other: Tensor, mask: Tensor, stems: Tensor, pictures: Integers
    ) -> Tensor:
        """Words look at what shows them, and at nothing in `pictures`, which do not."""
        settings = self._settings
        counted = mask & (stems >= 0)
        absent = self._examples.absent(stems, pictures)
        told = torch.from_numpy(self._examples.well_told[pictures])[:, None]
        return looking_loss(
            own,
            other,
            counted,
            counted & absent & told,
            stems,
            presence=settings.presence_weight,
            overlap=settings.overlap_weight,
        )

    def _twins(self, captions: Integers) -> tuple[Tensor, Integers]:
        """For captions that have twins: their places in the batch, and one twin of each."""
        rows = [row for row, own in enumerate(captions) if len(self._twins_of[own])]
        twins = [self._twin(self._twins_of[captions[row]]) for row in rows]
        return torch.tensor(rows, dtype=torch.int64), np.array(twins, np.int64)

    def _twin(self, twins: Integers) -> int:
        """One of them; kinds that few captions have come as often as others."""
        rarity = self._examples.rarity[twins]
        return int(self._rng.choice(twins, p=rarity / rarity.sum()))
