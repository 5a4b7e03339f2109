"""Pixels of picture files, batch by batch, for captioners that bring their own picture encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ImageError
from retrieval.images.decode import read_image, to_pixels
from retrieval.images.preprocess import Preprocessing

_DECODERS = 4


def pixel_batches(
    paths: Sequence[Path], preprocessing: Preprocessing, size: int
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Places in `paths` with the pixels there, uint8 (b, size_px, size_px, 3), b ≤ `size`.

    Files that cannot be read are left out.
    """

    def read(path: Path) -> NDArray[np.uint8] | None:
        try:
            return to_pixels(read_image(path, preprocessing.size_px), preprocessing)
        except ImageError:
            return None

    with ThreadPoolExecutor(_DECODERS) as pool:
        for start in range(0, len(paths), size):
            found = list(pool.map(read, paths[start : start + size]))
            readable = [place for place, pixels in enumerate(found) if pixels is not None]
            if readable:
                batch = np.stack([pixels for pixels in found if pixels is not None])
                yield [start + place for place in readable], batch
