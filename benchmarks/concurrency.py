"""One writer, many readers: each question answered from one state of the index, none refused.

Processes that opened the index once ask without pause while another indexes pictures that are
added and painted over, and is killed with SIGKILL every few seconds. Every hit must be a picture
of the catalogue that exists, none twice; the number of pictures and the generation never go back;
at the end each reader finds every picture without having opened the index again. A further
process tries to write all the time: it must be let in, or be told the process id of the one that is
writing.

    python -m benchmarks.concurrency [--readers N] [--seconds S] [--tiny]
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.faults.library import paint, require_sound
from benchmarks.indexing import machine
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval import SearchEngine
from retrieval.errors import IndexBusyError, IndexMissingError
from tests.support.small_encoder import ColorEncoder

_ADDED_A_ROUND = 8
_KILLED_EVERY_S = 5.0
_PAUSE_S = 0.05
# Processes take their time to start on a machine that has other things to do.
_LONGEST_S = 600.0


@dataclass
class Seen:
    """What one process did: questions or runs, refusals, states seen, and what went wrong."""

    role: str
    done: int = 0
    refused: int = 0
    states: int = 0
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    """Run all processes; write the result as Markdown, with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    readers, seconds = (2, 6.0) if options.tiny else (options.readers, options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        seen, kills, pictures = run_together(Path(folder), readers, seconds)
    page = report(seen, kills, pictures, readers, seconds)
    publish(page, "concurrency", keep=not options.tiny)
    if any(one.wrong for one in seen):
        sys.exit(1)


def run_together(folder: Path, readers: int, seconds: float) -> tuple[list[Seen], int, int]:
    """All processes for so long; what each saw, how often the writer was killed, and pictures."""
    library, index_dir = folder / "library", folder / "index"
    library.mkdir()
    paint(library / "0.png", 0)
    processes = multiprocessing.get_context("spawn")
    results: Queue[Seen] = processes.Queue()
    over, quiet = processes.Event(), processes.Event()
    # How many newer states each reader has seen; -1 until it has opened the index.
    states = processes.Array("i", [-1] * readers)
    asking = [
        processes.Process(
            target=ask, args=(place, states, library, index_dir, over, quiet, results)
        )
        for place in range(readers)
    ]
    pushing = processes.Process(target=push_in, args=(library, index_dir, over, results))
    # The readers come first: they must bear that there is no index yet.
    for process in [*asking, pushing]:
        process.start()
    kills = 0
    until: float | None = None
    give_up = time.monotonic() + _LONGEST_S + seconds
    while (
        until is None
        or time.monotonic() < until
        or (min(states[:]) < 1 and time.monotonic() < give_up)
    ):
        begun = processes.Event()
        writer = processes.Process(target=write, args=(library, index_dir, kills, begun))
        writer.start()
        begun.wait(_LONGEST_S)
        if until is None:
            _wait_until(lambda: min(states[:]) >= 0, _LONGEST_S)
            until = time.monotonic() + seconds
        writer.join(_KILLED_EVERY_S)
        writer.kill()
        writer.join()
        kills += 1
    over.set()
    pushing.join()
    index_folders([library], index_dir, encoder=ColorEncoder())
    quiet.set()
    seen = [results.get(timeout=_LONGEST_S) for _ in range(readers + 1)]
    for process in asking:
        process.join()
    require_sound(index_dir)
    return seen, kills, len(list(library.iterdir()))


def _wait_until(is_so: Callable[[], bool], longest_s: float) -> None:
    until = time.monotonic() + longest_s
    while not is_so() and time.monotonic() < until:
        time.sleep(_PAUSE_S)


def write(library: Path, index_dir: Path, round_: int, begun: Event) -> None:
    """Add pictures, paint over some, index; until killed."""
    encoder = ColorEncoder()
    begun.set()
    for number in count():
        for added in range(_ADDED_A_ROUND):
            seed = round_ * 1_000_000 + number * _ADDED_A_ROUND + added + 1
            _paint_whole(library / f"{seed}.png", seed)
        _paint_whole(library / "0.png", 500_000_000 + round_ * 1_000_000 + number)
        try:
            index_folders([library], index_dir, encoder=encoder)
        except IndexBusyError:
            time.sleep(_PAUSE_S)


def _paint_whole(path: Path, seed: int) -> None:
    """A picture that is there whole or not at all, whenever its painter is killed."""
    unfinished = path.parent.with_name("unfinished.png")
    paint(unfinished, seed)
    unfinished.replace(path)


def push_in(library: Path, index_dir: Path, over: Event, results: Queue[Seen]) -> None:
    """Try to write all the time; a refusal must name a process that lives."""
    seen = Seen("second writer")
    while not over.is_set():
        try:
            index_folders([library], index_dir, encoder=ColorEncoder())
            seen.done += 1
        except IndexBusyError as error:
            seen.refused += 1
            named = re.search(r"Process (\d+) ", str(error))
            if named is None:
                # Only while a holder has just come or gone may nobody be known.
                seen.states += 1
        except Exception as error:
            seen.wrong.append(repr(error))
        time.sleep(_PAUSE_S)
    results.put(seen)


def ask(
    place: int,
    states: SynchronizedArray[int],
    library: Path,
    index_dir: Path,
    over: Event,
    quiet: Event,
    results: Queue[Seen],
) -> None:
    """Ask without pause with an engine that is opened once."""
    seen = Seen("reader")
    engine = _open(index_dir, over)
    states[place] = 0
    highest = generation = 0
    question = library / "0.png"
    while not over.is_set():
        try:
            hits = engine.search("colours", k=50, rerank="off")
            ids = [hit.item_id for hit in hits]
            present = engine.catalog.items(ids)
            pictures, now = engine.catalog.count_items(), engine.catalog.generation
            _require(len(set(ids)) == len(ids), "a picture twice", seen)
            _require(set(present) == set(ids), "a hit that the catalogue does not have", seen)
            _require(
                all(present[hit.item_id].path == hit.path for hit in hits), "another path", seen
            )
            _require(all(-1.01 < hit.score < 1.01 for hit in hits), "a score that is none", seen)
            _require(len(hits) >= min(50, highest), "fewer hits than pictures", seen)
            _require(pictures >= highest and now >= generation, "a state that went back", seen)
            seen.states += now > generation
            states[place] = seen.states
            highest, generation = pictures, now
            seen.done += 1
        except Exception as error:
            seen.wrong.append(repr(error))
    quiet.wait()
    everything = engine.search(question, k=100_000)
    _require(
        {hit.path for hit in everything} == set(library.iterdir()), "not all pictures found", seen
    )
    engine.close()
    results.put(seen)


def _open(index_dir: Path, over: Event) -> SearchEngine:
    while True:
        try:
            return SearchEngine.open(index_dir, encoder=ColorEncoder())
        except IndexMissingError:
            if over.is_set():
                raise
            time.sleep(_PAUSE_S)


def _require(is_right: bool, what: str, seen: Seen) -> None:
    if not is_right:
        seen.wrong.append(what)


def report(seen: list[Seen], kills: int, pictures: int, readers: int, seconds: float) -> str:
    """The counts as Markdown."""
    asked = [one for one in seen if one.role == "reader"]
    pushed = next(one for one in seen if one.role == "second writer")
    wrong = [f"{one.role}: {line}" for one in seen for line in one.wrong]
    lines = [
        "# One writer, many readers",
        "",
        f"{readers} readers × {seconds:.0f} s, each with the index opened once, while a writer "
        f"indexed {pictures:,} pictures and was killed {kills} times "
        "(`python -m benchmarks.concurrency`).",
        "",
        f"Machine: {machine()}.",
        "",
        "| | |",
        "|---|---:|",
        f"| questions answered | {sum(one.done for one in asked):,} |",
        f"| newer states of the index seen, fewest of any reader | "
        f"{min(one.states for one in asked):,} |",
        f"| second writer: let in | {pushed.done:,} |",
        f"| second writer: refused | {pushed.refused:,} |",
        f"| of those without a process id | {pushed.states:,} |",
        f"| errors | {len(wrong)} |",
    ]
    if wrong:
        lines += ["", *[f"- {line}" for line in sorted(set(wrong))]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
