"""Duplicates: how many made copies are found among photographs, and what is wrongly taken for one.

Of some pictures copies are made: resized, compressed, cropped to 80 % of either side, mirrored,
marked with writing. Of others the next moment is made, moved and lit a little otherwise, as of a
burst: none of these is a copy. All are indexed among the rest and looked for.

    python -m benchmarks.duplicates --images DIR [--limit N] [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.indexing import machine
from benchmarks.support.captioned import sample_photos
from benchmarks.support.made_copies import Change, compressed, copy_name, cropped, moved, origin_of
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval.images.formats import is_supported
from retrieval.organise.duplicates import Duplicates
from retrieval.search.engine import SearchEngine

COPIES = 1000
_MOMENT = "moment"


def _resized(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    share = rng.uniform(0.35, 0.8)
    return image.resize((int(image.width * share), int(image.height * share)))


def _marked(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    copy = image.copy()
    drawing = ImageDraw.Draw(copy, "RGBA")
    across = (copy.width * rng.uniform(0.05, 0.3), copy.height * rng.uniform(0.2, 0.7))
    drawing.text(across, "SAMPLE", fill=(255, 255, 255, 130), font_size=copy.height // 7)
    corner = (copy.width * 0.6, copy.height * 0.92)
    drawing.text(corner, "photo by me", fill=(255, 255, 255, 220), font_size=copy.height // 18)
    return copy


def _next_moment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return moved(image, rng.choice([-1, 1]) * rng.uniform(2, 5), 0.9, rng)


KINDS: dict[str, Change] = {
    "resized": _resized,
    "compressed": lambda image, rng: compressed(image, int(rng.integers(20, 60))),
    "cropped": lambda image, rng: cropped(image, 0.8, rng),
    "mirrored": lambda image, rng: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "marked": _marked,
}


def make_collection(pictures: Sequence[Path], folder: Path, repeated: int) -> None:
    """The pictures, with copies of the first `repeated` and a next moment of as many others."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number, path in enumerate(pictures):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        image.save(folder / f"{path.stem}.jpg", quality=93)
        changes = KINDS if number < repeated else {}
        if repeated <= number < 2 * repeated:
            changes = {_MOMENT: _next_moment}
        for kind, change in changes.items():
            copy = change(image, rng).convert("RGB")
            copy.save(folder / f"{copy_name(path.stem, kind)}.jpg", quality=90)


def table(found: Duplicates, made: int) -> list[str]:
    """Recall by kind, and precision of all that was taken for a copy."""
    together: Counter[str] = Counter()
    right = wrong = moments = others = 0
    for group in found.groups:
        best, best_kind = origin_of(group.best.path)
        copies = [origin_of(copy.path) for copy in group.others]
        plain = {name for name, kind in [(best, best_kind), *copies] if not kind}
        together.update(
            kind for name, kind in [(best, best_kind), *copies] if kind and name in plain
        )
        for name, kind in copies:
            is_moment = _MOMENT in (kind, best_kind)
            right += name == best and not is_moment
            moments += name == best and is_moment
            others += name != best
        wrong = moments + others
    lines = [
        "| copies | made | found together with their original | recall |",
        "|---|---:|---:|---:|",
    ]
    for kind in KINDS:
        lines.append(f"| {kind} | {made} | {together[kind]} | {together[kind] / made:.3f} |")
    all_found = sum(together[kind] for kind in KINDS)
    total = made * len(KINDS)
    lines.append(f"| all | {total} | {all_found} | {all_found / total:.3f} |")
    lines.append(
        f"\nPrecision {right / max(1, right + wrong):.3f}: of {right + wrong} pictures that were "
        f"taken for copies, {moments} are next moments (of {made} made) and {others} are other "
        "photographs, which may well be copies that nobody made for this."
    )
    return lines


def report(pictures: Sequence[Path], folder: Path, repeated: int) -> str:
    """Everything as Markdown."""
    make_collection(pictures, folder / "photos", repeated)
    index_folders([folder / "photos"], folder / "index")
    with SearchEngine.open(folder / "index") as engine:
        model = engine.encoder.space.name
        start_s = time.perf_counter()
        found = engine.duplicates()
        elapsed_s = time.perf_counter() - start_s
        count = engine.catalog.count_items()
    strangers = [
        " and ".join(sorted({group.best.path.stem, copy.path.stem}))
        for group in found.groups
        for copy in group.others
        if origin_of(copy.path)[0] != origin_of(group.best.path)[0]
    ]
    lines = [
        "# Duplicates\n",
        f"{count:,} pictures of {len(pictures):,} photographs, the {model} model; "
        f"{elapsed_s:.0f} s.\n",
        *table(found, repeated),
    ]
    if strangers:
        lines.append(f"\nPhotographs taken for copies of one another: {'; '.join(strangers)}.")
    return "\n".join([*lines, f"\nMachine: {machine()}.\n"])


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, help="by default the sample photographs")
    parser.add_argument("--limit", type=int, default=5000, help="take at most so many pictures")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = sample_photos(options.images, Path(folder))
        pictures = sorted(path for path in images.iterdir() if is_supported(path.name))
        pictures = pictures[: options.limit]
        repeated = 3 if options.tiny else min(COPIES // len(KINDS), len(pictures) // 2)
        page = report(pictures, Path(folder) / "made", repeated)
    publish(page, "duplicates", keep=not options.tiny)


if __name__ == "__main__":
    main()
