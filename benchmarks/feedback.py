"""What do marks of right and wrong answers gain? Simulated from captions, for one and two rounds.

A question is a word, or two, of the captions of some twenty to a hundred and fifty pictures; those
are right of which two captions have it. Of the first ten answers the right ones are marked right
and the others wrong, which is round one; of the ten best that are left then, round two. What is
measured is how the pictures that were never marked are ranked, as in Salton and Buckley, *Improving
retrieval performance by relevance feedback* (1990): marked ones would count twice.

Rules compared: Rocchio's with several weights, ridge and logistic regression over the marked
pictures added to the question's own scores, and both together. The rule that the engine has is
then measured through the engine.

    python -m benchmarks.feedback --images DIR --captions FILE [--split dev] [--tiny]
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.indexing import machine
from benchmarks.support.captioned import add_captioned_options, captioned_photos
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval.evaluation.captions import CaptionedImage
from retrieval.query.query import Query
from retrieval.search.engine import SearchEngine
from retrieval.search.feedback import RIGHT_WEIGHT, WRONG_WEIGHT, Feedback

MARKED = 10
TOP = 10
MOST_PAIRS = 60
_SILENT = re.compile(
    "the|with|and|are|his|her|their|its|she|they|them|while|into|from|for|down|over|out|through|"
    "near|front|one|some|other|another|who|that|this|has|have|wearing"
)

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Rule = Callable[[Floats, Floats, Ids, Ids], Floats]
"""From a question's vector (dim,), all vectors (n, dim), right and wrong rows to scores (n,)."""


@dataclass(frozen=True)
class Topic:
    """A question and the names of the pictures that are right for it."""

    text: str
    right: frozenset[str]


def topics(
    pictures: Sequence[CaptionedImage], fewest: int, most: int, captions: int = 2
) -> list[Topic]:
    """Words, and pairs of them, that so many captions of some pictures have."""
    having: dict[str, set[str]] = {}
    for image in pictures:
        told = Counter(
            word
            for caption in image.captions
            for word in set(re.findall(r"[a-z]{3,}", caption.lower()))
            if not _SILENT.fullmatch(word)
        )
        for word, times in told.items():
            if times >= captions:
                having.setdefault(word, set()).add(image.name)
    single = {word: own for word, own in having.items() if fewest <= len(own) <= most}
    pairs = {
        f"{one} {other}": both
        for one, other in combinations(sorted(single), 2)
        if len(both := having[one] & having[other]) >= fewest
    }
    chosen = [*sorted(single.items()), *sorted(pairs.items())[:MOST_PAIRS]]
    return [Topic(text, frozenset(Path(name).name for name in own)) for text, own in chosen]


def rocchio(right: float, wrong: float) -> Rule:
    """The question moved by the means of the marked pictures."""

    def rule(question: Floats, vectors: Floats, good: Ids, bad: Ids) -> Floats:
        moved = question.copy()
        if len(good):
            moved += right * vectors[good].mean(axis=0)
        if len(bad):
            moved -= wrong * vectors[bad].mean(axis=0)
        return np.asarray(vectors @ (moved / np.linalg.norm(moved)))

    return rule


def ridge(base: Rule, penalty: float, weight: float) -> Rule:
    """Another rule's scores, and those of ridge regression to +1 and −1 on the marked pictures."""

    def rule(question: Floats, vectors: Floats, good: Ids, bad: Ids) -> Floats:
        marked = vectors[np.concatenate([good, bad])]
        target = np.concatenate([np.ones(len(good)), -np.ones(len(bad))])
        alpha = np.linalg.solve(marked @ marked.T + penalty * np.eye(len(marked)), target)
        added = vectors @ (marked.T @ alpha)
        return np.asarray(base(question, vectors, good, bad) + weight * added)

    return rule


def logistic(base: Rule, strength: float, weight: float, steps: int = 200) -> Rule:
    """Another rule's scores, and those of logistic regression on the marked pictures."""

    def rule(question: Floats, vectors: Floats, good: Ids, bad: Ids) -> Floats:
        marked = vectors[np.concatenate([good, bad])]
        target = np.concatenate([np.ones(len(good)), np.zeros(len(bad))])
        weights, bias = np.zeros(vectors.shape[1]), 0.0
        for _ in range(steps):
            error = 1 / (1 + np.exp(-(marked @ weights + bias))) - target
            weights -= marked.T @ error / len(marked) + weights / strength
            bias -= float(error.mean())
        return np.asarray(base(question, vectors, good, bad) + weight * (vectors @ weights))

    return rule


def plain(question: Floats, vectors: Floats, good: Ids, bad: Ids) -> Floats:
    """The question as it was asked, whatever is marked."""
    return np.asarray(vectors @ question)


