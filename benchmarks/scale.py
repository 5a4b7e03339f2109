"""Many vectors: how long the index takes to make, what it weighs, how fast and how right it is.

Vectors have the shape of real ones (`benchmarks.real_shaped`), questions are real captions. Each
step is a process of its own, so that its memory is its own. Exact search, in NumPy over float32,
is both the truth and the peer.

    python -m benchmarks.scale --images DIR... --captions FILE --sizes 100000,1000000 [--tiny]
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.filled_index import fill_rows
from benchmarks.indexing import machine
from benchmarks.memory import peak_mib, resident_mib
from benchmarks.real_shaped import (
    RealVectors,
    between_neighbours,
    compare_neighbours,
    load_real,
    save_chunks,
)
from benchmarks.support.results import publish
from retrieval.catalog import Catalog, QuickReader
from retrieval.search.engine import SearchEngine
from retrieval.storage.index_dir import resolve_index_dir
from retrieval.vectors.faiss.store import FaissStore, Manifest

DEPTH = 10
_SHARES = (0.001, 0.1, 0.5)
# Beyond this the float32 matrix of the peer takes more memory than a desktop has to spare.
_LARGEST_BRUTE = 2_000_000


@dataclass(frozen=True)
class Latency:
    """Milliseconds a question: the middle one, and what 95 of 100 stay below."""

    p50_ms: float
    p95_ms: float

    @classmethod
    def of(cls, elapsed_s: Sequence[float]) -> Latency:
        """From the times of single questions."""
        p50, p95 = np.quantile(np.asarray(elapsed_s) * 1000, [0.5, 0.95])
        return cls(float(p50), float(p95))

    def __str__(self) -> str:
        return f"{self.p50_ms:.1f} / {self.p95_ms:.1f}"


@dataclass(frozen=True)
class Build:
    """`rows_s`: writing rows and vectors to the catalogue. `build_s`: making the index file."""

    rows_s: float
    catalog_bytes: int
    build_s: float
    build_peak_mib: float
    manifest: Manifest


@dataclass(frozen=True)
class Asked:
    """Questions to the index alone. `restricted`: for shares of the ids, latency and recall."""

    open_ms: float
    resident_mib: float
    latency: Latency
    recall: float
    restricted: tuple[tuple[float, Latency, float], ...]


@dataclass(frozen=True)
class Size:
    """All that was measured of one size. `brute` is None where it was left out."""

    count: int
    build: Build
    asked: Asked
    engine: Latency
    brute: Latency | None


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--cache", type=Path, help="where the encoded pictures are kept")
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--vector-index", default="auto")
    parser.add_argument("--work", type=Path, help="a folder for the index, which is kept there")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    sizes = [2000] if options.tiny else [int(size) for size in options.sizes.split(",")]
    choice = "ivf" if options.tiny else options.vector_index
    work: AbstractContextManager[Any] = (
        nullcontext(options.work) if options.work else tempfile.TemporaryDirectory()
    )
    with work as folder:
        scratch = Path(folder)
        real = load_real(options.images, options.captions, scratch, options.cache)
        chosen = np.random.default_rng(0).permutation(len(real.texts))[: options.questions]
        real = RealVectors(
            real.pictures, real.captions[chosen], tuple(real.texts[i] for i in chosen)
        )
        found = [measure(real, size, scratch / str(size), choice) for size in sizes]
        made = np.concatenate(list(between_neighbours(real.pictures, len(real.pictures), seed=1)))
        page = report(found, real, made)
    publish(page, "scale", keep=not options.tiny)


def measure(real: RealVectors, count: int, folder: Path, choice: str) -> Size:
    """Everything for one size; what a folder holds from an earlier run is taken as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix, index_dir = folder / "vectors.npy", folder / "index"
    if not matrix.exists():
        save_chunks(between_neighbours(real.pictures, count), count, matrix)
    rows_s = in_own_process(_fill, index_dir, matrix, choice)
    build_s, build_peak_mib = in_own_process(build_file, index_dir)
    manifest = FaissStore(index_dir).manifest()
    assert manifest is not None
    build = Build(
        rows_s,
        resolve_index_dir(index_dir).catalog.stat().st_size,
        build_s,
        build_peak_mib,
        manifest,
    )
    exact = in_own_process(exact_nearest, matrix, real.captions)
    return Size(
        count,
        build,
        in_own_process(ask_index, index_dir, matrix, real.captions, exact),
        in_own_process(ask_engine, index_dir, real.texts),
        in_own_process(_brute, matrix, real.captions) if count <= _LARGEST_BRUTE else None,
    )


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, run in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def _fill(index_dir: Path, matrix: Path, choice: str) -> float:
    vectors = np.load(matrix, mmap_mode="r")
    started = time.perf_counter()
    if not resolve_index_dir(index_dir).catalog.exists():
        chunks = (
            vectors[start : start + 10_000].astype(np.float32)
            for start in range(0, len(vectors), 10_000)
        )
        location = fill_rows(index_dir, index_dir.parent / "photos", chunks)
        with Catalog.open(location.catalog) as catalog, catalog.transaction() as change:
            change.set_vector_index_choice(choice)
    return time.perf_counter() - started


