"""Pictures and the words beside them: do names find their files, and do words help or harm?

File names are asked for whole, without suffix, and in part. Then captions of pictures are asked for
of which half have words of their own in the catalogue: another caption of the picture, three of
its words as keywords, or, to see what harm is done, those of some other picture. Each is answered
by the pictures alone, by both as the engine does it, and by reciprocal rank fusion of the two
rankings, for comparison. At last the built-in captioner describes all pictures, and questions of
a few words are asked.

    python -m benchmarks.hybrid --images DIR --captions FILE [--split NAME] [--tiny]
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.indexing import machine
from benchmarks.support.captioned import add_captioned_options, captioned_photos
from benchmarks.support.results import publish
from indexer import index_folders
from indexer.captions import caption_pictures
from retrieval.catalog import Catalog, FileFacts
from retrieval.images.facts import NO_METADATA, ImageMetadata
from retrieval.search.compose import reciprocal_ranks
from retrieval.search.engine import SearchEngine
from retrieval.search.question import Match
from retrieval.search.words import words_of

RANKS = (1, 5, 10)
# How deep the rankings go that are fused for comparison.
DEPTH = 100
KEYWORDS = 3
Captions = dict[str, tuple[str, ...]]
Facts = Callable[[str], ImageMetadata]
Way = Callable[[SearchEngine, str, int], list[str]]


def by_pictures(engine: SearchEngine, question: str, k: int) -> list[str]:
    """The names of the answers, by vectors alone."""
    hits = engine.search(question, k, rerank="off", match="pictures")
    return [hit.path.name for hit in hits]


def by_both(engine: SearchEngine, question: str, k: int) -> list[str]:
    """The names of the answers, as the engine gives them."""
    return [hit.path.name for hit in engine.search(question, k, rerank="off")]


def by_ranks(engine: SearchEngine, question: str, k: int) -> list[str]:
    """The names of the answers, by reciprocal rank fusion of pictures and words."""
    rankings: list[list[int]] = []
    names: dict[int, str] = {}
    alone: tuple[Match, ...] = ("pictures", "words")
    for match in alone:
        hits = engine.search(question, DEPTH, rerank="off", match=match)
        rankings.append([hit.item_id for hit in hits])
        names |= {hit.item_id: hit.path.name for hit in hits}
    fused = reciprocal_ranks(rankings, [1.0, 1.0])
    return [names[id_] for id_ in sorted(fused, key=fused.__getitem__, reverse=True)[:k]]


WAYS: dict[str, Way] = {
    "pictures alone": by_pictures,
    "both": by_both,
    "both, by ranks": by_ranks,
}


def kinds_of_facts(captions: Captions, seed: int = 0) -> dict[str, Facts]:
    """What is written beside half of the pictures, by a name for it."""
    chance = random.Random(seed)
    names = sorted(captions)
    with_words = {name for name in names if chance.random() < 0.5}
    other = dict(zip(names, chance.sample(names, len(names)), strict=True))

    def keywords(name: str) -> ImageMetadata:
        words = sorted({word for word in words_of(captions[name][0]) if len(word) > 3})
        return ImageMetadata(keywords=tuple(words[:KEYWORDS]))

    def half(facts: Facts) -> Facts:
        return lambda name: facts(name) if name in with_words else NO_METADATA

    return {
        "nothing": lambda name: NO_METADATA,
        "another caption of it": half(lambda name: ImageMetadata(caption=captions[name][0])),
        "three keywords of it": half(keywords),
        "the caption of another": half(
            lambda name: ImageMetadata(caption=captions[other[name]][0])
        ),
        "three keywords of another": half(lambda name: keywords(other[name])),
    }


@contextmanager
def engine_with(index: Path, facts: Facts) -> Iterator[SearchEngine]:
    """An engine over a copy of the index, its pictures having these facts."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "index"
        shutil.copytree(index, copy)
        with Catalog.open(copy / "catalog.sqlite") as catalog, catalog.transaction() as change:
            for root in catalog.roots():
                for file in catalog.stored_files(root.id):
                    known = FileFacts(file.path, file.size_bytes, file.mtime_ns, file.content_hash)
                    change.touch_file(file.file_id, known, facts(Path(file.path).name))
        with SearchEngine.open(copy) as engine:
            yield engine


def hits_at_1(engine: SearchEngine, asked: Sequence[tuple[str, str]], way: Way) -> float:
    """The share of questions whose first answer is the file that is meant."""
    return float(np.mean([way(engine, question, 1) == [name] for question, name in asked]))


