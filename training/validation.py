"""Recall on pictures held out, while training goes on and on the device that trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.augment import plain_views
from training.contrastive import without_marks
from training.corpus import Integers, Texts
from training.metrics import Recall, ranks_of, recall
from training.precision import half_where_fast
from training.towers import Towers

_WEIGHTS = tuple(float(w) for w in np.geomspace(0.002, 0.2, 13))


@dataclass(frozen=True)
class HeldOut:
    """What text-to-image recall the held-out captions have: each stage alone, and both."""

    first: Recall
    second: Recall
    both: Recall
    weight: float

    def __str__(self) -> str:
        return (
            f"first {self.first}, second alone {self.second}, both {self.both} "
            f"(weight {self.weight:.3f})"
        )


@torch.inference_mode()
def validate(towers: Towers, pictures: Tensor, captions: Texts, first: int) -> HeldOut:
    """Recall among `pictures`, uint8 (n, 3, S, S); they own captions from picture `first` on."""
    towers.eval()
    device = pictures.device
    rows = np.flatnonzero((captions.owner >= first) & (captions.owner < first + len(pictures)))
    vectors, patches = [], []
    for start in range(0, len(pictures), 128):
        some = pictures[start : start + 128]
        with half_where_fast(device):
            vectors.append(towers.vector(plain_views(some, towers.shape.first_px)).float())
            patches.append(towers.patch(plain_views(some, towers.shape.second_px)))
    texts, scores = [], []
    seen = torch.cat(patches)
    for start in range(0, len(rows), 64):
        ids, mask, _stems = captions.padded(rows[start : start + 64], device)
        with half_where_fast(device):
            found, tokens = towers.text(ids, mask)
            words = without_marks(mask)
            parts = [
                towers.reranker.every_pair(tokens, words, seen[place : place + 256])
                for place in range(0, len(seen), 256)
            ]
        texts.append(found.float())
        scores.append(torch.cat(parts, dim=1).float())
    owner: Integers = captions.owner[rows] - first
    similarities = (torch.cat(texts) @ torch.cat(vectors).T).cpu().numpy()
    second = torch.cat(scores).cpu().numpy()
    weights = [np.float32(weight) for weight in _WEIGHTS]
    fused = [recall(ranks_of(similarities + weight * second, owner)) for weight in weights]
    best = int(np.argmax([found.at_1 for found in fused]))
    return HeldOut(
        recall(ranks_of(similarities, owner)),
        recall(ranks_of(second, owner)),
        fused[best],
        _WEIGHTS[best],
    )
