"""The loss that brings pictures and their texts together and pushes others apart.

PyTorch only; used in training.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ContrastiveLoss(nn.Module):
    """Symmetric cross-entropy over similarities, as in CLIP (Radford et al. 2021).

    In a batch of n pairs each picture must choose its text among n and each text its picture.
    The temperature is learnt as the logarithm of its inverse, and the inverse is kept at
    most `max_scale`, beyond which training becomes unstable.
    """

    def __init__(self, temperature: float = 0.07, max_scale: float = 100.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1.0 / temperature)))
        self.max_log_scale = math.log(max_scale)

    def scale(self) -> Tensor:
        """The inverse temperature, a scalar."""
        return self.log_scale.clamp(max=self.max_log_scale).exp()

    def forward(self, images: Tensor, texts: Tensor, targets: Tensor | None = None) -> Tensor:
        """The mean of both directions' cross-entropies.

        Args:
            images: unit vectors, float (n, dim).
            texts: unit vectors, float (n, dim); row i belongs to row i of `images`.
            targets: float (n, n), how much text j fits picture i, each row summing to one and
                the matrix symmetric; None means the identity (only the pair itself fits).

        Returns:
            A scalar.
        """
        logits = self.scale() * images @ texts.T
        if targets is None:
            targets = torch.eye(len(logits), dtype=logits.dtype, device=logits.device)
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets.T)) / 2
