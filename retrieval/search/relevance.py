"""How likely a picture is to fit its question: a score on a scale that means the same everywhere.

A cosine of 0.3 is much for one question and little for another. So each question is held against
a cohort of ordinary photographs first: how near they are to it, and how differently, says what is
usual, as cohorts of strangers do in speaker verification (Auckenthaler, Carey and Lloyd-Thomas,
Score normalization for text-independent speaker verification systems, 2000). A logistic model over
that and isotonic steps make it a probability; both are fitted by `training.relevance` and lie
beside the model.

Since the cohort stands for the rest of the world, the judgement of a picture depends neither on
how many others are indexed nor on what a filter leaves of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import TextEncoding, Vectors
from retrieval.errors import RelevanceUnknownError

Floats = NDArray[np.float64]

SETTINGS_FILE = "relevance.json"
COHORT_FILE = "relevance_cohort.npy"

# What `features` gives, in this order.
FEATURES = (
    "usual", "spread", "close", "words", "pieces", "second_mean", "second_best", "score",
    "score*usual", "score*spread", "score*close", "score*words", "score*pieces",
)  # fmt: skip
# So many of these say how much a score counts.
_CROSSED = 5
# A question's nearest share of the cohort.
_CLOSE = 0.05


class Relevance(NamedTuple):
    """Of n answers: `probability`, float64 (n,), and whether each one `fits`, bool (n,)."""

    probability: Floats
    fits: NDArray[np.bool_]

    def followed_by(self, rest: Relevance) -> Relevance:
        """These answers and others behind them."""
        return Relevance(
            np.concatenate([self.probability, rest.probability]),
            np.concatenate([self.fits, rest.fits]),
        )


@dataclass(frozen=True)
class Calibration:
    """From features to probabilities.

    `weights` (f,) and `bias` are of the logistic model; `steps` (2, s) are pairs of its result and
    of what pictures with that result turned out to be, between which lines are drawn. From
    `threshold` on a picture fits well.
    """

    weights: Floats
    bias: float
    steps: Floats
    threshold: float

    def judge(self, features: Floats) -> Relevance:
        """Probabilities for features (n, f)."""
        logits = np.clip(features @ self.weights + self.bias, -60.0, 60.0)
        raw = 1.0 / (1.0 + np.exp(-logits))
        probability = np.interp(raw, self.steps[0], self.steps[1])
        return Relevance(probability, probability >= self.threshold)

    def as_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return {
            "weights": dict(zip(FEATURES, self.weights.round(6).tolist(), strict=True)),
            "bias": round(self.bias, 6),
            "steps": self.steps.round(5).tolist(),
            "threshold": round(self.threshold, 4),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Calibration:
        """From what `as_json` made. Raises KeyError, TypeError, ValueError."""
        return cls(
            np.array([float(told["weights"][name]) for name in FEATURES]),
            float(told["bias"]),
            np.array(told["steps"], dtype=np.float64),
            float(told["threshold"]),
        )


class RelevanceModel:
    """The calibrations of one model and its cohort, float32 (c, dim) of unit length.

    A calibration is named by the way that an answer has come: `first`, by the first stage alone;
    `second`, looked at again by the built-in reranker; `languages`, through the text tower for
    other languages.
    """

    def __init__(self, cohort: Vectors, calibrations: Mapping[str, Calibration]) -> None:
        self._cohort = cohort
        self._calibrations = dict(calibrations)

    @classmethod
    def beside(cls, model_dir: Path, fingerprint: str) -> RelevanceModel | None:
        """The one in a model's folder; None where there is none for vectors of that fingerprint."""
        try:
            told = json.loads((model_dir / SETTINGS_FILE).read_text("utf-8"))
            if told["fingerprint"] != fingerprint:
                return None
            codes = np.load(model_dir / COHORT_FILE, allow_pickle=False)
            calibrations = {
                way: Calibration.from_json(one) for way, one in told["calibrations"].items()
            }
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return cls(decoded_cohort(codes), calibrations)

    def write(self, model_dir: Path, fingerprint: str, measured: Mapping[str, Any]) -> None:
        """Leave it in a model's folder, with what was measured of it."""
        np.save(model_dir / COHORT_FILE, coded_cohort(self._cohort))
        told = {
            "fingerprint": fingerprint,
            "calibrations": {way: one.as_json() for way, one in self._calibrations.items()},
            "measured": measured,
        }
        (model_dir / SETTINGS_FILE).write_text(json.dumps(told, indent=2) + "\n", "utf-8")

    @property
    def cohort(self) -> Vectors:
        """Vectors of ordinary photographs, float32 (c, dim)."""
        return self._cohort

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """By the ways that answers come."""
        return dict(self._calibrations)

    def judge(
        self, text: str, encoding: TextEncoding, first: Floats, added: Floats | None = None
    ) -> Relevance | None:
        """How likely each of n answers is to fit a question of one text.

        `first`: (n,) scores of the first stage. `added`: (c,), c ≤ n, what the built-in reranker
        added to those of the first c, which are then judged by both. None where the way that they
        came was not calibrated.
        """
        if added is not None and "second" in self._calibrations:
            looked = len(added)
            given = features(text, encoding, self._cohort, first[:looked] + added, added)
            above = self._calibrations["second"].judge(given)
            below = self.judge(text, encoding, first[looked:])
            return above if below is None else above.followed_by(below)
        way = "languages" if encoding.in_other_language else "first"
        calibration = self._calibrations.get(way)
        if calibration is None:
            return None
        return calibration.judge(features(text, encoding, self._cohort, first))


