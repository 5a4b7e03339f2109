"""Questions with and without an answer in a set of captioned pictures, and which pictures fit them.

What people wrote says what fits: a caption fits its own picture and those that somebody described
nearly so; a noun or a noun phrase fits the pictures whose captions mention it. Pictures in between
are unclear and count neither way. Knows nothing of models that see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data import Picture

Kind = Literal["caption", "phrase", "noun"]
KINDS: tuple[Kind, ...] = ("caption", "phrase", "noun")

# Cosines of sentence vectors (MiniLM): from the first two people say the same, below the second
# not; chosen by reading pairs.
SAME, OTHER = 0.70, 0.60
# Of a noun and the nouns that a picture's captions mention: above, it may be there all the same.
_NEAR_NOUN = 0.55

_PHRASE = re.compile(
    r"\b(?:an?|the|two|three|some|his|her)\s+((?:[a-z][a-z-]*\s+){0,2}[a-z]{3,})", re.IGNORECASE
)
_END_WORDS = (
    "in on at with and of is are to by near from while as that who which through over under "
    "into for its his her their up down out off it be being has have next about there or one "
    "other each another some two three very front back side top bottom middle group bunch "
    "couple lot pair looks wearing outside around behind beside across along against between "
    "before after during where the all"
)
_ENDS = frozenset(_END_WORDS.split())
_VERB = re.compile(r"(?:ing|s|ed)$")


@dataclass(frozen=True)
class Question:
    """A question, and of p pictures, bool (p,), which it `fits` and of which that is `unclear`."""

    text: str
    kind: Kind
    fits: NDArray[np.bool_]
    unclear: NDArray[np.bool_]

    @property
    def is_answerable(self) -> bool:
        """Whether some picture fits it."""
        return bool(self.fits.any())


class QuestionMaker:
    """Makes questions about captioned pictures. `sentences` gives unit vectors (n, d) of texts."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        sentences: Callable[[Sequence[str]], NDArray[np.float32]],
    ) -> None:
        self._captions = [text for picture in pictures for text in picture.captions]
        counts = [len(picture.captions) for picture in pictures]
        self._owner = np.repeat(np.arange(len(pictures)), counts)
        self._starts = np.cumsum([0, *counts[:-1]])
        self._vectors = sentences(self._captions)
        self._mentioned = [
            set().union(*(_stems(text) for text in picture.captions)) for picture in pictures
        ]
        self._phrases = [
            sorted({phrase for text in picture.captions for phrase in noun_phrases(text)})
            for picture in pictures
        ]
        nouns = sorted({_head(p) for phrases in self._phrases for p in phrases})
        self._nouns = {noun: row for row, noun in enumerate(nouns)}
        self._noun_vectors = sentences(nouns)
        self._caption_stems = [_stems(text) for text in self._captions]

    def make(
        self,
        searched: NDArray[np.int64],
        others: NDArray[np.int64],
        count: int,
        rng: np.random.Generator,
    ) -> list[Question]:
        """Up to `count` questions of each kind with an answer in `searched`, and as many without.

        Both are positions of pictures; questions without an answer come from `others`. The arrays
        of a question run over `searched`.
        """
        made: list[Question] = []
        for kind in KINDS:
            for source, wants_answer in ((searched, True), (others, False)):
                found = 0
                for picture in rng.permutation(source).tolist():
                    if found == count:
                        break
                    question = self._question(kind, picture, searched, rng)
                    if question is None or question.is_answerable != wants_answer:
                        continue
                    # One that is unclear of some picture may have an answer after all.
                    if wants_answer or not question.unclear.any():
                        made.append(question)
                        found += 1
        return made

    def _question(
        self, kind: Kind, picture: int, searched: NDArray[np.int64], rng: np.random.Generator
    ) -> Question | None:
        if kind == "caption":
            rows = np.flatnonzero(self._owner == picture)
            row = int(rng.choice(rows))
            alike = np.maximum.reduceat(self._vectors @ self._vectors[row], self._starts)[searched]
            fits = (alike >= SAME) | (searched == picture)
            return Question(self._captions[row], kind, fits, ~fits & (alike >= OTHER))
        phrases = self._phrases[picture]
        if kind == "noun":
            phrases = [_head(phrase) for phrase in phrases]
        else:
            phrases = [phrase for phrase in phrases if " " in phrase]
        if not phrases:
            return None
        phrase = str(rng.choice(phrases))
        # People ask with an article and without.
        text = f"a {phrase}" if rng.random() < 0.5 and not phrase.endswith("s") else phrase
        return self._short(kind, text, phrase, searched)

    def _short(self, kind: Kind, text: str, phrase: str, searched: NDArray[np.int64]) -> Question:
        wanted = _stems(phrase)
        head = _stem(_head(phrase))
        near = self._noun_vectors @ self._noun_vectors[self._nouns[_head(phrase)]]
        close = {_stem(noun) for noun, row in self._nouns.items() if near[row] >= _NEAR_NOUN}
        fits = np.zeros(len(searched), dtype=bool)
        unclear = np.zeros(len(searched), dtype=bool)
        for place, picture in enumerate(searched.tolist()):
            mentioned = self._mentioned[picture]
            if wanted <= mentioned:
                start = self._starts[picture]
                own = self._caption_stems[start : start + int((self._owner == picture).sum())]
                fits[place] = any(wanted <= stems for stems in own)
            unclear[place] = not fits[place] and (head in mentioned or bool(close & mentioned))
        return Question(text, kind, fits, unclear)


def noun_phrases(caption: str) -> list[str]:
    """Noun phrases of a caption, without articles, by rule: "brown dog" of "A brown dog runs"."""
    found = []
    for match in _PHRASE.finditer(caption.lower()):
        words: list[str] = []
        for word in match[1].split():
            if word in _ENDS or (words and _VERB.search(word)):
                break
            words.append(word)
        if words and len(words[-1]) > 2:
            found.append(" ".join(words))
    return found


def _head(phrase: str) -> str:
    return phrase.split()[-1]


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in re.findall(r"[a-z]+", text.lower())}


def _stem(word: str) -> str:
    """A word without its plural."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
