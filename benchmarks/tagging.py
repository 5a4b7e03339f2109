"""Labels: how often a tag is confirmed by a caption, and how often a label that fits nothing tags.

A picture shows a thing where one of its captions names it; captions leave much out, so that the
precision is a lower bound. Labels of things that are in no picture should tag none.

    python -m benchmarks.tagging --images DIR --captions FILE [--split dev] [--tiny]
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.indexing import machine
from benchmarks.support.captioned import add_captioned_options, captioned_photos
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval.evaluation.captions import CaptionedImage
from retrieval.organise.kept_vectors import KeptVectors
from retrieval.organise.labels import DEFAULT_THRESHOLD, Label, fitting
from retrieval.search.engine import SearchEngine

THRESHOLDS = (2.5, 2.7, 3.0, 3.3, 3.6, 4.0, 4.5)
_LEAST_PICTURES = 1

# Label → how captions name it.
SHOWN = {
    "dog": "dogs?|pupp(?:y|ies)", "cat": "cats?|kittens?", "horse": "horses?", "bird": "birds?",
    "cow": "cows?|cattle", "sheep": "sheep|lambs?", "elephant": "elephants?",
    "giraffe": "giraffes?", "zebra": "zebras?", "bear": "bears?", "train": "trains?",
    "bus": "bus(?:es)?", "car": "cars?", "motorcycle": "motor(?:cycle|bike)s?",
    "bicycle": "bicycles?|bikes?", "airplane": "(?:air)?planes?|jets?", "boat": "boats?|ships?",
    "pizza": "pizzas?", "cake": "cakes?", "tennis": "tennis", "baseball": "baseball",
    "soccer": "soccer", "basketball": "basketball", "surfing": r"surf\w*", "skiing": r"ski\w*",
    "snowboarding": r"snowboard\w*", "skateboarding": r"skate\w*", "kite": "kites?",
    "umbrella": "umbrellas?", "beach": "beach(?:es)?", "snow": r"snow\w*", "kitchen": "kitchens?",
    "bathroom": "bathrooms?|toilets?", "bedroom": "bed(?:s|room)?", "laptop": "laptops?",
    "clock": "clocks?", "flowers": "flowers?", "swimming pool": "pools?", "guitar": "guitars?",
    "rock climbing": r"climb\w*", "mountain": "mountains?", "fountain": "fountains?",
    "swing": "swings?", "slide": "slides?", "baby": "bab(?:y|ies)", "rocket": "rockets?",
    "coffee": "coffee",
}  # fmt: skip
NOT_SHOWN = (
    "x-ray picture", "volcano", "submarine", "microscope", "passport", "northern lights", "harp",
    "kangaroo", "squid", "printed circuit board", "igloo", "barcode", "satellite", "tax form",
    "stained glass window", "tornado", "coral reef", "oil rig",
)  # fmt: skip


def report(pictures: Sequence[CaptionedImage], images: Path, index_dir: Path) -> str:
    """Everything as Markdown."""
    index_folders([images / image.name for image in pictures], index_dir)
    captions = {Path(image.name).name: " ".join(image.captions) for image in pictures}
    naming = {name: re.compile(rf"\b(?:{form})\b", re.I) for name, form in SHOWN.items()}
    showing = {
        name: {picture for picture, text in captions.items() if form.search(text)}
        for name, form in naming.items()
    }
    asked = [name for name, names in showing.items() if len(names) >= _LEAST_PICTURES]
    named = {name: showing[name] for name in asked}
    absent = [
        name
        for name in NOT_SHOWN
        if not any(re.search(rf"\b{name}\b", text, re.I) for text in captions.values())
    ]
    labels = [Label(name, (name,)) for name in (*named, *absent)]
    with SearchEngine.open(index_dir) as engine:
        model = engine.encoder.space.name
        kept = KeptVectors.read(engine.catalog)
        name_of = {
            id_: item.path.name for id_, item in engine.catalog.items(kept.ids.tolist()).items()
        }
        found = fitting(labels, kept, engine.encoder, min(THRESHOLDS))
    lines = [
        "# Labels\n",
        f"{len(pictures):,} captioned pictures, {len(named)} labels that captions name and "
        f"{len(absent)} that none does; the {model} model.\n",
        "| threshold | tags | confirmed by a caption | of captioned things tagged | pictures a "
        "label that fits nothing tags |",
        "|---:|---:|---:|---:|---:|",
    ]
    total = sum(len(names) for names in named.values())
    for threshold in THRESHOLDS:
        tags = right = wrong = 0
        for fit in found:
            tagged = {name_of[id_] for id_ in fit.ids[fit.scores >= threshold].tolist()}
            if fit.label.name in named:
                tags += len(tagged)
                right += len(tagged & named[fit.label.name])
            else:
                wrong += len(tagged)
        mark = " (default)" if threshold == DEFAULT_THRESHOLD else ""
        lines.append(
            f"| {threshold}{mark} | {tags} | {np.divide(right, max(1, tags)):.3f} | "
            f"{np.divide(right, max(1, total)):.3f} | {np.divide(wrong, max(1, len(absent))):.1f} |"
        )
    return "\n".join([*lines, f"\nMachine: {machine()}.\n"])


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_captioned_options(parser)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = captioned_photos(options, Path(folder))
        page = report(photos.pictures, photos.images, Path(folder) / "index")
    publish(page, "tagging", keep=not options.tiny)


if __name__ == "__main__":
    main()
