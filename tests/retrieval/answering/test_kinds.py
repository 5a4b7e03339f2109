"""What a question wants and is about, told by its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.answering.kinds import Kind, kind_of, plain, subject_of
from retrieval.answering.reading import Reading, read
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


@pytest.mark.parametrize(
    "question",
    [
        "how many?", "how many are there?", "is", "is it?", "are there any?", "do you see?",
        "what?", "what is", "who?", "where?", "what colour?", "what time is it?",
        "what's the time?", "what time of day is it?", "which year was this taken in?",
        "what is the weather like?", "what is the dog\u2019s name?", "what number is on the shirt?",
        "what does the sign say?",
    ],
)  # fmt: skip
def test_what_names_nothing_or_no_picture_shows_has_no_kind(question: str) -> None:
    assert kind_of(question) is None


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("what is this?", "object"),
        ("what\u2019s this?", "object"),
        ("who are they?", "object"),
        ("where is this?", "place"),
        ("what colour is it?", "colour"),
        ("what can you see here?", "object"),
        ("is it red?", "yes/no"),
        ("what is the number of dogs?", "number"),
        ("is there a clock that shows the time?", "yes/no"),
    ],
)
def test_what_is_asked_of_the_whole_picture_has_one(question: str, kind: Kind) -> None:
    assert kind_of(question) == kind


_COUNTS = ("0", "1", "2", "3", "4", "5", "6")
_NO = frozenset({"no"})


@pytest.mark.parametrize(
    ("question", "reading"),
    [
        ("Is there no dog?", Reading("yes/no", "is there any dog", "yes/no", _NO)),
        ("do you see no dogs here?", Reading("yes/no", "is there any dogs here", "yes/no", _NO)),
        ("is there nobody?", Reading("yes/no", "is there any people", "yes/no", _NO)),
        ("is there no one in it?", Reading("yes/no", "is there any people in it", "yes/no", _NO)),
        ("isn't there a dog?", Reading("yes/no", "is there a dog", "yes/no")),
        ("is there one dog?", Reading("yes/no", "is there one dog", "yes/no")),
        ("what is this?", Reading("object", "what is this", "object")),
    ],
)
def test_a_denial_is_asked_without_its_no(question: str, reading: Reading) -> None:
    assert read(question, _COUNTS) == reading


@pytest.mark.parametrize(
    ("question", "yes"),
    [
        ("are there two dogs?", "2"),
        ("are there any 2 dogs?", "2"),
        ("is there exactly one dog?", "1"),
        ("are there more than four dogs?", "56"),
        ("do you see at least 4 dogs?", "456"),
        ("are there fewer than two dogs?", "01"),
        ("are there no more than two dogs?", "012"),
    ],
)
def test_a_number_of_things_is_counted(question: str, yes: str) -> None:
    reading = read(question, _COUNTS)
    assert reading is not None and reading.kind == "yes/no" and reading.asked == "number"
    assert kind_of(reading.text) == "number"
    assert reading.yes == frozenset(yes)


@pytest.mark.parametrize(
    "question",
    [
        "are there 12 dogs?", "are there seven dogs?", "are there a dozen dogs?",
        "are there more than 6 dogs?", "are there -3 dogs?", "are there 2.5 dogs?",
        "are there two or three dogs?", "was this taken in the 1980s?", "is it 5 o'clock?",
        "is it 5 pm?", "is the dog not running?", "is there a dog without a collar?",
        "is there not a dog?", "is nobody there?", "how many dogs are not running?",
    ],
)  # fmt: skip
def test_numbers_that_are_not_counted_and_other_denials_are_not_read(question: str) -> None:
    assert read(question, _COUNTS) is None


@given(st.text(max_size=60))
def test_any_text_is_read_or_not(text: str) -> None:
    reading = read(text, _COUNTS)
    assert reading is None or kind_of(reading.text) == reading.asked


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
        ("which photos have no cat?", "a photo", "is there a cat?", "no"),
        ("which photos have no old car in a street?", "a photo",
         "is there an old car in a street?", "no"),
        ("which photos show no snow?", "a photo", "is there snow?", "no"),
        ("which dog photos do not show a ball?", "dog", "is there a ball?", "no"),
    ],
)  # fmt: skip
def test_which_of_many_is_read(question: str, search: str, asked: str, wanted: str) -> None:
    assert read_which(question) == Which(search, asked, wanted)


@pytest.mark.parametrize("question", ["how many dogs?", "which dog is this?", "is there a photo?"])
def test_a_question_about_one_picture_is_not_about_many(question: str) -> None:
    assert read_which(question) is None
