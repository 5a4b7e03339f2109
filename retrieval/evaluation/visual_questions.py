"""Questions about pictures, with their answers, made of captions by rule.

What several people wrote says what is in a picture, how many, and of which colour; what none of
them names, nor anything near it, is taken to be absent. What they disagree about is not asked.
Antol et al., *VQA: Visual Question Answering* (ICCV 2015) had people ask; Ren, Kiros and Zemel,
*Exploring Models and Data for Image Question Answering* (NeurIPS 2015) made questions of captions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.answering.kinds import Kind
from retrieval.evaluation import caption_facts as facts
from retrieval.evaluation.caption_facts import COLOURS, Told
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.lexicon import PLURAL_ONLY, Thing, lexicon, plural

# Colours that people take for one another: of these none is asked for in place of another.
_ALIKE = (
    {"yellow", "orange"}, {"orange", "red"}, {"red", "pink"}, {"pink", "purple"},
    {"purple", "blue"}, {"white", "gray"}, {"gray", "black"}, {"brown", "orange"},
    {"yellow", "brown"}, {"gray", "brown"}, {"blue", "gray"}, {"blue", "black"},
    {"brown", "black"}, {"green", "blue"}, {"yellow", "white"},
)  # fmt: skip
# Captions name most things once, and leave countless ones out; more than this would teach nothing.
_SHARE_OF_ONE, _SHARE_OF_NONE = 0.35, 0.25

_THERE = (
    "is there {a} in the picture?", "is there {a}?", "do you see {a}?", "does it show {a}?",
    "are there any {many}?", "can you see {a}?", "any {many}?", "are there {many} here?",
)  # fmt: skip
_AT = ("is this {at}?", "is it {at}?", "was this taken {at}?", "is this {a}?", "is there {a}?")
_HOW_MANY = (
    "how many {many} are there?", "how many {many}?", "how many {many} are in the picture?",
    "how many {many} do you see?",
)  # fmt: skip
_WHAT_COLOUR = (
    "what colour {is} the {noun}?", "what color {is} the {noun}?", "which colour {is} the {noun}?",
)  # fmt: skip
_WHERE = ("where is this?", "where was this taken?", "what place is this?")
_WHERE_IS = (*_WHERE, "where {is} the {noun}?")
_WHAT = ("what is this?", "what is in the picture?", "what do you see?", "what does it show?")
_ANIMAL = ("what animal is this?", "which animal is this?", "what animal is in the picture?")
_VEHICLE = ("what vehicle is this?", "what kind of vehicle is in the picture?")
_SPORT = ("what sport is this?", "which sport is played?", "what game do they play?")
_WHO = ("who is this?", "who is in the picture?", "who do you see?")

_INSIDE = frozenset((
    "snow", "water", "desert", "city", "kitchen", "bathroom", "bedroom", "living room", "office",
    "restaurant", "store", "forest", "park", "field", "garden", "yard", "river", "pool", "gym",
))  # fmt: skip
_UPON = frozenset((
    "beach", "street", "road", "sidewalk", "hill", "mountain", "stage", "bridge", "trail", "path",
    "track", "court", "runway", "playground",
))  # fmt: skip
_UNCOUNTED = frozenset(("snow", "water", "food", "bread", "fruit", "broccoli", "tennis"))


@dataclass(frozen=True)
class VisualQuestion:
    """A question about the picture at a place in a list; any of `answers` is right."""

    picture: int
    kind: Kind
    text: str
    answers: tuple[str, ...]


def make_questions(
    pictures: Sequence[CaptionedImage], seed: int = 0, *, each: int = 3
) -> list[VisualQuestion]:
    """Questions about captioned pictures, in the order of these; the same for the same seed.

    At most `each` of one kind a picture, save for those that are answered by no, of which there are
    as many as are answered by yes, about the same things.
    """
    rng = np.random.default_rng(seed)
    told = [Told.of(picture) for picture in pictures]
    made: list[VisualQuestion] = []
    for place, one in enumerate(told):
        own: dict[str, list[VisualQuestion]] = {}
        for kind, text, answers in _asked(one, rng):
            own.setdefault(kind, []).append(VisualQuestion(place, kind, text, tuple(answers)))
        for questions in own.values():
            chosen = rng.permutation(len(questions))[:each]
            made += [questions[i] for i in sorted(chosen.tolist())]
    made += _presence(told, rng, each)
    return sorted(made, key=lambda question: question.picture)


_Made = tuple[Kind, str, Sequence[str]]


def _asked(told: Told, rng: np.random.Generator) -> Iterator[_Made]:
    """All questions that one picture's captions answer, but for those about what is there."""
    yield from _counts(told, rng)
    yield from _colours(told, rng)
    yield from _places(told, rng)
    yield from _objects(told, rng)
    done = facts.deeds(told)
    if done is not None:
        actor, verbs = done
        yield "action", f"what {_is(actor)} the {actor} doing?", verbs


