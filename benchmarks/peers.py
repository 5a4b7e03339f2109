"""Side by side with rclip: a cold question, a re-scan where nothing changed, disk and memory.

Both get the same folder of small real JPEG files, hard links to some hundreds of different ones,
and both catalogues are filled with a row and a vector for each file, through each program's own
classes, instead of encoding them all. Timings are whole processes, in turn, so that noise hits
both. rclip runs from an environment of its own; without one only mmsearch is measured.

    python -m benchmarks.peers --images DIR [--rclip VENV --rclip-data DIR] [--pictures N] [--tiny]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.filled_index import ImageRow, fill_rows, fill_tokens
from benchmarks.indexing import gather, machine, time_run
from benchmarks.installed import environment
from benchmarks.real_shaped import between_neighbours, load_real
from benchmarks.support.results import publish
from indexer.pipeline.scan import Scan, ScannedFile
from retrieval.catalog import Catalog, FileFacts, ItemFacts
from retrieval.vectors.faiss.store import FaissStore
from samples.photos import copy_photos

QUESTION = "a dog on a beach"
_DIFFERENT_FILES = 500
_FILES_A_FOLDER = 500
_SIDE_PX = 64

# Run by rclip's own Python: its own class writes rows of the shape that its indexer writes.
_FILL_RCLIP = """
import os, sys
import numpy as np
from rclip.db import DB, NewImage
database = DB(os.path.join(os.environ["RCLIP_DATADIR"], "db.sqlite3"))
random = np.random.default_rng(0)
for number, path in enumerate(open(sys.argv[1], encoding="utf-8").read().splitlines()):
    facts = os.stat(path)
    vector = random.standard_normal(512).astype(np.float32)
    vector /= np.linalg.norm(vector)
    database.upsert_image(NewImage(filepath=path, modified_at=facts.st_mtime, size=facts.st_size,
        vector=vector.tobytes(), hash=f"{number:064x}"), commit=False)
database.close()
"""


@dataclass(frozen=True)
class Timings:
    """Wall times of whole processes, in seconds."""

    elapsed_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The run in the middle."""
        return statistics.median(self.elapsed_s)

    def __str__(self) -> str:
        low, high = min(self.elapsed_s), max(self.elapsed_s)
        return f"{self.median_s:.2f} s ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Program:
    """A program's two commands, and what its files weigh a picture, in bytes."""

    name: str
    ask: Callable[[], float]
    scan_and_ask: Callable[[], float]
    bytes_a_picture: float


