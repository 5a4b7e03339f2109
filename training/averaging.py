"""The exponential average of a network's weights, which is what is kept of a training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_average(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Let `average`, of the same network, keep `decay` of itself and take the rest from now.

    Counts and what else is no number to average are copied.
    """
    old: list[Tensor] = list(average.parameters())
    new: list[Tensor] = list(current.parameters())
    torch._foreach_lerp_(old, new, 1.0 - decay)
    for kept, now in zip(average.buffers(), current.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(now, 1.0 - decay)
        else:
            kept.copy_(now)
