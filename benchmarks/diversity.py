"""Folding and diversity: which thresholds fold copies and nothing else, and what either costs.

Of some of the pictures copies are made (resized, recompressed, cropped) and bursts (moved, turned
and lit a little otherwise, seconds later), and indexed among the rest. Three tables: how many of
these fold under which thresholds, and how many others; nDCG@10 of captions with and without
folding; and, for maximal marginal relevance, how many sorts of pictures the first answers to a
broad question show.

    python -m benchmarks.diversity --images DIR --captions FILE [--split dev] [--tiny]
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.composed import SCENES, THINGS
from benchmarks.indexing import machine
from benchmarks.support.captioned import add_captioned_options, captioned_photos
from benchmarks.support.made_copies import Change, compressed, copy_name, cropped, moved, origin_of
from benchmarks.support.results import publish
from indexer import index_folders
from retrieval.evaluation.captions import CaptionedImage
from retrieval.query.query import Query
from retrieval.search.engine import SearchEngine
from retrieval.search.fold import FoldRule, rule_for
from retrieval.search.hit import Hit

TOP = 10
BALANCES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3)
_TAKEN_AT = 0x9003
_EXIF_FACTS = 0x8769
COPIES: dict[str, Change] = {
    "resized": lambda image, rng: image.resize((image.width * 2 // 3, image.height * 2 // 3)),
    "recompressed": lambda image, rng: compressed(image, 40),
    "cropped": lambda image, rng: cropped(image, 0.9, rng),
}
BURST: dict[str, Change] = {
    "burst1": lambda image, rng: moved(image, rng.uniform(-3, 3), 0.92, rng),
    "burst2": lambda image, rng: moved(image, rng.uniform(-5, 5), 0.85, rng),
}


def make_collection(
    pictures: Sequence[CaptionedImage], images: Path, folder: Path, repeated: int
) -> None:
    """The pictures, taken an hour apart, with copies and bursts of the first `repeated` of them."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number, captioned in enumerate(pictures):
        name = Path(captioned.name)
        taken = datetime(2021, 1, 1) + timedelta(hours=number)
        with Image.open(images / name) as opened:
            image = opened.convert("RGB")
        _save(image, folder / f"{name.stem}.jpg", taken)
        if number >= repeated:
            continue
        for kind, change in {**COPIES, **BURST}.items():
            own = taken + timedelta(seconds=5) if kind in BURST else None
            _save(change(image, rng), folder / f"{copy_name(name.stem, kind)}.jpg", own)


def _save(image: Image.Image, path: Path, taken: datetime | None) -> None:
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(_EXIF_FACTS)[_TAKEN_AT] = taken.strftime("%Y:%m:%d %H:%M:%S")
    image.convert("RGB").save(path, quality=95, exif=exif)


def fold_table(engine: SearchEngine) -> list[str]:
    """Shares that fold with their original, and pairs of other pictures that do, by threshold."""
    hits = engine.browse("-name:nothing", k=1_000_000)
    vectors = engine.vectors_of(hits)
    origins = [origin_of(hit.path) for hit in hits]
    place = {name: number for number, (name, kind) in enumerate(origins) if not kind}
    plain = list(place.values())
    others = vectors[plain] @ vectors[plain].T
    between = others[np.triu_indices(len(plain), 1)]
    cosines: dict[str, list[float]] = {}
    for (name, kind), vector in zip(origins, vectors, strict=True):
        if kind:
            cosines.setdefault(kind, []).append(float(vector @ vectors[place[name]]))
    kinds = [*COPIES, *BURST]
    lines = [
        f"| cosine from | {' | '.join(kinds)} | pairs of others, in a million |",
        f"|---:|{'---:|' * (len(kinds) + 1)}",
    ]
    for threshold in (0.75, 0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.96, 0.98):
        shares = [100 * np.mean(np.array(cosines[kind]) >= threshold) for kind in kinds]
        wrong = 1e6 * np.mean(between >= threshold)
        row = " | ".join(f"{share:.0f} %" for share in shares)
        lines.append(f"| {threshold:.2f} | {row} | {wrong:.1f} |")
    return lines


def ndcg(hits: Sequence[Hit], right: str, relevant: int, *, once: bool) -> float:
    """nDCG@10 of one question; with `once`, only the first picture of a family counts."""
    gains = np.array([origin_of(hit.path)[0] == right for hit in hits[:TOP]], dtype=float)
    if once:
        gains[np.flatnonzero(gains)[1:]] = 0
    discounts = 1 / np.log2(np.arange(2, TOP + 2))
    best = discounts[: 1 if once else min(relevant, TOP)].sum()
    return float((gains * discounts[: len(gains)]).sum() / best)


