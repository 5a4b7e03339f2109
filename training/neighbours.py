"""Which vectors of a set lie nearest to each of them."""

from __future__ import annotations

import torch
from torch import Tensor

from training.corpus import Integers

_AT_ONCE = 2048


def nearest_others(vectors: Tensor, count: int) -> Integers:
    """For each of n vectors, (n, dim), the others that are nearest: int64 (n, count) or fewer."""
    count = min(count, len(vectors) - 1)
    nearest = []
    for start in range(0, len(vectors), _AT_ONCE):
        alike = vectors[start : start + _AT_ONCE] @ vectors.T
        alike.diagonal(start).fill_(-torch.inf)
        nearest.append(alike.topk(count, dim=1).indices)
    found: Integers = torch.cat(nearest).cpu().numpy()
    return found
