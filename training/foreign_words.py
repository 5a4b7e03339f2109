"""Words that tell other languages from English: `python -m training.foreign_words --data DIR`.

Writes the rows of German, French and Czech of `retrieval/query/words.tsv`: what
captions in these use and neither English captions nor WordNet know. Other rows are written by hand
and stay.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from pathlib import Path

from retrieval.query.language import WORDS_FILE
from training.translations import LANGUAGES, read_captions, read_parallel

_MOST = {"de": 3000, "fr": 1500, "cs": 1200}
_LEAST_OFTEN = 5
_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = ("coco", "flickr8k", "coco_one_caption")


def main(arguments: list[str] | None = None) -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    options = parser.parse_args(arguments)
    english, used = _counts(options.data)
    english_words = _lemmas(options.wordnet) | {word for word in english if english[word] > 1}
    rows = {
        language: foreign_words(counts, language, english_words)
        for language, counts in used.items()
    }
    for line in WORDS_FILE.read_text("utf-8").splitlines():
        language, words = line.split("\t")
        rows.setdefault(language, [word for word in words.split() if word not in english_words])
    text = "".join(
        f"{language}\t{' '.join(sorted(words))}\n" for language, words in sorted(rows.items())
    )
    WORDS_FILE.write_text(text, "utf-8")


def _counts(data: Path) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """How often words occur in English captions, and in those of each other language."""
    english: Counter[str] = Counter()
    used: dict[str, Counter[str]] = {language: Counter() for language in LANGUAGES}
    for folder in _ENGLISH:
        for row in _rows(data / folder / "captions.tsv"):
            english.update(_words(row["caption"]))
    for row in _rows(data / "multi30k" / "descriptions_en_de.tsv"):
        (english if row["lang"] == "en" else used[row["lang"]]).update(_words(row["caption"]))
    for sentence in [*read_parallel(data, {}), *read_captions(data, "train")]:
        used[sentence.language].update(_words(sentence.text))
    return english, used


def foreign_words(counts: Counter[str], language: str, english: set[str]) -> list[str]:
    """The most frequent words of a language that no English text has.

    Of ASCII alone: a word with other letters is seen to be no English one without a list.
    """
    found = [
        word
        for word, count in counts.most_common()
        if count >= _LEAST_OFTEN and len(word) > 2 and word.isascii() and word not in english
    ]
    return found[: _MOST[language]]


def _lemmas(wordnet: Path) -> set[str]:
    """Every word that WordNet knows, parts of its phrases as well."""
    words: set[str] = set()
    for file in wordnet.glob("index.*"):
        for line in file.read_text("latin1").splitlines():
            if not line.startswith(" "):
                words.update(line.split(" ", 1)[0].lower().split("_"))
    return words


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _rows(path: Path) -> csv.DictReader[str]:
    file = path.open(encoding="utf-8", newline="")
    return csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


if __name__ == "__main__":
    main()
