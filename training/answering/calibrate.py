"""How sure the answerer may be: a temperature and a least confidence for each kind of question.

Guo et al., *On Calibration of Modern Neural Networks* (ICML 2017): one temperature, fitted on what
was not learnt from, makes confidences mean what they say. From the least confidence on, at which
the answers held out were right often enough, an answer is told without reserve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from retrieval.answering.kinds import Kind

Floats = NDArray[np.float64]

# How often an answer that is told without reserve is to be right, and of how many that is judged.
SURE_ACCURACY = 0.9
LEAST_JUDGED = 50
# What is as likely wrong as right is no sure answer, whatever the surer ones make up for.
_LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Judged:
    """Questions of one kind: `logits` (n, answers) and which are right, bool (n, answers)."""

    logits: Floats
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """The temperature, and the least confidence; None where none is enough."""

    temperature: float
    sure: float | None


def calibrate(judged: Judged, wanted: float = SURE_ACCURACY) -> Calibration:
    """The temperature of least surprise, and the least confidence that is right often enough."""
    fitted = minimize_scalar(
        lambda log: _surprise(judged, float(np.exp(log))), bounds=(-2.0, 3.0), method="bounded"
    )
    temperature = float(np.exp(fitted.x))
    shares = probabilities(judged.logits, temperature)
    best = shares.argmax(axis=1)
    is_right = judged.right[np.arange(len(best)), best]
    return Calibration(temperature, least_sure(shares.max(axis=1), is_right, wanted))


def least_sure(
    confidences: Floats, is_right: NDArray[np.bool_], wanted: float = SURE_ACCURACY
) -> float | None:
    """The lowest confidence from which on answers are right in the share that is wanted."""
    order = np.argsort(-confidences, kind="stable")
    share = np.cumsum(is_right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero((share >= wanted) & (np.arange(len(order)) + 1 >= LEAST_JUDGED))
    if not len(enough):
        return None
    return max(_LEAST_CONFIDENCE, float(confidences[order[enough[-1]]]))


def probabilities(logits: Floats, temperature: float) -> Floats:
    """Of answers, (n, answers), from their logits."""
    scaled = logits / temperature
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    found: Floats = shares / shares.sum(axis=1, keepdims=True)
    return found


def _surprise(judged: Judged, temperature: float) -> float:
    shares = (probabilities(judged.logits, temperature) * judged.right).sum(axis=1)
    return float(-np.log(np.maximum(shares, 1e-12)).mean())


def settings(
    fingerprint: str,
    answers: Mapping[Kind, Sequence[str]],
    calibrations: Mapping[Kind, Calibration],
    measured: Mapping[Kind, object],
) -> dict[str, object]:
    """What `answers.json` says."""
    return {
        "fingerprint": fingerprint,
        "answers": {kind: list(those) for kind, those in answers.items()},
        "temperature": {kind: round(own.temperature, 4) for kind, own in calibrations.items()},
        "sure": {
            kind: None if own.sure is None else round(own.sure, 4)
            for kind, own in calibrations.items()
        },
        "measured": dict(measured),
    }
