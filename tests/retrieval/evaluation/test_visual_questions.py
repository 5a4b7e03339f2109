"""Questions made of captions: what may be asked, and what its answer is."""

from __future__ import annotations

from collections import Counter

import pytest

from retrieval.answering.kinds import kind_of
from retrieval.evaluation.caption_facts import Told, colours, counts, deeds, places, uses
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.lexicon import lexicon, plural, stem
from retrieval.evaluation.visual_questions import make_questions

BEACH = (
    "Two brown dogs run on the beach",
    "two dogs are running across a sandy beach",
    "Two brown dogs at the sea",
    "the two dogs are playing in the sand of a beach",
)
RIDER = (
    "A man in a red shirt rides a horse",
    "A man is riding a brown horse in a field",
    "A man wearing a red shirt riding a horse",
    "A man on a horse in a grassy field",
)


def told(*captions: str) -> Told:
    return Told.of(CaptionedImage("x.jpg", None, captions))


def counted(*captions: str) -> dict[str, int]:
    return {thing.name: count for thing, count in counts(told(*captions))}


@pytest.mark.parametrize(
    ("one", "many"),
    [("dog", "dogs"), ("man", "men"), ("person", "people"), ("bench", "benches"), ("bus", "buses"),
     ("puppy", "puppies"), ("sheep", "sheep"), ("glasses", "glasses"), ("boy", "boys")],
)  # fmt: skip
def test_singular_and_plural(one: str, many: str) -> None:
    assert stem(many) == one and stem(one) == one
    if one != "bus":
        assert plural(one) == many


def test_two_words_that_name_one_thing_are_one() -> None:
    words = lexicon().words("A teddy bear eats a hot dog near two traffic lights")
    assert [w.stem for w in words if w.stem in lexicon()] == ["teddy bear", "traffic light"]
    assert "dog" not in {word.stem for word in words}


def test_numbers_hold_where_people_agree() -> None:
    assert counted(*BEACH) == {"dog": 2}
    assert counted(*RIDER) == {"person": 1, "man": 1, "horse": 1}
    assert "dog" not in counted("two dogs", "three dogs play", "two dogs run", "dogs")
    assert "dog" not in counted("a dog runs after another dog", "a dog", "a dog", "a dog in snow")
    assert "person" not in counted("a man and a woman", "a man", "a man", "a man")


def test_colours_are_bound_to_their_nouns() -> None:
    assert dict(colours(told(*RIDER))) == {"shirt": ("red",), "horse": ("brown",)}
    assert dict(colours(told("a black and white cat on a blue chair"))) == {
        "cat": ("black", "white"),
        "chair": ("blue",),
    }
    # Several of them, and a colour that belongs to nothing named.
    assert not dict(colours(told(*BEACH)))
    assert not dict(colours(told("a woman in red on a horse")))


def test_places_deeds_and_what_is_used() -> None:
    assert places(told(*BEACH)) == ["beach", "ocean", "water"][: len(places(told(*BEACH)))]
    assert "beach" in places(told(*BEACH))
    assert deeds(told(*BEACH)) == ("dogs", ["playing", "running"])
    assert uses(told(*RIDER))[("man", "riding")] == ["horse"]


def test_what_is_near_to_what_is_named_is_not_taken_to_be_absent() -> None:
    rider = told(*RIDER)
    assert rider.is_without(lexicon()["dog"]) is False or "animal" not in rider.named
    assert rider.is_without(lexicon()["train"])
    assert not rider.is_without(lexicon()["horse"])
    # A field may well have a park around it, a man may be anyone's father.
    assert not rider.is_without(lexicon()["park"])
    assert not rider.is_without(lexicon()["person"])
    # Too few people wrote.
    assert not told("a man rides a horse").is_without(lexicon()["train"])


def test_questions_are_of_the_kind_that_their_words_say_and_balanced() -> None:
    pictures = [
        CaptionedImage(f"{i}.jpg", None, captions) for i, captions in enumerate([BEACH, RIDER] * 20)
    ]
    made = make_questions(pictures)
    assert made == make_questions(pictures) and made != make_questions(pictures, 1)
    assert [one.picture for one in made] == sorted(one.picture for one in made)
    for one in made:
        assert kind_of(one.text) == one.kind, one
        assert one.answers
    # About every thing, yes is right as often as no: the words alone tell nothing.
    presence = [one for one in made if one.kind == "yes/no" and "horse" in one.text]
    assert presence
    asked = [one for one in presence if not one.text.startswith("is the horse")]
    answers = Counter(answer for one in asked for answer in one.answers)
    assert answers["yes"] == answers["no"] > 0
    for one in asked:
        assert one.answers == (("yes",) if one.picture % 2 else ("no",))
