"""How much quicker are many questions together than one after the other, with the same answers?

An index of made-up vectors and patch tokens, whose size does not depend on photographs at hand, is
asked with captions; both ways give the same answers, or the script fails. The time of each way is
the best of several rounds, which take turns.

    python -m benchmarks.many_questions [--pictures 20000] [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.indexing import machine
from benchmarks.support.results import publish
from retrieval.catalog import Catalog, FileFacts, ItemFacts
from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import read_captions
from retrieval.search.engine import SearchEngine
from retrieval.search.hit import Hit
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.patch_tokens import PatchTokenStore
from samples.photos import CAPTIONS

_A_BATCH = 5_000


def fill(folder: Path, pictures: int) -> None:
    """An index of so many pictures of no photograph, in the compact model's space."""
    encoder = CompactEncoder()
    rng = np.random.default_rng(0)
    location = IndexDir(folder)
    side_px = encoder.preprocessing.size_px
    grey = np.full((1, side_px, side_px, 3), 128, np.uint8)
    encoded = encoder.encode_images(grey).patch_tokens
    assert encoded is not None
    shape = encoded.shape[1:]
    with Catalog.create(location.catalog) as catalog:
        with catalog.transaction() as change:
            change.set_encoder(encoder.space)
            root = change.add_root(folder / "photos")
        tokens = PatchTokenStore.open(location.tokens, encoder.space.fingerprint)
        for start in range(0, pictures, _A_BATCH):
            numbers = range(start, min(start + _A_BATCH, pictures))
            vectors = rng.normal(size=(len(numbers), encoder.space.dim)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            files = [
                (FileFacts(f"{n}.jpg", 1, 1, n.to_bytes(16, "big")), [ItemFacts(640, 480)])
                for n in numbers
            ]
            with catalog.transaction() as change:
                ids = change.add_files(root.id, files, vectors)
            tokens.put(ids, rng.integers(-60, 60, size=(len(ids), *shape), dtype=np.int8))
        tokens.close()


def best_of(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds that each way takes, the best of so many rounds, in which they take turns."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            took[name].append(time.perf_counter() - started)
    return {name: min(times) for name, times in took.items()}


def compare(engine: SearchEngine, texts: Sequence[str], rerank: str, rounds: int) -> list[float]:
    """Milliseconds a question, one by one and together. Fails where the answers differ."""

    def one_by_one() -> list[list[Hit]]:
        return [list(engine.search(text, rerank=rerank)) for text in texts]

    def together() -> list[list[Hit]]:
        return [list(hits) for hits in engine.search_many(texts, rerank=rerank)]

    if one_by_one() != together():
        raise SystemExit("Asked together, questions get other answers than one by one.")
    took = best_of({"one": one_by_one, "together": together}, rounds)
    return [1000 * seconds / len(texts) for seconds in took.values()]


def report(folder: Path, pictures: int, questions: int, rounds: int) -> str:
    """Both ways with and without reranking, as Markdown."""
    fill(folder, pictures)
    captions = [text for image in read_captions(CAPTIONS) for text in image.captions]
    texts = (captions * (questions // len(captions) + 1))[:questions]
    lines = [
        "# Many questions\n",
        f"{len(texts)} questions to {pictures:,} pictures, the compact model. Milliseconds a "
        f"question, the best of {rounds} rounds; both ways give the same answers.\n",
        "| reranking | one by one | together | times as quick |",
        "|---|---:|---:|---:|",
    ]
    with SearchEngine.open(folder) as engine:
        engine.index.refresh_vectors()
        for rerank in ("auto", "off"):
            alone, together = compare(engine, texts, rerank, rounds)
            lines.append(
                f"| {'the index’s own' if rerank == 'auto' else 'off'} | {alone:.1f} | "
                f"{together:.1f} | {alone / together:.2f} |"
            )
    return "\n".join([*lines, f"\nMachine: {machine()}.\n"])


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = (200, 8, 1) if options.tiny else (options.pictures, 200, 5)
        page = report(Path(folder) / "index", *sizes)
    publish(page, "many_questions", keep=not options.tiny)


if __name__ == "__main__":
    main()
