"""Mutated picture files through the real decoding: what is decoded, refused, or ends a process.

Files of every format are made from the test photographs and then damaged: flipped bits, cut ends,
blocks swapped, doubled and dropped, edited headers and numbers, halves of two formats in one. Each
goes through the decoder pool, with limits of time and memory, as a run would send it. A file is
the same for the same --seed and number, and --only NUMBER decodes it again.

    python -m benchmarks.fuzz_decoding [--files N] [--seed S] [--only NUMBER] [--tiny]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from benchmarks.indexing import machine
from benchmarks.support.results import publish
from retrieval.errors import ImageError
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.preprocess import Preprocessing
from retrieval.images.worker import DecodingLimits
from samples.photos import copy_photos
from tests.support.raw_photos import deep_rgb_tiff, dng

LIMITS = DecodingLimits(cpu_s=10, memory_bytes=2**30)
_PREPROCESSING = Preprocessing(288, "squash", "bicubic")
_SIZE = (192, 144)
_HEAD_BYTES = 256
_TELLING_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


@dataclass(frozen=True)
class Outcome:
    """What came of one file: `kind` is "decoded" or the kind of its failure."""

    number: int
    form: str
    kind: str
    reason: str
    elapsed_s: float


def main() -> None:
    """Fuzz, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="decode the one file of that number")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    sources = whole_files()
    numbers = range(min(options.files, 150) if options.tiny else options.files)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    started = time.perf_counter()
    decoders = DecoderPool(limits=LIMITS)
    try:
        check_whole_files(sources, decoders)
        with ThreadPoolExecutor(decoders.processes) as pool:
            fuzzed = list(
                pool.map(lambda number: fuzz(sources, options.seed, number, decoders), numbers)
            )
    finally:
        decoders.close()
    page = report(fuzzed, options.seed, decoders.deaths, time.perf_counter() - started)
    publish(page, "fuzz_decoding", keep=options.only is None and not options.tiny)


def fuzz(sources: dict[str, list[bytes]], seed: int, number: int, decoders: DecoderPool) -> Outcome:
    """Make the file of that number and decode it."""
    form = list(sources)[number % len(sources)]
    data = mutated(sources, form, np.random.default_rng([seed, number]))
    started = time.perf_counter()
    kind, reason = "decoded", ""
    try:
        pixels = decoders.decode(data, _PREPROCESSING).pixels
        side = _PREPROCESSING.size_px
        assert pixels.shape == (side, side, 3), "a decoded picture has the encoder's size"
    except ImageError as failure:
        kind, reason = failure.kind, failure.reason
    return Outcome(number, form, kind, reason, time.perf_counter() - started)


def whole_files() -> dict[str, list[bytes]]:
    """Files of every format, and of its sorts, made from real photographs."""
    with tempfile.TemporaryDirectory() as folder:
        photos = [_photo(path) for path in islice(copy_photos(Path(folder)), 0, None, 6)]
    files: dict[str, list[bytes]] = {}
    for photo in photos:
        for form, data in _versions(photo):
            files.setdefault(form, []).append(data)
    return files


def check_whole_files(sources: dict[str, list[bytes]], decoders: DecoderPool) -> None:
    """All files are read before they are damaged; else damage would show nothing."""
    for files in sources.values():
        for data in files:
            decoders.decode(data, _PREPROCESSING)


