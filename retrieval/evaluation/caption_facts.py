"""What the captions of a picture agree on: things, numbers, colours, places, deeds.

By rule, on English captions. Where people disagree, nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.lexicon import Thing, Word, lexicon, plural
from retrieval.evaluation.verbs import DEEDS, USES

COLOURS = (
    "black", "white", "red", "blue", "green", "yellow", "brown", "orange", "pink", "purple", "gray",
)  # fmt: skip
_OTHER_COLOURS = {
    "grey": "gray", "tan": "brown", "beige": "brown", "blond": "yellow", "blonde": "yellow",
    "violet": "purple", "maroon": "red", "navy": "blue", "gold": "yellow",
}  # fmt: skip
_SHADES = frozenset(("light", "dark", "bright", "pale"))
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
# Behind these a noun phrase goes on no further.
_STOPS = frozenset((
    "a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "from", "by", "for", "with",
    "without", "into", "onto", "over", "under", "near", "next", "is", "are", "while", "as", "who",
    "which", "that", "his", "her", "its", "their", "up", "down", "out", "off", "along", "across",
    "through", "around", "behind", "between", "against", "wearing", "holding", "standing",
    "sitting",
))  # fmt: skip
_PREPOSITIONS = frozenset((
    "in", "on", "at", "near", "by", "through", "across", "along", "into", "down", "over", "inside",
))  # fmt: skip
_MANY = frozenset((
    "group", "several", "many", "some", "few", "crowd", "bunch", "lots", "team", "herd", "flock",
    "pair", "couple", "family", "another", "other", "others", "two", "three", "four", "five", "six",
    "multiple", "both", "various",
))  # fmt: skip
_NOT_COUNTED = frozenset(("crowd", "couple", "food", "fruit", "bride", "swing", "slide", "player"))
# A picture with fewer captions does not tell what it does not show.
_WELL_TOLD = 4
# Of the background, these are asked for their colour; grass and trees are what they are.
_COLOURED_BACKGROUND = frozenset(("building", "wall", "fence", "door", "house", "flag"))


@dataclass(frozen=True)
class Told:
    """What the captions of one picture say.

    `named`: by how many captions each thing is named. `maybe`: the things that may be there.
    """

    captions: tuple[tuple[Word, ...], ...]
    named: Mapping[str, int]
    maybe: frozenset[str]

    @classmethod
    def of(cls, picture: CaptionedImage) -> Self:
        """The captions of a picture, read."""
        captions = tuple(tuple(lexicon().words(text)) for text in picture.captions)
        stems = [{word.stem for word in words} for words in captions]
        named = Counter(name for own in stems for name in lexicon().named(own))
        return cls(captions, named, frozenset(named) | lexicon().left_open(set().union(*stems)))

    @property
    def enough(self) -> int:
        """How many captions must say a thing for it to hold: two where there are two."""
        return min(2, len(self.captions))

    def shows(self, *groups: str) -> list[Thing]:
        """The things of these groups that are there."""
        return [
            thing
            for thing in lexicon().of_groups(*groups)
            if self.named.get(thing.name, 0) >= self.enough
        ]

    def is_without(self, thing: Thing) -> bool:
        """Whether it is taken to be absent."""
        return len(self.captions) >= _WELL_TOLD and thing.name not in self.maybe


def counts(told: Told) -> Iterator[tuple[Thing, int]]:
    """The things whose number the captions agree on, from one up."""
    for thing in lexicon().of_groups("people", "animal", "vehicle", "thing", "food"):
        if thing.name in told.named and thing.name not in _NOT_COUNTED:
            count = _people(told) if thing.name == "person" else _count(told, thing)
            if count is not None:
                yield thing, count


def colours(told: Told) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Nouns that stand for one thing, with its colour, or two of them."""
    said: dict[str, set[str]] = {}
    are_many: set[str] = set()
    for words in told.captions:
        for place in range(len(words)):
            found = _colours_at(words, place)
            noun = _noun_after(words, place) if found else None
            if noun is not None:
                said.setdefault(noun.stem, set()).update(found)
                if noun.is_plural:
                    are_many.add(noun.stem)
    for stem, found_colours in said.items():
        if stem not in are_many and len(found_colours) <= 2:
            yield stem, tuple(sorted(found_colours))


def places(told: Told) -> list[str]:
    """All places that are named behind a preposition, where people agree on one of them."""
    found: Counter[str] = Counter()
    named = [thing for thing in lexicon().of_groups("place") if thing.name in told.named]
    for words in told.captions:
        found.update(
            {
                thing.name
                for thing in named
                for place, word in enumerate(words)
                if word.stem in thing.words
                and _PREPOSITIONS & {own.text for own in words[max(0, place - 4) : place]}
            }
        )
    return sorted(found) if found and max(found.values()) >= told.enough else []


def subject(told: Told) -> str | None:
    """The person or animal that most captions begin with, as it is written."""
    begins: Counter[str] = Counter()
    for words in told.captions:
        first = next((word for word in words[:5] if word.stem in _ACTORS), None)
        if first is not None:
            begins[first.text] += 1
    return begins.most_common(1)[0][0] if begins else None


