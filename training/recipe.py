"""How large and how long: the full training, and a tiny one that proves the stages fit."""

from __future__ import annotations

from dataclasses import dataclass, field

from training.contrastive import ContrastiveSettings
from training.reranking import RerankingSettings
from training.text_encoder import TextShape


@dataclass(frozen=True)
class Recipe:
    """Sizes of a training run.

    `size_px` must be a multiple of 32; the patch grid has `size_px / 32` rows and columns.
    `views` counts augmented views beside the clean one; `held_out` pictures are not trained on;
    `bank` centres of the captions tell which pictures are hubs.
    """

    size_px: int
    views: int
    vocabulary: int
    general_texts: int
    held_out: int
    calibration_pictures: int
    bank: int
    contrastive: ContrastiveSettings
    reranking: RerankingSettings
    text: TextShape | None = field(default=None)

    @property
    def grid(self) -> int:
        """Rows (and columns) of the patch grid."""
        return self.size_px // 32


FULL = Recipe(
    size_px=288,
    views=8,
    vocabulary=12_288,
    general_texts=60_000,
    held_out=500,
    calibration_pictures=96,
    bank=1000,
    contrastive=ContrastiveSettings(epochs=16, tail_rate=3e-4),
    reranking=RerankingSettings(),
)
TINY = Recipe(
    size_px=96,
    views=1,
    vocabulary=2_000,
    general_texts=50,
    held_out=4,
    calibration_pictures=8,
    bank=20,
    contrastive=ContrastiveSettings(
        epochs=4,
        batch_size=4,
        general_batch_size=8,
        captions_per_picture=1,
        warm_up=0.0,
        head_rate=3e-3,
    ),
    reranking=RerankingSettings(
        epochs=2, batch_size=4, families=1, relatives=2, pool=3, warm_up_steps=1
    ),
    # One frozen and one trained layer, with random weights: enough to prove that they fit.
    text=TextShape(0, width=64, heads=4, inner_width=128, layers=2, frozen_layers=1),
)
