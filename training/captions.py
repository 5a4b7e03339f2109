"""What can be made of a caption by rule: its words, short questions, slips, and false twins.

A false twin says something else about the same picture in nearly the same words: another colour,
another count, another relation, two things that have changed places, or one that is denied. Hard
negatives are made of them, and the test of hard pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["colour", "count", "relation", "role", "negation"]
KINDS: tuple[Kind, ...] = ("colour", "count", "relation", "role", "negation")

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[^\sa-z0-9]")
_SILENT = frozenset((
    "a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "from", "by", "for", "with",
    "without", "into", "onto", "over", "under", "near", "next", "is", "are", "was", "were",
    "be", "been", "being", "am", "do", "does", "did", "has", "have", "had", "it", "its", "it's",
    "he", "she", "they", "them", "their", "his", "her", "him", "this", "that", "these", "those",
    "there", "here", "while", "as", "who", "which", "what", "some", "several", "another",
    "other", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "up", "down", "out", "off", "along", "across", "through", "around", "behind", "front",
    "between", "against", "during", "together", "very", "not", "no",
))  # fmt: skip
_COLOURS = (
    "black", "white", "red", "blue", "green", "yellow", "brown", "orange", "pink", "purple",
    "gray", "grey", "tan", "blond", "blonde", "golden",
)  # fmt: skip
_SAME_COLOURS = ({"gray", "grey"}, {"blond", "blonde", "golden", "tan", "yellow"})
_COUNTS = ("one", "two", "three", "four", "five", "six")
_RELATIONS: Mapping[str, str] = {
    "on": "under",
    "under": "on",
    "above": "below",
    "below": "above",
    "over": "under",
    "inside": "outside",
    "outside": "inside",
    "into": "out of",
    "behind": "in front of",
    "in front of": "behind",
    "up": "down",
    "down": "up",
    "left": "right",
    "right": "left",
}
_THINGS = frozenset((
    "man", "woman", "boy", "girl", "child", "baby", "person", "people", "men", "women", "boys",
    "girls", "children", "dog", "dogs", "cat", "cats", "horse", "horses", "bird", "birds",
    "ball", "frisbee", "stick", "car", "bike", "bicycle", "motorcycle", "truck", "bus", "boat",
    "train", "tree", "grass", "water", "beach", "snow", "sand", "street", "road", "field",
    "park", "table", "chair", "bench", "bed", "couch", "fence", "wall", "building", "house",
    "rock", "mountain", "hat", "shirt", "jacket", "coat", "dress", "helmet", "bag", "umbrella",
    "phone", "camera", "guitar", "book", "plate", "pizza", "cake", "cup", "bottle", "toy",
    "kite", "surfboard", "skateboard", "snowboard", "swing", "slide", "pool", "river", "lake",
    "ocean", "sheep", "cow", "elephant", "giraffe", "zebra", "bear", "laptop", "keyboard",
    "clock", "sign", "player", "crowd", "toddler", "lady", "guy", "adult", "kid", "kids",
))  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHORTEST_SLIP = 5


@dataclass(frozen=True)
class Twin:
    """A text that is false where its caption is true, and in what."""

    kind: Kind
    text: str


def words_of(text: str) -> list[str]:
    """The text's words and marks in order, in lower case."""
    return _WORD.findall(text.lower())


def content_word(word: str) -> str | None:
    """The stem by which a word that shows something is known; None for words that show nothing.

    Plurals are known by their singular, as far as a rule of thumb can tell.
    """
    if word in _SILENT or not word[0].isalnum():
        return None
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def content_words(text: str) -> set[str]:
    """The stems of all words that show something."""
    return {stem for word in words_of(text) if (stem := content_word(word))}


def short_question(words: Sequence[str], rng: np.random.Generator) -> list[str] | None:
    """A piece of a caption as somebody would ask it: a thing, a described thing, or two.

    None where the caption has no word that shows something.
    """
    telling = [i for i, word in enumerate(words) if content_word(word)]
    if not telling:
        return None
    first = int(rng.integers(len(telling)))
    last = min(len(telling) - 1, first + int(rng.integers(0, 3)))
    piece = list(words[telling[first] : telling[last] + 1])
    if rng.random() < 0.3:
        piece = ["a", *piece]
    if first == last and rng.random() < 0.3:
        piece[-1] = other_number(piece[-1])
    return piece


