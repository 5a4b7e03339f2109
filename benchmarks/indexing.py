"""How fast folders are indexed: pictures a second, where the time goes, a re-scan, and memory.

Two libraries: the pictures given, and large ones of 12 megapixels that are made from them. Each run
is a new process, as a person starts it, with the built-in model; with --baseline, another checkout
takes turns with this one. The stages are then timed one after another in a single thread, so that
they add up; in the run itself reading and decoding overlap with encoding.

    python -m benchmarks.indexing --images DIR [--limit N] [--large N] [--baseline DIR] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.installed import environment
from benchmarks.memory import FamilyPeak
from benchmarks.support.results import publish
from indexer.pipeline.run import BATCH_SIZE
from indexer.pipeline.scan import Scan
from retrieval.catalog import Catalog, FileFacts, ItemFacts
from retrieval.encoders.compact import CompactEncoder
from retrieval.errors import ImageError
from retrieval.images.decode import read_image, to_pixels
from samples.photos import copy_photos

STAGES = ("scan", "read", "decode", "resize", "encode", "write")
REPOSITORY = Path(__file__).resolve().parents[1]
LIBRARIES = {"small": "as they are", "large": "12 megapixels"}
_STAGED_PICTURES = 512
_LARGE_SIZE = (4000, 3000)

_RUN = """
import json, sys
from indexer import index_folders
summary = index_folders([sys.argv[1]], sys.argv[2])
print(json.dumps({"pictures": summary.new + summary.unchanged, "encoded": summary.encoded,
    "failed": summary.failed}))
