"""Questions of several parts, and what English says that it does not want."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.query.filters import Tagged
from retrieval.query.negation import read_negation
from retrieval.query.query import Query, Term


def test_a_question_is_made_of_parts_and_stays_as_it_is() -> None:
    beach = Query.of("a beach")
    whole = beach.like(Path("ref.jpg"), weight=0.5).minus("people").where(Tagged("sea"))
    assert beach == Query((Term("a beach"),)) and beach.is_plain
    assert whole.wanted == (Term("a beach"), Term(Path("ref.jpg"), 0.5))
    assert whole.unwanted == (Term("people"),)
    assert whole.where(Tagged("sun")).filter == Tagged("sea") & Tagged("sun")
    assert (beach.words, whole.words, beach.like("sun").words) == ("a beach", None, "a beach, sun")


def test_parts_that_make_no_sense_are_refused() -> None:
    for value, weight in (("", 1), ("a", 0), ("a", -1), ("a", float("nan")), ("a", 1e9)):
        with pytest.raises(ValueError):
            Query.of(value, weight)
    with pytest.raises(TypeError):
        Query.of("a", "heavy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="asks for something"):
        Query(())


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("a beach without people", "a beach", ["people"]),
        ("A street with no cars", "A street", ["cars"]),
        ("a cat not on a sofa", "a cat", ["on a sofa"]),
        ("a dog, not a cat", "a dog", ["cat"]),
        ("a kitchen without any people or dogs, in the evening", "a kitchen, in the evening",
         ["people", "dogs"]),
        ("a red car with no driver in a garage", "a red car in a garage", ["driver"]),
        ("people except children", "people", ["children"]),
        ("a dog on a beach", "a dog on a beach", []),
        ("no smoking sign", "no smoking sign", []),
        ("no people", "a photo", ["people"]),
        ("without dogs or cats", "a photo", ["dogs", "cats"]),
        ("no parking", "no parking", []),
        ("a dog -beach -people", "a dog", ["beach", "people"]),
        ("-snow", "a photo", ["snow"]),
        ("a t-shirt - red, -5 degrees", "a t-shirt - red, -5 degrees", []),
        ("a house not far from the sea", "a house not far from the sea", []),
        ("a notice board", "a notice board", []),
        ("a knot of rope", "a knot of rope", []),
        ("without", "without", []),
    ],
)  # fmt: skip
def test_what_is_not_wanted_is_told_from_the_words(
    text: str, wanted: str, unwanted: list[str]
) -> None:
    query = read_negation(text)
    assert [term.value for term in query.wanted] == [wanted]
    assert [term.value for term in query.unwanted] == unwanted