def _presence(
    told: Sequence[Told], rng: np.random.Generator, each: int
) -> Iterator[VisualQuestion]:
    """Questions by yes and no, as many of each about every thing."""
    groups = ("people", "animal", "vehicle", "thing", "food", "place", "sport")
    there: dict[str, list[int]] = {}
    for place, one in enumerate(told):
        named = one.shows(*groups)
        for i in rng.permutation(len(named))[:each].tolist():
            there.setdefault(named[i].name, []).append(place)
    for name, places in there.items():
        thing = lexicon()[name]
        absent = [place for place, one in enumerate(told) if one.is_without(thing)]
        drawn = [absent[i] for i in rng.permutation(len(absent))[: len(places)].tolist()]
        for answer, chosen in (("yes", places[: len(drawn)]), ("no", drawn)):
            for place in chosen:
                yield VisualQuestion(place, "yes/no", _is_there(thing, rng), (answer,))


def _is_there(thing: Thing, rng: np.random.Generator) -> str:
    if thing.group == "sport" and not thing.name.endswith("er"):
        return f"do they play {thing.name}?"
    name = thing.name
    where = "in" if name in _INSIDE else "on" if name in _UPON else "at"
    return _drawn(_AT if thing.group == "place" else _THERE, rng).format(
        a=_with_article(name), at=f"{where} {_with_article(name)}", many=plural(name)
    )


def _with_article(name: str) -> str:
    if name in _UNCOUNTED:
        return name
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _counts(told: Told, rng: np.random.Generator) -> Iterator[_Made]:
    for thing, count in facts.counts(told):
        if count > 1 or rng.random() < _SHARE_OF_ONE:
            yield _how_many(thing, count, rng)
    if rng.random() < _SHARE_OF_NONE:
        asked = [*lexicon().of_groups("animal"), *[lexicon()["person"]] * 4]
        absent = [thing for thing in asked if told.is_without(thing)]
        if absent:
            yield _how_many(absent[int(rng.integers(len(absent)))], 0, rng)


def _how_many(thing: Thing, count: int, rng: np.random.Generator) -> _Made:
    return "number", _drawn(_HOW_MANY, rng).format(many=plural(thing.name)), (str(count),)


def _colours(told: Told, rng: np.random.Generator) -> Iterator[_Made]:
    for noun, right in facts.colours(told):
        verb = "are" if noun in PLURAL_ONLY else "is"
        yield "colour", _drawn(_WHAT_COLOUR, rng).format(noun=noun, **{"is": verb}), right
        near = {colour for pair in _ALIKE if pair & set(right) for colour in pair} | set(right)
        wrong = [colour for colour in COLOURS if colour not in near]
        if rng.random() < 0.5:
            yield "yes/no", f"{verb} the {noun} {_drawn(right, rng)}?", ("yes",)
        elif wrong:
            yield "yes/no", f"{verb} the {noun} {_drawn(wrong, rng)}?", ("no",)


def _places(told: Told, rng: np.random.Generator) -> Iterator[_Made]:
    found = facts.places(told)
    if found:
        noun = facts.subject(told)
        form = _drawn(_WHERE_IS if noun else _WHERE, rng)
        yield "place", form.format(noun=noun, **{"is": _is(noun or "")}), found


def _objects(told: Told, rng: np.random.Generator) -> Iterator[_Made]:
    for forms, groups in (
        (_ANIMAL, ("animal",)),
        (_VEHICLE, ("vehicle",)),
        (_WHO, ("people",)),
        (_WHAT, ("people", "animal", "vehicle", "thing", "food")),
    ):
        # That somebody is a person is no answer.
        found = [thing.name for thing in told.shows(*groups) if thing.name != "person"]
        if found:
            yield "object", _drawn(forms, rng), found
    played = [thing.name for thing in told.shows("sport") if not thing.name.endswith("er")]
    if played:
        yield "object", _drawn(_SPORT, rng), played
    for (actor, verb), things in facts.uses(told).items():
        yield "object", f"what {_is(actor)} the {actor} {verb}?", things


def _is(actor: str) -> str:
    return "are" if facts.is_plural(actor) else "is"


def _drawn(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
