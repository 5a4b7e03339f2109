"""The calibration of relevance: questions with known answers, probabilities that hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.search.relevance import FEATURES
from training.data import Picture
from training.questions import QuestionMaker, noun_phrases
from training.relevance import bags_of_words
from training.relevance_fit import calibration_error, fit, measure
from training.relevance_scores import Answered

PICTURES = [
    Picture(Path("a.jpg"), "train", ("A brown dog runs on a beach", "a dog near the sea")),
    Picture(Path("b.jpg"), "train", ("A cat sleeps on a red sofa", "a cat on the couch")),
    Picture(Path("c.jpg"), "train", ("A zebra in the tall grass", "a zebra eats")),
    Picture(Path("d.jpg"), "train", ("Two dogs play with a ball", "two dogs and a toy")),
]


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("A brown dog runs on a beach", ["brown dog", "beach"]),
        ("two children playing with a red ball", ["children", "red ball"]),
        ("it is raining", []),
    ],
)
def test_noun_phrases_are_read_by_rule(caption: str, phrases: list[str]) -> None:
    assert noun_phrases(caption) == phrases


def test_questions_without_an_answer_come_from_pictures_that_are_not_searched() -> None:
    maker = QuestionMaker(PICTURES, bags_of_words)
    searched, others = np.array([0, 1, 3]), np.array([2])
    made = maker.make(searched, others, 3, np.random.default_rng(0))
    for question in made:
        assert not (question.fits & question.unclear).any()
        if "zebra" in question.text.lower():
            assert not question.is_answerable
        if question.is_answerable:
            assert "zebra" not in question.text.lower()
    nouns = {question.text: question for question in made if question.kind == "noun"}
    dogs = [question for text, question in nouns.items() if text.endswith(("dog", "dogs"))]
    assert all(question.fits.tolist() == [True, False, True] for question in dogs)


def test_the_error_of_calibration_is_that_of_its_bins() -> None:
    rng = np.random.default_rng(0)
    told = rng.random(20_000)
    assert calibration_error(told, rng.random(20_000) < told) < 0.02
    half = rng.permutation(10_000) < 5000
    assert calibration_error(np.full(10_000, 0.9), half) == pytest.approx(0.4, abs=0.02)


def _answered(rng: np.random.Generator, count: int) -> list[Answered]:
    """Questions whose pictures fit the more likely, the higher their score."""
    made = []
    for row in range(count):
        scores = np.sort(rng.normal(0.3 if row % 2 else 0.1, 0.1, 20))[::-1]
        features = np.zeros((20, len(FEATURES)))
        features[:, FEATURES.index("score")] = scores
        fits = rng.random(20) < 1 / (1 + np.exp(-20 * (scores - 0.4)))
        made.append(Answered(features, fits, np.zeros(20, bool), bool(fits.any()), "caption"))
    return made


def test_what_is_fitted_holds_on_questions_that_it_never_saw() -> None:
    rng = np.random.default_rng(0)
    calibration = fit(_answered(rng, 300), _answered(rng, 300))
    found = measure(calibration, _answered(rng, 300), rng)
    assert found["calibration error"][0] < 0.05
    assert found["precision of answerable questions"][0] > 0.7
    assert found["recall of answerable questions"][0] > 0.7
    scores = np.zeros((50, len(FEATURES)))
    scores[:, FEATURES.index("score")] = np.linspace(0.0, 0.8, 50)
    assert (np.diff(calibration.judge(scores).probability) >= 0).all()