def mutated(sources: dict[str, list[bytes]], form: str, random: np.random.Generator) -> bytes:
    """One of the files of a format, damaged in one to three ways."""
    data = bytearray(sources[form][random.integers(len(sources[form]))])
    for _ in range(random.integers(1, 4)):
        damage = _DAMAGES[random.integers(len(_DAMAGES))]
        if len(data) > 8:
            damage(data, random)
    if random.random() < 0.1:
        # The head of one file and the rest of another, most likely of another format.
        others = list(sources.values())[random.integers(len(sources))]
        other = others[random.integers(len(others))]
        cut = int(random.integers(4, max(5, len(data))))
        data = data[:cut] + other[min(cut, len(other) // 2) :]
    if form == "PNG" and random.random() < 0.7:
        _mend_checksums(data)
    return bytes(data)


def _flip_bits(data: bytearray, random: np.random.Generator) -> None:
    for at in random.integers(0, len(data), random.integers(1, 33)):
        data[at] ^= 1 << random.integers(8)


def _edit_head(data: bytearray, random: np.random.Generator) -> None:
    # The first bytes stay, so that the file is still taken for one of its format.
    reach = min(_HEAD_BYTES, len(data))
    for at in random.integers(min(4, reach - 1), reach, random.integers(1, 9)):
        data[at] = random.integers(256)


def _edit_number(data: bytearray, random: np.random.Generator) -> None:
    width = (1, 2, 4)[random.integers(3)]
    reach = len(data) if random.random() < 0.3 else min(1024, len(data))
    at = int(random.integers(0, max(1, reach - width)))
    value = _TELLING_NUMBERS[random.integers(len(_TELLING_NUMBERS))] % (1 << (8 * width))
    order: Any = ("little", "big")[random.integers(2)]
    data[at : at + width] = value.to_bytes(width, order)


def _cut_end(data: bytearray, random: np.random.Generator) -> None:
    del data[random.integers(4, len(data)) :]


def _swap_blocks(data: bytearray, random: np.random.Generator) -> None:
    length = int(random.integers(1, max(2, len(data) // 4)))
    one, other = (int(at) for at in random.integers(0, len(data) - length + 1, 2))
    first, second = bytes(data[one : one + length]), bytes(data[other : other + length])
    data[one : one + length], data[other : other + length] = second, first


def _drop_block(data: bytearray, random: np.random.Generator) -> None:
    at = int(random.integers(0, len(data)))
    del data[at : at + int(random.integers(1, max(2, len(data) // 4)))]


def _double_block(data: bytearray, random: np.random.Generator) -> None:
    at = int(random.integers(0, len(data)))
    block = data[at : at + int(random.integers(1, max(2, len(data) // 4)))]
    data[at:at] = block


def _mend_checksums(data: bytearray) -> None:
    """Make the checksums of a PNG right again: else most damage goes no further than those."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4


_DAMAGES: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flip_bits,
    _flip_bits,
    _edit_head,
    _edit_number,
    _edit_number,
    _cut_end,
    _swap_blocks,
    _drop_block,
    _double_block,
)


def _photo(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB").resize(_SIZE)


def _versions(photo: Image.Image) -> Iterator[tuple[str, bytes]]:
    """The photograph in all formats that are read, and the sorts of each."""
    other = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    clear = photo.copy()
    clear.putalpha(other.convert("L"))
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "oRGB".encode("utf-16-be"))
    told: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    pages: dict[str, Any] = {"save_all": True, "append_images": [other]}
    yield "JPEG", _saved(photo, "JPEG", **told)
    yield "JPEG", _saved(photo, "JPEG", progressive=True)
    yield "JPEG", _saved(photo.convert("CMYK"), "JPEG")
    yield "JPEG", _saved(photo.convert("L"), "JPEG", restart_marker_rows=1)
    yield "JPEG", _saved(photo, "MPO", **pages)
    yield "PNG", _saved(photo, "PNG", **told)
    yield "PNG", _saved(clear, "PNG")
    yield "PNG", _saved(photo.quantize(), "PNG", transparency=3)
    yield "PNG", _saved(deep, "PNG")
    yield "PNG", _saved(photo, "PNG", **pages)
    yield "WebP", _saved(photo, "WEBP", **told)
    yield "WebP", _saved(clear, "WEBP", lossless=True)
    yield "WebP", _saved(photo, "WEBP", **pages)
    yield "GIF", _saved(photo.quantize(), "GIF")
    yield "GIF", _saved(photo.quantize(), "GIF", **pages)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield "TIFF", _saved(photo, "TIFF", compression=compression, **told)
    yield "TIFF", _saved(photo.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "TIFF", _saved(photo.convert("1"), "TIFF", compression="group4")
    yield "TIFF", _saved(photo.convert("F"), "TIFF")
    yield "TIFF", deep_rgb_tiff(photo)
    yield "BMP", _saved(photo.quantize(), "BMP")
    yield "BMP", _saved(photo, "BMP")
    yield "AVIF", _saved(photo, "AVIF", speed=10, **told)
    yield "AVIF", _saved(clear, "AVIF", speed=10)
    yield "AVIF", _saved(photo, "AVIF", speed=10, **pages)
    if find_spec("pillow_heif") is not None:
        yield "HEIC", _heic(photo, exif.tobytes())
        yield "HEIC", _heic(clear)
        yield "HEIC", _heic(deep)
    if find_spec("rawpy") is not None:
        yield "RAW (DNG)", dng(photo)
        yield "RAW (DNG)", dng(photo, _saved(other, "JPEG"), orientation=3)


def _saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _heic(picture: Image.Image, exif: bytes | None = None) -> bytes:
    import pillow_heif

    held, file = pillow_heif.from_pillow(picture), io.BytesIO()
    held.info["exif"] = exif
    held.save(file)
    return file.getvalue()


def report(outcomes: list[Outcome], seed: int, deaths: int, elapsed_s: float) -> str:
    """The counts as Markdown, and how to see again what ended a process."""
    lines = [
        "# Fuzzing the decoders",
        "",
        f"{len(outcomes):,} damaged files, seed {seed}, in {elapsed_s:.0f} s; at most "
        f"{LIMITS.cpu_s} s of processor time and {LIMITS.memory_bytes // 2**20} MiB of address "
        f"space each; {deaths} decoding processes ended, and the run went on after each.",
        "",
        f"Machine: {machine()}.",
        "",
        "| format | files | decoded | refused | timeouts | crashes | slowest |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for form in dict.fromkeys(outcome.form for outcome in outcomes):
        lines.append(_row(form, [outcome for outcome in outcomes if outcome.form == form]))
    lines.append(_row("all", outcomes))
    kinds = Counter(outcome.kind for outcome in outcomes)
    lines += [
        "",
        "A damaged file is decoded where the damage does not keep its decoder from making a "
        "picture. Of all: " + ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common()) + ".",
    ]
    ended = [outcome for outcome in outcomes if outcome.kind in ("crashed", "timeout")]
    lines += [
        f"- {outcome.form}, file {outcome.number}: {outcome.kind}, {outcome.reason}"
        for outcome in ended[:20]
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, outcomes: list[Outcome]) -> str:
    kinds = Counter(outcome.kind for outcome in outcomes)
    decoded, late, crashed = kinds["decoded"], kinds["timeout"], kinds["crashed"]
    refused = len(outcomes) - decoded - late - crashed
    slowest_s = max((outcome.elapsed_s for outcome in outcomes), default=0.0)
    return (
        f"| {name} | {len(outcomes):,} | {decoded:,} | {refused:,} | {late} | {crashed} "
        f"| {slowest_s:.1f} s |"
    )


if __name__ == "__main__":
    main()
