"""The built-in answerer on real photographs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from retrieval.answering.base import Answerer, EncodedAnswerer
from retrieval.answering.compact import CompactAnswerer
from retrieval.answering.kinds import KINDS
from retrieval.answering.registry import list_answerers, load_answerer
from retrieval.encoders.base import ImageEncoding, Pixels
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.errors import QueryError, UnknownModelError
from retrieval.images.decode import read_image, to_pixels
from tests.support.small_encoder import ColorEncoder


@pytest.fixture(scope="module")
def answerer() -> CompactAnswerer:
    found = load_answerer("compact")
    assert isinstance(found, CompactAnswerer)
    return found


@pytest.fixture(scope="module")
def pixels(photos: Path, answerer: CompactAnswerer) -> Pixels:
    paths = [photos / name for name in ("chelsea.png", "astronaut.png", "motorcycle_left.png")]
    size = answerer.preprocessing.size_px
    return np.stack([to_pixels(read_image(p, size), answerer.preprocessing) for p in paths])


@pytest.mark.parametrize(
    ("question", "place", "answer"),
    [
        ("Is there a cat?", 0, "yes"),
        ("Is there a motorcycle?", 0, "no"),
        ("What animal is this?", 0, "cat"),
        ("Is there a person in the picture?", 1, "yes"),
        ("What vehicle is this?", 2, "motorcycle"),
    ],
)
def test_easy_questions_are_answered(
    answerer: CompactAnswerer, pixels: Pixels, question: str, place: int, answer: str
) -> None:
    assert answerer.answer(question, pixels)[place].text == answer


def test_an_answer_is_of_the_questions_kind_with_its_likelihood(
    answerer: CompactAnswerer, pixels: Pixels
) -> None:
    assert list(answerer.answers) == list(KINDS)
    for question, kind in (("how many cats?", "number"), ("what colour is the cat?", "colour")):
        for answer in answerer.answer(question, pixels):
            assert answer.kind == kind
            told = [(answer.text, answer.confidence), *answer.others]
            assert {text for text, _ in told} <= set(answerer.answers[answer.kind])
            shares = [share for _, share in told]
            assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.0001
    each = answerer.probabilities("is there a cat?", answerer.encode_images(pixels))
    assert each.sum(axis=1) == pytest.approx(np.ones(3))


def test_it_is_sure_of_what_is_plain_and_not_of_everything(
    answerer: CompactAnswerer, pixels: Pixels
) -> None:
    assert answerer.answer("is there a cat?", pixels)[0].is_sure
    asked = ("how many umbrellas?", "where is this?", "what colour is the helmet?", "who is this?")
    assert not all(one.is_sure for text in asked for one in answerer.answer(text, pixels))


def test_an_answer_hangs_neither_on_the_pictures_beside_it_nor_on_capitals(
    answerer: CompactAnswerer, pixels: Pixels
) -> None:
    together = answerer.answer("what animal is this?", pixels)
    alone = answerer.answer("  What  animal is THIS ??", pixels[:1])[0]
    assert alone.text == together[0].text
    assert alone.confidence == pytest.approx(together[0].confidence, abs=1e-4)
    assert answerer.answer("is there a cat?", pixels[:0]) == []


def test_a_question_of_no_kind_is_refused(answerer: CompactAnswerer, pixels: Pixels) -> None:
    with pytest.raises(QueryError, match="cannot answer 'why is it sad\\?'") as refused:
        answerer.answer("why is it sad?", pixels)
    assert refused.value.code == "question-kind"


def test_a_denial_turns_the_answer_around(answerer: CompactAnswerer, pixels: Pixels) -> None:
    is_there = answerer.answer("is there any cat?", pixels)
    is_none = answerer.answer("is there no cat?", pixels)
    assert [answer.text for answer in is_none] == ["no", "yes", "yes"]
    for one, other in zip(is_there, is_none, strict=True):
        assert other.kind == "yes/no" and other.is_sure == one.is_sure
        assert other.confidence == pytest.approx(one.confidence)


def test_a_number_is_answered_as_it_is_counted(answerer: CompactAnswerer, pixels: Pixels) -> None:
    counted = answerer.answer("how many cats are there?", pixels)[0]
    assert counted.text == "1"
    for question, answer in (
        ("are there three cats?", "no"),
        ("is there exactly one cat?", "yes"),
        ("are there more than two cats?", "no"),
    ):
        found = answerer.answer(question, pixels)[0]
        assert (found.text, found.kind) == (answer, "yes/no"), question
    assert found.confidence >= counted.confidence


@pytest.mark.parametrize("question", ["how many?", "is", "what time is it?", "are there 12 cats?"])
def test_what_cannot_be_answered_so_is_refused(
    answerer: CompactAnswerer, pixels: Pixels, question: str
) -> None:
    with pytest.raises(QueryError, match="cannot answer") as refused:
        answerer.answer(question, pixels)
    assert refused.value.code == "question-kind"


def test_pictures_without_patch_tokens_are_refused(answerer: CompactAnswerer) -> None:
    with pytest.raises(ValueError, match="patch tokens"):
        answerer.answer_encoded("is it red?", ImageEncoding(np.zeros((1, 264), np.float32)))


def test_it_is_an_answerer_of_encoded_pictures(answerer: CompactAnswerer) -> None:
    assert isinstance(answerer, Answerer) and isinstance(answerer, EncodedAnswerer)
    assert answerer.space == CompactEncoder().space


def test_a_model_without_an_answerer_says_so_and_auto_takes_the_built_in_one(
    tmp_path: Path,
) -> None:
    shutil.copytree(COMPACT_DIR, tmp_path / "model")
    own = CompactEncoder(tmp_path / "model")
    assert CompactAnswerer(own).name == "compact"
    for name in ("answers.onnx", "answers.json"):
        (tmp_path / "model" / name).unlink()
        with pytest.raises(UnknownModelError, match="carries no answerer"):
            CompactAnswerer(own)
    for encoder in (own, ColorEncoder(), None):
        assert load_answerer("auto", encoder).name == "compact"


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownModelError, match="no answerer called oracle: give one of auto"):
        load_answerer("oracle")
    assert [info.name for info in list_answerers()][:2] == ["auto", "compact"]