def require_judged(model: RelevanceModel | None, text: str | None, name: str) -> None:
    """Raise RelevanceUnknownError where answers to a question cannot be judged."""
    if text is None:
        raise RelevanceUnknownError(
            "Whether a picture fits is known only of a question in words alone."
        )
    if model is None:
        raise RelevanceUnknownError(
            f"The model {name} was not made to say whether a picture fits: set a lowest score."
        )


def features(
    text: str,
    encoding: TextEncoding,
    cohort: Vectors,
    scores: Floats,
    second: Floats | None = None,
) -> Floats:
    """What tells fitting answers from others, float64 (n, len(FEATURES)).

    Of the question: `usual`, `spread`, the mean and the deviation of its cosines with the cohort;
    `close`, the mean of the cohort's nearest twentieth; `words`, the logarithm of their number;
    `pieces`, the share of word pieces that go on with a word, many where the words are unknown;
    `second_mean`, `second_best`, of what a reranker added to the candidates. Then the answer's
    `score`, and how much it counts for this question.
    """
    near = np.sort((cohort @ encoding.vectors[0]).astype(np.float64))
    added = np.zeros(1) if second is None or not len(second) else second
    of_question = np.array(
        [
            near.mean(),
            near.std(),
            near[-max(1, round(_CLOSE * len(near))) :].mean(),
            np.log1p(len(text.split())),
            _share_of_pieces(encoding),
            added.mean(),
            added.max(),
        ]
    )
    known = np.asarray(scores, dtype=np.float64)[:, np.newaxis]
    own = np.tile(of_question, (len(known), 1))
    return np.hstack([own, known, known * own[:, :_CROSSED]])


def coded_cohort(vectors: Vectors) -> NDArray[np.int8]:
    """Unit vectors (c, dim) in eight bits, each with a scale of its own that is not kept."""
    peak = np.abs(vectors).max(axis=1, keepdims=True)
    codes: NDArray[np.int8] = np.rint(vectors / peak * 127.0).astype(np.int8)
    return codes


def decoded_cohort(codes: NDArray[np.int8]) -> Vectors:
    """Unit vectors, float32 (c, dim), of `coded_cohort`'s."""
    vectors = codes.astype(np.float32)
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _share_of_pieces(encoding: TextEncoding) -> float:
    if encoding.words is None or encoding.word_mask is None:
        return 0.0
    kept = [
        word
        for word, counts in zip(encoding.words[0], encoding.word_mask[0], strict=True)
        if counts
    ]
    return sum(word.startswith("##") for word in kept) / max(1, len(kept))
