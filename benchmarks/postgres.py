"""A catalogue on PostgreSQL beside one in a file: indexing alone and two at once, and questions.

Each indexer is a process with the built-in model that is kept to one core, as one of several small
machines: two of them have two. The server, the one that the tests start, is not kept to any. The
runs of a round follow one another, and rounds are repeated; questions are asked of both catalogues
in turns.

    python -m benchmarks.postgres --images DIR [--limit N] [--rounds N] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.indexing import machine
from benchmarks.support.results import publish
from indexer.pipeline.scan import Scan
from retrieval.search.engine import SearchEngine
from samples.photos import copy_photos
from tests.support.postgres import PASSWORD, PostgresServer, running_server

QUESTIONS = ("a dog on a beach", "two children on a swing", "a red bicycle", "a plate of food",
             "people in front of a building", "a bird in the sky")  # fmt: skip
_RUN = """
import json, os, sys
os.sched_setaffinity(0, {int(sys.argv[4])})
from indexer import index_folders
print("ready", flush=True)
sys.stdin.readline()
summary = index_folders([sys.argv[1]], sys.argv[2], catalog=sys.argv[3] or None)
print(json.dumps([summary.new, summary.encoded]))
"""
SQLITE, ONE, TWO = "SQLite, one indexer", "PostgreSQL, one indexer", "PostgreSQL, two at once"


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="next to nothing, to see that it runs")
    given = parser.parse_args()
    rounds = 1 if given.tiny else given.rounds
    # As whoever asks later gives it: the index folders do not know it.
    os.environ["PGPASSWORD"] = PASSWORD
    try:
        with tempfile.TemporaryDirectory() as folder, running_server() as server:
            library = Path(folder) / "library"
            if given.images is None or given.tiny:
                copy_photos(library)
            else:
                _link(given.images, library, given.limit)
            page = _measure(library, Path(folder), server, rounds, 6 if given.tiny else 300)
    except pytest.skip.Exception as reason:
        print(reason)
        return
    publish(page, "postgres", keep=not given.tiny)


def _measure(
    library: Path, folder: Path, server: PostgresServer, rounds: int, questions: int
) -> str:
    seconds: dict[str, list[float]] = {SQLITE: [], ONE: [], TWO: []}
    count = len(list(Scan(library)))
    cores = sorted(os.sched_getaffinity(0))
    for number in range(rounds):
        for kind in seconds:
            url = "" if kind == SQLITE else server.new_database()
            which = cores[:2] if kind == TWO else cores[:1]
            places = [folder / f"{kind}-{number}-{core}" for core in which]
            elapsed, told = _index(library, places, url, which)
            if [sum(column) for column in zip(*told, strict=True)] != [count, count]:
                raise SystemExit(f"{kind} indexed {told} of {count} pictures.")
            seconds[kind].append(elapsed)
    places = [folder / f"{kind}-{rounds - 1}-{cores[0]}" for kind in (SQLITE, ONE)]
    warm, cold = _ask(places, questions), _ask_cold(places, 1 if questions < 10 else 5)
    return _page(count, rounds, questions, seconds, warm, cold)


def _index(
    library: Path, places: list[Path], url: str, cores: list[int]
) -> tuple[float, list[list[int]]]:
    """Seconds from the start of the first run to the end of the last; what each has done."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _RUN, library, place, url, str(core)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for place, core in zip(places, cores, strict=True)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        started = time.perf_counter()
        told = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            told.append(json.loads(process.stdout.readline()))
            process.wait()
        return time.perf_counter() - started, told


def _ask(places: list[Path], count: int) -> list[list[float]]:
    """Milliseconds of `count` questions of each index, in turns."""
    taken: list[list[float]] = [[] for _ in places]
    with ExitStack() as stack:
        engines = [stack.enter_context(SearchEngine.open(place)) for place in places]
        for engine in engines:
            engine.search(QUESTIONS[0])
        for number in range(count):
            for engine, own in zip(engines, taken, strict=True):
                started = time.perf_counter()
                engine.search(QUESTIONS[number % len(QUESTIONS)], k=10)
                own.append(1000 * (time.perf_counter() - started))
    return taken


def _ask_cold(places: list[Path], count: int) -> list[list[float]]:
    taken: list[list[float]] = [[] for _ in places]
    for _ in range(count):
        for place, own in zip(places, taken, strict=True):
            where = ["--index-dir", str(place)]
            command = [sys.executable, "-m", "mmsearch", *where, "query", QUESTIONS[0]]
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            own.append(1000 * (time.perf_counter() - started))
    return taken


def _link(images: Path, library: Path, limit: int) -> None:
    library.mkdir()
    for number, file in enumerate(islice(Scan(images), limit)):
        source = images / file.path
        try:
            os.link(source, library / f"{number:06}{source.suffix}")
        except OSError:
            shutil.copyfile(source, library / f"{number:06}{source.suffix}")


def _page(
    count: int,
    rounds: int,
    questions: int,
    seconds: dict[str, list[float]],
    warm: list[list[float]],
    cold: list[list[float]],
) -> str:
    lines = [
        "# A catalogue on PostgreSQL",
        "",
        f"{machine()}. {count} pictures, {rounds} rounds, medians; each indexer on one core.",
        "",
        "| | seconds | pictures/s | against one on PostgreSQL |",
        "|---|---|---|---|",
    ]
    alone = statistics.median(seconds[ONE])
    for kind, taken in seconds.items():
        median = statistics.median(taken)
        lines.append(f"| {kind} | {median:.1f} | {count / median:.0f} | {alone / median:.2f} × |")
    lines += [
        "",
        f"{questions} questions of each in turns, with the program open, and as processes of "
        "their own:",
        "",
        "| | p50 ms | p95 ms | from the command line, ms |",
        "|---|---|---|---|",
    ]
    for name, own, alone_ms in zip(("SQLite", "PostgreSQL"), warm, cold, strict=True):
        p95 = sorted(own)[int(0.95 * (len(own) - 1))]
        median, first = statistics.median(own), statistics.median(alone_ms)
        lines.append(f"| {name} | {median:.1f} | {p95:.1f} | {first:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