"""


@dataclass(frozen=True)
class RunTiming:
    """One indexing run as a process: `elapsed_s` from its start to its end.

    `peak_mib`: the most that it and its decoding processes held together.
    """

    pictures: int
    encoded: int
    failed: int
    peak_mib: float
    elapsed_s: float


@dataclass(frozen=True)
class Round:
    """Runs after one another: over a quarter of a library, over all of it but one picture into a
    new index, over all of it, and once more when nothing has changed.
    """

    quarter: RunTiming
    first: RunTiming
    one_more: RunTiming
    again: RunTiming


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, help="a folder of pictures; default: test photos")
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--large", type=int, default=64, help="how many of 12 megapixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--baseline", type=Path, help="a checkout of another version")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    limit, large, rounds = options.limit, options.large, options.rounds
    if options.tiny:
        limit, large, rounds = min(limit, 16), 2, 1
    checkouts = {"this": REPOSITORY}
    if options.baseline is not None:
        checkouts = {"before": options.baseline.resolve(), **checkouts}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        libraries = {"small": folder / "small", "large": folder / "large"}
        gather(options.images, limit, libraries["small"])
        enlarge(libraries["small"], large, libraries["large"])
        runs = {
            (library, version): measured
            for library, path in libraries.items()
            for version, measured in take_turns(path, folder, checkouts, rounds).items()
        }
        stages = {
            library: time_stages(path, folder / f"stages of {library}")
            for library, path in libraries.items()
        }
        page = report(runs, stages)
    publish(page, "indexing", keep=not options.tiny)


def gather(images: Path | None, limit: int, library: Path) -> None:
    """A folder with links to the first `limit` pictures, by name."""
    if images is None:
        copy_photos(library)
        return
    library.mkdir()
    for file in islice(Scan(images), limit):
        link = library / file.path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((images / file.path).absolute())


def enlarge(library: Path, count: int, large: Path) -> None:
    """A folder of `count` JPEGs of 12 megapixels, with grain, so that they are as large as real."""
    large.mkdir()
    width, height = _LARGE_SIZE
    for number, file in enumerate(islice(Scan(library), count)):
        picture = read_image(library / file.path).resize(_LARGE_SIZE)
        grain = np.random.default_rng(number).normal(0, 5, (height, width, 1))
        pixels = np.asarray(picture) + grain.astype(np.int16)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            large / f"{number:04}.jpg", quality=90
        )


def take_turns(
    library: Path, folder: Path, checkouts: dict[str, Path], rounds: int
) -> dict[str, list[Round]]:
    """The rounds of each checkout, one after the other in each, into new indexes."""
    names = [file.path for file in Scan(library)]
    quarter, all_but_one = folder / "quarter", folder / "all but one"
    for part, kept in ((quarter, names[: max(1, len(names) // 4)]), (all_but_one, names[:-1])):
        shutil.rmtree(part, ignore_errors=True)
        for name in kept:
            link = part / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(library / name)
    done: dict[str, list[Round]] = {version: [] for version in checkouts}
    for _ in range(rounds):
        for version, checkout in checkouts.items():
            index_dir, last = folder / "index", all_but_one / names[-1]
            last.unlink(missing_ok=True)
            shutil.rmtree(index_dir, ignore_errors=True)
            of_quarter = time_run(quarter, index_dir, checkout)
            shutil.rmtree(index_dir)
            first = time_run(all_but_one, index_dir, checkout)
            last.symlink_to(library / names[-1])
            one_more = time_run(all_but_one, index_dir, checkout)
            again = time_run(all_but_one, index_dir, checkout)
            done[version].append(Round(of_quarter, first, one_more, again))
    return done


def time_run(library: Path, index_dir: Path, checkout: Path = REPOSITORY) -> RunTiming:
    """Index a folder in a process of its own."""
    started = time.perf_counter()
    with (
        subprocess.Popen(
            [sys.executable, "-c", _RUN, library, index_dir],
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
            env={**environment(), "PYTHONPATH": str(checkout)},
        ) as process,
        FamilyPeak(process.pid) as peak,
    ):
        printed, _ = process.communicate()
    elapsed_s = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return RunTiming(**json.loads(printed), peak_mib=peak.mib, elapsed_s=elapsed_s)


def time_stages(library: Path, index_dir: Path) -> dict[str, float]:
    """Milliseconds a picture that each stage takes, one after another in one thread."""
    elapsed = dict.fromkeys(STAGES, 0.0)
    encoder = CompactEncoder()
    side = encoder.preprocessing.size_px
    # The first call loads the model.
    encoder.encode_images(np.zeros((1, side, side, 3), np.uint8))
    started = time.perf_counter()
    files = list(Scan(library))
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
                    picture = read_image(data, side)
                except ImageError:
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
            vectors = encoder.encode_images(np.stack(pixels)).vectors
            moments.append(time.perf_counter())
            added = [
                (FileFacts(path, 0, 0, path.encode()[-16:].ljust(16)), [ItemFacts(1, 1)])
                for path in paths
            ]
            with catalog.transaction() as change:
                change.set_encoder(encoder.space)
                change.add_files(root.id, added, vectors)
            moments.append(time.perf_counter())
            for stage, took in zip(("encode", "write"), np.diff(moments), strict=True):
                elapsed[stage] += float(took) / len(staged)
    return {stage: 1000 * took for stage, took in elapsed.items()}


def report(runs: dict[tuple[str, str], list[Round]], stages: dict[str, dict[str, float]]) -> str:
    """The measurements as Markdown."""
    versions = list(dict.fromkeys(version for _, version in runs))
    firsts = {library: runs[library, versions[-1]][-1].first for library in LIBRARIES}
    rounds = len(runs["small", versions[-1]])
    lines = [
        "# Indexing",
        "",
        f"{firsts['small'].pictures:,} pictures as they are and {firsts['large'].pictures} of 12 "
        f"megapixels, {sum(first.failed for first in firsts.values())} that failed; the built-in "
        f"model; whole processes, files in memory; the fastest of {rounds}, in turns.",
        "",
        f"Machine: {machine()}.",
        "",
        "| pictures | version | first run | pictures/s | one new picture | nothing new "
        "| peak memory | of a quarter of them |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for library, title in LIBRARIES.items():
        for version in versions:
            mine = runs[library, version]
            first = min((round_.first for round_ in mine), key=lambda run: run.elapsed_s)
            more = min(round_.one_more.elapsed_s for round_ in mine)
            again = min(round_.again.elapsed_s for round_ in mine)
            peak = max(round_.first.peak_mib for round_ in mine)
            quarter = max(round_.quarter.peak_mib for round_ in mine)
            lines.append(
                f"| {title} | {version} | {first.elapsed_s:.1f} s "
                f"| {first.pictures / first.elapsed_s:.0f} | {more:.2f} s | {again:.2f} s "
                f"| {peak:.0f} MiB | {quarter:.0f} MiB |"
            )
    lines += [
        "",
        "Peak memory is the most that the run and its decoding processes held at one time.",
        "",
        "Where the time of a first run goes, each stage alone in one thread (the encoder uses as "
        "many as it likes):",
        "",
        "| stage | " + " | ".join(f"{title}: ms | share" for title in LIBRARIES.values()) + " |",
        "|---|" + "---:|---:|" * len(LIBRARIES),
    ]
    totals = {library: sum(stages[library].values()) for library in LIBRARIES}
    for stage in STAGES:
        shares = [
            f"{stages[library][stage]:.2f} | {stages[library][stage] / totals[library]:.0%}"
            for library in LIBRARIES
        ]
        lines.append(f"| {stage} | " + " | ".join(shares) + " |")
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