def build_file(index_dir: Path) -> tuple[float, float]:
    """Make the index file: the seconds that took, and the most memory."""
    location = resolve_index_dir(index_dir)
    with Catalog.open(location.catalog) as catalog:
        started = time.perf_counter()
        FaissStore(location.folder).refresh(catalog)
        return time.perf_counter() - started, peak_mib()


def exact_nearest(matrix: Path, questions: NDArray[np.float32]) -> NDArray[np.int64]:
    """The ids, (q, 10), of the nearest among the vectors of a file, by plain arithmetic."""
    return _nearest(np.load(matrix, mmap_mode="r"), questions, None)


def ask_index(
    index_dir: Path,
    matrix: Path,
    questions: NDArray[np.float32],
    exact: NDArray[np.int64],
) -> Asked:
    """Ask the index alone; `exact` (q, 10) are the right answers."""
    location = resolve_index_dir(index_dir)
    reader = QuickReader.open(location.catalog)
    started = time.perf_counter()
    index = FaissStore(location.folder).load(reader).index
    index.search(questions[:1], DEPTH)
    open_ms = 1000 * (time.perf_counter() - started)
    found, latency = _one_by_one(lambda row: index.search(row, DEPTH)[1], questions)
    held_mib = resident_mib()
    vectors = np.load(matrix, mmap_mode="r")
    restricted = []
    for share in _SHARES:
        random = np.random.default_rng(0)
        size = max(DEPTH, int(len(vectors) * share))
        within = np.sort(random.choice(len(vectors), size, replace=False)) + 1
        some = questions[:32]
        ids, took = _one_by_one(
            lambda row, within=within: index.search(row, DEPTH, within=within)[1],  # type: ignore[misc]
            some,
        )
        truth = _nearest(vectors, some, within)
        restricted.append((share, took, _recall(ids, truth)))
    reader.close()
    return Asked(open_ms, held_mib, latency, _recall(found, exact), tuple(restricted))


def ask_engine(index_dir: Path, texts: Sequence[str]) -> Latency:
    """Ask an engine that is warm, without reranking."""
    with SearchEngine.open(index_dir) as engine:
        for text in texts[:5]:
            engine.search(text, k=DEPTH, rerank="off")
        elapsed = []
        for text in texts:
            started = time.perf_counter()
            engine.search(text, k=DEPTH, rerank="off")
            elapsed.append(time.perf_counter() - started)
    return Latency.of(elapsed)


def _brute(matrix: Path, questions: NDArray[np.float32]) -> Latency:
    vectors = np.load(matrix).astype(np.float32)

    def nearest(row: NDArray[np.float32]) -> NDArray[np.int64]:
        scores = vectors @ row[0]
        best = np.argpartition(-scores, DEPTH)[:DEPTH]
        ids: NDArray[np.int64] = best[np.argsort(-scores[best])][np.newaxis]
        return ids

    return _one_by_one(nearest, questions[:50])[1]


