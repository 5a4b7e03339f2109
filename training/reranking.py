"""The second stage of training: the reranker, with the towers as they are.

Pictures compete within small batches of look-alikes, as the first stage's candidates do. The
words' tokens come from the finished text tower; the pictures' come from a tail of the reranker's
own, because the tower's tail knows the training pictures by heart and leaves nothing to learn.
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

from training.activations import Activations, as_tensor
from training.averaging import update_average
from training.contrastive import Towers, soft_targets
from training.data import batches
from training.reranker_branch import RerankerBranch
from training.text_states import TextStates
from training.word_patch import without_marks, word_patch_loss

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class RerankingSettings:
    """How long and how fast to train.

    A batch is drawn at random, or, with the chance `alike_share`, as `families` of pictures with
    `relatives` each, drawn from the `pool` whose captions are most alike.
    """

    epochs: int = 12
    batch_size: int = 64
    head_rate: float = 1e-3
    tail_rate: float = 3e-4
    weight_decay: float = 0.05
    warm_up_steps: int = 60
    alike_share: float = 0.7
    families: int = 8
    relatives: int = 7
    pool: int = 32
    soft_share: float = 0.15
    soft_temperature: float = 0.05
    word_dropout: float = 0.15
    hidden_patches: float = 0.45
    average_decay: float = 0.995


@dataclass(frozen=True)
class WordTokens:
    """What the finished text tower makes of captions.

    `tokens`: float16 (c, L, token_dim); `mask`: bool (c, L) without the texts' marks; `vectors`:
    unit vectors (c, dim).
    """

    tokens: NDArray[np.float16]
    mask: Tensor
    vectors: Tensor

    def batch(self, captions: Integers) -> tuple[Tensor, Tensor]:
        """Tokens float32 (n, L, token_dim) and mask (n, L) of some captions, L their longest."""
        mask = self.mask[captions]
        length = int(mask.any(dim=0).nonzero().max()) + 1
        tokens = torch.from_numpy(self.tokens[captions, :length].astype(np.float32))
        return tokens, mask[:, :length]


@torch.inference_mode()
def word_tokens(towers: Towers, captions: TextStates, batch_size: int = 128) -> WordTokens:
    """The captions' tokens and vectors."""
    towers.eval()
    length = int(np.diff(captions.starts).max())
    width = towers.text.tokens.out_features
    tokens = np.zeros((len(captions), length, width), np.float16)
    mask = torch.zeros(len(captions), length, dtype=torch.bool)
    vectors = []
    for part in batches(len(captions), batch_size):
        states, whole = captions.batch(np.arange(part.start, part.stop))
        words = towers.words(states, whole)
        tokens[part, : whole.shape[1]] = towers.text.tokens(words).numpy()
        mask[part, : whole.shape[1]] = without_marks(whole)
        vectors.append(towers.text.embed(words, whole))
    # A caption without a word between its marks is compared by its first mark.
    mask[~mask.any(dim=1), 0] = True
    return WordTokens(tokens, mask, torch.cat(vectors))


def train_reranker_branch(
    branch: RerankerBranch,
    views: Sequence[Activations],
    words: WordTokens,
    captions_of: Sequence[Integers],
    settings: RerankingSettings,
    seed: int,
    report: Callable[[int, float], None],
) -> RerankerBranch:
    """Train in place; returns the exponential average of the weights.

    `views`: activations after the branch's frozen blocks, a row a picture; `captions_of`: each
    picture's rows of `words`. `report` is called after each epoch with its number and mean loss.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    pictures = len(captions_of)
    branch.start_at_principal_components(as_tensor(views[0], np.arange(min(64, pictures))))
    relatives = alike(words.vectors, captions_of, min(settings.pool, pictures - 1))
    steps = max(1, pictures // settings.batch_size)
    optimizer = _optimizer(branch, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, steps * settings.epochs, settings.warm_up_steps)
    )
    average = copy.deepcopy(branch)
    done = 0
    for epoch in range(settings.epochs):
        branch.train()
        losses = []
        for _ in range(steps):
            chosen = draw_batch(relatives, settings, rng)
            loss = _loss(branch, views, words, captions_of, chosen, settings, rng)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(branch.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            done += 1
            # The first steps' weights are far off, so that the average forgets them sooner.
            update_average(average, branch, min(settings.average_decay, done / (9 + done)))
            losses.append(float(loss.detach()))
        report(epoch, float(np.mean(losses)))
    return average.eval()


def alike(vectors: Tensor, captions_of: Sequence[Integers], pool: int) -> Integers:
    """For each picture the `pool` others whose captions, by their mean vector, are nearest."""
    means = F.normalize(torch.stack([vectors[own].mean(dim=0) for own in captions_of]), dim=1)
    similarities = means @ means.T
    similarities.fill_diagonal_(-torch.inf)
    nearest: Integers = similarities.topk(pool, dim=1).indices.numpy()
    return nearest


def draw_batch(
    relatives: Integers, settings: RerankingSettings, rng: np.random.Generator
) -> Integers:
    """Different pictures, at most `batch_size`: families of look-alikes, or any."""
    order = rng.permutation(len(relatives))
    if rng.random() >= settings.alike_share:
        return order[: settings.batch_size]
    families = [
        [head, *rng.permutation(relatives[head])[: settings.relatives]]
        for head in order[: settings.families]
    ]
    together = np.concatenate([*families, order])
    _, first = np.unique(together, return_index=True)
    chosen: Integers = together[np.sort(first)][: settings.batch_size]
    return chosen


def _loss(
    branch: RerankerBranch,
    views: Sequence[Activations],
    words: WordTokens,
    captions_of: Sequence[Integers],
    pictures: Integers,
    settings: RerankingSettings,
    rng: np.random.Generator,
) -> Tensor:
    picked = np.stack([views[int(rng.integers(len(views)))][row] for row in pictures])
    captions = np.array([rng.choice(captions_of[row]) for row in pictures])
    tokens, mask = words.batch(captions)
    kept = mask & torch.from_numpy(rng.random(tuple(mask.shape)) >= settings.word_dropout)
    emptied = ~kept.any(dim=1)
    kept[emptied] = mask[emptied]
    return word_patch_loss(
        branch.network,
        tokens,
        kept,
        branch.patches(as_tensor(picked, np.arange(len(picked)))),
        soft_targets(words.vectors[captions], settings.soft_share, settings.soft_temperature),
        group=len(pictures),
        hidden=settings.hidden_patches,
        rng=rng,
    )


def _optimizer(branch: RerankerBranch, settings: RerankingSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        [
            {
                "params": [*branch.network.parameters(), *branch.tokens.parameters()],
                "lr": settings.head_rate,
            },
            {"params": branch.tail.parameters(), "lr": settings.tail_rate},
        ],
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )


def _rate(step: int, total: int, warm_up: int) -> float:
    warm = min(1.0, (step + 1) / max(1, warm_up))
    return warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, total))))
