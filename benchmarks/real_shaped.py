"""Many vectors with the shape of real ones: pictures and captions as the compact model sees them.

A few thousand real pictures become millions of vectors by mixing: each is a point between a real
vector and one of its near neighbours, with noise of the measured covariance among neighbours, so
that the spread inside a neighbourhood stays what it was. `compare_neighbours` says how alike the
two are. Questions are real captions, never made up.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors
from retrieval.encoders.compact import CompactEncoder
from retrieval.images.decode import read_image, to_pixels
from samples.photos import copy_photos, read_captions

NEIGHBOURS = 32
_BATCH = 64
# Pictures of these splits were not seen in training, and neither were their captions.
_HELD_OUT = ("dev", "test")


@dataclass(frozen=True)
class RealVectors:
    """`pictures`: unit vectors (n, dim). `captions`: those of real questions, (q, dim).

    `texts`: the questions' words, in the captions' order.
    """

    pictures: Vectors
    captions: Vectors
    texts: tuple[str, ...]


def encode_real(images: list[Path], captions: Path | None, scratch: Path) -> RealVectors:
    """Encode every picture below the folders, and the captions of held-out pictures.

    `captions` is a table with the columns image, split and caption, separated by tabs. Without
    images, the few photographs of the tests stand in.
    """
    encoder = CompactEncoder()
    if images:
        paths = [path for folder in images for path in sorted(folder.rglob("*.jp*g"))]
    else:
        paths = copy_photos(scratch / "photos")
    texts = _read_captions(captions)
    return RealVectors(
        _encode_pictures(encoder, paths), _encode_texts(encoder, texts), tuple(texts)
    )


def load_real(
    images: list[Path], captions: Path | None, scratch: Path, cache: Path | None = None
) -> RealVectors:
    """As `encode_real`; with a `cache` file what was encoded before is read from there."""
    if cache is not None and cache.exists():
        with np.load(cache) as kept:
            return RealVectors(kept["pictures"], kept["captions"], tuple(kept["texts"].tolist()))
    real = encode_real(images, captions, scratch)
    if cache is not None:
        np.savez(cache, pictures=real.pictures, captions=real.captions, texts=np.array(real.texts))
    return real


def between_neighbours(real: Vectors, count: int, seed: int = 0) -> Iterator[Vectors]:
    """`count` unit vectors in chunks of (≤ 16384, dim), between real ones, (n, dim).

    With w uniform in [0, 1], v a real vector and u one of its 32 nearest, each is w·v + (1-w)·u +
    √(2w(1-w))·e, e normal with the covariance that neighbours have about each other: the weights'
    squares sum to one, so that the variance inside a neighbourhood is kept.
    """
    random = np.random.default_rng(seed)
    near = _nearest(real, min(NEIGHBOURS, len(real) - 1))
    root = _within_root(real, near)
    for start in range(0, count, 16_384):
        size = min(16_384, count - start)
        first = random.integers(len(real), size=size)
        second = near[first, random.integers(near.shape[1], size=size)]
        weight = random.random((size, 1), dtype=np.float32)
        noise = random.standard_normal((size, real.shape[1]), dtype=np.float32) @ root
        mixed = weight * real[first] + (1 - weight) * real[second]
        mixed += np.sqrt(2 * weight * (1 - weight)) * noise
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        yield np.ascontiguousarray(mixed, dtype=np.float32)


def compare_neighbours(
    real: RealVectors, made: Vectors, ranks: tuple[int, ...] = (1, 10)
) -> list[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Cosines to the neighbours of given ranks, in as many made vectors as there are real ones.

    Rows of (what, deciles 10, 50 and 90 of the real, the same of the made).
    """
    subset = made[: len(real.pictures)]
    rows = []
    for rank in ranks:
        rows.append(
            (
                f"picture to its neighbour {rank}",
                _deciles(_neighbour_cosines(real.pictures, real.pictures, rank, skip_self=1)),
                _deciles(_neighbour_cosines(subset, subset, rank, skip_self=1)),
            )
        )
        rows.append(
            (
                f"caption to its picture {rank}",
                _deciles(_neighbour_cosines(real.captions, real.pictures, rank, skip_self=0)),
                _deciles(_neighbour_cosines(real.captions, subset, rank, skip_self=0)),
            )
        )
    return rows


def _neighbour_cosines(
    questions: Vectors, vectors: Vectors, rank: int, *, skip_self: int
) -> NDArray[np.float32]:
    place = min(rank + skip_self, len(vectors)) - 1
    found = []
    for start in range(0, len(questions), 1024):
        scores = questions[start : start + 1024] @ vectors.T
        found.append(-np.partition(-scores, place, axis=1)[:, place])
    return np.concatenate(found)


def _deciles(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.quantile(values, [0.1, 0.5, 0.9]), dtype=np.float64)


def _nearest(real: Vectors, count: int) -> NDArray[np.int64]:
    found = []
    for start in range(0, len(real), 1024):
        scores = real[start : start + 1024] @ real.T
        rows = np.arange(len(scores))
        scores[rows, start + rows] = -np.inf
        found.append(np.argpartition(-scores, count - 1, axis=1)[:, :count])
    return np.concatenate(found)


def _within_root(real: Vectors, near: NDArray[np.int64]) -> Vectors:
    """A square root, (dim, dim), of the covariance of a vector about its neighbours."""
    apart = (real[:, np.newaxis] - real[near]).reshape(-1, real.shape[1]) / np.sqrt(2)
    covariance = apart.T @ apart / len(apart)
    values, axes = np.linalg.eigh(covariance)
    return np.ascontiguousarray((axes * np.sqrt(np.maximum(values, 0))) @ axes.T, dtype=np.float32)


def _read_captions(table: Path | None) -> list[str]:
    if table is None:
        return [text for texts in read_captions().values() for text in texts]
    with table.open(encoding="utf-8", newline="") as file:
        return [
            row["caption"]
            for row in csv.DictReader(file, delimiter="\t")
            if row["split"] in _HELD_OUT
        ]


def _encode_pictures(encoder: CompactEncoder, paths: list[Path]) -> Vectors:
    def pixels(path: Path) -> NDArray[np.uint8]:
        side = encoder.preprocessing.size_px
        return to_pixels(read_image(path, side), encoder.preprocessing)

    with ThreadPoolExecutor() as pool:
        return np.concatenate(
            [
                encoder.encode_images(
                    np.stack(list(pool.map(pixels, paths[start : start + _BATCH])))
                ).vectors
                for start in range(0, len(paths), _BATCH)
            ]
        )


def _encode_texts(encoder: CompactEncoder, texts: list[str]) -> Vectors:
    return np.concatenate(
        [
            encoder.encode_texts(texts[start : start + _BATCH]).vectors
            for start in range(0, len(texts), _BATCH)
        ]
    )


def save_chunks(chunks: Iterable[Vectors], count: int, path: Path) -> None:
    """Write chunks of `count` vectors altogether to one float16 array file, (count, dim)."""
    place = 0
    array: NDArray[np.float16] | None = None
    for chunk in chunks:
        if array is None:
            array = np.lib.format.open_memmap(path, "w+", np.float16, (count, chunk.shape[1]))
        array[place : place + len(chunk)] = chunk
        place += len(chunk)
