"""Composed questions: does what is not wanted go away, and which fusion serves which question?

A picture shows a thing where one of its captions names it. For each pair of a scene and a thing
that is in some pictures of it and not in others, "SCENE without THING" is asked in three ways: as
it is written, for the scene alone, and understood. Two captions asked together measure the
fusions: both of one picture, and of two pictures.

    python -m benchmarks.composed --images DIR --captions FILE [--tiny]
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.indexing import machine
from benchmarks.support.captioned import add_captioned_options, captioned_photos
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval.query.query import Query
from retrieval.search.compose import FUSIONS, Fusion
from retrieval.search.engine import SearchEngine
from retrieval.search.hit import Hit

TOP = 10
SCENES = {
    "a beach": "beach", "a street": "street", "a kitchen": "kitchen", "a table": "table",
    "a bed": "bed(room)?", "a field": "field", "a boat": "boats?",
    "a motorcycle": "motor(cycle|bike)s?",
    "a bicycle": "(bicycle|bike)s?", "a train": "trains?", "a bathroom": "bathroom|toilet",
    "a horse": "horses?", "a sofa": "couch|sofa", "a city": "city", "a park": "park",
}  # fmt: skip
THINGS = {
    "people": "(person|people|man|men|woman|women|boy|girl|child|children|kid|lady|player|rider)s?",
    "dogs": "dogs?|pupp(y|ies)", "cats": "cats?|kittens?", "cars": "cars?|trucks?|vehicles?",
    "water": "water|ocean|sea|lake|river|waves?", "snow": "snow|snowy|skis?|skiing",
    "food": "(food|plate|pizza|sandwich|cake|meal|dish|fruit|bowl)s?",
    "grass": "grass|grassy|field",
    "trees": "trees?", "buses": "bus(es)?", "umbrellas": "umbrellas?", "chairs": "chairs?",
}  # fmt: skip


class Captioned:
    """An engine over captioned pictures, and what their captions say is in them."""

    def __init__(self, engine: SearchEngine, captions: dict[str, tuple[str, ...]]) -> None:
        self.engine = engine
        self.captions = captions

    def shows(self, pattern: str) -> set[str]:
        """The names of the pictures that a caption names the thing of."""
        found = re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)
        return {name for name, texts in self.captions.items() if any(map(found.search, texts))}

    def ask(self, query: str | Query, fusion: Fusion = "average") -> list[Hit]:
        """The first answers, by the first stage."""
        return self.engine.search(query, k=TOP, rerank="off", fusion=fusion)


def negations(pictures: Captioned, fewest: int) -> list[tuple[str, str, set[str], set[str]]]:
    """Scenes and things, with the pictures that show each, where some show both and some not."""
    found = []
    for scene, in_scene in SCENES.items():
        for thing, of_thing in THINGS.items():
            wanted, unwanted = pictures.shows(in_scene), pictures.shows(of_thing)
            if len(wanted & unwanted) >= fewest and len(wanted - unwanted) >= fewest:
                found.append((scene, thing, wanted, unwanted))
    return found


def shares(
    pictures: Captioned,
    asked: Sequence[tuple[str, str, set[str], set[str]]],
    question: Callable[[str, str], str | Query],
) -> tuple[float, float, float]:
    """Of the first answers: that show what was excluded, that show the scene, that are right."""
    rows = []
    for scene, thing, wanted, unwanted in asked:
        names = [hit.path.name for hit in pictures.ask(question(scene, thing))]
        rows.append(
            [
                np.mean([name in unwanted for name in names]),
                np.mean([name in wanted for name in names]),
                np.mean([name in wanted - unwanted for name in names]),
            ]
        )
    excluded, scene_share, right = np.mean(rows, axis=0)
    return float(excluded), float(scene_share), float(right)


def recalls(pictures: Captioned, chosen: Sequence[str], *, of_one: bool) -> dict[str, float]:
    """Share of right pictures among the first answers to two captions together, by fusion."""
    found: dict[str, list[float]] = {}
    for first, second in zip(chosen[::2], chosen[1::2], strict=False):
        own = pictures.captions[first]
        other = own[1] if of_one else pictures.captions[second][0]
        right = {first} if of_one else {first, second}
        asked = {fusion: Query.of(own[0]).like(other) for fusion in FUSIONS}
        for fusion, query in asked.items():
            names = {hit.path.name for hit in pictures.ask(query, fusion)}
            found.setdefault(fusion, []).append(len(names & right) / len(right))
        names = {hit.path.name for hit in pictures.ask(Query.of(f"{own[0]}, {other}"))}
        found.setdefault("one text", []).append(len(names & right) / len(right))
    return {name: float(np.mean(values)) for name, values in found.items()}


def report(pictures: Captioned, fewest: int, pairs: int) -> str:
    """Everything as Markdown."""
    asked = negations(pictures, fewest)
    ways: dict[str, Callable[[str, str], str | Query]] = {
        "as it is written, one text": lambda scene, thing: Query.of(f"{scene} without {thing}"),
        "the scene alone": lambda scene, thing: Query.of(scene),
        "understood": lambda scene, thing: f"{scene} without {thing}",
    }
    lines = [
        "# Composed questions\n",
        f"{len(pictures.captions):,} captioned pictures, the compact model, no reranking. "
        f"{len(asked)} questions of the form SCENE without THING; of their first {TOP} answers, "
        "in percent:\n",
        "| asked | show what was excluded | show the scene | right: the scene without it |",
        "|---|---:|---:|---:|",
    ]
    for name, question in ways.items() if asked else ():
        excluded, scene, right = (100 * share for share in shares(pictures, asked, question))
        lines.append(f"| {name} | {excluded:.1f} | {scene:.1f} | {right:.1f} |")
    random = np.random.default_rng(0)
    two = sorted(name for name, texts in pictures.captions.items() if len(texts) > 1)
    chosen: NDArray[np.str_] = random.permutation(two)[: 2 * pairs]
    lines += [
        f"\nTwo captions asked together, {len(chosen) // 2} times; recall@{TOP} in percent:\n",
        "| fusion | both of one picture | of two pictures, either is right |",
        "|---|---:|---:|",
    ]
    one = recalls(pictures, chosen.tolist(), of_one=True)
    either = recalls(pictures, chosen.tolist(), of_one=False)
    lines += [f"| {name} | {100 * one[name]:.1f} | {100 * either[name]:.1f} |" for name in one]
    return "\n".join([*lines, f"\nMachine: {machine()}.\n"])


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_captioned_options(parser)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = captioned_photos(options, Path(folder))
        index_folders([photos.images], Path(folder) / "index")
        captions = {Path(image.name).name: tuple(image.captions) for image in photos.pictures}
        with SearchEngine.open(Path(folder) / "index") as engine:
            page = report(Captioned(engine, captions), 1 if options.tiny else 15, 300)
    publish(page, "composed", keep=not options.tiny)


if __name__ == "__main__":
    main()