def ndcg_table(
    engine: SearchEngine, pictures: Sequence[CaptionedImage], repeated: int
) -> list[str]:
    """nDCG of captions with and without folding, of pictures with copies and of others."""
    lines = [
        "| questions about | folding | nDCG@10, every copy counts | nDCG@10, each picture once | "
        "different pictures among ten |",
        "|---|---|---:|---:|---:|",
    ]
    groups = {
        "pictures with copies": pictures[:repeated],
        "pictures without": pictures[repeated : 4 * repeated],
    }
    for name, group in groups.items():
        captions = [(Path(image.name).stem, image.captions[0]) for image in group]
        relevant = 1 + len(COPIES) + len(BURST) if name == "pictures with copies" else 1
        for fold in (False, True):
            found = engine.search_many([text for _, text in captions], k=TOP, fold=fold)
            rows = [
                (
                    ndcg(hits, right, relevant, once=False),
                    ndcg(hits, right, relevant, once=True),
                    len({origin_of(hit.path)[0] for hit in hits}),
                )
                for (right, _), hits in zip(captions, found, strict=True)
            ]
            every, once, different = np.mean(rows, axis=0)
            lines.append(
                f"| {name} | {'folded' if fold else 'off'} | {100 * every:.1f} | "
                f"{100 * once:.1f} | {different:.1f} |"
            )
    return lines


def balance_table(engine: SearchEngine, captions: dict[str, tuple[str, ...]]) -> list[str]:
    """Precision and recall of scenes (subtopics) among ten answers to a thing, by balance.

    Subtopic recall as in Zhai, Cohen and Lafferty, *Beyond independent relevance* (SIGIR 2003).
    """

    def shows(pattern: str) -> set[str]:
        found = re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)
        return {name for name, texts in captions.items() if any(map(found.search, texts))}

    scenes = [shows(pattern) for pattern in SCENES.values()]
    lines = [
        "| balance | precision@10 | scenes shown of those there are | mean cosine of two answers |",
        "|---:|---:|---:|---:|",
    ]
    for balance in BALANCES:
        rows = []
        for thing, pattern in THINGS.items():
            relevant = shows(pattern)
            there = [scene & relevant for scene in scenes if scene & relevant]
            if not there:
                continue
            hits = engine.search(Query.of(thing), k=TOP, rerank="off", diverse=balance)
            names = {origin_of(hit.path)[0] for hit in hits}
            vectors = engine.vectors_of(hits)
            rows.append(
                (
                    np.mean([origin_of(hit.path)[0] in relevant for hit in hits]),
                    np.mean([bool(scene & names) for scene in there]),
                    (vectors @ vectors.T)[np.triu_indices(len(hits), 1)].mean(),
                )
            )
        if rows:
            precision, recall, likeness = np.mean(rows, axis=0)
            lines.append(
                f"| {balance} | {100 * precision:.1f} | {100 * recall:.1f} | {likeness:.3f} |"
            )
    return lines


def report(pictures: Sequence[CaptionedImage], images: Path, folder: Path, repeated: int) -> str:
    """Everything as Markdown."""
    make_collection(pictures, images, folder / "photos", repeated)
    index_folders([folder / "photos"], folder / "index")
    captions = {Path(image.name).stem: tuple(image.captions) for image in pictures}
    with SearchEngine.open(folder / "index") as engine:
        rule: FoldRule = rule_for(engine.encoder.space.name)
        lines = [
            "# Folding and diversity\n",
            f"{len(pictures):,} captioned pictures, of {repeated} of them {len(COPIES)} copies and "
            f"{len(BURST)} more of a burst; the compact model.\n",
            "## Which cosines are those of copies\n",
            *fold_table(engine),
            f"\nCopies fold from {rule.copy_cosine} on, pictures taken within "
            f"{rule.burst.total_seconds():.0f} s from {rule.burst_cosine} on.\n",
            "## What folding does to the ranking\n",
            *ndcg_table(engine, pictures, repeated),
            "\n## Diverse answers\n",
            *balance_table(engine, captions),
        ]
    return "\n".join([*lines, f"\nMachine: {machine()}.\n"])


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_captioned_options(parser)
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = captioned_photos(options, Path(folder))
        repeated = 4 if options.tiny else min(200, len(photos.pictures) // 4)
        page = report(photos.pictures, photos.images, Path(folder) / "made", repeated)
    publish(page, "diversity", keep=not options.tiny)


if __name__ == "__main__":
    main()
