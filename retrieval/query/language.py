"""Whether a question is in another language than English.

An English question must never be taken for another, so that a doubt counts as English: its words
are known to the model, or nothing speaks for another language. Words that do (other letters, words
of `words.tsv`) tell short questions, the package `py3langid` tells sentences; it takes a while to
load, and a question of known words does without.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

WORDS_FILE = Path(__file__).parent / "words.tsv"

_WORD = re.compile(r"[^\W\d_]+")
# Of words known to the model; English captions lie above, others below.
_ENGLISH_SHARE = 0.75
# An English model may know them from names; of themselves they speak for no language.
_FUNCTION_WORDS = frozenset(
    {"un", "une", "le", "la", "les", "de", "des", "du", "et", "sur", "der", "das", "und", "im",
     "el", "il", "di", "da", "na", "se", "ze", "que", "van", "ein"}
)  # fmt: skip
# From so many words on a sentence can be told by its letters, whatever its words.
_SENTENCE = 4
# The likelihood of English that a sentence of unknown words has at most; of 58,000 English
# sentences none has less and too few known words as well.
_MOST_ENGLISH = 0.05


def is_foreign(text: str, knows: Callable[[str], bool]) -> bool:
    """Whether a text is in another language; `knows` tells an English model's words."""
    words = _WORD.findall(text.lower())
    letters = "".join(words)
    if letters and sum(not _is_latin(letter) for letter in letters) * 2 > len(letters):
        return True
    # Accents fall away, as in "café".
    unknown = [word for word in words if word in _FUNCTION_WORDS or not knows(_plain(word))]
    share = 1.0 - len(unknown) / max(1, len(words))
    if share >= _ENGLISH_SHARE:
        return False
    has_sign = any(not word.isascii() or word in foreign_words() for word in unknown)
    if has_sign and share <= 0.5:
        return True
    if has_sign or len(words) >= _SENTENCE:
        likelihood = english_likelihood(text)
        return likelihood is not None and likelihood < _MOST_ENGLISH
    return False


def has_words(text: str) -> bool:
    """Whether it has letters or digits, and not signs and pictures alone."""
    return any(letter.isalnum() for letter in text)


def has_foreign_words(text: str) -> bool:
    """Whether a word of it is one that no English text has."""
    return any(word in foreign_words() for word in _WORD.findall(text.lower()))


@lru_cache(maxsize=1)
def foreign_words() -> frozenset[str]:
    """Common words of other languages that no English text has."""
    lines = WORDS_FILE.read_text("utf-8").splitlines()
    return frozenset(word for line in lines for word in line.split("\t")[1].split())


def english_likelihood(text: str) -> float | None:
    """How likely English is among a hundred languages, by letters; None without the package."""
    identifier = _identifier()
    if identifier is None:
        return None
    return float(dict(identifier.rank(text)).get("en", 0.0))


@lru_cache(maxsize=1)
def _identifier() -> Any | None:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith(("LATIN", "MODIFIER"))


def _plain(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
