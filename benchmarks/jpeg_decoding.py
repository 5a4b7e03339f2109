"""Ways from a JPEG to the pixels that the built-in encoder sees: how fast, and how much the same.

The way that is used, Pillow's reduced scale and then one bicubic resize, beside others: decoding at
less than twice the wanted size, a resize that averages whole pixels first, and simplejpeg, which is
libjpeg-turbo without Pillow (left out where it is not installed). The likeness is the cosine of
the embedding to that of the way that is used, over photographs at several sizes.

    python -m benchmarks.jpeg_decoding [--pictures N] [--tiny]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.indexing import machine
from benchmarks.support.results import publish
from retrieval.encoders.compact import CompactEncoder
from retrieval.images.decode import decode
from retrieval.images.preprocess import Preprocessing
from samples.photos import copy_photos

SIZES = ((224, 224), (800, 600), (1600, 1200), (4000, 3000))
Pixels = NDArray[np.uint8]


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    pictures, rounds = (2, 1) if options.tiny else (options.pictures, options.rounds)
    encoder = CompactEncoder()
    ways = ways_to_decode(encoder.preprocessing)
    photos = _photos(pictures)
    columns = {
        size: measure([_jpeg(photo, size, n) for n, photo in enumerate(photos)], ways, rounds)
        for size in (SIZES[:2] if options.tiny else SIZES)
    }
    page = report(columns, likenesses(photos, ways, encoder), len(photos))
    publish(page, "jpeg_decoding", keep=not options.tiny)


def ways_to_decode(preprocessing: Preprocessing) -> dict[str, Callable[[bytes], Pixels]]:
    """Each way by its name; the first is the one that is used."""
    side = preprocessing.size_px

    def resized(picture: Image.Image, gap: float | None = None) -> Pixels:
        size = (side, side)
        return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=gap))

    def drafted(data: bytes, times: float) -> Image.Image:
        picture = Image.open(io.BytesIO(data))
        picture.draft("RGB", (int(times * side), int(times * side)))
        return picture.convert("RGB")

    ways: dict[str, Callable[[bytes], Pixels]] = {
        "in use: scale of at least 2, bicubic": lambda data: decode(data, preprocessing).pixels,
        "scale of at least 1.5": lambda data: resized(drafted(data, 1.5)),
        "scale of at least 1": lambda data: resized(drafted(data, 1)),
        "scale of at least 2, pixels averaged to 1.5": lambda d: resized(drafted(d, 2), 1.5),
    }
    if find_spec("simplejpeg") is not None:
        simplejpeg = import_module("simplejpeg")

        def turbo(data: bytes) -> Pixels:
            height, width, *_ = simplejpeg.decode_jpeg_header(data)
            least = 2 * side if min(height, width) > 2 * side else 0
            pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=least, min_width=least)
            return resized(Image.fromarray(pixels))

        ways["simplejpeg, scale of at least 2, bicubic"] = turbo
    return ways


def measure(
    files: list[bytes], ways: dict[str, Callable[[bytes], Pixels]], rounds: int
) -> dict[str, float]:
    """Milliseconds a picture of each way: the fastest of rounds in which all take turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            # Processor time: other programs at work here would show in the clock's.
            started = time.process_time()
            for data in files:
                way(data)
            best[name] = min(best[name], (time.process_time() - started) / len(files))
    return {name: 1000 * took for name, took in best.items()}


def likenesses(
    photos: list[Image.Image], ways: dict[str, Callable[[bytes], Pixels]], encoder: CompactEncoder
) -> dict[str, tuple[float, float]]:
    """The mean and the least cosine to the way in use, of photographs at four sizes each."""
    files = [
        _jpeg(photo, (int(photo.width * times), int(photo.height * times)), n)
        for n, photo in enumerate(photos)
        for times in (0.8, 1, 1.4, 2.2)
    ]
    vectors = {
        name: np.concatenate([encoder.encode_images(way(data)[None]).vectors for data in files])
        for name, way in ways.items()
    }
    ours = vectors[next(iter(ways))]
    cosines = {name: (theirs * ours).sum(axis=1) for name, theirs in vectors.items()}
    return {name: (float(cos.mean()), float(cos.min())) for name, cos in cosines.items()}


def report(
    columns: dict[tuple[int, int], dict[str, float]],
    cosines: dict[str, tuple[float, float]],
    photos: int,
) -> str:
    """The measurements as Markdown."""
    titles = [f"{width} × {height}" for width, height in columns]
    lines = [
        "# From a JPEG to the encoder's pixels",
        "",
        f"{photos} photographs at each size, one thread, milliseconds of processor time a picture "
        "with the resize; cosine of the built-in model's embedding to that of the way in use.",
        "",
        f"Machine: {machine()}.",
        "",
        "| way | " + " | ".join(titles) + " | mean cosine | least |",
        "|---|" + "---:|" * (len(titles) + 2),
    ]
    for name, (mean, least) in cosines.items():
        times = " | ".join(f"{column[name]:.2f}" for column in columns.values())
        lines.append(f"| {name} | {times} | {mean:.4f} | {least:.4f} |")
    return "\n".join(lines) + "\n"


def _photos(count: int) -> list[Image.Image]:
    with tempfile.TemporaryDirectory() as folder:
        return [Image.open(path).convert("RGB") for path in copy_photos(Path(folder))[:count]]


def _jpeg(photo: Image.Image, size: tuple[int, int], seed: int) -> bytes:
    """The photograph at a size, with the grain of a camera, as a JPEG."""
    pixels = np.asarray(photo.resize(size))
    grain = np.random.default_rng(seed).normal(0, 4, (*pixels.shape[:2], 1)).astype(np.int16)
    file = io.BytesIO()
    grainy = Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))
    grainy.save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
