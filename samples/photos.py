"""Real photographs for tests and the demo: those that scikit-image and scikit-learn carry.

Nothing is downloaded; `samples/captions.tsv` says what is to be seen on each.
"""

from __future__ import annotations

import csv
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

CAPTIONS = Path(__file__).parent / "captions.tsv"

_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}
_PHOTOS = {
    "skimage": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "chelsea.png",
        "coffee.png",
        "coins.png",
        "color.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "page.png",
        "retina.jpg",
        "rocket.jpg",
    ),
    "sklearn": ("china.jpg", "flower.jpg"),
}


def copy_photos(folder: Path) -> list[Path]:
    """Copy the photographs into a folder, made where it is missing; returns the copies by name.

    Pictures that the installed version of a package does not carry are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for source in _sources():
        copy = folder / source.name
        shutil.copyfile(source, copy)
        copies.append(copy)
    return sorted(copies)


def read_captions() -> dict[str, list[str]]:
    """What is to be seen on each photograph: sentences by file name."""
    captions: dict[str, list[str]] = {}
    with CAPTIONS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            captions.setdefault(row["image"], []).append(row["caption"])
    return captions


def _sources() -> list[Path]:
    found = []
    for package, names in _PHOTOS.items():
        # find_spec, not import: importing the packages takes a second.
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent / _FOLDERS[package]
        found += [folder / name for name in names if (folder / name).is_file()]
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m samples.photos FOLDER")
    print(f"{len(copy_photos(Path(sys.argv[1])))} photographs in {sys.argv[1]}")
