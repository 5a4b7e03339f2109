"""Videos: how fast they are indexed, which shots are found, and whether questions about order are.

Clips are made of captioned photographs over which a camera pans or zooms, so that it is known what
is seen when. Each group of photographs makes two clips, one with its shots in the opposite order;
"CAPTION, then CAPTION" has one right answer, and its mirror shows the very same things.

    python -m benchmarks.video --images DIR --captions FILE --split dev [--clips 120] [--tiny]
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from benchmarks.indexing import machine
from benchmarks.memory import FamilyPeak
from benchmarks.support.captioned import add_captioned_options, captioned_photos
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval.encoders.registry import load_encoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.images.decoder_pool import DecoderPool
from retrieval.media.key_frames import KeyFrameChooser, rule_for
from retrieval.media.video import VideoReader
from retrieval.query.query import Query
from retrieval.search.engine import SearchEngine
from retrieval.search.hit import Hits
from samples.clips import ClipFormat, Move, Shot, write_clip

SHOTS = 4
TOP = (1, 5, 10)
_MOVES: tuple[Move, ...] = ("still", "pan", "zoom")
# A border is found where it is told this near to where it is, frames being half a second apart.
_NEAR_MS = 600
_INDEX = "import sys; from indexer import index_folders; index_folders(sys.argv[1:2], sys.argv[2])"


@dataclass(frozen=True)
class Clip:
    """A clip by its name, what its shots show, and the name of the one in the opposite order."""

    name: str
    pictures: tuple[CaptionedImage, ...]
    mirror: str


def make_clips(
    pictures: Sequence[CaptionedImage], images: Path, folder: Path, count: int
) -> list[Clip]:
    """Clips of four shots each, in pairs of opposite order."""
    chance = random.Random(0)
    clips: list[Clip] = []
    for number in range(count // 2):
        group = tuple(chance.sample(pictures, SHOTS))
        shots = [
            Shot(images / picture.name, chance.choice((1.5, 2.0, 2.5)), chance.choice(_MOVES))
            for picture in group
        ]
        names = f"{number:03}-there.mp4", f"{number:03}-back.mp4"
        for name, own in zip(names, (shots, shots[::-1]), strict=True):
            if not (folder / name).exists():
                write_clip(folder / name, own)
        clips += [Clip(names[0], group, names[1]), Clip(names[1], group[::-1], names[0])]
    return clips


def order_lines(engine: SearchEngine, clips: Sequence[Clip]) -> Iterator[str]:
    """How often the clip of two captions in their order is found, and stands above its mirror."""
    yield "| asked | " + " | ".join(f"R@{k}" for k in TOP) + " | above its mirror |"
    yield "|---" + "|---:" * (len(TOP) + 1) + "|"
    chance = random.Random(1)
    asked = []
    for clip in clips:
        first, second = sorted(chance.sample(range(SHOTS), 2))
        asked.append(
            (
                clip,
                chance.choice(clip.pictures[first].captions).rstrip(" ."),
                chance.choice(clip.pictures[second].captions).rstrip(" ."),
            )
        )
    for name in ("one after the other", "both words at once", "both, any order"):
        ranks, above = [], 0
        for clip, one, other in asked:
            names = [hit.path.name for hit in _answers(engine, name, one, other, len(clips))]
            place = {found: rank for rank, found in reversed(list(enumerate(names, start=1)))}
            ranks.append(place.get(clip.name, len(clips) + 1))
            above += ranks[-1] < place.get(clip.mirror, len(clips) + 1)
        recalls = [100 * float(np.mean([rank <= k for rank in ranks])) for k in TOP]
        shares = " | ".join(f"{recall:.1f}" for recall in recalls)
        yield f"| {name} | {shares} | {100 * above / len(asked):.1f} % |"


def _answers(engine: SearchEngine, name: str, one: str, other: str, k: int) -> Hits:
    if name == "one after the other":
        return engine.search(Query.of(one).then(other), k)
    if name == "both words at once":
        return engine.search(Query.of(f"{one}, then {other}"), k, fold=True, rerank="off")
    return engine.search(Query.of(one).like(other), k, fold=True, rerank="off", fusion="rrf")


def shot_lines(
    pictures: Sequence[CaptionedImage], images: Path, folder: Path, count: int
) -> Iterator[str]:
    """Precision and recall of the borders of shots, by how shots follow each other."""
    encoder = load_encoder("compact")
    yield (
        "| shots follow by | borders | precision | recall | shots with a key frame "
        "| key frames a shot |"
    )
    yield "|---|---:|---:|---:|---:|---:|"
    chance = random.Random(2)
    with closing(DecoderPool(processes=1)) as pool:
        for dissolve_s in (0.0, 0.5, 1.0):
            right = told = borders = covered = keys = kept = 0
            for _ in range(count):
                shots = [
                    Shot(images / one.name, chance.choice((1.5, 2, 3, 4)), chance.choice(_MOVES))
                    for one in chance.sample(pictures, SHOTS)
                ]
                path = folder / "shots.mp4"
                spans = write_clip(path, shots, ClipFormat(dissolve_s=dissolve_s))
                chooser: KeyFrameChooser[None] = KeyFrameChooser(rule_for("compact"))
                chosen = []
                for part in VideoReader(pool).sample(path, encoder.preprocessing):
                    pixels = np.stack([frame.pixels for frame in part.frames])
                    vectors = encoder.encode_images(pixels).vectors
                    for frame, vector in zip(part.frames, vectors, strict=True):
                        chosen.append(chooser.add(frame.time_ms or 0, vector, None))
                found = [key for key in (*chosen, chooser.finish()) if key is not None]
                near_ms = _NEAR_MS + 500 * dissolve_s
                true = [start for start, _ in spans[1:]]
                begun = [key.start_ms for key in found if key.begins_shot and key.start_ms]
                right += sum(any(abs(at - one) <= near_ms for at in begun) for one in true)
                told += sum(any(abs(at - one) <= near_ms for one in true) for at in begun)
                borders += len(true)
                keys += len(begun)
                covered += sum(any(a <= key.time_ms < b for key in found) for a, b in spans)
                kept += len(found)
            how = f"a dissolve of {dissolve_s} s" if dissolve_s else "a cut"
            a_shot = kept / (count * SHOTS)
            yield (
                f"| {how} | {borders} | {_share(told, keys)} | {_share(right, borders)} "
                f"| {_share(covered, count * SHOTS)} | {a_shot:.2f} |"
            )


def speed_lines(
    pictures: Sequence[CaptionedImage], images: Path, folder: Path, seconds: int, times: int
) -> Iterator[str]:
    """Time and memory of indexing one video, and of the same one several times over."""
    chance = random.Random(3)
    shots = [
        Shot(images / one.name, 5.0, chance.choice(_MOVES))
        for one in chance.choices(pictures, k=max(1, seconds // 5))
    ]
    form = ClipFormat(1280, 720, 25)
    (folder / "short").mkdir()
    (folder / "long").mkdir()
    write_clip(folder / "short" / "clip.mp4", shots, form)
    repeat(folder / "short" / "clip.mp4", folder / "long" / "clip.mp4", times)
    yield (
        "| 1280 × 720, 25 frames a second | decoding alone: frames/s | × real time "
        "| a processor's | indexing: frames/s | × real time | a processor's "
        "| key frames a minute | peak memory |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    rule = load_encoder("compact").preprocessing
    for name, length_s in (("short", len(shots) * 5), ("long", len(shots) * 5 * times)):
        path = folder / name / "clip.mp4"
        with closing(DecoderPool(processes=1)) as pool:
            started, before_s = time.monotonic(), _children_s()
            for _ in VideoReader(pool).sample(path, rule):
                pass
            decoding_s = time.monotonic() - started
        decoding_cpu_s = _children_s() - before_s
        index_dir = folder / f"{name}-index"
        started, before_s = time.monotonic(), _children_s()
        process = subprocess.Popen([sys.executable, "-c", _INDEX, path.parent, index_dir])
        with FamilyPeak(process.pid) as peak:
            if process.wait():
                raise RuntimeError("Indexing the clip failed.")
        took_s, took_cpu_s = time.monotonic() - started, _children_s() - before_s
        with SearchEngine.open(index_dir) as engine:
            count = len(engine.moments(path))
        yield (
            f"| {length_s / 60:.1f} minutes | {25 * length_s / decoding_s:,.0f} "
            f"| {length_s / decoding_s:.1f} | {length_s / decoding_cpu_s:.1f} "
            f"| {25 * length_s / took_s:,.0f} "
            f"| {length_s / took_s:.1f} | {length_s / took_cpu_s:.1f} "
            f"| {60 * count / length_s:.1f} | {peak.mib:.0f} MiB |"
        )


def _children_s() -> float:
    """The processor time of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def repeat(source: Path, target: Path, times: int) -> None:
    """A video played several times over, its packets copied as they are."""
    with av.open(str(target), "w") as out:
        copied = None
        offset = 0
        for _ in range(times):
            with av.open(str(source)) as video:
                stream = video.streams.video[0]
                copied = copied or out.add_stream_from_template(stream)
                length = 0
                for packet in video.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = copied
                    out.mux(packet)
                offset += length


