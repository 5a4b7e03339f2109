"""How long a person waits: `mmsearch --help`, and a question to an index of many pictures.

Each timing is a whole new process, from its start to its end. The index is real but for its
pictures: vectors lie between those of real photographs, see `benchmarks.real_shaped`, and every
picture has patch tokens, so that the question is reranked as usual.

    python -m benchmarks.cold_start [--images DIR...] [--pictures N] [--runs N] [--tiny]
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

from benchmarks.filled_index import fill_rows, fill_tokens
from benchmarks.installed import environment
from benchmarks.real_shaped import between_neighbours, load_real
from benchmarks.support.results import publish
from retrieval.catalog import Catalog
from retrieval.vectors.faiss.store import FaissStore, Manifest

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
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    parser.add_argument("--cache", type=Path, help="where the encoded pictures are kept")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    pictures, runs = (50, 1) if options.tiny else (options.pictures, options.runs)
    with tempfile.TemporaryDirectory() as folder:
        index_dir = Path(folder) / "index"
        manifest = fill_index(
            index_dir, pictures, Path(folder) / "photos", options.images, options.cache
        )
        question = ["--index-dir", str(index_dir), "query", "a dog on a beach"]
        timings = [
            measure("mmsearch --help", ["--help"], runs),
            measure('mmsearch query "a dog on a beach"', question, runs),
            measure(
                'mmsearch query "a dog on a beach" --rerank off',
                [*question, "--rerank", "off"],
                runs,
            ),
        ]
        page = report(timings, manifest, slowest_imports(question))
    publish(page, "cold_start", keep=not options.tiny)


def fill_index(
    index_dir: Path, count: int, folder: Path, images: list[Path], cache: Path | None
) -> Manifest:
    """An index of `count` rows, vectors and tokens, and its index file."""
    real = load_real(images, None, folder, cache)
    location = fill_rows(index_dir, folder, between_neighbours(real.pictures, count))
    fill_tokens(location, count, folder / "tokens")
    store = FaissStore(location.folder)
    with Catalog.open(location.catalog) as catalog:
        store.refresh(catalog)
    manifest = store.manifest()
    assert manifest is not None
    return manifest


def measure(command: str, arguments: Sequence[str], runs: int) -> Timing:
    """Time whole processes; one more run before them brings the files into memory."""
    elapsed = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            env=environment(),
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
        env=environment(),
    )
    own_ms: dict[str, float] = {}
    for line in done.stderr.splitlines():
        if not line.startswith("import time:") or "self [us]" in line:
            continue
        own, _, name = line.removeprefix("import time:").split("|")
        package = name.strip().split(".")[0]
        own_ms[package] = own_ms.get(package, 0.0) + int(own) / 1000
    return sorted(own_ms.items(), key=lambda item: -item[1])[:_SLOWEST]


def report(
    timings: Sequence[Timing], manifest: Manifest, imports: Sequence[tuple[str, float]]
) -> str:
    """The measurements as Markdown."""
    lines = [
        "# Cold start",
        "",
        f"Index of {manifest.count:,} pictures ({manifest.kind}); {len(timings[0].elapsed_s)} "
        "runs, each a new process, files in memory; 50 candidates reranked unless off.",
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


if __name__ == "__main__":
    main()
