"""The calibration of relevance fitted and measured; see `training.relevance`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from retrieval.search.relevance import Calibration
from training.questions import KINDS, QuestionMaker
from training.relevance_scores import Answered, Asked, Floats, of_top

# What a person sees at once.
SHOWN = 10
# Deeper ones are learnt from as well: somebody asks for a hundred.
_LEARNT = 20
_RESAMPLES = 500
_BINS = 10
_KNOTS = 24


def split_questions(
    maker: QuestionMaker,
    pictures: NDArray[np.int64],
    count: int,
    draws: int,
    shares: Sequence[float],
    rng: np.random.Generator,
) -> list[Asked]:
    """Questions about random parts of the pictures, `draws` parts of each share of them."""
    asked = []
    for share in shares:
        for _ in range(draws):
            order = rng.permutation(pictures)
            searched = np.sort(order[: max(2, round(share * len(order)))])
            others = np.sort(order[len(searched) :])
            made = maker.make(searched, others, count, rng)
            asked += [Asked(question, searched) for question in made]
    return asked


def fit(learnt: Sequence[Answered], chosen: Sequence[Answered]) -> Calibration:
    """A calibration: the logistic model from the one, its steps and threshold from the other."""
    given, fits = of_top(learnt, _LEARNT)
    mean, deviation = given.mean(axis=0), np.maximum(given.std(axis=0), 1e-9)
    logistic = LogisticRegression(C=1.0, max_iter=2000)
    logistic.fit((given - mean) / deviation, fits)
    weights = logistic.coef_[0] / deviation
    bias = float(logistic.intercept_[0] - weights @ mean)
    raw = Calibration(weights, bias, np.array([[0.0, 1.0], [0.0, 1.0]]), 0.5)
    steps = _steps(*_judged(raw, chosen))
    calibration = Calibration(weights, bias, steps, 0.5)
    return Calibration(weights, bias, steps, _threshold(calibration, chosen))


def measure(
    calibration: Calibration, judged: Sequence[Answered], rng: np.random.Generator
) -> dict[str, Any]:
    """What the calibration is worth on questions that it was not fitted on.

    Precision and recall of answerable questions, a question counting as answerable where one of
    the pictures shown fits well; of pictures shown; and the expected calibration error, all with
    95 % intervals from questions drawn anew.
    """
    best = np.array([_best(calibration, one) for one in judged])
    told = best >= calibration.threshold
    truth = np.array([one.is_answerable for one in judged])
    kinds = np.array([one.kind for one in judged])
    pairs = [_judged(calibration, [one]) for one in judged]

    def figures(rows: NDArray[np.int64]) -> list[float]:
        probability = np.concatenate([pairs[row][0] for row in rows])
        fits = np.concatenate([pairs[row][1] for row in rows])
        shown = probability >= calibration.threshold
        return [
            *_precision_recall(told[rows], truth[rows]),
            *_precision_recall(shown, fits),
            calibration_error(probability, fits),
        ]

    everything = np.arange(len(judged))
    drawn = np.array(
        [figures(rng.integers(0, len(judged), len(judged))) for _ in range(_RESAMPLES)]
    )
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=0)
    names = (
        "precision of answerable questions", "recall of answerable questions",
        "precision of pictures shown", "recall of pictures shown", "calibration error",
    )  # fmt: skip
    found: dict[str, Any] = {
        name: [round(float(number), 3) for number in numbers]
        for name, *numbers in zip(names, figures(everything), low, high, strict=True)
    }
    for kind in KINDS:
        mine = kinds == kind
        if mine.any():
            values = _precision_recall(told[mine], truth[mine])
            found[f"{kind}: precision, recall"] = [round(float(value), 3) for value in values]
    return found | {"questions": len(judged), "answerable": int(truth.sum())}


def calibration_error(probability: Floats, fits: NDArray[np.bool_], bins: int = _BINS) -> float:
    """Expected calibration error over bins of equal numbers (Naeini, Cooper and Hauskrecht,
    Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015)."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(probability[part].mean() - fits[part].mean()) for part in parts]
    return float(sum(gaps) / len(order))


def _judged(
    calibration: Calibration, answered: Sequence[Answered]
) -> tuple[Floats, NDArray[np.bool_]]:
    given, fits = of_top(answered, SHOWN)
    return calibration.judge(given).probability, fits


def _best(calibration: Calibration, one: Answered) -> float:
    return float(calibration.judge(one.features[:SHOWN]).probability.max())


def _steps(raw: Floats, fits: NDArray[np.bool_]) -> Floats:
    """Isotonic regression as few points, between which lines are drawn."""
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(raw, fits)
    at = np.unique(np.quantile(raw, np.linspace(0.0, 1.0, _KNOTS)))
    # The mean around each point, so that a jump between two of them leaves no bias.
    edges = np.concatenate([[0.0], (at[1:] + at[:-1]) / 2, [1.0]])
    fitted = isotonic.predict(raw)
    means = [
        fitted[mine].mean() if (mine := (raw >= low) & (raw <= high)).any() else np.nan
        for low, high in pairwise(edges)
    ]
    there = ~np.isnan(means)
    at, values = at[there], np.maximum.accumulate(np.array(means)[there])
    return np.array([[0.0, *at, 1.0], [values[0], *values, values[-1]]])


def _threshold(calibration: Calibration, chosen: Sequence[Answered]) -> float:
    """From where a picture fits well: where most questions are told apart, both kinds alike."""
    best = np.array([_best(calibration, one) for one in chosen])
    truth = np.array([one.is_answerable for one in chosen])
    if truth.all() or not truth.any():
        return 0.5
    grid = np.unique(best)
    found = [(best[truth] >= at).mean() + (best[~truth] < at).mean() for at in grid]
    return float(grid[int(np.argmax(found))])


def _precision_recall(told: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    right = float((told & truth).sum())
    return (
        right / told.sum() if told.any() else float("nan"),
        right / truth.sum() if truth.any() else float("nan"),
    )
