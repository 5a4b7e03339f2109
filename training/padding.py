"""Token ids of texts of unequal length as batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data import batches


def padded(ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Padded ids int64 (n, L) and mask bool (n, L); the padding's id is 0."""
    lengths = torch.tensor([len(row) for row in ids])
    longest = int(lengths.max())
    rows = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
    return rows, torch.arange(longest)[None, :] < lengths[:, None]


def by_length(
    ids: Sequence[Sequence[int]], size: int
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    """Batches of texts of similar length, so that little is computed for padding.

    Each is the rows of its texts with their padded ids and mask.
    """
    order = np.argsort([len(row) for row in ids], kind="stable")
    for part in batches(len(order), size):
        yield order[part], *padded([ids[i] for i in order[part]])
