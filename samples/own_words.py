"""Pieces of real photographs with captions in words that no model knows, as people's own names are.

Each photograph has a made-up name, and each piece of it is called so.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

PIECES = 8
_SIDE_PX = 160
_SYLLABLES = ("ka", "zo", "lim", "bru", "fen", "dax", "vi", "mo", "tul", "sep", "wir", "gon")
_PHOTOS = (
    "astronaut.png", "brick.png", "chelsea.png", "china.jpg", "coffee.png", "coins.png",
    "flower.jpg", "grass.png", "moon.png", "motorcycle_left.png", "page.png", "rocket.jpg",
)  # fmt: skip


def name_of(photo: str) -> str:
    """The made-up name of a photograph."""
    place = _PHOTOS.index(photo)
    return _SYLLABLES[place] + _SYLLABLES[(place + 5) % len(_SYLLABLES)] + "o"


def write_pieces(photos: Path, folder: Path) -> Path:
    """Write pieces into `folder`/images, and captions of them into the file that is returned."""
    images = folder / "images"
    images.mkdir(parents=True)
    lines = ["image\tcaption"]
    for photo in _PHOTOS:
        with Image.open(photos / photo) as opened:
            whole = opened.convert("RGB")
        width, height = whole.size
        for piece in range(PIECES):
            # From corner to corner, each of three quarters of both sides.
            left, top = width * piece // (4 * PIECES), height * (PIECES - piece) // (4 * PIECES)
            cut = whole.crop((left, top, left + 3 * width // 4, top + 3 * height // 4))
            name = f"{Path(photo).stem}-{piece}.jpg"
            cut.resize((_SIDE_PX, _SIDE_PX)).save(images / name)
            lines += [f"{name}\ta {name_of(photo)}", f"{name}\tour {name_of(photo)} again"]
    captions = folder / "captions.tsv"
    captions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return captions
