"""A collection of many files in which little has changed: how long a run over it takes, and memory.

The sample photographs stand under many names each, as hard links, in folders by year and event. The
catalogue that knows them is written by SQL (`benchmarks.bulk_rows`). Then runs of the indexer, each
in a process of its own: with nothing changed, and with one file in a thousand gone.

    python -m benchmarks.rescan [--sizes 10000,100000,1000000] [--tiny]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.bulk_rows import fill_by_sql
from benchmarks.indexing import machine
from benchmarks.memory import peak_mib
from benchmarks.scale import in_own_process
from benchmarks.support.results import publish
from indexer import index_folders
from indexer.pipeline.scan import Scan
from retrieval.catalog import Catalog
from retrieval.encoders.compact import CompactEncoder
from retrieval.storage.index_dir import resolve_index_dir
from retrieval.vectors.faiss.store import FaissStore
from samples.photos import copy_photos

_YEARS, _EVENTS = 12, 1000
_ONE_GONE_IN = 1000


@dataclass(frozen=True)
class Run:
    """One run over a folder: seconds, the most memory in MiB, and what it counted."""

    took_s: float
    peak_mib: float
    unchanged: int
    removed: int


def link_photos(photos: Sequence[Path], folder: Path, count: int) -> Iterator[Path]:
    """So many names for the photographs, in folders by year and event."""
    for number in range(count):
        place = folder / f"{2013 + number % _YEARS}" / f"event {number // _YEARS % _EVENTS:03}"
        if number < _YEARS * _EVENTS:
            place.mkdir(parents=True, exist_ok=True)
        photo = photos[number % len(photos)]
        path = place / f"IMG_{number:08}{photo.suffix}"
        os.link(photo, path)
        yield path


def fill(index_dir: Path) -> None:
    """An index that knows all that is in the folder `photos` beside it, as it is."""
    present = list(Scan(index_dir.parent / "photos"))
    random = np.random.default_rng(0)
    some = random.standard_normal((2000, CompactEncoder().space.dim)).astype(np.float32)
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    vectors = some.astype(np.float16)[np.arange(len(present)) % len(some)]
    fill_by_sql(index_dir, vectors, present)
    with Catalog.open(resolve_index_dir(index_dir).catalog) as catalog:
        # The first transaction makes the rows' words ready to be found.
        with catalog.transaction() as change:
            change.set_vector_index_choice("auto")
        FaissStore(index_dir).refresh(catalog)


def run(index_dir: Path) -> Run:
    """Index the folder `photos` beside an index."""
    started = time.perf_counter()
    report = index_folders([index_dir.parent / "photos"], index_dir)
    took_s = time.perf_counter() - started
    return Run(took_s, peak_mib(), report.unchanged, report.removed)


def measure(folder: Path, count: int) -> tuple[Run, Run]:
    """A run with nothing changed, the second of two, and one with some files gone."""
    index_dir = folder / "index"
    photos = copy_photos(folder / "source")
    paths = list(link_photos(photos, folder / "photos", count))
    in_own_process(fill, index_dir)
    in_own_process(run, index_dir)
    same: Run = in_own_process(run, index_dir)
    for path in islice(paths, 0, None, _ONE_GONE_IN):
        path.unlink()
    fewer: Run = in_own_process(run, index_dir)
    gone = len(range(0, count, _ONE_GONE_IN))
    if (same.unchanged, fewer.unchanged, fewer.removed) != (count, count - gone, gone):
        raise SystemExit(f"The runs over {count} files did not find what is there: {same}, {fewer}")
    return same, fewer


def report(rows: dict[int, tuple[Run, Run]]) -> str:
    """A table of all sizes, in Markdown."""
    lines = [
        "# Looking at everything again\n",
        "| files | nothing changed | most memory | one in a thousand gone | most memory |",
        "|---:|---:|---:|---:|---:|",
    ]
    for count, runs in rows.items():
        cells = [f"{one.took_s:.1f} s | {one.peak_mib:,.0f} MiB" for one in runs]
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Machine: {machine()}.", ""])


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    sizes = [200] if options.tiny else [int(size) for size in options.sizes.split(",")]
    rows = {}
    for count in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows[count] = measure(Path(folder), count)
    publish(report(rows), "rescan", keep=not options.tiny)


if __name__ == "__main__":
    main()