def other_number(word: str) -> str:
    """A singular as a plural, a plural as a singular, by rule."""
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    if word.endswith(("ch", "sh", "x", "ss")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return word[:-1] + "ies"
    return word + "s"


def with_slip(words: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The words with a typing error in one of the longer ones, where there is one."""
    slipped = list(words)
    long = [i for i, word in enumerate(words) if len(word) >= _SHORTEST_SLIP and word.isalpha()]
    if long:
        place = long[int(rng.integers(len(long)))]
        slipped[place] = _mistyped(slipped[place], rng)
    return slipped


def false_twin(text: str, rng: np.random.Generator, kinds: Sequence[Kind] = KINDS) -> Twin | None:
    """A twin of one of the kinds, drawn among those that the caption allows; None without any."""
    for kind in rng.permutation(np.array(kinds)).tolist():
        changed = _RULES[kind](words_of(text), rng)
        if changed is not None:
            return Twin(kind, joined(changed))
    return None


def joined(words: Sequence[str]) -> str:
    """Words and marks as a text."""
    return re.sub(r" ([,.;:!?])", r"\1", " ".join(words))


def _mistyped(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(1, len(word) - 1))
    letter = _LETTERS[int(rng.integers(len(_LETTERS)))]
    slips = (
        word[:place] + word[place + 1 :],
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        word[:place] + word[place] + word[place:],
        word[:place] + letter + word[place + 1 :],
        word[:place] + letter + word[place:],
    )
    return slips[int(rng.integers(len(slips)))]


def _other_colour(words: list[str], rng: np.random.Generator) -> list[str] | None:
    places = [i for i, word in enumerate(words) if word in _COLOURS]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    # A colour that the caption names elsewhere might be true.
    taken = {word for word in words if word in _COLOURS}
    taken |= {alike for group in _SAME_COLOURS if group & taken for alike in group}
    return _replaced(words, place, [c for c in _COLOURS if c not in taken], rng)


def _other_count(words: list[str], rng: np.random.Generator) -> list[str] | None:
    places = [i for i, word in enumerate(words) if word in _COUNTS[1:]]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    return _replaced(words, place, [c for c in _COUNTS[1:] if c != words[place]], rng)


def _other_relation(words: list[str], rng: np.random.Generator) -> list[str] | None:
    text = joined(words)
    found = [relation for relation in _RELATIONS if re.search(rf"\b{relation}\b", text)]
    if not found:
        return None
    # "in front of" is meant where both it and its parts are there.
    chosen = max(found, key=len) if rng.random() < 0.5 else found[int(rng.integers(len(found)))]
    return words_of(re.sub(rf"\b{chosen}\b", _RELATIONS[chosen], text, count=1))


def _negated(words: list[str], rng: np.random.Generator) -> list[str] | None:
    places = [i for i, word in enumerate(words) if word in ("with", "without")]
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    changed = list(words)
    changed[place] = "without" if words[place] == "with" else "with"
    return changed


def _other_roles(words: list[str], rng: np.random.Generator) -> list[str] | None:
    places = [i for i, word in enumerate(words) if word in _THINGS]
    pairs = [(a, b) for a in places for b in places if a < b and words[a] != words[b] and b - a > 1]
    if not pairs:
        return None
    a, b = pairs[int(rng.integers(len(pairs)))]
    changed = list(words)
    changed[a], changed[b] = words[b], words[a]
    return changed


def _replaced(
    words: list[str], place: int, choices: list[str], rng: np.random.Generator
) -> list[str] | None:
    if not choices:
        return None
    changed = list(words)
    changed[place] = choices[int(rng.integers(len(choices)))]
    return changed


_RULES: Mapping[str, Callable[[list[str], np.random.Generator], list[str] | None]] = {
    "colour": _other_colour,
    "count": _other_count,
    "relation": _other_relation,
    "role": _other_roles,
    "negation": _negated,
}
