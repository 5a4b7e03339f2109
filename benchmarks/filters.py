"""Questions under filters: how long it takes to find which pictures fit, and to answer from them.

The index is filled with made-up pictures: vectors around some hundred centres, and a date, a
camera, a place and a rating each.

    python -m benchmarks.filters [--sizes 100000,1000000] [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.filled_index import ImageRow, fill_rows
from benchmarks.indexing import machine
from benchmarks.support.results import publish
from retrieval.catalog import Catalog, FileFacts, ItemFacts
from retrieval.encoders.base import Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.images.facts import ImageMetadata
from retrieval.query import filters as f
from retrieval.search.engine import SearchEngine
from retrieval.vectors.faiss.store import FaissStore

BEGIN, DAYS = datetime(2000, 1, 1), 10_000
CAMERAS = ("X100", "EOS R5", "iPhone 12", "Pixel 8", "D750")
ROUNDS = 15
FIRST_ROUNDS = 5

# About so many of the made-up pictures fit each of these.
ASKED: dict[str, f.Filter] = {
    "half, by date": f.Taken(after=BEGIN + timedelta(days=DAYS // 2)),
    "a fifth, by camera": f.Camera("X100"),
    "10 %, by date": f.Taken(after=BEGIN + timedelta(days=DAYS * 9 // 10)),
    "1 %, by date": f.Taken(after=BEGIN + timedelta(days=DAYS * 99 // 100)),
    "0.1 %, by date": f.Taken(after=BEGIN + timedelta(days=DAYS * 999 // 1000)),
    "near a place, 200 km": f.Near(10.0, 20.0, 200.0),
    "a folder of a thousandth": f.Below(Path("/photos/0500")),
    "a fifth and half and not rated 0": f.Camera("X100")
    & f.Taken(after=BEGIN + timedelta(days=DAYS // 2))
    & ~f.Rating(0, 0),
}


def made_up_row(number: int) -> ImageRow:
    """A picture that is not there, with facts that follow from its number."""
    random = np.random.default_rng(number)
    facts = ImageMetadata(
        taken_at=BEGIN + timedelta(days=float(random.uniform(0, DAYS))),
        camera_model=CAMERAS[int(random.integers(len(CAMERAS)))],
        latitude=float(random.uniform(-60, 70)),
        longitude=float(random.uniform(-180, 180)),
        rating=int(random.integers(0, 6)),
    )
    path = f"{number % 1000:04}/picture-{number:07}.jpg"
    file = FileFacts(path, 2_000_000, 0, number.to_bytes(16, "big"))
    return ImageRow(file, ItemFacts(4000, 3000, facts))


def fill(index_dir: Path, count: int) -> None:
    """An index of so many pictures around a few hundred centres."""
    random = np.random.default_rng(0)
    dim = CompactEncoder().space.dim
    centres = random.standard_normal((500, dim)).astype(np.float32)

    def chunk(size: int) -> Vectors:
        vectors = centres[random.integers(len(centres), size=size)]
        vectors = vectors + 0.8 * random.standard_normal((size, dim)).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / lengths, dtype=np.float32)

    sizes = [min(10_000, count - start) for start in range(0, count, 10_000)]
    location = fill_rows(index_dir, Path("/photos"), (chunk(size) for size in sizes), made_up_row)
    with Catalog.open(location.catalog) as catalog:
        FaissStore(location.folder).refresh(catalog)


@dataclass(frozen=True)
class Timing:
    """Of one filter: how many pictures fit, and the middle milliseconds of three steps.

    To find which do, to answer the first question under it, and to answer one more.
    """

    name: str
    fit: int
    found_ms: float
    first_ms: float
    again_ms: float


def measure(index_dir: Path) -> tuple[float, list[Timing]]:
    """The middle milliseconds of a question without a filter, and of each filter's."""
    timings = []
    with SearchEngine.open(index_dir) as engine:
        plain = median_ms(lambda: engine.search("a dog on a beach", rerank="off"))
        for name, filter_ in ASKED.items():
            ids = engine.index.reader.ids_matching(filter_)
            anew = median_ms(lambda: engine.index.reader.ids_matching(filter_))  # noqa: B023
            engine.search("a dog on a beach", filter=filter_, rerank="off")
            answered = median_ms(
                lambda: engine.search("a dog on a beach", filter=filter_, rerank="off")  # noqa: B023
            )
            first = float(np.median([_first_ms(index_dir, filter_) for _ in range(FIRST_ROUNDS)]))
            timings.append(Timing(name, len(ids), anew, first, answered))
    return plain, timings


def _first_ms(index_dir: Path, filter_: f.Filter) -> float:
    """What the first question under a filter takes, of an engine that is warm for others."""
    with SearchEngine.open(index_dir) as engine:
        for question in ("a dog", "a red car", "two people"):
            engine.search(question, rerank="off")
        started = time.perf_counter()
        engine.search("a dog on a beach", filter=filter_, rerank="off")
        return 1000 * (time.perf_counter() - started)


def median_ms(action: Callable[[], object]) -> float:
    """The middle of several runs, in milliseconds."""
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        action()
        took.append(1000 * (time.perf_counter() - started))
    return float(np.median(took))


def report(count: int, plain_ms: float, timings: list[Timing]) -> str:
    """A table of one size."""
    lines = [
        f"{count:,} pictures; a question without a filter: {plain_ms:.1f} ms\n",
        "| filter | fit | found in ms | first question in ms | next question in ms |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one.name} | {one.fit:,} | {one.found_ms:.1f} | {one.first_ms:.1f} "
        f"| {one.again_ms:.1f} |"
        for one in timings
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    sizes = [2000] if options.tiny else [int(size) for size in options.sizes.split(",")]
    pages = ["# Questions under filters\n"]
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder) / "index", size)
            pages.append(report(size, *measure(Path(folder) / "index")))
    pages.append(f"Machine: {machine()}.\n")
    page = "\n".join(pages)
    publish(page, "filters", keep=not options.tiny)


if __name__ == "__main__":
    main()
