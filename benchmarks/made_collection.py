"""A collection of any size that looks real to the page: times, places, shapes, thumbnails.

No picture is encoded. Each entry stands for one of the test photographs: its vector with some
noise, its patch tokens, its thumbnail, which lies ready where the server keeps thumbnails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.filled_index import ImageRow, fill_rows, fill_tokens
from retrieval.catalog import FileFacts, ItemFacts
from retrieval.encoders.base import Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.images.decode import read_image, to_pixels
from retrieval.images.facts import ImageMetadata
from samples.photos import copy_photos
from web.small_pictures import encoded

_CHUNK = 5000
_NOISE = 0.6
_FIRST = datetime(2012, 1, 1)
_DAYS = 12 * 365
_TOWNS = (
    (48.14, 11.58), (52.52, 13.4), (45.44, 12.33), (40.71, -74.0), (35.68, 139.7), (-33.9, 18.4),
    (64.15, -21.94), (-13.16, -72.54), (28.6, 77.2), (1.35, 103.8), (59.33, 18.07), (38.7, -9.14),
)  # fmt: skip
_THUMBNAIL_PX = (180, 360, 720)


def fill_collection(
    index_dir: Path, scratch: Path, count: int, *, with_tokens: bool = True
) -> None:
    """Write an index of so many entries, with thumbnails, and with patch tokens for reranking."""
    photos = copy_photos(scratch)
    sizes = []
    for number, photo in enumerate(photos):
        image = read_image(photo).convert("RGB")
        sizes.append(image.size)
        _keep_thumbnails(index_dir / "thumbnails", _hash(number), image)
    rng = np.random.default_rng(0)

    def row_of(number: int) -> ImageRow:
        which = number % len(photos)
        width_px, height_px = sizes[which]
        name = f"{2012 + number % 12}/{photos[which].stem}-{number:06}.jpg"
        return ImageRow(
            FileFacts(name, 2_000_000, 0, _hash(which)),
            ItemFacts(4 * width_px, 4 * height_px, _facts(rng, number)),
        )

    location = fill_rows(index_dir, scratch, _vectors(photos, count), row_of)
    if with_tokens:
        fill_tokens(location, count, scratch)


def _facts(rng: np.random.Generator, number: int) -> ImageMetadata:
    taken = _FIRST + timedelta(days=_DAYS * float(rng.beta(2, 1.2)), seconds=number % 86400)
    if number % 10 == 0:
        return ImageMetadata(camera_model="Made 1")
    town = _TOWNS[int(rng.integers(len(_TOWNS)))]
    latitude, longitude = (at + 0.3 * float(rng.normal()) for at in town)
    return ImageMetadata(
        taken_at=taken.replace(microsecond=0), camera_model=f"Made {number % 4}",
        latitude=latitude, longitude=longitude,
    )  # fmt: skip


def _vectors(photos: list[Path], count: int) -> Iterator[Vectors]:
    encoder = CompactEncoder()
    pixels = [to_pixels(read_image(photo), encoder.preprocessing) for photo in photos]
    real = encoder.encode_images(np.stack(pixels)).vectors
    rng = np.random.default_rng(1)
    for start in range(0, count, _CHUNK):
        numbers = np.arange(start, min(start + _CHUNK, count))
        noise = rng.normal(size=(len(numbers), real.shape[1])).astype(np.float32)
        noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
        mixed = real[numbers % len(real)] + noise
        yield mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def _hash(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def _keep_thumbnails(folder: Path, content: bytes, image: Image.Image) -> None:
    for side_px in _THUMBNAIL_PX:
        small = image.copy()
        small.thumbnail((side_px, side_px))
        path = folder / content.hex()[:2] / f"{content.hex()}-{side_px}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name + ".webp").write_bytes(encoded(small, "webp"))
        # Empty: the server's word for AVIF that would not be smaller.
        path.with_name(path.name + ".avif").touch()
