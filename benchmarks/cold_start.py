"""How long a person waits: `mmsearch --help`, and a question to an index of many pictures.

Each timing is a whole new process, from its start to its end. The index is real but for its
pictures: the vectors are those that the compact model makes of the test photographs, each turned
by random noise so that all are different, and written through the catalogue as the indexer does.

    python -m benchmarks.cold_start [--pictures N] [--runs N] [--tiny]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.catalog import Catalog, PictureFacts
from retrieval.encoders.base import Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.locations import locate_index
from retrieval.pictures import read_picture, to_pixels
from retrieval.vectors.store import VectorStore
from tests.photos import copy_photos

RESULT = Path(__file__).parent / "results" / "cold_start.md"
_SLOWEST = 8


@dataclass(frozen=True)
class Timing:
    """Wall times of one command over several runs."""

    command: str
    elapsed_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The run in the middle."""
        return statistics.median(self.elapsed_s)


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    pictures, runs = (50, 1) if options.tiny else (options.pictures, options.runs)
    with tempfile.TemporaryDirectory() as folder:
        index_dir = Path(folder) / "index"
        fill_index(index_dir, pictures, Path(folder) / "photos")
        question = ["--index-dir", str(index_dir), "query", "a dog on a beach"]
        timings = [
            measure("mmsearch --help", ["--help"], runs),
            measure('mmsearch query "a dog on a beach"', question, runs),
        ]
        page = report(timings, pictures, slowest_imports(question))
    print(page)
    if not options.tiny:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(page, "utf-8")


def fill_index(index_dir: Path, count: int, folder: Path, seed: int = 0) -> None:
    """An index of `count` rows with perturbed real vectors, and its index file."""
    encoder = CompactEncoder()
    pixels = [to_pixels(read_picture(path), encoder.preprocessing) for path in copy_photos(folder)]
    real = encoder.encode_pictures(np.stack(pixels)).vectors
    vectors = _perturbed(real, count, np.random.default_rng(seed))
    location = locate_index(index_dir)
    with Catalog.create(location.catalog) as catalog:
        with catalog.transaction() as change:
            change.set_encoder(encoder.identity)
            root = change.add_root(folder)
            change.add_pictures(
                root.id,
                [f"picture-{number:06}.jpg" for number in range(count)],
                [
                    PictureFacts(1000, 0, number.to_bytes(16, "big"), 640, 480)
                    for number in range(count)
                ],
                vectors,
            )
        VectorStore(location.folder).refresh(catalog)


def measure(command: str, arguments: Sequence[str], runs: int) -> Timing:
    """Time whole processes; one more run before them brings the files into memory."""
    elapsed = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments], check=True, stdout=subprocess.DEVNULL
        )
        elapsed.append(time.perf_counter() - started)
    return Timing(command, tuple(elapsed[1:]))


def slowest_imports(arguments: Sequence[str]) -> list[tuple[str, float]]:
    """The packages that take longest to import, each alone with what only it brings; in ms."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli.main", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    own_ms: dict[str, float] = {}
    for line in done.stderr.splitlines():
        if not line.startswith("import time:") or "self [us]" in line:
            continue
        own, _, name = line.removeprefix("import time:").split("|")
        package = name.strip().split(".")[0]
        own_ms[package] = own_ms.get(package, 0.0) + int(own) / 1000
    return sorted(own_ms.items(), key=lambda item: -item[1])[:_SLOWEST]


def report(timings: Sequence[Timing], pictures: int, imports: Sequence[tuple[str, float]]) -> str:
    """The measurements as Markdown."""
    lines = [
        "# Cold start",
        "",
        f"Index of {pictures:,} pictures; {len(timings[0].elapsed_s)} runs, each a new process, "
        "files in memory.",
        "",
        f"Machine: {machine()}.",
        "",
        "| command | median | fastest | slowest |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| `{timing.command}` | {timing.median_s:.2f} s | {min(timing.elapsed_s):.2f} s "
        f"| {max(timing.elapsed_s):.2f} s |"
        for timing in timings
    ]
    lines += ["", "Time in imports during the question:", "", "| package | ms |", "|---|---:|"]
    lines += [f"| {name} | {ms:.0f} |" for name, ms in imports]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Cores, load, processor and Python, in one line."""
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}){load}, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _perturbed(real: Vectors, count: int, random: np.random.Generator) -> Vectors:
    chosen = real[random.integers(len(real), size=count)]
    noise = random.standard_normal(chosen.shape).astype(np.float32)
    # Noise as long as the vector itself: neighbours at a cosine of about 0.7.
    mixed = chosen + noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return np.ascontiguousarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))


if __name__ == "__main__":
    main()
