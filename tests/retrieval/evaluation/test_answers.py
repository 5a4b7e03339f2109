"""How often an answerer is right: measured, with one whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.answering.base import Answer, best_answers
from retrieval.answering.kinds import kind_of
from retrieval.answering.registry import load_answerer
from retrieval.encoders.base import Pixels
from retrieval.evaluation.answers import evaluate_answers
from retrieval.evaluation.captions import CaptionedImage, CaptionsError, read_captions
from retrieval.images.preprocess import Preprocessing
from samples.photos import CAPTIONS

CAT = ("a brown cat", "a brown cat looks", "a cat is looking", "the cat looks up")
CAR = ("a motorcycle in a garage", "a red motorcycle", "one motorcycle", "a parked motorcycle")


class ColourSeer:
    """Says yes of pictures that are rather red; sure where they are very much so."""

    name = "colour"
    preprocessing = Preprocessing(16, "squash", "bicubic")

    def answer(self, question: str, pixels: Pixels) -> list[Answer]:
        red = pixels[..., 0].mean(axis=(1, 2)) - pixels[..., 2].mean(axis=(1, 2))
        return [
            best_answers([("yes" if own > 10 else "no", 0.5 + abs(own) / 512)], 0.55, "yes/no")
            for own in red.tolist()
        ]


@pytest.fixture(scope="module")
def pictures() -> list[CaptionedImage]:
    named = [("chelsea.png", CAT), ("motorcycle_left.png", CAR)]
    return [CaptionedImage(name, None, captions) for name, captions in named]


def test_each_kind_of_question_has_its_measures(
    pictures: list[CaptionedImage], photos: Path
) -> None:
    found = evaluate_answers(ColourSeer(), pictures, photos, swapped=True)
    assert found.answerer == "colour" and found.pictures == 2 and not found.skipped
    assert found.questions == sum(one.questions for one in found.kinds)
    kinds = {one.kind: one for one in found.kinds}
    assert {"yes/no", "object", "colour"} <= set(kinds)
    # It never says a colour, and never more than it has.
    assert kinds["colour"].accuracy == 0 and kinds["colour"].majority_answer in ("brown", "red")
    for one in found.kinds:
        assert 0 <= one.accuracy <= 1 and 0 < one.majority <= 1 and 0 <= one.sure <= 1
        assert one.swapped is not None
        assert (one.sure_accuracy is None) == (one.sure == 0)


def test_the_built_in_answerer_beats_chance_on_real_photographs(photos: Path) -> None:
    found = evaluate_answers(load_answerer("compact"), read_captions(CAPTIONS), photos)
    named = next(one for one in found.kinds if one.kind == "object")
    assert named.accuracy > 0.3
    assert all(one.swapped is None for one in found.kinds)


def test_missing_pictures_are_listed_and_none_at_all_is_an_error(
    pictures: list[CaptionedImage], photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "chelsea.png").write_bytes((photos / "chelsea.png").read_bytes())
    (tmp_path / "motorcycle_left.png").write_bytes(b"no picture")
    found = evaluate_answers(ColourSeer(), pictures, tmp_path)
    assert [one.name for one in found.skipped] == ["motorcycle_left.png"]
    with pytest.raises(CaptionsError, match="check the folder"):
        evaluate_answers(ColourSeer(), pictures[:0], tmp_path / "none")
    with pytest.raises(CaptionsError, match="answer no question"):
        evaluate_answers(
            ColourSeer(), [CaptionedImage("chelsea.png", None, ("nothing at all",))], photos
        )


def test_best_answers_keep_what_is_next() -> None:
    best = best_answers(
        [("two", 0.6), ("three", 0.3), ("four", 0.1)], 0.5, kind_of("how many dogs?"), 1
    )
    assert best == Answer("two", 0.6, True, "number", (("three", 0.3),))
    assert not best_answers([("two", np.float64(0.9))], None, None).is_sure
