"""Token ids of texts of unequal length as one batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def padded(ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Padded ids int64 (n, L) and mask bool (n, L); the padding's id is 0."""
    lengths = torch.tensor([len(row) for row in ids])
    longest = int(lengths.max())
    rows = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
    return rows, torch.arange(longest)[None, :] < lengths[:, None]