def told(lines: Iterator[str]) -> list[str]:
    """The lines of a table, each told as soon as it is known."""
    kept = []
    for line in lines:
        print(line, file=sys.stderr, flush=True)
        kept.append(line)
    return kept


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_captioned_options(parser)
    parser.add_argument("--clips", type=int, default=120, help="for questions about order")
    parser.add_argument("--folder", type=Path, help="keep the clips, and take those that are there")
    parser.add_argument("--shots", type=int, default=30, help="clips of each sort for borders")
    parser.add_argument("--seconds", type=int, default=60, help="of the short video")
    parser.add_argument("--times", type=int, default=10, help="how often the long one repeats it")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    clips, shots, seconds, times = (
        options.clips, options.shots, options.seconds, options.times,
    )  # fmt: skip
    if options.tiny:
        clips, shots, seconds, times = 4, 1, 5, 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photos = captioned_photos(options, folder)
        place = options.folder or folder / "clips"
        made = make_clips(photos.pictures, photos.images, place, clips)
        index_folders([place], folder / "index")
        with SearchEngine.open(folder / "index") as engine:
            order = told(order_lines(engine, made))
        borders = told(shot_lines(photos.pictures, photos.images, folder, shots))
        speed = told(speed_lines(photos.pictures, photos.images, folder, seconds, times))
    page = "\n".join(
        [
            "# Videos\n",
            f"{len(made)} clips of {SHOTS} shots each, made of {len(photos.pictures):,} captioned "
            "photographs, the compact model. One question a clip, of two of its captions in their "
            "order; each clip has a mirror with the same shots in the opposite order:\n",
            *order,
            f"\nBorders of shots, {shots} clips of each sort; one counts as found within "
            f"{_NEAR_MS} ms and half of the dissolve:\n",
            *borders,
            "\nA video by itself, and the same one several times over, indexed in a process of "
            "its own, whose start is part of the time; `a processor's` is × real time by "
            "processor time, which other work on the machine does not change:\n",
            *speed,
            f"\nMachine: {machine()}.\n",
        ]
    )
    publish(page, "video", keep=not options.tiny)


if __name__ == "__main__":
    main()
