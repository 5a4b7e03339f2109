"""How fast small photographs are indexed with the built-in model, beside rclip.

Small ones, since there the encoders decide: with large ones (`benchmarks.open_clip_indexing`) it is
decoding, which is the same for everyone. Whole processes, in turns. rclip runs from an environment
of its own, with a model of ViT-B-32-256's size; its weights are random, which are as slow.

    python -m benchmarks.compact_indexing --images DIR [--pictures 1000] [--rounds 3]
        [--rclip BIN --rclip-data DIR] [--tiny]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.indexing import machine
from benchmarks.open_clip_indexing import (
    Contender,
    Run,
    compact,
    in_turn,
    linked,
    peers,
    photographs,
)
from benchmarks.support.results import publish


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, help="a folder of pictures; default: test photos")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3, help="of both in turn")
    parser.add_argument("--rclip", type=Path, help="the command of rclip 3")
    parser.add_argument("--rclip-data", type=Path, help="a data folder of rclip with its models")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    parser.set_defaults(clip_retrieval=None)
    options = parser.parse_args()
    count, rounds = (4, 1) if options.tiny else (options.pictures, options.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = photographs(options.images, Path(scratch))[0].parent
        library = linked(folder, count, Path(scratch))
        both = [compact(), *peers(options)]
        page = report(in_turn(dict.fromkeys(both, library), rounds, Path(scratch)))
    publish(page, "compact_indexing", keep=not options.tiny)


def report(runs: Mapping[Contender, Sequence[Run]]) -> str:
    """The measurements as Markdown; the ratios are to whoever comes last."""
    speeds = {one: [run.pictures / run.elapsed_s for run in found] for one, found in runs.items()}
    base = statistics.median(list(speeds.values())[-1])
    count = next(iter(runs.values()))[0].pictures
    rounds = len(next(iter(runs.values())))
    lines = [
        "# Indexing small photographs, beside rclip",
        "",
        f"{count:,} photographs as they are, files in memory; whole processes in turn, runs of "
        f"each: {rounds}; the median, and the slowest to the fastest. mmsearch's time is that of "
        "its whole run; rclip's is that of a first call, less that of a second one, which only "
        "answers.",
        "",
        f"Machine: {machine()}.",
        "",
        "| | model | pictures/s | | ratio |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {one.name} | {one.model} | {statistics.median(found):.1f} "
        f"| {min(found):.1f} to {max(found):.1f} | {statistics.median(found) / base:.2f} |"
        for one, found in speeds.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
