"""The networks that are trained together: two picture towers, a text tower and the reranker.

The first picture tower gives the vector that is searched by. The second, another network at
another size, gives what the reranker looks at, so that the second look sees with other eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.fusion.losses import ContrastiveLoss
from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
from training.efficientnet import (
    FEATURE_CHANNELS,
    MIDDLE_STRIDE,
    SHAPES,
    EfficientNetLite,
    LiteShape,
)
from training.text_encoder import TextEncoder, TextShape, mean_over_words

TOKEN_STEP = 4.0 / 127.0


@dataclass(frozen=True)
class TowerShape:
    """The sizes of all towers; those in pixels must be multiples of 32.

    Training shows them pictures of `first_px` and `second_px`, of which it cuts pieces and enlarges
    them: what is in a picture looks larger to it than in the whole picture. So whole pictures are
    shown at `first_use_px` and `second_use_px` once it is over (Touvron et al., *Fixing the
    Train-Test Resolution Discrepancy*, NeurIPS 2019). A patch token takes `token_dim` bytes, and a
    picture (`second_px` / 16)² + `whole_rows` of them, at whatever size it is shown.
    """

    text: TextShape
    first: LiteShape = SHAPES["lite2"]
    first_px: int = 256
    first_use_px: int = 288
    second: LiteShape = SHAPES["lite0"]
    second_px: int = 224
    second_use_px: int = 256
    dim: int = 256
    head_width: int = 768
    word_dim: int = 192
    token_dim: int = 80
    whole_rows: int = 4
    drop: float = 0.1

    @property
    def grid(self) -> int:
        """Rows (and columns) of the patch grid."""
        return self.second_px // MIDDLE_STRIDE

    def reranker(self, patch_scale: float = TOKEN_STEP) -> RerankerShape:
        """The sizes of the reranker over these tokens."""
        return RerankerShape(
            self.token_dim,
            self.grid**2,
            patch_scale,
            word_dim=self.word_dim,
            whole_rows=self.whole_rows,
        )


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


class VectorTower(nn.Module):
    """A picture to the unit vector that it is found by."""

    def __init__(self, shape: TowerShape, dropout: float = 0.2) -> None:
        super().__init__()
        self.backbone = EfficientNetLite(shape.first, shape.drop)
        self.pool = AttentionPool(FEATURE_CHANNELS)
        self.head = ProjectionHead(2 * FEATURE_CHANNELS, shape, dropout)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, S, S) in [-1, 1] → (n, dim)."""
        _middle, features = self.backbone(pixels)
        vectors: Tensor = self.head(torch.cat([features.mean((2, 3)), self.pool(features)], dim=1))
        return vectors


class PatchTower(nn.Module):
    """A picture to its patch tokens: the grid at half the stride of the features, then the whole.

    What the features know is laid over the finer grid's own, as in Lin et al., *Feature Pyramid
    Networks* (CVPR 2017).
    """

    def __init__(self, shape: TowerShape, dropout: float = 0.2) -> None:
        super().__init__()
        self.shape = shape
        self.backbone = EfficientNetLite(shape.second, shape.drop)
        self.fine = nn.Conv2d(self.backbone.middle_channels, shape.token_dim, 1)
        self.coarse = nn.Conv2d(FEATURE_CHANNELS, shape.token_dim, 1)
        self.pool = AttentionPool(FEATURE_CHANNELS)
        self.whole = nn.Linear(2 * FEATURE_CHANNELS, shape.whole_rows * shape.token_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, S, S) in [-1, 1] → (n, rows, token_dim), each token of mean 0 and deviation 1."""
        middle, features = self.backbone(pixels)
        above = F.interpolate(
            self.coarse(features), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        cells = self.fine(middle) + above
        side = self.shape.grid
        if cells.shape[-1] != side:
            cells = F.interpolate(cells, (side, side), mode="bilinear", align_corners=False)
        grid = cells.flatten(2).transpose(1, 2)
        pooled = torch.cat([features.mean((2, 3)), self.pool(features)], dim=1)
        whole = self.whole(self.dropout(pooled)).view(len(grid), -1, self.shape.token_dim)
        return F.layer_norm(torch.cat([grid, whole], dim=1), (self.shape.token_dim,))


class TextTower(nn.Module):
    """The text encoder with a head over the mean of its words, and a projection of each word.

    A word's token is made of what the word is by itself and of what it is in its sentence: by the
    latter alone all words of a sentence would look at the same place.
    """

    def __init__(self, shape: TowerShape, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = TextEncoder(shape.text)
        self.head = ProjectionHead(shape.text.width, shape, dropout)
        self.tokens = nn.Linear(2 * shape.text.width, shape.word_dim)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """ids int64, mask bool (n, L) → unit vectors (n, dim), word tokens (n, L, word_dim)."""
        single, mixed = self.encoder(ids, mask)
        return self.outputs(single, mixed, mask)

    def outputs(self, single: Tensor, mixed: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, from what the encoder gives."""
        tokens: Tensor = self.tokens(torch.cat([mixed, single], dim=-1))
        return self.head(mean_over_words(mixed, mask)), tokens


class Towers(nn.Module):
    """All that is trained."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.vector = VectorTower(shape)
        self.patch = PatchTower(shape)
        self.text = TextTower(shape)
        self.reranker = RerankerNetwork(shape.reranker())
        self.loss = ContrastiveLoss()
