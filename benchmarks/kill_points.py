"""The program killed at hundreds of points; nothing that was committed may be lost.

Runs of the command line (`index` of a new library and of a changed one, `remove`, `repair`) are
killed with SIGKILL before, in the middle of and after system calls that change a file of the
index, and before and after the program's own steps (commit, index file, tokens, manifest). After
each: the catalogue is sound, it holds all that it held before and nothing twice, each picture
answers to its own vector, the next run ends the job, and the index then equals that of an
undisturbed run in rows, vectors, tokens and failures. These runs are forked from a process that
has its libraries loaded and use an encoder of a few lines. Others start `mmsearch` itself with the
built-in model and are killed at random moments.

    python -m benchmarks.kill_points [--points N] [--real N] [--seed N] [--tiny]
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.calls import STEPS
from benchmarks.faults.layer import Fault, compile_layer
from benchmarks.faults.library import require_sound, state_of
from benchmarks.faults.server import Server
from benchmarks.faults.trials import (
    Scenario,
    Tally,
    draw_in_turn,
    require_finished,
    require_kept,
    scenarios,
    tally_table,
)
from benchmarks.indexing import machine
from benchmarks.support.results import publish
from samples.photos import copy_photos


@dataclass(frozen=True)
class Point:
    """Where a run is killed: at a system call (`fault`), or at a step of the program (`call`)."""

    scenario: Scenario
    kind: str
    fault: Fault | None = None
    call: tuple[str, int, bool] | None = None

    def __str__(self) -> str:
        return f"{self.scenario.name}, {self.kind}: {self.call or self.fault}"


def main() -> None:
    """Kill, look, finish, compare; write the result as Markdown, with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=300, help="kill points with the tiny encoder")
    parser.add_argument("--real", type=int, default=10, help="kills with the built-in model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    points, real = (8, 1) if options.tiny else (options.points, options.real)
    started = time.monotonic()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        try_points(Path(folder) / "points", points, options.seed, tally)
        kill_real_runs(Path(folder) / "real", real, options.seed, tally)
    page = report(tally, time.monotonic() - started)
    publish(page, "kill_points", keep=not options.tiny)
    if tally.wrong:
        sys.exit(1)


def try_points(folder: Path, count: int, seed: int, tally: Tally) -> None:
    """Kill at `count` points, drawn evenly over commands and kinds."""
    folder.mkdir(parents=True)
    layer = compile_layer(folder)
    with Server(layer) as server:
        piles = [
            pile
            for scenario in scenarios(folder, server, has_layer=layer is not None)
            for pile in points_of(scenario)
        ]
        for number, point in enumerate(draw_in_turn(piles, count, random.Random(seed))):
            index_dir = folder / f"index {number}"
            shutil.copytree(point.scenario.base, index_dir)
            arguments = point.scenario.arguments
            ended = server.run(index_dir, *arguments, fault=point.fault, call=point.call)
            tally.tried[f"{point.scenario.name}, {point.kind}"] += 1
            try:
                assert ended.code == -signal.SIGKILL, f"it ended with {ended.code}: {ended.err}"
                require_kept(point.scenario, index_dir)
                require_finished(point.scenario, index_dir, server)
            except Exception as error:
                tally.wrong.append(f"{point}: {error!r}")
            shutil.rmtree(index_dir)


def points_of(scenario: Scenario) -> list[list[Point]]:
    """All points of a command, a pile for each kind."""
    calls = range(1, scenario.operations + 1)
    steps = [(step, at) for step in STEPS for at in range(1, scenario.calls[step] + 1)]
    return [
        [Point(scenario, "before a system call", Fault("kill", at)) for at in calls],
        [Point(scenario, "half-way through a write", Fault("torn", at)) for at in calls],
        [Point(scenario, "before a step", call=(step, at, False)) for step, at in steps],
        [Point(scenario, "after a step", call=(step, at, True)) for step, at in steps],
    ]


def kill_real_runs(folder: Path, count: int, seed: int, tally: Tally) -> None:
    """`mmsearch index` with the built-in model, started as a process, killed at random moments."""
    if not count:
        return
    library = folder / "library"
    copy_photos(library)
    command = [sys.executable, "-m", "cli.main", "--index-dir"]
    started = time.monotonic()
    whole = folder / "undisturbed"
    subprocess.run([*command, whole, "index", library], check=True, stdout=subprocess.DEVNULL)
    took_s = time.monotonic() - started
    expected = state_of(whole)
    moments = random.Random(seed)
    for number in range(count):
        index_dir = folder / f"index {number}"
        child = subprocess.Popen([*command, index_dir, "index", library], stdout=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.2, 0.95) * took_s)
        child.kill()
        child.wait()
        tally.tried["built-in model, random moment"] += 1
        try:
            require_sound(index_dir)
            subprocess.run(
                [*command, index_dir, "index", library], check=True, stdout=subprocess.DEVNULL
            )
            require_sound(index_dir)
            assert state_of(index_dir).pictures == expected.pictures
            assert set(state_of(index_dir).tokens) == set(expected.tokens)
        except Exception as error:
            tally.wrong.append(f"built-in model, kill {number}: {error!r}")


def report(tally: Tally, elapsed_s: float) -> str:
    """The counts as Markdown."""
    total = sum(tally.tried.values())
    lines = [
        "# Killed at any point",
        "",
        f"{total} runs killed with SIGKILL, {total - len(tally.wrong)} survived: the catalogue "
        "sound, nothing lost, nothing twice, every picture found by its own vector, and after the "
        "next run the index equal to that of an undisturbed run "
        f"({elapsed_s:.0f} s; `python -m benchmarks.kill_points`).",
        "",
        f"Machine: {machine()}.",
        "",
        *tally_table(tally, "run, killed", "points", "Not survived:"),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
