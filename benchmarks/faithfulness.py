"""Whether the reranker's heat maps show what decides: cover the hottest patches, then random ones.

`python -m benchmarks.faithfulness --captions FILE --images DIR --pairs 200`, or `--tiny` for the
photographs that the scikit-image and scikit-learn wheels carry. Pictures are covered as pixels
and encoded again; each is asked with one of its own captions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Encoder
from retrieval.encoders.compact import CompactEncoder
from retrieval.errors import ImageError, UnknownModelError
from retrieval.evaluation.captions import CaptionedImage, read_captions
from retrieval.images.decode import read_image, to_pixels
from retrieval.rerankers.compact import CompactReranker
from retrieval.rerankers.registry import load_reranker
from retrieval.search.explain import Erasure, erasure_test

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "faithfulness.md"

_BOOTSTRAP_SAMPLES = 2000


@dataclass(frozen=True)
class Faithfulness:
    """Erasures of n pairs, one a picture, and the reranker's name."""

    reranker: str
    erasures: tuple[Erasure, ...]


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--reranker", default="compact", help="compact, or a trained one's folder")
    parser.add_argument("--tiny", action="store_true", help="the wheels' photographs")
    parser.add_argument("--output", type=Path, help=f"by default {RESULTS}, with --tiny none")
    chosen = parser.parse_args(arguments)
    encoder = CompactEncoder()
    if chosen.tiny:
        found = _measure_tiny(encoder, chosen.reranker, chosen.pairs)
    elif chosen.captions is None or chosen.images is None:
        parser.error("give --captions and --images, or --tiny")
    else:
        pictures = read_captions(chosen.captions, split=chosen.split)
        found = measure(
            encoder, _attending(chosen.reranker, encoder), pictures, chosen.images, chosen.pairs
        )
    text = as_markdown(found)
    # A run on a handful of photographs is no result to keep.
    output = chosen.output or (None if chosen.tiny else RESULTS)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    print(text)


def measure(
    encoder: Encoder,
    reranker: CompactReranker,
    pictures: Sequence[CaptionedImage],
    images: Path,
    pairs: int,
    seed: int = 0,
) -> Faithfulness:
    """Erasures on `pairs` pictures drawn at random, each with one of its captions."""
    rng = np.random.default_rng(seed)
    erasures: list[Erasure] = []
    for place in rng.permutation(len(pictures)).tolist():
        if len(erasures) == pairs:
            break
        picture = pictures[place]
        caption = picture.captions[int(rng.integers(len(picture.captions)))]
        try:
            pixels = to_pixels(read_image(images / picture.name), encoder.preprocessing)
        except ImageError:
            continue
        erasure = erasure_test(encoder, reranker, pixels, caption, seed=place)
        if erasure is not None:
            erasures.append(erasure)
    return Faithfulness(reranker.name, tuple(erasures))


def as_markdown(found: Faithfulness) -> str:
    """The measures as a Markdown page, with a line on the machine."""
    hottest = np.array([erasure.hottest_drop for erasure in found.erasures])
    random = np.array([erasure.random_drop for erasure in found.erasures])
    name = Path(found.reranker).name
    lines = [
        "# Faithfulness of the heat maps",
        "",
        f"Reranker: {name}; {len(hottest)} pictures, each with one of its own captions. A quarter "
        "of the patches is covered with grey and the picture encoded again; random quarters are "
        "the mean of eight. 95 % bootstrap intervals over pictures.",
        "",
        "| | value |",
        "|---|---|",
        f"| loss of score, hottest quarter covered | {_interval(hottest)} |",
        f"| loss of score, random quarter covered | {_interval(random)} |",
        f"| difference | {_interval(hottest - random)} |",
        f"| pictures where the hottest quarter costs more | {_interval(hottest > random)} |",
        "",
        f"Machine: {platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}.",
        "",
    ]
    return "\n".join(lines)


def _interval(values: NDArray[np.floating] | NDArray[np.bool_], seed: int = 0) -> str:
    numbers = values.astype(np.float64)
    rows = np.random.default_rng(seed).integers(
        len(numbers), size=(_BOOTSTRAP_SAMPLES, len(numbers))
    )
    low, high = np.percentile(numbers[rows].mean(axis=1), [2.5, 97.5])
    return f"{numbers.mean():.3f} [{low:.3f}, {high:.3f}]"


def _attending(name: str, encoder: CompactEncoder) -> CompactReranker:
    reranker = load_reranker(name, encoder)
    if not isinstance(reranker, CompactReranker):
        raise UnknownModelError(f"{name} shows no attention: give compact or a trained folder.")
    return reranker


def _measure_tiny(encoder: CompactEncoder, name: str, pairs: int) -> Faithfulness:
    """The photographs of the wheels, with a throw-away reranker where the model has none."""
    from samples import photos

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos.copy_photos(folder / "photos")
        pictures = read_captions(photos.CAPTIONS)
        try:
            reranker = _attending(name, encoder)
        except UnknownModelError:
            _train_briefly(encoder, pictures, folder / "photos", folder / "throw-away")
            reranker = CompactReranker.trained(folder / "throw-away", encoder)
        return measure(encoder, reranker, pictures, folder / "photos", pairs)


def _train_briefly(
    encoder: CompactEncoder, pictures: Sequence[CaptionedImage], images: Path, folder: Path
) -> None:
    """A reranker that has seen nothing but these pictures: it shows that the script runs."""
    from retrieval.evaluation.encoded_set import encode_set
    from retrieval.rerankers.training.data import tokens_of
    from retrieval.rerankers.training.export import export
    from retrieval.rerankers.training.network import RerankerNetwork, RerankerShape
    from retrieval.rerankers.training.train import TrainingSettings, train

    data = tokens_of(encoder, encode_set(encoder, pictures, images))
    rows, columns = encoder.token_grid
    shape = RerankerShape(
        data.patches.shape[2],
        rows * columns,
        encoder.token_scale,
        width=32,
        word_dim=data.words.shape[1],
        whole_rows=encoder.whole_rows,
    )
    trained = train(RerankerNetwork(shape), data, data, TrainingSettings(epochs=3, negatives=4))
    folder.mkdir()
    export(trained.network, folder / "reranker.onnx")
    settings = {"encoder": encoder.space.fingerprint, "weight": trained.best.weight}
    (folder / "reranker.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main()
