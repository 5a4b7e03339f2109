"""What 1 million to 1 billion pictures take: memory, disk, processors and money, and two layouts.

Unit costs are measured here, on this machine, with the built-in model: a core's seconds to index a
picture, bytes a picture on disk and in memory, and how long a question takes in indexes of two
sizes. The rest is assumed, and each assumption is named in the table. The layouts of 100 million
and 1 billion are then played through (`benchmarks.queueing`) with the measured times of questions.

    python -m benchmarks.capacity [--sizes 50000,200000] [--tiny]
"""

from __future__ import annotations

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.filled_index import fill_rows
from benchmarks.indexing import machine
from benchmarks.memory import resident_mib
from benchmarks.queueing import Layout, play
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval.catalog import Catalog
from retrieval.encoders.base import Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.search.engine import SearchEngine
from retrieval.storage.index_dir import resolve_index_dir
from retrieval.vectors.faiss.store import FaissStore
from samples.photos import copy_photos

RESULT = "capacity"
COUNTS = (10**6, 10**7, 10**8, 10**9)
QUESTIONS = ("a dog on a beach", "two children on a swing", "a red bicycle", "a cup of coffee")


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here. Money is in US dollars, for rented machines without discounts.

    `least_growth_ms`: what a question takes more for each one that is added to the square root of
    the number of pictures, at least; from `benchmarks/results/scale.md`, where the p50 goes from
    4.5 ms at 100,000 to 7.2 ms at 1,000,000.
    """

    shard_pictures: int = 10**7
    replicas: int = 2
    core_hour: float = 0.04
    memory_gb_month: float = 3.0
    disk_gb_month: float = 0.10
    gpu_hour: float = 2.5
    gpu_pictures_a_s: float = 1500.0
    thumbnail_bytes: float = 15_000
    hours_a_month: float = 730.0
    cores_a_server: int = 8
    up: float = 0.999
    least_growth_ms: float = 0.004


@dataclass(frozen=True)
class Units:
    """What was measured. `question_ms` are the times of single questions at `sizes`, (n,) each."""

    index_core_s: float
    tokens_bytes: float
    catalog_bytes: float
    vector_file_bytes: float
    base_memory_bytes: float
    sizes: tuple[int, ...]
    question_ms: tuple[NDArray[np.float64], ...]

    def question_ms_at(self, pictures: int, least_growth_ms: float) -> NDArray[np.float64]:
        """Times in an index of another size: those of the largest one measured, with what grew.

        An inverted file of sqrt(n) lists looks through a number of vectors that grows with
        sqrt(n); what did not grow between the two sizes stays.
        """
        small, large = self.sizes[0], self.sizes[-1]
        grown = float(np.median(self.question_ms[-1]) - np.median(self.question_ms[0]))
        per_root = max(least_growth_ms, grown / (math.sqrt(large) - math.sqrt(small)))
        return self.question_ms[-1] + per_root * (math.sqrt(pictures) - math.sqrt(large))


def main() -> None:
    """Measure and reckon, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="50000,200000", help="of the indexes that are asked")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    sizes = (1000, 2000) if options.tiny else tuple(map(int, options.sizes.split(",")))
    with tempfile.TemporaryDirectory() as scratch:
        units = measure(Path(scratch), sizes, rounds=3 if options.tiny else 200)
    page = report(units, Assumptions(), 200 if options.tiny else 20_000)
    publish(page, RESULT, keep=not options.tiny)


def measure(scratch: Path, sizes: tuple[int, ...], rounds: int) -> Units:
    """The unit costs."""
    core_s, tokens_bytes = _indexing(scratch)
    catalog_bytes = file_bytes = base_bytes = 0.0
    times = []
    for size in sizes:
        index_dir = scratch / f"index-{size}"
        location = fill_rows(index_dir, Path("/nowhere"), _made(size))
        with Catalog.open(location.catalog) as catalog:
            FaissStore(location.folder).refresh(catalog)
        catalog_bytes = location.catalog.stat().st_size / size
        vectors = sum(file.stat().st_size for file in location.folder.glob("*.faiss"))
        file_bytes = vectors / size
        with SearchEngine.open(index_dir) as engine:
            engine.search(QUESTIONS[0], rerank="off")
            times.append(_asked(engine, rounds))
            # With all that this script has loaded besides, so that it is rather too much.
            base_bytes = base_bytes or resident_mib() * 2**20 - vectors
    return Units(core_s, tokens_bytes, catalog_bytes, file_bytes, base_bytes, sizes, tuple(times))


def _indexing(scratch: Path) -> tuple[float, float]:
    """A core's seconds a picture, and bytes of patch tokens a picture."""
    folder = scratch / "photos"
    folder.mkdir()
    copy_photos(folder)
    index_folders([folder], scratch / "warm")
    before = _core_s()
    done = index_folders([folder], scratch / "timed")
    spent = _core_s() - before
    tokens = resolve_index_dir(scratch / "timed").tokens.stat().st_size
    return spent / done.new, tokens / done.new


