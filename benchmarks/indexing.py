"""How fast folders are indexed: pictures a second, where the time goes, a re-scan, and memory.

The whole run and the re-scans are each a new process, as a person starts them, with the built-in
model. The stages are then timed one after another in a single thread, so that they add up; in the
run itself reading and decoding overlap with encoding.

    python -m benchmarks.indexing --images DIR [--limit N] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from indexer.run import BATCH_SIZE
from indexer.scan import scan
from retrieval.catalog import Catalog, PictureFacts
from retrieval.encoders.compact import CompactEncoder
from retrieval.errors import PictureError
from retrieval.pictures import read_picture, to_pixels
from tests.photos import copy_photos

RESULT = Path(__file__).parent / "results" / "indexing.md"
STAGES = ("scan", "read", "decode", "resize", "encode", "write")
_STAGED_PICTURES = 512

# Peak memory is a process's own, so each run gets a new one.
_RUN = """
import json, resource, sys
from indexer import index_folders
summary = index_folders([sys.argv[1]], sys.argv[2])
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"pictures": summary.new + summary.unchanged, "encoded": summary.encoded,
    "failed": summary.failed, "inner_s": summary.elapsed_s, "peak_mib": peak_kib / 1024}))
"""


@dataclass(frozen=True)
class RunTiming:
    """One indexing run as a process: `elapsed_s` from its start to its end."""

    pictures: int
    encoded: int
    failed: int
    inner_s: float
    peak_mib: float
    elapsed_s: float


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, help="a folder of pictures; default: test photos")
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    limit = min(options.limit, 16) if options.tiny else options.limit
    with tempfile.TemporaryDirectory() as folder:
        library, index_dir = Path(folder) / "library", Path(folder) / "index"
        gather(options.images, limit, library)
        first = time_run(library, index_dir)
        again = [time_run(library, index_dir) for _ in range(1 if options.tiny else 3)]
        page = report(first, again, time_stages(library, Path(folder) / "stages"))
    print(page)
    if not options.tiny:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(page, "utf-8")


def gather(images: Path | None, limit: int, library: Path) -> None:
    """A folder with links to the first `limit` pictures, by name."""
    if images is None:
        copy_photos(library)
        return
    library.mkdir()
    for file in islice(scan(images).files, limit):
        link = library / file.path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((images / file.path).absolute())


def time_run(library: Path, index_dir: Path) -> RunTiming:
    """Index a folder in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, library, index_dir],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return RunTiming(**json.loads(done.stdout), elapsed_s=time.perf_counter() - started)


def time_stages(library: Path, index_dir: Path) -> dict[str, float]:
    """Milliseconds a picture that each stage takes, one after another in one thread."""
    elapsed = dict.fromkeys(STAGES, 0.0)
    encoder = CompactEncoder()
    side = encoder.preprocessing.size_px
    # The first call loads the model.
    encoder.encode_pictures(np.zeros((1, side, side, 3), np.uint8))
    started = time.perf_counter()
    files = scan(library).files
    elapsed["scan"] = (time.perf_counter() - started) / len(files)
    staged = files[:_STAGED_PICTURES]
    with Catalog.create(index_dir / "catalog.sqlite") as catalog:
        with catalog.transaction() as change:
            root = change.add_root(library)
        for start in range(0, len(staged), BATCH_SIZE):
            batch = staged[start : start + BATCH_SIZE]
            pixels, paths = [], []
            for file in batch:
                moments = [time.perf_counter()]
                data = (library / file.path).read_bytes()
                moments.append(time.perf_counter())
                try:
                    picture = read_picture(data, side)
                except PictureError:
                    continue
                moments.append(time.perf_counter())
                pixels.append(to_pixels(picture, encoder.preprocessing))
                paths.append(file.path)
                moments.append(time.perf_counter())
                for stage, took in zip(("read", "decode", "resize"), np.diff(moments), strict=True):
                    elapsed[stage] += float(took) / len(staged)
            if not pixels:
                continue
            moments = [time.perf_counter()]
            vectors = encoder.encode_pictures(np.stack(pixels)).vectors
            moments.append(time.perf_counter())
            facts = [PictureFacts(0, 0, path.encode()[-16:].ljust(16), 1, 1) for path in paths]
            with catalog.transaction() as change:
                change.add_pictures(root.id, paths, facts, vectors)
            moments.append(time.perf_counter())
            for stage, took in zip(("encode", "write"), np.diff(moments), strict=True):
                elapsed[stage] += float(took) / len(staged)
    return {stage: 1000 * took for stage, took in elapsed.items()}


def report(first: RunTiming, again: Sequence[RunTiming], stages: dict[str, float]) -> str:
    """The measurements as Markdown."""
    fastest = min(again, key=lambda run: run.elapsed_s)
    total = sum(stages.values())
    lines = [
        "# Indexing",
        "",
        f"{first.pictures:,} pictures, {first.failed} that failed; the built-in model; whole "
        "processes, files in memory.",
        "",
        f"Machine: {machine()}.",
        "",
        "| run | time | pictures/s | peak memory |",
        "|---|---:|---:|---:|",
        f"| first | {first.elapsed_s:.1f} s | {first.pictures / first.elapsed_s:.0f} "
        f"| {first.peak_mib:.0f} MiB |",
        f"| again, nothing changed (fastest of {len(again)}) | {fastest.elapsed_s:.2f} s "
        f"| {fastest.pictures / fastest.elapsed_s:,.0f} | {fastest.peak_mib:.0f} MiB |",
        "",
        "Where the time of a first run goes, each stage alone in one thread (the encoder uses as "
        "many as it likes):",
        "",
        "| stage | ms a picture | share |",
        "|---|---:|---:|",
    ]
    lines += [f"| {name} | {took:.2f} | {took / total:.0%} |" for name, took in stages.items()]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Processor, cores, load and Python, in one line."""
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return (
        f"{_processor()}, {os.cpu_count()} cores{load}, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