RULES: dict[str, Rule] = {
    "no heed to marks": plain,
    "Rocchio 1, 0.5": rocchio(1.0, 0.5),
    "Rocchio 0.75, 0.15": rocchio(0.75, 0.15),
    "Rocchio 1, 1": rocchio(1.0, 1.0),
    "Rocchio 2, 1": rocchio(2.0, 1.0),
    "ridge 1, 0.2": ridge(plain, 1.0, 0.2),
    "ridge 3, 0.4": ridge(plain, 3.0, 0.4),
    "logistic 100, 0.05": logistic(plain, 100.0, 0.05),
    "Rocchio 1, 0.5 and ridge 3, 0.1": ridge(rocchio(1.0, 0.5), 3.0, 0.1),
    "Rocchio 1, 0.5 and logistic 100, 0.05": logistic(rocchio(1.0, 0.5), 100.0, 0.05),
}


def residual_quality(ranked: Sequence[str], left: frozenset[str]) -> tuple[float, float]:
    """Precision among the first ten, and average precision, of pictures that were not marked."""
    hit = np.array([name in left for name in ranked])
    if not hit.any():
        return 0.0, 0.0
    precision = np.cumsum(hit)[hit] / (np.flatnonzero(hit) + 1)
    return float(hit[:TOP].mean()), float(precision.sum() / len(left))


def measure(
    rule: Rule, question: Floats, vectors: Floats, names: list[str], topic: Topic, marks: list[int]
) -> tuple[float, float] | None:
    """Quality after rounds of so many marks each; None where nothing is left to be found."""
    is_right = np.array([name in topic.right for name in names])
    marked = np.zeros(len(names), dtype=bool)
    scores = plain(question, vectors, *_none())
    for count in marks:
        order = np.argsort(-scores, kind="stable")
        marked[order[~marked[order]][:count]] = True
        scores = rule(
            question, vectors, np.flatnonzero(marked & is_right), np.flatnonzero(marked & ~is_right)
        )
    order = np.argsort(-scores, kind="stable")
    told = frozenset(np.array(names)[marked].tolist())
    left = topic.right - told
    ranked = [names[place] for place in order if not marked[place]]
    return residual_quality(ranked, left) if left else None


def measure_engine(
    engine: SearchEngine, topic: Topic, marks: list[int]
) -> tuple[float, float] | None:
    """The same through the engine, as a person would."""
    feedback, marked = Feedback(), set[str]()
    query = Query.of(topic.text)
    for count in marks:
        hits = [
            hit
            for hit in engine.iter_hits(query, rerank="off", match="pictures", feedback=feedback)
            if hit.path.name not in marked
        ][:count]
        marked |= {hit.path.name for hit in hits}
        right = [hit for hit in hits if hit.path.name in topic.right]
        wrong = [hit for hit in hits if hit.path.name not in topic.right]
        feedback = Feedback([*feedback.right, *right], [*feedback.wrong, *wrong])
    left = topic.right - marked
    ranked = [
        hit.path.name
        for hit in engine.iter_hits(query, rerank="off", match="pictures", feedback=feedback)
        if hit.path.name not in marked
    ]
    return residual_quality(ranked, left) if left else None


def _none() -> tuple[Ids, Ids]:
    return np.empty(0, np.int64), np.empty(0, np.int64)


def _row(name: str, results: Sequence[Sequence[tuple[float, float] | None]]) -> str:
    cells = [name]
    for found in results:
        kept = [one for one in found if one is not None]
        precision, average = 100 * np.mean(kept, axis=0) if kept else (0.0, 0.0)
        cells += [f"{precision:.1f}", f"{average:.1f}"]
    return f"| {' | '.join(cells)} |"


def report(engine: SearchEngine, asked: Sequence[Topic], marks: int = MARKED) -> str:
    """Everything as Markdown."""
    hits = list(engine.browse("-name:nothing", k=1_000_000))
    vectors = engine.vectors_of(hits).astype(np.float64)
    names = [hit.path.name for hit in hits]
    questions = engine.embed_texts([topic.text for topic in asked]).astype(np.float64)
    lines = [
        "# Feedback\n",
        f"{len(names):,} pictures, {len(asked)} questions, the compact model, no reranking. The "
        f"first {marks} answers are marked a round; precision among the first {TOP} and average "
        "precision of pictures that were never marked, in percent:\n",
        "| rule | P@10, one round | AP | P@10, two rounds | AP |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, rule in RULES.items():
        results = [
            [
                measure(rule, question, vectors, names, topic, [marks] * rounds)
                for topic, question in zip(asked, questions, strict=True)
            ]
            for rounds in (1, 2)
        ]
        lines.append(_row(name, results))
    through = [
        [measure_engine(engine, topic, [marks] * rounds) for topic in asked] for rounds in (1, 2)
    ]
    lines.append(_row(f"through the engine (Rocchio {RIGHT_WEIGHT:g}, {WRONG_WEIGHT:g})", through))
    return "\n".join([*lines, f"\nMachine: {machine()}.\n"])


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_captioned_options(parser)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = captioned_photos(options, Path(folder))
        index_folders([photos.alone(Path(folder) / "photos")], Path(folder) / "index")
        with SearchEngine.open(Path(folder) / "index") as engine:
            if options.tiny:
                page = report(engine, topics(photos.pictures, 2, 18, captions=1)[:3], marks=1)
            else:
                page = report(engine, topics(photos.pictures, 20, 150))
    publish(page, "feedback", keep=not options.tiny)


if __name__ == "__main__":
    main()
