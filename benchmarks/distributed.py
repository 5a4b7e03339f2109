"""Indexing with one and two workers of a local Ray cluster, and what a worker costs that is killed.

The same photographs each time, in several copies that differ by a byte; the encoder is the built-in
one. Times are of the run on a cluster that is up, with its workers loaded by a first small run.

    python -m benchmarks.distributed [--pictures 600] [--tiny]
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.indexing import machine
from benchmarks.support.results import publish
from indexer import index_folders
from indexer.distributed.cluster import ClusterSettings, connected
from indexer.distributed.encoding import RayEncoding
from retrieval.catalog import Catalog
from retrieval.encoders.compact import CompactEncoder
from retrieval.storage.index_dir import resolve_index_dir
from samples.photos import copy_photos


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        page = measure(Path(scratch), 40 if options.tiny else options.pictures)
    publish(page, "distributed", keep=not options.tiny)


def measure(scratch: Path, pictures: int) -> str:
    """All runs, and their times as Markdown."""
    library = _library(scratch, pictures)
    lines = [
        "# Distributed indexing",
        "",
        f"{pictures} photographs; encoding on a Ray cluster of this machine, files in memory. One "
        "run each.",
        "",
        f"Machine: {machine()}.",
        "",
        "| | s | pictures/s | items |",
        "|---|---:|---:|---:|",
    ]
    begun = time.monotonic()
    done = index_folders([library], scratch / "alone")
    lines.append(_row("without a cluster", time.monotonic() - begun, done.new))
    with connected(ClusterSettings(workers=2)) as ray:
        for workers, kills in ((1, 0), (2, 0), (2, 1)):
            settings = ClusterSettings(workers=workers)
            backend = RayEncoding(ray, settings, CompactEncoder().space)
            ray.get([worker.pid.remote() for worker in backend.workers])
            index_dir = scratch / f"index-{workers}-{kills}"
            if kills:
                victim = ray.get(backend.workers[0].pid.remote())
                threading.Thread(target=_kill_midway, args=(victim, index_dir, pictures)).start()
            begun = time.monotonic()
            done = index_folders([library], index_dir, backend=backend)
            took = time.monotonic() - begun
            backend.close()
            name = f"{workers} worker{'s' if workers > 1 else ''}"
            lines.append(_row(name + (", one killed midway" if kills else ""), took, done.new))
    return "\n".join(lines) + "\n"


def _kill_midway(process: int, index_dir: Path, pictures: int) -> None:
    """End a process once a quarter of the pictures is in the index."""
    catalog = resolve_index_dir(index_dir).catalog
    until = time.monotonic() + 300
    while time.monotonic() < until:
        time.sleep(0.1)
        if catalog.exists():
            try:
                with Catalog.open(catalog) as opened:
                    if opened.count_items() * 4 >= pictures:
                        break
            except Exception:  # It is just being made.
                continue
    os.kill(process, signal.SIGKILL)


def _library(scratch: Path, pictures: int) -> Path:
    (scratch / "photos").mkdir()
    photos = copy_photos(scratch / "photos")
    library = scratch / "library"
    library.mkdir()
    for number in range(pictures):
        source = photos[number % len(photos)]
        content = source.read_bytes() + number.to_bytes(4, "big")
        (library / f"{number:05}{source.suffix}").write_bytes(content)
    return library


def _row(name: str, took_s: float, items: int) -> str:
    return f"| {name} | {took_s:.1f} | {items / took_s:.1f} | {items} |"


if __name__ == "__main__":
    main()
