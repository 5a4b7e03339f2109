"""Captions by the built-in captioner: how good they are beside those of neighbours.

Each picture is described, and the sentence compared with what people wrote of it, beside captions
taken from the nearest of other captioned pictures by the same vectors: the first caption of the
nearest one, and the one that agrees most with all captions of the nearest twenty (after Devlin et
al., *Exploring Nearest Neighbor Approaches for Image Captioning*, 2015).

    python -m benchmarks.captions --images DIR --captions FILE --split dev --others train [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.indexing import machine
from benchmarks.support.captioned import (
    CaptionedPhotos,
    add_captioned_options,
    captioned_photos,
)
from benchmarks.support.results import publish
from indexer import caption_pictures, index_folders
from retrieval.catalog import Catalog
from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.caption_scores import CaptionScores, score_captions, tokenised
from retrieval.evaluation.captions import CaptionedImage, read_captions
from training.captioning.examples import EncodedPictures

NEIGHBOURS = 20
Vectors = NDArray[np.float32]


def nearest_captions(
    vectors: Vectors, others: Vectors, captions: Sequence[Sequence[str]]
) -> list[str]:
    """The first caption of the nearest of the others, for each of n pictures."""
    return [captions[place][0] for place in (vectors @ others.T).argmax(axis=1).tolist()]


def consensus_captions(
    vectors: Vectors, others: Vectors, captions: Sequence[Sequence[str]]
) -> list[str]:
    """Of all captions of the nearest others the one that is most like all of these."""
    count = min(NEIGHBOURS, len(others))
    table = TfidfVectorizer(ngram_range=(1, 4), token_pattern=r"\S+", sublinear_tf=True)
    table.fit([tokenised(caption) for own in captions for caption in own])
    found = []
    for similarities in vectors @ others.T:
        near = np.argsort(-similarities)[:count].tolist()
        pool = [caption for place in near for caption in captions[place]]
        counted = table.transform([tokenised(caption) for caption in pool])
        agreement = np.asarray((counted @ counted.T).sum(axis=1)).ravel()
        found.append(pool[int(agreement.argmax())])
    return found


def described(index: Path) -> dict[str, str]:
    """What the captioner said of each picture, by the file's name."""
    with Catalog.open(index / "catalog.sqlite") as catalog:
        items = catalog.items(catalog.item_ids().tolist())
    return {item.path.name: item.captions[0].text for item in items.values() if item.captions}


def score_row(name: str, found: CaptionScores) -> str:
    """A line of the table of captions."""
    cells = [*found.bleu, found.rouge_l, found.cider]
    meteor = "" if found.meteor is None else f"{found.meteor:.1f}"
    return f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + f" | {meteor} |"


def quality(
    said: dict[str, str],
    images: Sequence[CaptionedImage],
    folder: Path,
    cache: Path,
    others: Sequence[CaptionedImage],
) -> list[str]:
    """The table of captions."""
    encoded = EncodedPictures(CompactEncoder(), cache)
    own = [one for one in images if Path(one.name).name in said]
    vectors = encoded.of([folder / one.name for one in own]).vectors
    theirs = encoded.of([folder / one.name for one in others]).vectors
    captions = [one.captions for one in others]
    references = [one.captions for one in own]
    found = {
        "the nearest picture's caption": nearest_captions(vectors, theirs, captions),
        f"consensus of the nearest {NEIGHBOURS}": consensus_captions(vectors, theirs, captions),
        "the built-in captioner": [said[Path(one.name).name] for one in own],
    }
    lines = [
        f"{len(own):,} pictures; neighbours are looked for among {len(others):,} others.\n",
        "| captions | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | ROUGE-L | CIDEr | METEOR |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return lines + [
        score_row(name, score_captions(texts, references)) for name, texts in found.items()
    ]


def main() -> None:
    """Measure, and write the result as Markdown; with --tiny print it only."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_captioned_options(parser)
    parser.add_argument("--others", help="the split of those that neighbours are looked for among")
    parser.add_argument("--names", type=Path, help="a file of names, to keep the pictures to")
    parser.add_argument("--cache", type=Path, help="keeps encoded pictures between runs")
    parser.add_argument("--tiny", action="store_true", help="a quick look, nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photos = captioned_photos(options, Path(scratch))
        images, folder = photos.pictures, photos.images
        if options.names:
            names = set(options.names.read_text("utf-8").split())
            images = [own for own in images if own.name in names]
        index = Path(scratch) / "index"
        index_folders([CaptionedPhotos(folder, images).alone(Path(scratch) / "photos")], index)
        caption_pictures(index)
        others = read_captions(options.captions, split=options.others)
        others = [own for own in others if (folder / own.name).exists()]
        cache = options.cache or Path(scratch) / "encoded"
        lines = ["# Captions\n", *quality(described(index), images, folder, cache, others)]
    lines.append(
        "\nWords are runs of letters and digits in lower case, as `mmsearch eval --task caption` "
        "cuts them; scores are pycocoevalcap's, times 100.\n"
    )
    page = "\n".join([*lines, f"\nMachine: {machine()}.\n"])
    publish(page, "captions", keep=not options.tiny)


if __name__ == "__main__":
    main()
