"""The disk full or failing at every turn: one sentence, nothing lost, and the next run goes on.

Runs of the command line are made to meet "no space left" or an input/output error at chosen file
operations below the index, once or from there on; others fill a small file system for real. After
each: no traceback, one error at most, and a documented exit code; the catalogue is sound and holds
all that it held; with the fault gone the same command ends the job, and the index equals that of an
undisturbed run. Needs Linux and a C compiler.

    python -m benchmarks.disk_faults [--faults N] [--seed N] [--tiny]
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.layer import FOREVER, Fault, compile_layer
from benchmarks.faults.server import Ended, Server
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

FILES = ("", "catalog", "tokens", "vectors")
# 1 would be a failure that nobody thought of; 6 is a catalogue that cannot be opened, or seems
# damaged while the disk gives back errors in place of its pages.
EXPECTED_CODES = {"full": (0, 7), "failing": (0, 6, 7), "unreadable": (0, 6, 7)}


@dataclass(frozen=True)
class Trial:
    """One fault in one command."""

    scenario: Scenario
    fault: Fault

    @property
    def kind(self) -> str:
        """What it is counted under."""
        lasting = "from then on" if self.fault.until == FOREVER else "once"
        what = {
            "full": "disk full",
            "failing": "writes fail",
            "unreadable": "reads fail",
        }[self.fault.action]
        return f"{self.scenario.name}, {what} {lasting}"


def main() -> None:
    """Bring up the faults; write the result as Markdown, with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--faults", type=int, default=300, help="runs that meet a fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        layer = compile_layer(Path(folder))
        if layer is None:
            print("Left out: it needs Linux and a C compiler.")
            return
        tally, injected = bring_up(
            Path(folder), layer, 8 if options.tiny else options.faults, options.seed
        )
    page = report(tally, injected, time.monotonic() - started)
    publish(page, "disk_faults", keep=not options.tiny)
    if tally.wrong:
        sys.exit(1)


def bring_up(folder: Path, layer: Path, count: int, seed: int) -> tuple[Tally, int]:
    """Runs with a fault each; returns what was tried and how many operations were failed."""
    tally, injected = Tally(), 0
    with Server(layer) as server:
        piles = [
            pile
            for scenario in scenarios(folder, server, has_layer=True)
            for pile in trials_of(scenario, random.Random(seed))
        ]
        for number, trial in enumerate(draw_in_turn(piles, count, random.Random(seed))):
            index_dir = folder / f"index {number}"
            shutil.copytree(trial.scenario.base, index_dir)
            ended = server.run(index_dir, *trial.scenario.arguments, fault=trial.fault)
            tally.tried[trial.kind] += 1
            injected += ended.failed
            try:
                require_told(trial.fault, ended)
                require_kept(trial.scenario, index_dir)
                require_finished(trial.scenario, index_dir, server)
            except Exception as error:
                tally.wrong.append(f"{trial.scenario.name}, {trial.fault}: {error!r}")
            shutil.rmtree(index_dir)
    return tally, injected


def trials_of(scenario: Scenario, dice: random.Random) -> list[list[Trial]]:
    """Faults at each operation of a command, a pile for each kind."""
    piles: list[list[Trial]] = []
    for action in ("full", "failing", "unreadable"):
        for lasts in (True, False):
            pile = []
            for at in range(1, scenario.operations + 1):
                until = FOREVER if lasts else at
                # A fault of one file only comes later in the count of that file's operations.
                part = dice.choice(FILES)
                fault = Fault(action, at if not part else 1 + at // 3, until, part)
                pile.append(Trial(scenario, fault))
            piles.append(pile)
    return piles


def require_told(fault: Fault, ended: Ended) -> None:
    """Assert an exit code that is documented, and one sentence in place of a traceback."""
    said = f"exit code {ended.code}: {ended.err}"
    assert ended.code in EXPECTED_CODES[fault.action], said
    assert "Traceback" not in ended.err, said
    errors = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == (0 if ended.code == 0 else 1), said
    # Of one call that failed, SQLite does not always tell why.
    if fault.action == "full" and fault.until == FOREVER and ended.code == 7:
        assert "The disk is full" in errors[0] and "run again" in errors[0], said


def report(tally: Tally, injected: int, elapsed_s: float) -> str:
    """The counts as Markdown."""
    total = sum(tally.tried.values())
    lines = [
        "# Disk full or failing",
        "",
        f"{total} runs met {injected:,} failed file operations; {total - len(tally.wrong)} ended "
        "with one sentence or none, lost nothing, and were finished by the next run "
        f"({elapsed_s:.0f} s; `python -m benchmarks.disk_faults`).",
        "",
        f"Machine: {machine()}.",
        "",
        *tally_table(tally, "run, fault", "runs", "Otherwise:"),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