def deeds(told: Told) -> tuple[str, list[str]] | None:
    """Whoever is said most to do something, as written, and all that is said to be done by them."""
    done: dict[str, set[str]] = {}
    said: Counter[str] = Counter()
    for words in told.captions:
        actor: str | None = None
        for word in words:
            if word.stem in _ACTORS:
                actor = word.text
            elif actor is not None and word.text in DEEDS:
                done.setdefault(actor, set()).add(DEEDS[word.text])
                said[actor] += 1
    if not said or max(said.values()) < told.enough:
        return None
    actor = said.most_common(1)[0][0]
    return actor, sorted(done[actor])


def uses(told: Told) -> dict[tuple[str, str], list[str]]:
    """Who does what with which things: {(man, riding): [horse]} of "a man rides a horse"."""
    found: dict[tuple[str, str], set[str]] = {}
    for words in told.captions:
        for place, word in enumerate(words):
            if word.text not in USES:
                continue
            before = reversed(words[max(0, place - 3) : place])
            actor = next((own.text for own in before if own.stem in _ACTORS), None)
            thing = _thing_after(words, place)
            if actor is not None and thing is not None:
                found.setdefault((actor, USES[word.text]), set()).add(thing)
    return {key: sorted(things) for key, things in found.items()}


def is_plural(actor: str) -> bool:
    """Whether what `subject` and its like give is in the plural."""
    return actor in _PLURALS


def _count(told: Told, thing: Thing) -> int | None:
    """How many of a thing the captions agree on."""
    said: list[int | None] = []
    single = 0
    for words in told.captions:
        own = [place for place, word in enumerate(words) if word.stem == thing.name]
        if not own:
            # Another word for it may stand for one more of them.
            if thing.group != "animal" and any(word.stem in thing.words for word in words):
                return None
            continue
        numeral = _numeral_before(words, own[0])
        if numeral is not None and numeral > 1:
            said.append(numeral)
        elif words[own[0]].is_plural or len(own) > 1 or _MANY & {word.text for word in words}:
            said.append(None)
        else:
            single += 1
    known = [count for count in said if count is not None]
    if known and len(set(known)) == 1 and single <= (1 if len(known) > 1 else 0):
        return known[0] if len(known) >= told.enough else None
    return 1 if not said and single >= min(3, len(told.captions)) else None


def _people(told: Told) -> int | None:
    """How many people the captions agree on: each speaks of them once, all with one number."""
    person = lexicon()["person"]
    found: Counter[int] = Counter()
    for words in told.captions:
        own = [place for place, word in enumerate(words) if word.stem in person.words]
        if len(own) != 1:
            return None
        numeral = _numeral_before(words, own[0])
        word = words[own[0]]
        if word.stem == "couple" or (numeral or 0) > 1:
            found[numeral or 2] += 1
        elif word.is_plural or _MANY & {other.text for other in words}:
            return None
        else:
            found[1] += 1
    if len(found) != 1 or sum(found.values()) < min(3, len(told.captions)):
        return None
    return next(iter(found))


def _numeral_before(words: Sequence[Word], place: int) -> int | None:
    """The number that a noun is said with, a few adjectives between them allowed."""
    for word in reversed(words[max(0, place - 4) : place]):
        if word.text in _NUMBERS:
            return _NUMBERS[word.text]
        if word.text in _STOPS:
            return None
    return None


def _colours_at(words: Sequence[Word], place: int) -> list[str]:
    """The colours that begin at a place: one, or two joined by "and"."""
    found = _colour(words[place].text)
    before = [word.text for word in words[max(0, place - 2) : place]]
    if found is None or (len(before) == 2 and before[1] == "and" and _colour(before[0])):
        return []
    after = [word.text for word in words[place + 1 : place + 3]]
    if len(after) == 2 and after[0] == "and" and (second := _colour(after[1])):
        return [found, second]
    return [found]


def _colour(word: str) -> str | None:
    word = _OTHER_COLOURS.get(word, word)
    return word if word in COLOURS else None


def _noun_after(words: Sequence[Word], place: int) -> Word | None:
    """The noun that a colour belongs to, one that is known to have a colour."""
    skipped = 0
    for word in words[place + 1 : place + 6]:
        if word.text == "and" or _colour(word.text) or word.text in _SHADES:
            continue
        if word.text in _STOPS or skipped > 1:
            return None
        if word.stem in _COLOURED:
            return word
        skipped += 1
    return None


def _thing_after(words: Sequence[Word], place: int) -> str | None:
    for word in words[place + 1 : place + 6]:
        if word.stem in _USED_THINGS:
            return _USED_THINGS[word.stem]
        if word.text in ("and", "while", "with", "as", "near", "by"):
            return None
    return None


_ACTORS = frozenset(
    thing.name for thing in lexicon().of_groups("people", "animal") if thing.name != "crowd"
) | {"kid", "toddler", "puppy", "guy", "lady"}
_PLURALS = frozenset(plural(name) for name in _ACTORS) - {"sheep", "fish"}
_COLOURED = frozenset(
    word
    for thing in lexicon().of_groups("animal", "vehicle", "thing", "wear", "background")
    for word in thing.words
    if thing.group != "background" or word in _COLOURED_BACKGROUND
)
_USED_THINGS = {
    word: thing.name
    for group in ("animal", "vehicle", "thing", "food", "sport")
    for thing in lexicon().of_groups(group)
    for word in sorted(thing.words)
}
