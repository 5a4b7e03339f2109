"""The two towers of the compact model: a picture and a text to vectors of one space.

Each gives one unit vector for the first stage and a sequence of tokens for the reranker.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.mobilenet import FEATURE_CHANNELS
from training.text_encoder import TextEncoder, mean_over_words


@dataclass(frozen=True)
class TowerShape:
    """The sizes that both towers share."""

    dim: int = 256
    token_dim: int = 192
    head_width: int = 768


class ProjectionHead(nn.Module):
    """A linear map plus a two-layer perceptron, to a unit vector."""

    def __init__(self, in_dim: int, shape: TowerShape, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, shape.dim)
        self.inner = nn.Linear(in_dim, shape.head_width)
        self.outer = nn.Linear(shape.head_width, shape.dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_dim) → unit vectors (n, dim)."""
        x = self.dropout(x)
        y = self.linear(x) + self.outer(self.dropout(F.gelu(self.inner(x))))
        return F.normalize(y, dim=-1)


class AttentionPool(nn.Module):
    """A weighted mean over the grid, with weights that the features themselves decide."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1)
        # Zero scores give equal weights: training starts from the plain mean.
        nn.init.zeros_(self.score.weight)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, channels)."""
        weights = self.score(features).flatten(2).softmax(dim=-1)
        pooled: Tensor = (features.flatten(2) @ weights.transpose(1, 2)).squeeze(-1)
        return pooled


class ImageHeads(nn.Module):
    """What follows MobileNetV2's features: pooling and head, and a projection of the grid."""

    def __init__(self, shape: TowerShape, dropout: float = 0.2) -> None:
        super().__init__()
        self.pool = AttentionPool(FEATURE_CHANNELS)
        self.head = ProjectionHead(2 * FEATURE_CHANNELS, shape, dropout)
        self.tokens = nn.Conv2d(FEATURE_CHANNELS, shape.token_dim, 1)

    def embed(self, features: Tensor) -> Tensor:
        """(n, 1280, h, w) → unit vectors (n, dim)."""
        pooled = torch.cat([features.mean((2, 3)), self.pool(features)], dim=1)
        embedding: Tensor = self.head(pooled)
        return embedding

    def patches(self, features: Tensor) -> Tensor:
        """(n, 1280, h, w) → tokens (n, h·w, token_dim), row by row."""
        tokens: Tensor = self.tokens(features).flatten(2).transpose(1, 2)
        return tokens


class TextTower(nn.Module):
    """The text encoder with a head over the mean of its words, and a projection of each word."""

    def __init__(self, encoder: TextEncoder, shape: TowerShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ProjectionHead(encoder.shape.width, shape, dropout)
        self.tokens = nn.Linear(encoder.shape.width, shape.token_dim)

    def embed(self, states: Tensor, mask: Tensor) -> Tensor:
        """Contextual word vectors (n, L, width), mask bool (n, L) → unit vectors (n, dim)."""
        embedding: Tensor = self.head(mean_over_words(states, mask))
        return embedding

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """ids int64, mask bool (n, L) → unit vectors (n, dim), word tokens (n, L, token_dim)."""
        states = self.encoder(ids, mask)
        return self.embed(states, mask), self.tokens(states)
