"""Twenty million vectors on one machine: what making and asking the index takes, and its catalogue.

Vectors have the shape of real ones (`benchmarks.real_shaped`), questions are real captions, rows
are written by SQL (`benchmarks.bulk_rows`). With `--memory-gib` the processes that ask are put into
a control group of that much memory, files that the system keeps in memory included, which takes
Linux, root and control groups of version 1.

    python -m benchmarks.many_millions --images DIR... --captions FILE [--size N]
        [--work DIR] [--memory-gib 8] [--tiny]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bulk_rows import fill_by_sql
from benchmarks.indexing import machine
from benchmarks.memory import resident_mib
from benchmarks.real_shaped import between_neighbours, load_real, save_chunks
from benchmarks.scale import (
    Asked,
    Latency,
    ask_engine,
    ask_index,
    build_file,
    exact_nearest,
    in_own_process,
)
from benchmarks.support.results import publish
from retrieval.catalog import Catalog
from retrieval.query import filters as f
from retrieval.search.engine import SearchEngine
from retrieval.storage.index_dir import resolve_index_dir
from retrieval.vectors.faiss.store import FaissStore, Manifest

_GROUPS = Path("/sys/fs/cgroup/memory")
_ROUNDS = 5
_FILTERS: dict[str, f.Filter] = {
    "half, by date": f.Taken(after=datetime(2019, 1, 1)),
    "an eighth, by camera": f.Camera("X100V"),
    "1 %, by date": f.Taken(after=datetime(2024, 11, 17)),
    "0.1 %, by date": f.Taken(after=datetime(2024, 12, 25)),
    "within 5 km of a place": f.Near(48.14, 11.58, 5.0),
    "rated 5": f.Rating(5, 5),
}


@dataclass(frozen=True)
class Filtered:
    """Milliseconds to find which of them a filter lets through, and to answer once that is known.

    `first_ms`: the first time that the filter was asked.
    """

    name: str
    fit: int
    first_ms: float
    answer: Latency


@dataclass(frozen=True)
class Found:
    """All that was measured."""

    count: int
    fill_s: float | None
    catalog_bytes: int
    build_s: float | None
    build_peak_mib: float
    manifest: Manifest
    asked: Asked
    engine: Latency
    engine_mib: float
    filtered: tuple[Filtered, ...]
    status_s: float


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--cache", type=Path, help="where the encoded pictures are kept")
    parser.add_argument("--size", type=int, default=20_000_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--work", type=Path, help="a folder for the index, which is kept there")
    parser.add_argument("--memory-gib", type=float, help="what may be used while asking")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    size = 4000 if options.tiny else options.size
    work: AbstractContextManager[Any] = (
        nullcontext(options.work) if options.work else tempfile.TemporaryDirectory()
    )
    with work as folder:
        scratch = Path(folder)
        real = load_real(options.images, options.captions, scratch, options.cache)
        matrix = scratch / "vectors.npy"
        if not matrix.exists():
            save_chunks(between_neighbours(real.pictures, size), size, matrix)
        chosen = np.random.default_rng(0).permutation(len(real.texts))[: options.questions]
        texts = tuple(real.texts[i] for i in chosen)
        found = measure(scratch / "index", matrix, real.captions[chosen], texts, options.memory_gib)
    publish(report(found, options.memory_gib), "many_millions", keep=not options.tiny)


def measure(
    index_dir: Path,
    matrix: Path,
    questions: np.ndarray,
    texts: Sequence[str],
    memory_gib: float | None,
) -> Found:
    """Everything; what the folder holds from an earlier run is taken as it is."""
    location = resolve_index_dir(index_dir)
    fill_s = build_s = None
    peak_mib = float("nan")
    if not location.has_catalog:
        fill_s = in_own_process(_fill, index_dir, matrix)
    if FaissStore(location.folder).manifest() is None:
        with _limited(memory_gib):
            build_s, peak_mib = in_own_process(build_file, index_dir)
    manifest = FaissStore(location.folder).manifest()
    assert manifest is not None
    exact = in_own_process(exact_nearest, matrix, questions)
    with _limited(memory_gib):
        engine, engine_mib = in_own_process(_ask_engine, index_dir, texts)
        filtered = in_own_process(_ask_filtered, index_dir, texts[:20])
        status_s = in_own_process(_status, index_dir)
        asked = in_own_process(ask_index, index_dir, matrix, questions, exact)
    return Found(
        len(np.load(matrix, mmap_mode="r")),
        fill_s,
        location.catalog.stat().st_size,
        build_s,
        peak_mib,
        manifest,
        asked,
        engine,
        engine_mib,
        filtered,
        status_s,
    )


@contextmanager
def _limited(memory_gib: float | None) -> Any:
    """Have processes that are started inside of it share so much memory, page cache included."""
    if memory_gib is None:
        yield
        return
    former = next(
        _GROUPS / line.split(":", 2)[2].strip().lstrip("/")
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if line.split(":")[1] == "memory"
    )
    group = _GROUPS / f"mmsearch-benchmark-{os.getpid()}"
    group.mkdir(exist_ok=True)
    (group / "memory.limit_in_bytes").write_text(str(int(memory_gib * 2**30)))
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        # With what multiprocessing leaves running until this process ends.
        for process in (group / "cgroup.procs").read_text().split():
            (former / "cgroup.procs").write_text(process)
        group.rmdir()


def _fill(index_dir: Path, matrix: Path) -> float:
    started = time.perf_counter()
    fill_by_sql(index_dir, np.load(matrix, mmap_mode="r"))
    path = resolve_index_dir(index_dir).catalog
    with Catalog.open(path) as catalog, catalog.transaction() as change:
        change.set_vector_index_choice("rabitq")
    return time.perf_counter() - started


def _ask_engine(index_dir: Path, texts: Sequence[str]) -> tuple[Latency, float]:
    return ask_engine(index_dir, texts), resident_mib()


def _ask_filtered(index_dir: Path, texts: Sequence[str]) -> tuple[Filtered, ...]:
    found = []
    with SearchEngine.open(index_dir) as engine:
        engine.search(texts[0], rerank="off")
        for name, filter_ in _FILTERS.items():
            first_ms = _took_ms(lambda: engine.search(texts[0], filter=filter_, rerank="off"))  # noqa: B023
            fit = len(engine.index.reader.ids_matching(filter_))
            took = [
                _took_ms(lambda: engine.search(text, filter=filter_, rerank="off")) / 1000  # noqa: B023
                for text in texts
            ]
            found.append(Filtered(name, fit, first_ms, Latency.of(took)))
    return tuple(found)


def _status(index_dir: Path) -> float:
    import subprocess
    import sys

    command = [sys.executable, "-m", "mmsearch", "--index-dir", str(index_dir), "status", "--json"]
    return min(
        _took_ms(lambda: subprocess.run(command, check=True, capture_output=True)) / 1000
        for _ in range(_ROUNDS)
    )


def _took_ms(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - started)


def report(found: Found, memory_gib: float | None) -> str:
    """The measurements as Markdown."""
    within = f"{memory_gib:g} GiB of memory, cached files included" if memory_gib else "all memory"
    manifest, asked = found.manifest, found.asked
    lines = [
        "# Many millions",
        "",
        f"{found.count:,} vectors of {manifest.dim} dimensions, shaped like those of real "
        f"pictures; real captions ask, one at a time. Asked within {within}. Recall is against "
        "exact search over the vectors.",
        "",
        f"Machine: {machine()}.",
        "",
        "| | |",
        "|---|---:|",
        f"| kind | {manifest.kind}, nprobe {manifest.effort}, says recall {manifest.recall:.3f} |",
        f"| catalogue | {found.catalog_bytes / 1e9:.1f} GB{_seconds(found.fill_s)} |",
        f"| index file | {manifest.size_bytes / 1e9:.2f} GB{_seconds(found.build_s)} |",
        *(
            [f"| most memory while making the file | {found.build_peak_mib:,.0f} MiB |"]
            if found.build_s is not None
            else []
        ),
        f"| recall@10 | {asked.recall:.3f} |",
        f"| index alone, p50 / p95 ms | {asked.latency} |",
        f"| `engine.search`, p50 / p95 ms | {found.engine} |",
        f"| opening the index, ms | {asked.open_ms:.0f} |",
        f"| resident memory of the engine | {found.engine_mib:,.0f} MiB |",
        f"| `mmsearch status` | {found.status_s:.1f} s |",
        "",
        "| restricted to a random share | p50 / p95 ms | recall@10 |",
        "|---:|---:|---:|",
    ]
    lines += [
        f"| {share:.1%} | {latency} | {recall:.3f} |" for share, latency, recall in asked.restricted
    ]
    lines += [
        "",
        "| filter | fit | whole question the first time, ms | again, p50 / p95 ms |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {own.name} | {own.fit:,} | {own.first_ms:,.0f} | {own.answer} |"
        for own in found.filtered
    ]
    return "\n".join(lines) + "\n"


def _seconds(took: float | None) -> str:
    return "" if took is None else f", {took:,.0f} s"


if __name__ == "__main__":
    main()
