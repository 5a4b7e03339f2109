"""Fit how likely a picture is to fit its question: `python -m training.relevance --model DIR ...`.

    python -m training.relevance --model MODEL \\
        --captions A/captions.tsv --images A/images --held-out 500 \\
        --captions B/captions.tsv --images B/images --held-out 1500

Questions with and without an answer (`training.questions`) are asked of pictures that the model was
not trained on; a logistic model learns from one part of these, isotonic steps and the threshold
come from another, and what is measured from a third. Writes `relevance.json` and its cohort into
the model's folder, to which no other part of training has to be run again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import encode_set
from retrieval.search.relevance import RelevanceModel
from training.data import Picture, hold_out, of_split, read_pictures
from training.questions import QuestionMaker
from training.relevance_fit import fit, measure, split_questions
from training.relevance_scores import Asker
from training.tiny import copy_model

_COHORT = 500
_WELL_TOLD = 5
# How many pictures are searched: what fits must mean the same in a folder and in a library.
_SEARCHED = (0.05, 0.3, 0.6)


@dataclass(frozen=True)
class Source:
    """Captioned pictures that questions are made of, and others that stand for the world."""

    held: list[Picture]
    rest: list[Picture]


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, fit, write, and say what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a compact model's folder")
    parser.add_argument("--captions", type=Path, action="append", default=[])
    parser.add_argument("--images", type=Path, action="append", default=[])
    parser.add_argument(
        "--held-out",
        type=int,
        action="append",
        default=[],
        help="of each file, how many pictures its training held out; 0 where it saw none of them",
    )
    parser.add_argument("--questions", type=int, default=60, help="of each kind, in each draw")
    parser.add_argument("--draws", type=int, default=3, help="of the pictures searched, by size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="the tests' photographs, in seconds")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if options.tiny:
            _use_tiny(options, Path(scratch))
        if options.model is None or not options.captions:
            parser.error("--model, --captions and --images are needed, except with --tiny")
        held_out = options.held_out or [0] * len(options.captions)
        sources = [
            _source(captions, images, count)
            for captions, images, count in zip(
                options.captions, options.images, held_out, strict=True
            )
        ]
        measured = train(
            options.model, sources, options.questions, options.draws, options.seed, options.tiny
        )
    for way, found in measured.items():
        print(way, *(f"{name} {value}" for name, value in found.items()), sep="\n    ")


def train(
    model: Path, sources: Sequence[Source], questions: int, draws: int, seed: int, tiny: bool
) -> dict[str, Any]:
    """Fit every way that the model can answer by, and write; returns what was measured."""
    rng = np.random.default_rng(seed)
    encoder = CompactEncoder(model)
    pictures = [picture for source in sources for picture in source.held]
    encoded = encode_set(encoder, [_captioned(picture) for picture in pictures], Path())
    cohort = _cohort(encoder, sources, rng)
    maker = QuestionMaker(pictures, _sentences(tiny))
    asker = Asker(encoder, encoded, cohort)
    groups = _groups(len(pictures), rng)
    asked = [split_questions(maker, group, questions, draws, _SEARCHED, rng) for group in groups]
    calibrations, measured = {}, {}
    for way in asker.ways():
        learnt, chosen, judged = ([asker.ask(way, one) for one in part] for part in asked)
        calibrations[way] = fit(learnt, chosen)
        measured[way] = measure(calibrations[way], judged, rng)
    RelevanceModel(cohort, calibrations).write(model, encoder.space.fingerprint, measured)
    return measured


def _source(captions: Path, images: Path, held_out: int) -> Source:
    """As the model's training divides the pictures: those with most captions are held out."""
    pictures = of_split(read_pictures(captions, images), "train")
    most = max(len(picture.captions) for picture in pictures)
    told = [picture for picture in pictures if len(picture.captions) >= min(most, _WELL_TOLD)]
    count = held_out or len(told) - min(_COHORT, len(told) // 5)
    kept, held = hold_out(told, count, 0)
    return Source([told[i] for i in held], [told[i] for i in kept])


def _cohort(
    encoder: CompactEncoder, sources: Sequence[Source], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Vectors of pictures that no question is made of, as many of each source."""
    each = _COHORT // len(sources)
    drawn = [
        source.rest[place]
        for source in sources
        for place in rng.permutation(len(source.rest))[:each].tolist()
    ]
    return encode_set(encoder, [_captioned(picture) for picture in drawn], Path()).image_vectors


def _groups(count: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Pictures to learn from, to choose steps and threshold by, and to measure on."""
    order = rng.permutation(count)
    return [np.sort(part) for part in np.split(order, [int(0.4 * count), int(0.65 * count)])]


def _captioned(picture: Picture) -> CaptionedImage:
    return CaptionedImage(str(picture.path), picture.split, picture.captions)


def _sentences(tiny: bool) -> Any:
    if not tiny:
        from training.sentences import SentenceEncoder

        return SentenceEncoder()
    return bags_of_words


def bags_of_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """Stands in for sentence vectors where nothing is to be learnt: words, hashed."""
    vectors = np.full((len(texts), 256), 1e-3, dtype=np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in text.lower().split():
            row[hash(word) % 256] += 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _use_tiny(options: argparse.Namespace, scratch: Path) -> None:
    from samples import photos

    photos.copy_photos(scratch / "photos")
    options.model = options.model or copy_model(scratch / "model")
    options.captions, options.images = [Path(photos.CAPTIONS)], [scratch / "photos"]
    options.held_out, options.questions, options.draws = [0], 3, 2


if __name__ == "__main__":
    main()
