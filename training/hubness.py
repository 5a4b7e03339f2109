"""Against hubs: pictures that are near to every question lose as much as they do not deserve.

Querybank normalisation (Bogolin et al., *Cross Modal Retrieval with Querybank Normalisation*, CVPR
2022) in a form that a plain nearest-neighbour index can serve: how much a picture pleases a bank of
ordinary questions is a number of its own, so that it fits into the picture's vector as one more
dimension.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data import batches
from training.metrics import ranks_of, recall
from training.packing import PackedEmbedding

_SHARPNESSES = (10.0, 20.0, 40.0)
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
# A picture's vector is (v, -spread * shift, filler) / norm, a text's (t, 1 / spread, 0) / norm. The
# spread keeps the text's own part near unit length, and so scores near the cosines of v and t.
_SPREAD = 4.0
_LARGEST_SHIFT = 0.125
_PADDING = 6
_QUESTIONS_AT_ONCE = 4096
EXTRA_DIMENSIONS = 2 + _PADDING


@dataclass(frozen=True)
class HubnessSettings:
    """`sharpness`: how much the nearest questions of the bank count. `strength`: 0 for none."""

    sharpness: float = 10.0
    strength: float = 0.75


@dataclass(frozen=True)
class QuestionBank:
    """Many questions as a few of their kind: `centres`, unit vectors (k, dim), with their shares.

    `shares` (k,) sum to one.
    """

    centres: Tensor
    shares: Tensor


def condense(questions: Tensor, count: int, seed: int, rounds: int = 10) -> QuestionBank:
    """The questions' vectors, (n, dim), as at most `count` centres, by spherical k-means.

    A thousand centres of all captions tell hubs apart better than four thousand captions do.
    """
    generator = torch.Generator().manual_seed(seed)
    centres = questions[torch.randperm(len(questions), generator=generator)[:count]].clone()
    for _ in range(rounds):
        nearest = _nearest(questions, centres)
        sums = torch.zeros_like(centres).index_add(0, nearest, questions)
        # One that has lost all of its questions stays where it is.
        lost = torch.bincount(nearest, minlength=len(centres)) == 0
        centres = nn.functional.normalize(torch.where(lost[:, None], centres, sums), dim=1)
    shares = torch.bincount(_nearest(questions, centres), minlength=len(centres)).float()
    kept = shares > 0
    return QuestionBank(centres[kept], shares[kept] / shares.sum())


def popularity(vectors: Tensor, bank: QuestionBank, sharpness: float) -> Tensor:
    """How near pictures (n, dim) are to the questions of a bank, (n,): a soft maximum."""
    similarities = sharpness * (vectors @ bank.centres.T)
    # No matrix product, which the export would put into eight bits.
    return (similarities.exp() * bank.shares).sum(dim=1).log() / sharpness


def fit_hubness(
    bank: QuestionBank, pictures: Tensor, texts: Tensor, owner: NDArray[np.int64]
) -> HubnessSettings:
    """The settings with the best recall at 1 on captions of pictures held out.

    pictures (p, dim), texts (t, dim): unit vectors; `owner` (t,): each text's picture. Among
    equals the weakest.
    """
    similarities = texts @ pictures.T

    def quality(settings: HubnessSettings) -> tuple[float, float]:
        shift = settings.strength * popularity(pictures, bank, settings.sharpness)
        found = recall(ranks_of((similarities - shift).numpy(), owner))
        return found.at_1, -settings.strength

    grid = [HubnessSettings(*pair) for pair in itertools.product(_SHARPNESSES, _STRENGTHS)]
    return max(grid, key=quality)


class HubnessCorrection(nn.Module):
    """Unit vectors of the towers → unit vectors whose product knows of hubs.

    The product of a text's and a picture's is (cosine - strength * excess popularity) times a
    constant near 0.9. `pictures`: unit vectors (p, dim) of pictures that were not trained on;
    excess is counted from their mean, as what is the same for all changes no order.
    """

    centre: Tensor
    shares: Tensor

    def __init__(self, bank: QuestionBank, pictures: Tensor, settings: HubnessSettings) -> None:
        super().__init__()
        self.settings = settings
        self.bank = PackedEmbedding(bank.centres)
        self.register_buffer("rows", torch.arange(len(bank.centres)))
        self.register_buffer("shares", bank.shares)
        self.register_buffer("centre", self.popularity(pictures).mean())

    def popularity(self, vectors: Tensor) -> Tensor:
        """(n, dim) → (n,), by the bank as it is kept."""
        known = QuestionBank(self.bank(self.rows), self.shares)
        return popularity(vectors, known, self.settings.sharpness)

    def pictures(self, vectors: Tensor) -> Tensor:
        """(n, dim) → (n, dim + EXTRA_DIMENSIONS), unit vectors."""
        excess = self.popularity(vectors) - self.centre
        shift = (self.settings.strength * excess).clamp(-_LARGEST_SHIFT, _LARGEST_SHIFT)
        moved = -_SPREAD * shift[:, None]
        # What is left to a length that all pictures share.
        length = 1.0 + (_SPREAD * _LARGEST_SHIFT) ** 2
        filler = (length - 1.0 - moved * moved).clamp_min(0.0).sqrt()
        whole = torch.cat([vectors, moved, filler, torch.zeros_like(moved).repeat(1, _PADDING)], 1)
        return nn.functional.normalize(whole, dim=-1)

    def texts(self, vectors: Tensor) -> Tensor:
        """(n, dim) → (n, dim + EXTRA_DIMENSIONS), unit vectors."""
        one = torch.ones_like(vectors[:, :1])
        zeros = torch.zeros_like(one).repeat(1, 1 + _PADDING)
        return nn.functional.normalize(torch.cat([vectors, one / _SPREAD, zeros], 1), dim=-1)


def _nearest(questions: Tensor, centres: Tensor) -> Tensor:
    """The row of the nearest centre of each question, int64 (n,)."""
    parts = batches(len(questions), _QUESTIONS_AT_ONCE)
    return torch.cat([(questions[part] @ centres.T).argmax(dim=1) for part in parts])
