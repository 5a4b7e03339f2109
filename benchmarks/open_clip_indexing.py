"""How fast JPEGs of 1 to 12 megapixels are indexed with ViT-B/32, beside rclip and clip-retrieval.

Everyone gets the same pictures and weights, random ones, which are as slow as trained ones. Peers
are installed in environments of their own and named by their commands; one that is not named is
left out. Besides the clock's time the processor's is given, which other programs disturb less.

    python -m benchmarks.open_clip_indexing --photographs DIR [--pictures 2000] [--rounds 1]
        [--peer-pictures 300] [--rclip BIN --rclip-data DIR] [--clip-retrieval BIN]
        [--weights DIR] [--work DIR] [--tiny]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from benchmarks import installed
from benchmarks.large_jpegs import make_library
from benchmarks.support.results import publish
from samples.photos import copy_photos

SMALL, LARGE = "ViT-B-32", "ViT-B-32-256"
_WARM_UP = re.compile(r"done warming up in ([\d.]+)s")
_PREPARED_PICTURES = 16


@dataclass(frozen=True)
class Run:
    """One indexing of `pictures`: seconds by the clock, and of all processors together."""

    pictures: int
    elapsed_s: float
    processor_s: float


@dataclass(frozen=True)
class Contender:
    """Someone who indexes: `index` takes a folder of pictures and an empty one to work in."""

    name: str
    model: str
    is_peer: bool
    index: Callable[[Path, Path], Run]


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photographs", type=Path, help="what the pictures are made of")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--different", type=int, help="pictures that differ; default: all")
    parser.add_argument("--peer-pictures", type=int, help="for the peers alone; default: all")
    parser.add_argument("--rounds", type=int, default=1, help="of everyone in turn")
    parser.add_argument("--weights", type=Path, help="a folder with ViT-B-32.pt and -256.pt")
    parser.add_argument("--work", type=Path, help="a folder to keep pictures and weights in")
    parser.add_argument("--rclip", type=Path, help="the command of rclip 3")
    parser.add_argument("--rclip-data", type=Path, help="a data folder of rclip with its models")
    parser.add_argument("--clip-retrieval", type=Path, help="the command of clip-retrieval")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch) / "work"
        work.mkdir(parents=True, exist_ok=True)
        pictures = 2 if options.tiny else options.pictures
        peer_pictures = min(pictures, options.peer_pictures or pictures)
        library = work / "library"
        different = min(pictures, options.different or pictures)
        make_library(photographs(options.photographs, work), pictures, library, different=different)
        everyone = [compact()]
        if not options.tiny:
            everyone += larger(options.weights or work / "weights", Path(scratch) / "cache")
            everyone += peers(options)
        libraries = {
            one: linked(library, peer_pictures if one.is_peer else pictures, Path(scratch))
            for one in everyone
        }
        runs = in_turn(libraries, options.rounds, Path(scratch))
        sizes = [file.stat().st_size for file in library.iterdir()]
    page = report(runs, len(sizes), different, sum(sizes))
    publish(page, "open_clip_indexing", keep=not options.tiny)


def in_turn(
    libraries: Mapping[Contender, Path], rounds: int, scratch: Path
) -> dict[Contender, list[Run]]:
    """Each contender's runs over its library, one after the other in each round."""
    runs: dict[Contender, list[Run]] = {one: [] for one in libraries}
    for number in range(rounds):
        for place, (one, library) in enumerate(libraries.items()):
            own = scratch / f"{place}-{number}"
            own.mkdir()
            runs[one].append(one.index(library, own))
            shutil.rmtree(own)
            print(one.name, one.model, runs[one][-1], file=sys.stderr, flush=True)
    return runs


def photographs(folder: Path | None, work: Path) -> list[Path]:
    """What the pictures are made of."""
    if folder is None:
        return copy_photos(work / "photographs")
    return [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in (".jpg", ".jpeg")]


def linked(library: Path, count: int, scratch: Path) -> Path:
    """A folder with the first pictures of the library, without the bytes where disks allow it."""
    folder = scratch / f"first-{count}"
    if not folder.exists():
        folder.mkdir()
        for file in islice(sorted(library.iterdir()), count):
            try:
                (folder / file.name).hardlink_to(file)
            except OSError:  # Another disk.
                shutil.copyfile(file, folder / file.name)
    return folder


def compact() -> Contender:
    """mmsearch with its built-in model."""
    return Contender("mmsearch", "compact", False, lambda pictures, own: _index(pictures, own, []))


def larger(weights: Path, cache: Path) -> list[Contender]:
    """mmsearch with ViT-B/32 at both sizes; the models are exported beforehand."""
    found = []
    for model in (SMALL, LARGE):
        file = weights / f"{model}.pt"
        if not file.exists():
            _make_weights(model, file)
        name = f"{model}/{file}"
        for precision in ("auto", "fp32") if model == SMALL else ("auto",):
            arguments = ["--model", name, "--precision", precision]
            found.append(
                Contender(
                    "mmsearch",
                    f"{model}, precision {precision}",
                    False,
                    _prepared(arguments, cache),
                )
            )
    return found


