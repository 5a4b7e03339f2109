"""How soon `mmsearch watch` has a change in the index, how it takes a burst, what it costs idle.

The watch is a process with the built-in model, as a person starts it. A change counts as indexed
when it can be read in the catalogue. The burst is then indexed by `mmsearch index` into an index of
its own, for comparison.

    python -m benchmarks.watching [--images DIR] [--burst N] [--tiny]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.indexing import machine
from benchmarks.memory import FamilyPeak
from benchmarks.support.results import publish
from indexer.pipeline.scan import Scan
from retrieval.catalog import Catalog
from samples.photos import copy_photos

_POLL_S = 0.01
_PATIENCE_S = 1800.0


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, help="a folder of pictures; default: test photos")
    parser.add_argument("--burst", type=int, default=10_000, help="files in the burst")
    parser.add_argument("--changes", type=int, default=9, help="single changes of each sort")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of doing nothing")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    burst, changes, idle_s = options.burst, options.changes, options.idle
    if options.tiny:
        burst, changes, idle_s = 20, 1, 0.5
    with tempfile.TemporaryDirectory() as folder:
        page = measure(Path(folder), options.images, burst, changes, idle_s)
    publish(page, "watching", keep=not options.tiny)


def measure(work: Path, images: Path | None, burst: int, changes: int, idle_s: float) -> str:
    """All measurements, as Markdown."""
    library, index = work / "library", work / "index"
    library.mkdir()
    contents = distinct_pictures(images, work / "photos")
    (library / "first.jpg").write_bytes(next(contents))
    rows: list[tuple[str, list[float]]] = []
    with watching(library, index) as process, Catalog.open(index / "catalog.sqlite") as catalog:
        names = [library / f"{number}.jpg" for number in range(changes)]
        added = [timed(catalog, partial(path.write_bytes, next(contents))) for path in names]
        renamed = [
            timed(catalog, partial(path.rename, path.with_suffix(".jpeg"))) for path in names
        ]
        removed = [timed(catalog, path.with_suffix(".jpeg").unlink) for path in names]
        rows += [("new file", added), ("renamed", renamed), ("deleted", removed)]
        time.sleep(2)
        before = cpu_s(process.pid)
        time.sleep(idle_s)
        idle = (cpu_s(process.pid) - before) / idle_s
        started = time.perf_counter()
        with FamilyPeak(process.pid) as peak:
            for number in range(burst):
                place = library / f"{number // 1000}"
                place.mkdir(exist_ok=True)
                (place / f"{number}.jpg").write_bytes(next(contents))
            written_s = time.perf_counter() - started
            wait_until(lambda: catalog.count_items() == burst + 1)
            burst_s = time.perf_counter() - started
    started = time.perf_counter()
    alone = [*mmsearch(work / "other"), "index", str(library)]
    subprocess.run(alone, check=True, stdout=subprocess.DEVNULL)
    alone_s = time.perf_counter() - started
    lines = [
        "# Watching",
        "",
        "`mmsearch watch` with the built-in model and a quiet period of 1 s, which is part of all "
        "times.",
        "",
        f"Machine: {machine()}.",
        "",
        f"From a change until it is in the index, {changes} of each:",
        "",
        "| change | median | fastest | slowest |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {median(took):.2f} s | {min(took):.2f} s | {max(took):.2f} s |"
        for name, took in rows
    ]
    lines += [
        "",
        f"A burst of {burst:,} pictures, written in {written_s:.1f} s, from the first file until "
        "all are in the index; and one `mmsearch index` of the same files afterwards:",
        "",
        "| | time | pictures/s | peak memory |",
        "|---|---:|---:|---:|",
        f"| watch | {burst_s:.1f} s | {burst / burst_s:.0f} | {peak.mib:.0f} MiB |",
        f"| index | {alone_s:.1f} s | {burst / alone_s:.0f} | |",
        "",
        f"Doing nothing, it uses {idle:.1%} of one core.",
    ]
    return "\n".join(lines) + "\n"


def distinct_pictures(images: Path | None, photos: Path) -> Iterator[bytes]:
    """Files of pictures without end, no two of the same content."""
    if images is None:
        paths = copy_photos(photos)
    else:
        paths = [images / file.path for file in islice(Scan(images), 2000)]
    for number, path in enumerate(cycle(paths)):
        # DecoderPool stop at a picture's end, so what follows changes the content alone.
        yield path.read_bytes() + number.to_bytes(8, "big")


def mmsearch(index: Path) -> list[str]:
    """The command line's beginning, for an index."""
    return [sys.executable, "-m", "cli.main", "--index-dir", str(index)]


@contextmanager
def watching(library: Path, index: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A watch that has had its first look."""
    command = [*mmsearch(index), "watch", str(library), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.terminate()


def timed(catalog: Catalog, change: Callable[[], object]) -> float:
    """Seconds from a change until the catalogue has seen one."""
    generation = catalog.generation
    started = time.perf_counter()
    change()
    wait_until(lambda: catalog.generation > generation)
    took = time.perf_counter() - started
    # The round is to be over before the next change comes.
    time.sleep(1)
    return took


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Raises TimeoutError after half an hour."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("The watch did not take in a change.")
        time.sleep(_POLL_S)


def cpu_s(process: int) -> float:
    """Processor seconds that a process has used. Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
