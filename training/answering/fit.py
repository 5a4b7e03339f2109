"""Fits the answer network: what is right shall have the probability, among answers of its kind."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.answering.examples import Batch, Examples
from training.answering.network import AnswerNetwork
from training.averaging import update_average

_HIDDEN = -1e4


@dataclass(frozen=True)
class AnswerRecipe:
    """How long and how hard is trained. `most`: questions of a picture in one step."""

    epochs: int = 14
    pictures: int = 64
    most: int = 8
    rate: float = 1.5e-3
    decay: float = 0.02
    average: float = 0.998
    # Of a picture's and a subject's vector, so that what was learnt by heart helps less.
    noise: float = 0.02
    minutes: float = math.inf


def fit(
    network: AnswerNetwork,
    learnt: Examples,
    held: Examples,
    recipe: AnswerRecipe,
    seed: int,
    say: Callable[[str], None],
) -> AnswerNetwork:
    """The averaged network that is best on the questions held out, of those after each epoch."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    begun = time.monotonic()
    best, least, steps = copy.deepcopy(average), math.inf, 0
    for epoch in range(recipe.epochs):
        network.train()
        for batch in learnt.batches(recipe.pictures, recipe.most, rng):
            minutes = (time.monotonic() - begun) / 60
            done = max(epoch / recipe.epochs, minutes / recipe.minutes)
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * _share(done)
            loss = _loss(network, batch, recipe.noise)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            steps += 1
            # It shall not remember the weights as they were drawn.
            update_average(average, network, min(recipe.average, (1 + steps) / (10 + steps)))
            if time.monotonic() - begun > 60 * recipe.minutes:
                break
        missed = held_out_loss(average, held)
        say(f"epoch {epoch + 1}: loss {loss.item():.3f}, held out {missed:.4f}")
        if missed < least:
            least, best = missed, copy.deepcopy(average)
        if time.monotonic() - begun > 60 * recipe.minutes:
            break
    return best


@torch.inference_mode()
def held_out_loss(network: AnswerNetwork, held: Examples) -> float:
    """The mean, over questions, of minus the logarithm of the right answers' probability."""
    network.eval()
    total, count = 0.0, 0
    for batch in held.batches(64, 1000):
        missed = _missed(scores(network, batch), batch)
        total, count = total + float(missed.sum()), count + len(missed)
    return total / max(1, count)


def scores(network: AnswerNetwork, batch: Batch) -> Tensor:
    """Logits (b, q, answers) of a batch."""
    logits: Tensor = network(batch.words, batch.mask, batch.subjects, batch.tokens, batch.vectors)
    return logits


def _loss(network: AnswerNetwork, batch: Batch, noise: float) -> Tensor:
    blurred = Batch(
        batch.words,
        batch.mask,
        _blurred(batch.subjects, noise / 2),
        batch.tokens,
        _blurred(batch.vectors, noise),
        batch.allowed,
        batch.right,
    )
    return _missed(scores(network, blurred), batch).mean()


def _blurred(vectors: Tensor, noise: float) -> Tensor:
    return torch.nn.functional.normalize(vectors + noise * torch.randn_like(vectors), dim=-1)


def _missed(logits: Tensor, batch: Batch) -> Tensor:
    """Minus the logarithms of the right answers' probability, of questions that are no padding."""
    asked = batch.right.any(dim=-1)
    logits, allowed, right = logits[asked], batch.allowed[asked], batch.right[asked]
    every = logits.masked_fill(~allowed, _HIDDEN).logsumexp(dim=-1)
    return every - logits.masked_fill(~right, _HIDDEN).logsumexp(dim=-1)


def _share(done: float) -> float:
    """The share of the full rate at a share of the training: up in a twentieth, then by cosine."""
    if done < 0.05:
        return 0.1 + 0.9 * done / 0.05
    return max(0.02, 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