@dataclass(frozen=True)
class Peak:
    """Indexing so many pictures, encoded one by one, as a process."""

    pictures: int
    elapsed_s: float
    peak_mib: float


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, help="a folder of pictures; default: test photos")
    parser.add_argument("--cache", type=Path, help="where the encoded pictures are kept")
    parser.add_argument("--rclip", type=Path, help="the environment that rclip is installed in")
    parser.add_argument("--rclip-data", type=Path, help="rclip's data folder with its model")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--memory-sizes", default="1000,4000,7000")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    count, runs = (60, 1) if options.tiny else (options.pictures, options.runs)
    sizes = [16] if options.tiny else [int(size) for size in options.memory_sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        library = scratch / "library"
        make_library(options.images, count, library)
        programs = [_mmsearch(library, scratch, options.images, options.cache)]
        if options.rclip is not None:
            programs.append(_rclip(library, scratch, options.rclip, options.rclip_data))
        asked = in_turn([program.ask for program in programs], runs)
        scanned = in_turn([program.scan_and_ask for program in programs], runs)
        peaks = [measure_peak(options.images, size, scratch / f"memory-{size}") for size in sizes]
        page = report(count, programs, asked, scanned, peaks)
    publish(page, "peers", keep=not options.tiny)


def make_library(images: Path | None, count: int, library: Path) -> None:
    """Small copies of real pictures, and hard links to them, in folders of 500."""
    originals = library.parent / "originals"
    originals.mkdir(parents=True)
    sources = (
        sorted(images.rglob("*.jp*g"))[:_DIFFERENT_FILES]
        if images is not None
        else copy_photos(library.parent / "photos")
    )
    small = []
    for number, source in enumerate(sources):
        with Image.open(source) as picture:
            picture.thumbnail((_SIDE_PX, _SIDE_PX))
            small.append(originals / f"{number}.jpg")
            picture.convert("RGB").save(small[-1])
    for number in range(count):
        link = library / f"{number // _FILES_A_FOLDER:03}" / f"IMG_{number:06}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(small[number % len(small)], link)


def in_turn(commands: Sequence[Callable[[], float]], runs: int) -> list[Timings]:
    """Each command's times, one run of each after the other; a first round is not counted."""
    elapsed: list[list[float]] = [[] for _ in commands]
    for number in range(runs + 1):
        for command, times in zip(commands, elapsed, strict=True):
            took = command()
            if number:
                times.append(took)
    return [Timings(tuple(times)) for times in elapsed]


def measure_peak(images: Path | None, size: int, folder: Path) -> Peak:
    """Index the first pictures of a folder, in a process of its own."""
    folder.mkdir()
    gather(images, size, folder / "library")
    run = time_run(folder / "library", folder / "index")
    return Peak(run.pictures, run.elapsed_s, run.peak_mib)


def _mmsearch(library: Path, scratch: Path, images: Path | None, cache: Path | None) -> Program:
    files = list(Scan(library))
    real = load_real([images] if images is not None else [], None, scratch, cache)
    location = fill_rows(
        scratch / "index",
        library,
        between_neighbours(real.pictures, len(files)),
        lambda number: _row(number, files[number]),
    )
    with Catalog.open(location.catalog) as catalog:
        FaissStore(location.folder).refresh(catalog)
    weight = sum(file.stat().st_size for file in location.folder.iterdir() if file.is_file())
    fill_tokens(location, len(files), scratch / "token-photos")
    command = [sys.executable, "-m", "cli.main", "--index-dir", str(location.folder)]
    return Program(
        "mmsearch",
        lambda: _time([*command, "query", QUESTION], library),
        lambda: (
            _time([*command, "index", str(library)], library)
            + _time([*command, "query", QUESTION], library)
        ),
        weight / len(files),
    )


def _row(number: int, file: ScannedFile) -> ImageRow:
    content = number.to_bytes(16, "big")
    facts = FileFacts(file.path, file.size_bytes, file.mtime_ns, content)
    return ImageRow(facts, ItemFacts(_SIDE_PX, _SIDE_PX))


def _rclip(library: Path, scratch: Path, venv: Path, model: Path) -> Program:
    data = scratch / "rclip"
    data.mkdir()
    for entry in model.iterdir():
        if entry.is_dir():
            (data / entry.name).symlink_to(entry.resolve())
    own = environment() | {"RCLIP_DATADIR": str(data)}
    own.pop("PYTHONPATH", None)
    listing = scratch / "files.txt"
    paths = [str(library / file.path) for file in Scan(library)]
    listing.write_text("\n".join(paths), "utf-8")
    subprocess.run([venv / "bin" / "python", "-c", _FILL_RCLIP, listing], env=own, check=True)
    command = [str(venv / "bin" / "rclip"), "-t", "10"]
    return Program(
        "rclip",
        lambda: _time([*command, "-n", QUESTION], library, own),
        lambda: _time([*command, QUESTION], library, own),
        (data / "db.sqlite3").stat().st_size / len(paths),
    )


def _time(command: Sequence[str], folder: Path, own: dict[str, str] | None = None) -> float:
    """Run a command in a folder; what it says is only shown where it fails."""
    # The folder is the pictures', so that what Python imports must be named.
    ours = {"PYTHONPATH": str(Path(__file__).parents[1])}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=own or environment() | ours, capture_output=True, text=True
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr}")
    return elapsed


def report(
    count: int,
    programs: Sequence[Program],
    asked: Sequence[Timings],
    scanned: Sequence[Timings],
    peaks: Sequence[Peak],
) -> str:
    """The measurements as Markdown."""
    lines = [
        "# Side by side",
        "",
        f"{count:,} small JPEG files, hard links to {min(count, _DIFFERENT_FILES)} different ones; "
        "rows and vectors filled in, not encoded (rclip's vectors are random, of its size). Whole "
        f"processes in turn, median (fastest to slowest) of {len(asked[0].elapsed_s)}; files in "
        "memory. mmsearch reranks 50 candidates, rclip does not rerank.",
        "",
        f"Machine: {machine()}.",
        "",
        "| | " + " | ".join(program.name for program in programs) + " |",
        "|---|" + "---:|" * len(programs),
        "| question | " + " | ".join(map(str, asked)) + " |",
        "| re-scan with nothing changed, then the question | "
        + " | ".join(map(str, scanned))
        + " |",
        "| re-scan alone, by difference | "
        + " | ".join(
            f"{both.median_s - question.median_s:.2f} s"
            for both, question in zip(scanned, asked, strict=True)
        )
        + " |",
        "| disk a picture, rows and vectors | "
        + " | ".join(f"{program.bytes_a_picture / 1000:.2f} KB" for program in programs)
        + " |",
    ]
    if len(programs) > 1:
        lines += [
            "",
            f"mmsearch's question takes {asked[0].median_s / asked[1].median_s:.2f} of the time "
            "of rclip's.",
        ]
    lines += [
        "",
        "mmsearch's memory while it indexes, pictures encoded and all:",
        "",
        "| pictures | time | peak memory |",
        "|---:|---:|---:|",
    ]
    lines += [
        f"| {peak.pictures:,} | {peak.elapsed_s:.1f} s | {peak.peak_mib:.0f} MiB |"
        for peak in peaks
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
