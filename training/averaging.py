"""The exponential average of a network's weights, which both stages of training keep."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Let `average`, of the same network, keep `decay` of itself and take the rest from now."""
    for old, new in zip(average.parameters(), current.parameters(), strict=True):
        old.lerp_(new, 1.0 - decay)
