"""What an encoder is trained on, when it stops, and what it is compared on. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import MmsearchError
from retrieval.evaluation.metrics import Integers

What = Literal["heads", "lora", "all"]
Side = Literal["both", "texts"]
WHATS: tuple[What, ...] = get_args(What)
SIDES: tuple[Side, ...] = get_args(Side)

# A step of the optimiser is about as long as its rate, and most weights are below 1.
LARGEST_RATE = 1.0

_VALIDATION_SHARE = 0.1
_COMPARISON_SHARE = 0.15
_FEWEST_PICTURES = 12


class EncoderTrainingError(MmsearchError):
    """An encoder cannot be trained so, on these captions or with what is installed."""


@dataclass(frozen=True)
class TuningSettings:
    """How to train.

    `what`: a linear map after each tower, low-rank updates of `rank` of the towers' weights, or
    all weights. `side`: whether heads follow both towers or that of texts alone. An epoch shows
    each picture once, with one of its captions, at most `pictures_a_batch` at a time. `patience`
    epochs that bring nothing end it.
    """

    what: What = "heads"
    side: Side = "both"
    epochs: int = 60
    pictures_a_batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    patience: int = 10
    rank: int = 8
    seed: int = 0


_DEFAULTS = {
    "heads": TuningSettings(),
    "lora": TuningSettings("lora", "both", 15, 64, 5e-4, 0.01, 4),
    "all": TuningSettings("all", "both", 15, 64, 1e-4, 0.05, 4),
}


def default_settings(
    what: str,
    side: str = "both",
    epochs: int | None = None,
    learning_rate: float | None = None,
) -> TuningSettings:
    """Settings that suit what is trained; None leaves a number as it is by default.

    Raises EncoderTrainingError where `what` or `side` is none of `WHATS` and `SIDES`, or the
    learning rate is not above 0 and at most `LARGEST_RATE`.
    """
    if what not in WHATS or side not in SIDES:
        raise EncoderTrainingError(
            f"Train one of {', '.join(WHATS)} on one of {', '.join(SIDES)}, not {what} on {side}."
        )
    # Written so that NaN, which compares false, is refused.
    if learning_rate is not None and not 0 < learning_rate <= LARGEST_RATE:
        raise EncoderTrainingError(
            f"The learning rate is to be above 0 and at most {LARGEST_RATE:g}, not "
            f"{learning_rate:g}."
        )
    usual = _DEFAULTS[what]
    return replace(
        usual,
        side=side,
        epochs=epochs or usual.epochs,
        learning_rate=learning_rate or usual.learning_rate,
    )


@dataclass(frozen=True)
class Parts:
    """Positions of pictures, each ascending: to train on, to stop by, and to compare on."""

    training: Integers
    validation: Integers
    comparison: Integers


def split_pictures(count: int, seed: int) -> Parts:
    """Three parts with no picture in common. Raises EncoderTrainingError where `count` is small."""
    if count < _FEWEST_PICTURES:
        raise EncoderTrainingError(
            f"{count} pictures are too few to train an encoder on: give at least "
            f"{_FEWEST_PICTURES}, better thousands."
        )
    order = np.random.default_rng(seed).permutation(count)
    validation = max(2, round(_VALIDATION_SHARE * count))
    comparison = max(2, round(_COMPARISON_SHARE * count))
    return Parts(
        training=np.sort(order[validation + comparison :]),
        validation=np.sort(order[:validation]),
        comparison=np.sort(order[validation : validation + comparison]),
    )


def draw_captions(owner: Integers, pictures: Integers, rng: np.random.Generator) -> Integers:
    """One caption (n,) of each of n pictures. `owner`: (t,), ascending, each caption's picture."""
    first = np.searchsorted(owner, pictures, side="left")
    count = np.searchsorted(owner, pictures, side="right") - first
    drawn: Integers = first + (rng.random(len(pictures)) * count).astype(np.int64)
    return drawn


def matching_pairs(texts: Sequence[str]) -> NDArray[np.float32]:
    """What a batch of pairs should be taken for, (n, n), each row summing to one.

    Pictures whose captions are the same words fit each other's captions as well as their own.
    """
    _, group = np.unique([text.lower() for text in texts], return_inverse=True)
    same = (group[:, np.newaxis] == group[np.newaxis]).astype(np.float32)
    pairs: NDArray[np.float32] = same / same.sum(axis=1, keepdims=True)
    return pairs
