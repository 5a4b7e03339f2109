"""Questions in other languages: do they find what English ones find?

Captions in German, French and Czech are asked for their pictures, beside English captions of the
same pictures; sixty questions in six languages are held against the answers to their English, by
how many of the first ten are the same. Each goes the way that a question goes, so that a language
that is not recognised counts against it.

    python -m benchmarks.languages --data DIR [--split dev] [--captions N] [--tiny]
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.indexing import machine
from retrieval.encoders.base import Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.languages.router import LanguageRouter
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import encode_set
from retrieval.query.language import is_foreign

RESULT = Path(__file__).parent / "results" / "languages.md"
QUESTIONS = Path(__file__).parent / "questions" / "languages.tsv"
LANGUAGES = ("de", "fr", "cs")
TOP = (1, 5, 10)
_RESAMPLES = 1000


@dataclass(frozen=True)
class Caption:
    """A text and the position of its picture."""

    text: str
    owner: int


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="with flickr8k/ and multi30k/")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--captions", type=int, default=1000, help="at most so many a language")
    parser.add_argument("--tiny", action="store_true", help="three photographs; nothing is written")
    parser.add_argument("--output", type=Path, help=f"default: {RESULT.name}, none with --tiny")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.tiny:
            paths, captions = _tiny_set(Path(scratch))
        elif chosen.data is None:
            parser.error("give --data, or --tiny")
        else:
            paths, captions = _read(chosen.data, chosen.split, chosen.captions)
        text = "\n".join(_report(paths, captions))
    output = chosen.output or (None if chosen.tiny else RESULT)
    if output is not None:
        output.write_text(text, "utf-8")
    print(text)


def _report(paths: Sequence[Path], captions: dict[str, list[Caption]]) -> list[str]:
    encoder = CompactEncoder()
    router = LanguageRouter(encoder)
    images = encode_set(
        encoder, [CaptionedImage(str(path), None, ("",)) for path in paths], Path()
    ).image_vectors
    rows = list(csv.DictReader(QUESTIONS.open(encoding="utf-8", newline=""), delimiter="\t"))
    other, own = (
        _milliseconds(router, [row[language] for row in rows]) for language in ("es", "en")
    )
    return [
        "# Questions in other languages",
        "",
        f"{len(paths)} pictures; 95 % intervals from pictures drawn anew. The share is of English "
        "R@10, on captions of the same pictures.",
        "",
        *_caption_table(router, captions, images),
        "",
        f"{len(rows)} questions, translated by hand: how many of the first ten answers are those "
        f"of the English question. By chance: {min(1.0, 10 / len(paths)):.1%}.",
        "",
        *_question_table(router, rows, images),
        "",
        f"{other:.0f} ms a question in another language, {own:.0f} ms in English.",
        "",
        machine(),
        "",
    ]


def _caption_table(
    router: LanguageRouter, captions: dict[str, list[Caption]], images: Vectors
) -> list[str]:
    ranks = {language: _ranks(router, some, images) for language, some in captions.items()}
    lines = [
        "| language | captions | taken for another language | R@1 | R@5 | R@10 | share |",
        "|---|---|---|---|---|---|---|",
    ]
    for language, some in captions.items():
        taken = np.mean([is_foreign(one.text, router.encoder.knows) for one in some])
        own = {one.owner for one in some}
        english = [one.owner in own for one in captions["en"]]
        share = _share(
            (ranks[language], [one.owner for one in some]),
            (ranks["en"][english], [one.owner for one in captions["en"] if one.owner in own]),
        )
        cells = " | ".join(f"{100 * (ranks[language] <= k).mean():.1f}" for k in TOP)
        lines.append(f"| {language} | {len(some)} | {100 * taken:.2f} % | {cells} | {share} |")
    return lines


def _question_table(
    router: LanguageRouter, rows: Sequence[dict[str, str]], images: Vectors
) -> list[str]:
    lines = [
        "| language | recognised | first ten the same | first one among the English ten |",
        "|---|---|---|---|",
    ]
    english = [_answers(router, row["en"], images) for row in rows]
    for language in [name for name in rows[0] if name != "en"]:
        answers = [_answers(router, row[language], images) for row in rows]
        pairs = list(zip(answers, english, strict=True))
        same = np.mean([len(set(found) & set(right)) / len(right) for found, right in pairs])
        first = np.mean([found[0] in right for found, right in pairs])
        known = np.mean([is_foreign(row[language], router.encoder.knows) for row in rows])
        lines.append(f"| {language} | {known:.0%} | {same:.0%} | {first:.0%} |")
    return lines


def _ranks(
    router: LanguageRouter, captions: Sequence[Caption], images: Vectors
) -> NDArray[np.int64]:
    """The rank of each caption's picture, from 1."""
    found = []
    for one in captions:
        similarities = images @ router.encode(one.text).vectors[0]
        found.append(1 + int((similarities > similarities[one.owner]).sum()))
    return np.array(found)


