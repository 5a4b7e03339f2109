"""A library of large JPEGs made of small photographs, with the detail that large ones have.

Each picture is a wall of photographs, enlarged a little and given the grain of a sensor, so that
its files decode as slowly as a camera's. The same arguments give the same pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

SMALLEST_PX, LARGEST_PX = 1_000_000, 12_000_000
_SHAPES = (4 / 3, 3 / 2, 16 / 9, 3 / 4, 2 / 3)
_TILE_PX = 480
_GRAIN = 4.0


def make_library(
    photographs: Sequence[Path],
    count: int,
    folder: Path,
    seed: int = 0,
    different: int | None = None,
) -> None:
    """Write `count` JPEGs of 1 to 12 megapixels into a folder, made where it is missing.

    After the first `different` ones they are the same pictures again, in files whose bytes differ.
    Those that are there already are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    distinct = count if different is None else different
    for number in range(count):
        file = folder / f"{number:05d}.jpg"
        if file.exists():
            continue
        if number >= distinct:
            # DecoderPool stop at a picture's end, so what follows changes the content alone.
            original = folder / f"{number % distinct:05d}.jpg"
            file.write_bytes(original.read_bytes() + number.to_bytes(8, "big"))
            continue
        # Each its own, so that a library can grow.
        random = np.random.default_rng([seed, number])
        picture = _wall(photographs, random)
        picture.save(file, quality=int(random.integers(82, 94)))


def _wall(photographs: Sequence[Path], random: np.random.Generator) -> Image.Image:
    pixels = random.uniform(SMALLEST_PX, LARGEST_PX)
    shape = float(random.choice(_SHAPES))
    width, height = round((pixels * shape) ** 0.5), round((pixels / shape) ** 0.5)
    wall = Image.new("RGB", (width, height))
    order = cycle(random.permutation(len(photographs)).tolist())
    top = 0
    while top < height:
        left = 0
        while left < width:
            with Image.open(photographs[next(order)]) as photograph:
                tile = photograph.convert("RGB")
            tile = tile.resize((round(_TILE_PX * tile.width / tile.height), _TILE_PX))
            wall.paste(tile, (left, top))
            left += tile.width
        top += _TILE_PX
    # One channel of grain for all three: a sensor's is mostly of brightness, and it is quicker.
    grain = random.standard_normal((height, width, 1), dtype=np.float32) * _GRAIN
    return Image.fromarray((np.asarray(wall) + grain).clip(0, 255).astype(np.uint8))
