"""What a question wants and is about, told by its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.answering.kinds import Kind, kind_of, plain, subject_of
from retrieval.answering.which import Which, read_which


@pytest.mark.parametrize(
    ("question", "kind", "subject"),
    [
        ("Is there a dog?", "yes/no", "a dog"),
        ("are there any dogs in the picture?", "yes/no", "dogs"),
        ("Do you see a dog on a sofa?", "yes/no", "a dog on a sofa"),
        ("Is the shirt red?", "yes/no", "the shirt red"),
        ("How many dogs are there?", "number", "dogs"),
        ("how many women do you see?", "number", "women"),
        ("What colour is the shirt?", "colour", "the shirt"),
        ("which color are the trousers", "colour", "the trousers"),
        ("What is the man riding?", "object", "the man riding"),
        ("Who is in the picture?", "object", "who is in the picture"),
        ("what do you see?", "object", "what do you see"),
        ("Where is the dog?", "place", "the dog"),
        ("What place is this?", "place", "place is this"),
        ("What is the dog doing?", "action", "the dog"),
        ("What does the dog do?", "action", "does the dog"),
    ],
)
def test_the_kind_and_the_subject_of_a_question(question: str, kind: Kind, subject: str) -> None:
    assert kind_of(question) == kind
    assert subject_of(question) == subject


@pytest.mark.parametrize("question", ["why is he sad?", "describe this", "dog", "?"])
def test_other_questions_have_no_kind(question: str) -> None:
    assert kind_of(question) is None


@given(st.text(max_size=60))
def test_any_text_has_a_plain_form_that_stays_and_a_subject(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert kind_of(text) == kind_of(plain(text))
    assert bool(subject_of(text)) == bool(plain(text))


@pytest.mark.parametrize(
    ("question", "search", "asked", "wanted"),
    [
        ("Which of my beach photos has a dog?", "beach, a dog", "is there a dog?", "yes"),
        ("which of my photos have dogs?", "dogs", "are there any dogs?", "yes"),
        ("which photos show a cat in a bed", "a cat in a bed", "is there a cat in a bed?", "yes"),
        ("which pictures of cars are red?", "cars, red", "is it red?", "yes"),
        ("which images were taken in snow?", "in snow", "was this taken in snow?", "yes"),
        ("which of my street photos have no people?", "street", "are there any people?", "no"),
        ("which dog photos do not show a ball?", "dog", "is there a ball?", "no"),
    ],
)  # fmt: skip
def test_which_of_many_is_read(question: str, search: str, asked: str, wanted: str) -> None:
    assert read_which(question) == Which(search, asked, wanted)


@pytest.mark.parametrize("question", ["how many dogs?", "which dog is this?", "is there a photo?"])
def test_a_question_about_one_picture_is_not_about_many(question: str) -> None:
    assert read_which(question) is None