def _one_by_one(
    search: Callable[[NDArray[np.float32]], NDArray[np.int64]], questions: NDArray[np.float32]
) -> tuple[NDArray[np.int64], Latency]:
    for row in questions[:3]:
        search(row[np.newaxis])
    found, elapsed = [], []
    for row in questions:
        started = time.perf_counter()
        found.append(search(row[np.newaxis]))
        elapsed.append(time.perf_counter() - started)
    return np.concatenate(found), Latency.of(elapsed)


def _nearest(
    vectors: NDArray[np.float16], questions: NDArray[np.float32], within: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """The ids, (q, 10), of the exact nearest; ids count from 1 in the order of the vectors."""
    ids = np.arange(1, len(vectors) + 1) if within is None else within
    best_scores = np.empty((len(questions), 0), np.float32)
    best_ids = np.empty((len(questions), 0), np.int64)
    for start in range(0, len(ids), 50_000):
        some = ids[start : start + 50_000]
        scores = questions @ vectors[some - 1].astype(np.float32).T
        scores = np.concatenate([best_scores, scores], axis=1)
        labels = np.concatenate([best_ids, np.broadcast_to(some, (len(questions), len(some)))], 1)
        top = np.argpartition(-scores, DEPTH - 1, axis=1)[:, :DEPTH]
        best_scores = np.take_along_axis(scores, top, axis=1)
        best_ids = np.take_along_axis(labels, top, axis=1)
    return best_ids


def _recall(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    return float(
        np.mean([len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, exact, strict=True)])
        / exact.shape[1]
    )


def report(found: Sequence[Size], real: RealVectors, made: NDArray[np.float32]) -> str:
    """The measurements as Markdown."""
    lines = [
        "# Scale",
        "",
        f"Vectors of {made.shape[1]} dimensions between near neighbours among "
        f"{len(real.pictures):,} real pictures, as the compact model sees them; "
        f"{len(real.texts)} real captions ask, one at a time, for the nearest {DEPTH}. The files "
        "are in memory. Recall is against exact search over float32.",
        "",
        f"Machine: {machine()}.",
        "",
        "## Making it",
        "",
        "| vectors | kind | rows and vectors into the catalogue | catalogue | index file "
        "| making it | peak memory |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {size.count:,} | {_kind(size.build.manifest)} | {size.build.rows_s:.0f} s "
        f"| {size.build.catalog_bytes / 1e6:.0f} MB "
        f"| {size.build.manifest.size_bytes / 1e6:.0f} MB | {size.build.build_s:.0f} s "
        f"| {size.build.build_peak_mib:.0f} MiB |"
        for size in found
    ]
    lines += [
        "",
        "## Asking it",
        "",
        "Milliseconds, p50 / p95; `engine.search` is the whole of a warm question, words to paths, "
        "reranking off.",
        "",
        "| vectors | recall@10 | index alone | `engine.search` | NumPy, all vectors "
        "| opening it | resident memory |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {size.count:,} | {size.asked.recall:.3f} | {size.asked.latency} | {size.engine} "
        f"| {size.brute or 'left out'} | {size.asked.open_ms:.0f} | "
        f"{size.asked.resident_mib:.0f} MiB |"
        for size in found
    ]
    lines += [
        "",
        "## Asking part of it",
        "",
        "Restricted to a random share of the pictures, as `--in` does; the index alone.",
        "",
        "| vectors | share | p50 / p95 ms | recall@10 |",
        "|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {size.count:,} | {share:.1%} | {latency} | {recall:.3f} |"
        for size in found
        for share, latency, recall in size.asked.restricted
    ]
    lines += [
        "",
        "## How real the vectors are",
        "",
        "Cosines to the nearest and the tenth nearest among equally many real and made vectors, "
        "deciles 10, 50 and 90.",
        "",
        "| cosine of | real | made |",
        "|---|---|---|",
    ]
    lines += [
        f"| {what} | {_numbers(theirs)} | {_numbers(ours)} |"
        for what, theirs, ours in compare_neighbours(real, made)
    ]
    return "\n".join(lines) + "\n"


def _kind(manifest: Manifest) -> str:
    return f"{manifest.kind}, effort {manifest.effort}, says recall {manifest.recall:.3f}"


def _numbers(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()