def recalls(engine: SearchEngine, asked: Sequence[tuple[str, str]], way: Way) -> list[float]:
    """Recall at each of `RANKS` of questions that one picture answers."""
    ranks = []
    for question, name in asked:
        found = way(engine, question, max(RANKS))
        ranks.append(found.index(name) + 1 if name in found else max(RANKS) + 1)
    return [float(np.mean(np.array(ranks) <= rank)) for rank in RANKS]


def file_name_questions(names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Questions that mean one file each."""
    stems = {name: Path(name).stem for name in names}
    return {
        "the whole name": [(name, name) for name in names],
        "without its suffix": [(stem, name) for name, stem in stems.items()],
        "its last eight letters": [(stem[-8:], name) for name, stem in stems.items()],
    }


def report(index: Path, captions: Captions, count: int) -> str:
    """Everything as Markdown."""
    names = sorted(captions)
    chosen = random.Random(1).sample(names, min(count, len(names)))
    lines = [
        "# Words beside pictures\n",
        f"{len(names):,} captioned pictures, the compact model, no reranking.\n",
        f"Of {len(chosen)} questions for file names, those whose first answer it is, in percent:\n",
        "| asked for | pictures alone | both |",
        "|---|---:|---:|",
    ]
    kinds = kinds_of_facts(captions)
    with engine_with(index, kinds["nothing"]) as engine:
        for kind, asked in file_name_questions(chosen).items():
            shares = [100 * hits_at_1(engine, asked, way) for way in (by_pictures, by_both)]
            lines.append(f"| {kind} | {shares[0]:.1f} | {shares[1]:.1f} |")
    # The last caption: none that is written beside a picture.
    questions = {
        "captions": [(captions[name][-1], name) for name in chosen],
        "their first two words": [
            (" ".join(words_of(captions[name][-1])[:2]) or captions[name][-1], name)
            for name in chosen
        ],
    }
    lines += [
        f"\nRecall at {', '.join(map(str, RANKS))} of {len(chosen)} captions, half of the pictures "
        "having words beside them, in percent; and milliseconds for a question:\n",
        "| asked | beside half of the pictures | " + " | ".join(WAYS) + " | ms alone | ms both |",
        "|---|---|" + "---:|" * (len(WAYS) + 2),
    ]
    for written, facts in kinds.items():
        with engine_with(index, facts) as engine:
            by_both(engine, "to begin with", 1)
            for kind, asked in questions.items():
                cells, took = [], []
                for way in WAYS.values():
                    begin = time.perf_counter()
                    cells.append(" / ".join(f"{100 * s:.1f}" for s in recalls(engine, asked, way)))
                    took.append(1000 * (time.perf_counter() - begin) / len(asked))
                lines.append(
                    f"| {kind} | {written} | {' | '.join(cells)} | {took[0]:.1f} | {took[1]:.1f} |"
                )
    return "\n".join([*lines, *described(index, captions, count), f"\nMachine: {machine()}.\n"])


def described(index: Path, captions: Captions, count: int) -> list[str]:
    """What the built-in captioner's words add, as lines of Markdown; they are written to the index.

    The first words of two captions of each of `count` pictures ask.
    """
    caption_pictures(index)
    names = random.Random(1).sample(sorted(captions), min(count, len(captions)))
    lines = [
        "\nAll pictures described by the built-in captioner; the first words of two captions of "
        f"each of {len(names)} pictures ask. Recall at 5 and 10 in percent, the gain with its "
        "standard error:\n",
        "| words asked | pictures alone | both | gain at 5 | gain at 10 |",
        "|---:|---:|---:|---:|---:|",
    ]
    with SearchEngine.open(index) as engine:
        for words in (1, 2, 3, 4):
            asked = [
                (" ".join(words_of(text)[:words]) or text, name)
                for name in names
                for text in captions[name][:2]
            ]
            found = []
            for way in (by_pictures, by_both):
                answers = [(way(engine, question, 10), name) for question, name in asked]
                ranks = np.array([own.index(name) if name in own else 10 for own, name in answers])
                found.append(100.0 * np.stack([ranks < 5, ranks < 10]))
            gains = found[1] - found[0]
            errors = gains.std(axis=1) / np.sqrt(gains.shape[1])
            cells = [" / ".join(f"{share:.1f}" for share in own.mean(axis=1)) for own in found]
            cells += [
                f"{gain:+.1f} ± {error:.1f}"
                for gain, error in zip(gains.mean(axis=1), errors, strict=True)
            ]
            lines.append(f"| {words} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_captioned_options(parser)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = captioned_photos(options, Path(folder))
        captions = {Path(image.name).name: image.captions for image in photos.pictures}
        index_folders([photos.alone(Path(folder) / "photos")], Path(folder) / "index")
        page = report(Path(folder) / "index", captions, 5 if options.tiny else options.questions)
    publish(page, "hybrid", keep=not options.tiny)


if __name__ == "__main__":
    main()
