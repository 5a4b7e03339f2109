"""Commands that are disturbed, and what must hold of the index after that and in the end."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.faults.layer import Fault
from benchmarks.faults.library import (
    State,
    change_library,
    damage_catalog,
    make_library,
    require_sound,
    state_of,
)
from benchmarks.faults.server import Server

T = TypeVar("T")


@dataclass(frozen=True)
class Scenario:
    """A command, the index that it starts from, and what an undisturbed run makes of it.

    `operations` counts the system calls that change a file of the index, `calls` the steps of the
    program. `begins_damaged`: the index cannot be read before the command has done its work.
    """

    name: str
    arguments: tuple[str, ...]
    base: Path
    before: State
    after: State
    operations: int
    calls: dict[str, int]
    begins_damaged: bool = False


@dataclass
class Tally:
    """What was tried, by kind, and what went wrong at which."""

    tried: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def tally_table(tally: Tally, kind: str, unit: str, wrong: str) -> list[str]:
    """The counts as a Markdown table with these headings, and what went wrong, if anything did."""
    lines = [f"| {kind} | {unit} |", "|---|---:|"]
    lines += [f"| {tried} | {count} |" for tried, count in sorted(tally.tried.items())]
    if tally.wrong:
        lines += ["", wrong, "", *[f"- {line}" for line in tally.wrong]]
    return lines


def scenarios(folder: Path, server: Server, *, has_layer: bool) -> list[Scenario]:
    """Four commands: a first run, one over a changed library, `remove` and `repair`."""
    first, changing = folder / "first", folder / "changing"
    make_library(first, 22)
    make_library(changing, 30)
    empty, base, damaged = folder / "empty", folder / "base", folder / "damaged"
    empty.mkdir()
    indexed = server.run(base, "index", changing)
    assert indexed.code == 0, indexed.err
    shutil.copytree(base, damaged)
    damage_catalog(damaged)
    change_library(changing, 30)
    found = []
    for name, arguments, start in (
        ("first run", ("index", str(first)), empty),
        ("changed library", ("index", str(changing)), base),
        ("remove", ("remove", "--yes", str(changing / "1")), base),
        ("repair", ("repair",), damaged),
    ):
        operations = 0
        if has_layer:
            counting = folder / f"counting {name}"
            shutil.copytree(start, counting)
            operations = server.run(counting, *arguments, fault=Fault("count")).operations
        undisturbed = folder / f"undisturbed {name}"
        shutil.copytree(start, undisturbed)
        ended = server.run(undisturbed, *arguments, count=True)
        assert ended.code == 0 and ended.calls is not None, ended.err
        before = State({}, {}, {}, {}) if start == damaged else state_of(start)
        after = state_of(undisturbed)
        found.append(
            Scenario(
                name, arguments, start, before, after, operations, ended.calls, start == damaged
            )
        )
    return found


def require_kept(scenario: Scenario, index_dir: Path) -> None:
    """Assert that a disturbed run lost nothing and left nothing that is wrong."""
    if scenario.begins_damaged:
        return
    require_sound(index_dir)
    present = state_of(index_dir)
    for path, facts in scenario.before.pictures.items():
        if scenario.after.pictures.get(path) == facts:
            assert present.pictures.get(path) == facts, f"{path} was lost"
    for path, facts in present.pictures.items():
        known = (scenario.before.pictures.get(path), scenario.after.pictures.get(path))
        assert facts in known, f"{path} is of neither time"
    for path, tokens in present.tokens.items():
        times = [s for s in (scenario.before, scenario.after) if path in s.tokens]
        assert any(
            s.tokens[path] == tokens and s.vectors[path] == present.vectors[path] for s in times
        ), f"{path} has the tokens of another picture"


def require_finished(scenario: Scenario, index_dir: Path, server: Server) -> None:
    """Assert that the same command again ends the job, as an undisturbed run would have."""
    is_removed = scenario.name == "remove" and state_of(index_dir).pictures == (
        scenario.after.pictures
    )
    finished = server.run(index_dir, *scenario.arguments)
    # Of what is removed already the index knows nothing.
    assert finished.code == 0 or is_removed, f"the next run ended with {finished.code}: " + (
        finished.err
    )
    require_sound(index_dir)
    final = state_of(index_dir)
    for name in ("pictures", "vectors", "tokens", "failures"):
        assert getattr(final, name) == getattr(scenario.after, name), f"other {name} in the end"


def draw_in_turn(piles: Sequence[list[T]], count: int, dice: random.Random) -> list[T]:
    """`count` of all, one from each pile in turn, each pile in a random order."""
    shuffled = [dice.sample(pile, len(pile)) for pile in piles]
    chosen: list[T] = []
    while len(chosen) < count and any(shuffled):
        chosen += [pile.pop() for pile in shuffled if pile]
    return chosen[:count]