def peers(options: argparse.Namespace) -> list[Contender]:
    """Those whose commands were given."""
    found = []
    if options.rclip:
        found.append(
            Contender(
                f"rclip {_peer_version(options.rclip, 'rclip')}",
                f"{LARGE}, its own ONNX form, fp32",
                True,
                lambda pictures, own: _index_rclip(
                    options.rclip, options.rclip_data, pictures, own
                ),
            )
        )
    if options.clip_retrieval:
        weights = (options.weights or options.work / "weights") / f"{SMALL}.pt"
        found.append(
            Contender(
                f"clip-retrieval {_peer_version(options.clip_retrieval, 'clip-retrieval')}",
                f"{SMALL}, torch, fp32",
                True,
                lambda pictures, own: _index_clip_retrieval(
                    options.clip_retrieval, weights, pictures, own
                ),
            )
        )
    return found


def report(
    runs: Mapping[Contender, Sequence[Run]], pictures: int, different: int, size_bytes: int
) -> str:
    """The measurements as Markdown."""
    base = next((one for one in runs if one.name.startswith("rclip")), None)
    lines = [
        "# Indexing with ViT-B/32, beside others",
        "",
        f"Of {pictures:,} JPEG files of 1 to 12 megapixels, {different:,} different pictures "
        f"({size_bytes / pictures / 1e6:.1f} MB each). Random weights, the same for all. Median of "
        f"{max(len(found) for found in runs.values())}; processor seconds are those of all cores.",
        "",
        "| | model | pictures | time | pictures/s | pictures/processor s "
        "| × rclip, by the clock | × rclip, by the processor |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one, found in runs.items():
        elapsed = statistics.median(run.elapsed_s for run in found)
        speeds = _speeds(found)
        cells = [one.name, one.model, f"{found[0].pictures:,}", f"{elapsed:.0f} s"]
        cells += [f"{speed:.1f}" for speed in speeds]
        if base is None:
            cells += ["", ""]
        else:
            cells += [
                f"{mine / its:.2f}" for mine, its in zip(speeds, _speeds(runs[base]), strict=True)
            ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "mmsearch: the whole process, its start included; the model was exported before. rclip: "
        "the first call, which indexes and answers, less a second one, which only answers; its "
        f"graph of {LARGE} (256 pixels, 65 tokens; {SMALL} has 224 and 50) is made by its own "
        "`scripts/convert_model.py` from the same weights as mmsearch's and lies in its data "
        "folder, so that it downloads nothing. clip-retrieval: `inference` alone, less the warm-up "
        "that it reports, with `--clip_model open_clip:ViT-B-32/FILE --use_jit False "
        "--enable_text False --batch_size 32`; its `index` step comes on top.",
        "",
        f"Machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, onnxruntime "
        f"{version('onnxruntime')}.",
        "",
    ]
    return "\n".join(lines)


def _speeds(runs: Sequence[Run]) -> tuple[float, float]:
    return (
        statistics.median(run.pictures / run.elapsed_s for run in runs),
        statistics.median(run.pictures / run.processor_s for run in runs),
    )


def _prepared(arguments: list[str], cache: Path) -> Callable[[Path, Path], Run]:
    """Indexing with a model that is exported, on a few of the pictures, before the clock runs."""

    def index(pictures: Path, own: Path) -> Run:
        environment = {"MMSEARCH_CACHE_DIR": str(cache)}
        few = linked(pictures, _PREPARED_PICTURES, own)
        _index(few, own / "prepared", arguments, environment)
        return _index(pictures, own, arguments, environment)

    return index


def _index(
    pictures: Path, own: Path, arguments: list[str], environment: dict[str, str] | None = None
) -> Run:
    command = [sys.executable, "-m", "cli.main", "--index-dir", str(own / "index")]
    run, _ = _timed([*command, "index", str(pictures), *arguments], environment or {})
    return Run(_count(pictures), *run)


def _index_rclip(rclip: Path, data: Path, pictures: Path, own: Path) -> Run:
    shutil.copytree(data, own / "data")
    environment = {"RCLIP_DATADIR": str(own / "data")}
    command = [str(rclip), "-t", "1", "a dog on a beach"]
    first, _ = _timed(command, environment, pictures)
    again, _ = _timed(command, environment, pictures)
    return Run(_count(pictures), first[0] - again[0], first[1] - again[1])


def _index_clip_retrieval(command: Path, weights: Path, pictures: Path, own: Path) -> Run:
    arguments = ["--input_dataset", str(pictures), "--output_folder", str(own / "out")]
    arguments += ["--input_format", "files", "--clip_model", f"open_clip:{SMALL}/{weights}"]
    arguments += ["--use_jit", "False", "--enable_text", "False", "--batch_size", "32"]
    run, said = _timed([str(command), "inference", *arguments], {})
    warm_up = _WARM_UP.search(said)
    share = 1.0 - (float(warm_up[1]) / run[0] if warm_up else 0.0)
    return Run(_count(pictures), run[0] * share, run[1] * share)


def _timed(
    command: list[str], environment: dict[str, str], folder: Path | None = None
) -> tuple[tuple[float, float], str]:
    """(Seconds by the clock, seconds of processors) of a process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    paths = {} if folder else {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=installed.environment() | {"HF_HUB_OFFLINE": "1"} | paths | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (elapsed, used), done.stdout


def _count(folder: Path) -> int:
    return sum(1 for file in folder.iterdir() if file.is_file())


def _peer_version(command: Path, package: str) -> str:
    python = command.parent / "python"
    script = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run(
        [python, "-c", script], check=True, capture_output=True, text=True
    ).stdout.strip()


def _make_weights(model: str, file: Path) -> None:
    import open_clip
    import torch

    file.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(open_clip.create_model(model).state_dict(), file)


if __name__ == "__main__":
    main()