def _answers(router: LanguageRouter, text: str, images: Vectors) -> list[int]:
    similarities = images @ router.encode(text).vectors[0]
    best: list[int] = np.argsort(-similarities, kind="stable")[:10].tolist()
    return best


def _share(
    other: tuple[NDArray[np.int64], list[int]], english: tuple[NDArray[np.int64], list[int]]
) -> str:
    """R@10 of the one by that of the other, with an interval over pictures."""
    pictures = sorted(set(other[1]))
    tables = []
    for ranks, owners in (other, english):
        hits, counts = np.zeros(len(pictures)), np.zeros(len(pictures))
        rows = np.searchsorted(pictures, owners)
        np.add.at(hits, rows, ranks <= 10)
        np.add.at(counts, rows, 1)
        tables.append((hits, counts))

    def ratio(rows: NDArray[np.int64]) -> float:
        (hits, counts), (english_hits, english_counts) = tables
        own = hits[rows].sum() / counts[rows].sum()
        return float(own / max(1e-9, english_hits[rows].sum() / english_counts[rows].sum()))

    rng = np.random.default_rng(0)
    drawn = [ratio(rng.integers(0, len(pictures), len(pictures))) for _ in range(_RESAMPLES)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{ratio(np.arange(len(pictures))):.0%} [{low:.0%}, {high:.0%}]"


def _milliseconds(router: LanguageRouter, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    for text in texts:
        router.encode(text)
    return 1000 * (time.perf_counter() - started) / len(texts)


def _read(data: Path, split: str, count: int) -> tuple[list[Path], dict[str, list[Caption]]]:
    """The pictures of a split, and captions in each language, drawn at random."""
    english = [row for row in _rows(data / "flickr8k" / "captions.tsv") if row["split"] == split]
    names = list(dict.fromkeys(row["image"] for row in english))
    places = {name: place for place, name in enumerate(names)}
    others = [
        row
        for row in _rows(data / "multi30k" / "flickr8k_captions.tsv")
        if row["split"] == split and row["image"] in places
    ]
    rng = np.random.default_rng(0)

    def drawn(rows: list[dict[str, str]]) -> list[Caption]:
        order = sorted(rng.permutation(len(rows))[:count].tolist())
        return [Caption(_tidy(rows[i]["caption"]), places[rows[i]["image"]]) for i in order]

    found = {lang: drawn([row for row in others if row["lang"] == lang]) for lang in LANGUAGES}
    # All of them, as pictures of every language are to be among them.
    own = [Caption(_tidy(row["caption"]), places[row["image"]]) for row in english]
    return [data / "flickr8k" / "images" / name for name in names], {"en": own, **found}


def _tidy(caption: str) -> str:
    return " ".join(caption.split()).removesuffix(" .").removesuffix(".")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _tiny_set(folder: Path) -> tuple[list[Path], dict[str, list[Caption]]]:
    from samples.photos import copy_photos

    copy_photos(folder)
    paths = [folder / name for name in ("chelsea.png", "coffee.png", "rocket.jpg")]
    asked = {
        "en": ("a cat", "a cup of coffee", "a rocket"),
        "de": ("eine Katze", "eine Tasse Kaffee", "eine Rakete"),
        "fr": ("un chat", "une tasse de café", "une fusée"),
        "cs": ("kočka", "šálek kávy", "raketa"),
    }
    return paths, {
        language: [Caption(text, owner) for owner, text in enumerate(texts)]
        for language, texts in asked.items()
    }


if __name__ == "__main__":
    main()
