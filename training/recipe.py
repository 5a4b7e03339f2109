"""How large and how long: the full training, and a tiny one that proves the stages fit."""

from __future__ import annotations

from dataclasses import dataclass

from training.contrastive import ContrastiveSettings
from training.efficientnet import LiteShape
from training.text_encoder import TextShape
from training.text_pretraining import TextPretraining
from training.towers import TowerShape


@dataclass(frozen=True)
class Recipe:
    """Sizes of a training run.

    `side_px`: what pictures are squashed to before training. `bank` centres of the captions tell
    which pictures are hubs. `first_start` and `second_start` name the backbones' start weights,
    None for random ones, as does `minilm` for the text encoder's.
    """

    side_px: int
    vocabulary: int
    general_texts: int
    calibration_pictures: int
    bank: int
    towers: TowerShape
    pretraining: TextPretraining
    contrastive: ContrastiveSettings
    first_start: str | None = "lite2"
    second_start: str | None = "lite0"
    minilm: bool = True


FULL = Recipe(
    side_px=256,
    vocabulary=12_288,
    general_texts=60_000,
    calibration_pictures=96,
    bank=1000,
    towers=TowerShape(TextShape(0)),
    pretraining=TextPretraining(),
    contrastive=ContrastiveSettings(),
)
TINY = Recipe(
    side_px=96,
    vocabulary=2_000,
    general_texts=50,
    calibration_pictures=8,
    bank=20,
    towers=TowerShape(
        TextShape(0, width=64, heads=4, inner_width=128, layers=1),
        first=LiteShape(0.25, 0.5),
        second=LiteShape(0.25, 0.5),
        first_px=96,
        first_use_px=128,
        second_px=64,
        second_use_px=96,
        dim=64,
        head_width=64,
        word_dim=32,
        token_dim=16,
        drop=0.0,
    ),
    pretraining=TextPretraining(steps=4, groups=4, general=8),
    contrastive=ContrastiveSettings(
        epochs=6,
        batch_size=8,
        relatives=2,
        pool=3,
        general_batch=8,
        reranker_group=8,
        warm_up=0.0,
        head_rate=3e-3,
        backbone_rate=3e-3,
    ),
    first_start=None,
    second_start=None,
    minilm=False,
)
