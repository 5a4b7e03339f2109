"""What captions name: things with the words for them, read from `named_things.txt`.

Knows words, not pictures: `visual_questions.py` makes questions of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("named_things.txt")
_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "buses": "bus",
    "geese": "goose", "calves": "calf", "tomatoes": "tomato", "potatoes": "potato",
    "feet": "foot", "businessmen": "businessman", "fishermen": "fisherman", "shelves": "shelf",
    "loaves": "loaf", "bunnies": "bunny", "leaves": "leaf", "policemen": "policeman",
    "cowboys": "cowboy", "ladies": "lady", "movies": "movie", "oxen": "ox", "kitties": "kitty",
}  # fmt: skip
# Trousers and their like have no singular; tennis has no plural.
PLURAL_ONLY = frozenset((
    "pants", "shorts", "jeans", "trunks", "goggles", "glasses", "sunglasses", "trousers",
    "eyeglasses",
))  # fmt: skip
_AS_THEY_ARE = PLURAL_ONLY | {"tennis", "stairs", "clothes", "grass", "dress", "sheep", "fish"}


@dataclass(frozen=True)
class Word:
    """A word of a caption: as written in lower case, and in the singular."""

    text: str
    stem: str

    @property
    def is_plural(self) -> bool:
        """Whether it is written in the plural."""
        return self.text != self.stem


@dataclass(frozen=True)
class Thing:
    """A thing that captions name.

    `words` name it, itself included; where captions hold `open_words` and none of these, it may be
    in the picture or not. `group`: people, animal, vehicle, thing, food, wear, background, place or
    sport.
    """

    name: str
    group: str
    words: frozenset[str]
    open_words: frozenset[str]


class Lexicon:
    """Things by their names, and captions as the words that it knows."""

    def __init__(self, things: Iterable[Thing], compounds: Sequence[tuple[str, str]]) -> None:
        self._things = {thing.name: thing for thing in things}
        self._compounds = [(re.compile(rf"\b{two}(s?)\b"), rf"{one}\1") for two, one in compounds]
        self._named: dict[str, set[str]] = {}
        self._left_open: dict[str, set[str]] = {}
        for thing in self._things.values():
            for word in thing.words:
                self._named.setdefault(word, set()).add(thing.name)
            for word in thing.open_words:
                self._left_open.setdefault(word, set()).add(thing.name)

    def __getitem__(self, name: str) -> Thing:
        return self._things[name]

    def __contains__(self, name: str) -> bool:
        return name in self._things

    def of_groups(self, *groups: str) -> list[Thing]:
        """The things of these groups, in the file's order."""
        return [thing for thing in self._things.values() if thing.group in groups]

    def named(self, stems: Iterable[str]) -> set[str]:
        """The names of the things that words in the singular name."""
        return set().union(*(self._named.get(word, ()) for word in stems))

    def left_open(self, stems: Iterable[str]) -> set[str]:
        """The names of the things that may be there where these words are said."""
        return set().union(*(self._left_open.get(word, ()) for word in stems))

    def words(self, caption: str) -> list[Word]:
        """The caption's words; a name of two words is one, with a space in it."""
        text = caption.lower()
        for compound, one in self._compounds:
            text = compound.sub(one, text)
        return [
            Word(found.replace("_", " "), stem(found).replace("_", " ")) for found in _words(text)
        ]


def stem(word: str) -> str:
    """A word in the singular, as far as a rule of thumb can tell."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _AS_THEY_ARE:
        return word
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "su'" else word


def plural(word: str) -> str:
    """A singular in the plural."""
    for many, one in _IRREGULAR.items():
        if one == word:
            return many
    if word in _AS_THEY_ARE:
        return word
    if word.endswith(("ch", "sh", "x", "ss")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + "s"


@cache
def lexicon() -> Lexicon:
    """The one that comes with the package."""
    rows: dict[str, tuple[str, list[str], list[str]]] = {}
    compounds: list[tuple[str, str]] = []
    for line in _FILE.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("="):
            two, one = (part.strip() for part in line[1:].split(";"))
            compounds.append((two, one))
            continue
        name, group, words, left_open = (part.strip() for part in line.split(";"))
        rows[name] = (group, words.split(), left_open.split())
    compounds += [(name, name.replace(" ", "_")) for name in rows if " " in name]

    def expanded(words: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for word in words:
            if word.startswith("@"):
                found |= {word[1:]} | expanded(rows[word[1:]][1])
            else:
                found.add(stem(word))
        return found

    things = []
    for name, (group, names, openers) in rows.items():
        named = {name} | expanded(names)
        things.append(Thing(name, group, frozenset(named), frozenset(expanded(openers) - named)))
    return Lexicon(things, compounds)


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s") for word in re.findall(r"[a-z]+(?:[-'_][a-z]+)*", text)]