def _core_s() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _made(count: int) -> Iterator[Vectors]:
    dim = CompactEncoder().space.dim
    random = np.random.default_rng(0)
    centres = random.standard_normal((256, dim), np.float32)
    for begin in range(0, count, 10_000):
        rows = min(10_000, count - begin)
        near = centres[random.integers(0, len(centres), rows)]
        vectors = near + random.standard_normal((rows, dim), np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _asked(engine: SearchEngine, rounds: int) -> NDArray[np.float64]:
    """Milliseconds of the processor's time that each of some questions took."""
    found = []
    for number in range(rounds):
        begun = time.process_time()
        engine.search(QUESTIONS[number % len(QUESTIONS)], rerank="off")
        found.append(1000 * (time.process_time() - begun))
    return np.array(found)


def report(units: Units, assumed: Assumptions, questions: int) -> str:
    """The tables as Markdown."""
    lines = [
        "# Capacity",
        "",
        f"Machine: {machine()}.",
        "",
        "## Measured",
        "",
        "| unit | |",
        "|---|---:|",
        f"| indexing a photograph, a core's time | {units.index_core_s:.3f} s |",
        f"| patch tokens a picture | {units.tokens_bytes:,.0f} bytes |",
        f"| catalogue a picture | {units.catalog_bytes:,.0f} bytes |",
        f"| vector index a picture | {units.vector_file_bytes:,.0f} bytes |",
        f"| a server besides | {units.base_memory_bytes / 1e6:,.0f} MB |",
    ]
    for size, times in zip(units.sizes, units.question_ms, strict=True):
        p50, p95 = np.quantile(times, [0.5, 0.95])
        lines.append(
            f"| a question to {size:,} pictures, a core's time, p50 / p95 | "
            f"{p50:.1f} / {p95:.1f} ms |"
        )
    lines += ["", "## Assumed", "", "| assumption | |", "|---|---:|"]
    lines += [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in vars(assumed).items()]
    lines += [
        "",
        "A question's time beyond the sizes measured grows with the square root of the pictures "
        "of a server, as an inverted file's lists do. GPU hours are for encoding alone; decoding "
        "keeps its cores. Patch tokens lie on disk; the vector index is in memory as it is in its "
        "file.",
        "",
        "## What it takes",
        "",
        "| pictures | shards | memory of all servers | disk | of which patch tokens | core hours "
        "to index | or GPU hours | to index | a month |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [_row(units, assumed, count) for count in COUNTS]
    lines += _played(units, assumed, questions)
    return "\n".join(lines) + "\n"


def _row(units: Units, assumed: Assumptions, count: int) -> str:
    shards = math.ceil(count / assumed.shard_pictures)
    servers = shards * assumed.replicas
    memory_gb = (
        assumed.replicas * count * units.vector_file_bytes + servers * units.base_memory_bytes
    ) / 1e9
    tokens_gb = assumed.replicas * count * units.tokens_bytes / 1e9
    each = units.catalog_bytes + units.vector_file_bytes + assumed.thumbnail_bytes
    disk_gb = assumed.replicas * count * each / 1e9 + tokens_gb
    core_hours = count * units.index_core_s / 3600
    gpu_hours = count / assumed.gpu_pictures_a_s / 3600
    month = (
        memory_gb * assumed.memory_gb_month
        + disk_gb * assumed.disk_gb_month
        + servers * assumed.cores_a_server * assumed.core_hour * assumed.hours_a_month
    )
    return (
        f"| {count:,} | {shards} | {memory_gb:,.1f} GB | {disk_gb:,.0f} GB | {tokens_gb:,.0f} GB "
        f"| {core_hours:,.0f} | {gpu_hours:,.1f} | {core_hours * assumed.core_hour:,.0f} $ "
        f"| {month:,.0f} $ |"
    )


def _played(units: Units, assumed: Assumptions, questions: int) -> list[str]:
    service_ms = units.question_ms_at(assumed.shard_pictures, assumed.least_growth_ms)
    lines = [
        "",
        "## Two layouts, played through",
        "",
        f"{questions:,} questions at random times, each to all shards; every server is there "
        f"{assumed.up:.1%} of its time. A server's own time is drawn from the measured ones: p50 "
        f"{np.median(service_ms):.1f} ms at {assumed.shard_pictures:,} pictures. The network "
        "between them counts nothing.",
        "",
        "| pictures | shards × replicas | questions/s | servers busy | p50 | p95 | p99 | whole "
        "answers | missing on average |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for count in (10**8, 10**9):
        for replicas in (1, assumed.replicas):
            shards = math.ceil(count / assumed.shard_pictures)
            layout = Layout(shards, replicas, assumed.cores_a_server)
            most = replicas * assumed.cores_a_server * 1000 / float(service_ms.mean())
            for share in (0.3, 0.6, 0.9):
                played = play(layout, service_ms, share * most, questions=questions, up=assumed.up)
                lines.append(
                    f"| {count:,} | {shards} × {replicas} | {share * most:,.0f} | "
                    f"{played.busy:.0%} | {played.p50_ms:.0f} ms | {played.p95_ms:.0f} ms | "
                    f"{played.p99_ms:.0f} ms | {played.whole:.2%} | {played.missing:.4%} |"
                )
    return lines


if __name__ == "__main__":
    main()
