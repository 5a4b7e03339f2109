"""Whether a picture tells a caption from its false twin: colour, count, relation, role, denial.

`python -m benchmarks.hard_pairs --captions FILE --images DIR --split dev --pairs 100`, or `--tiny`.
Twins are made by rule (`training.captions`): "two black dogs" becomes "two white dogs". True
captions read otherwise than made ones, so that a model may prefer them whatever the picture: a pair
counts as told where the caption's lead over its twin is larger with its own picture than with
another, which chance does in half of all pairs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.indexing import machine
from retrieval.encoders.base import Encoder
from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage, read_captions
from retrieval.evaluation.encoded_set import EncodedSet, encode_set
from retrieval.rerankers.base import Candidate, Reranker, RerankQuery
from retrieval.rerankers.registry import load_reranker
from training.captions import KINDS, Kind, false_twin

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "hard_pairs.md"
_SEED = 11
_SAMPLES = 2000


@dataclass(frozen=True)
class Pair:
    """A caption of picture `image` (a row of the set) and its false twin."""

    kind: Kind
    image: int
    caption: str
    twin: str


@dataclass(frozen=True)
class Judged:
    """Whether a stage's lead of the caption is larger with its own picture than with another.

    `preferred`: whether both stages together prefer the caption at all, with its own picture;
    `blind`: the same with the other picture.
    """

    kind: Kind
    first: bool
    second: bool
    both: bool
    preferred: bool
    blind: bool


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--pairs", type=int, default=100, help="of each kind, at most")
    parser.add_argument("--model", type=Path, help="a model's folder; the built-in one by default")
    parser.add_argument("--tiny", action="store_true", help="the wheels' photographs")
    parser.add_argument("--output", type=Path, help=f"by default {RESULTS}, with --tiny none")
    chosen = parser.parse_args(arguments)
    encoder = CompactEncoder() if chosen.model is None else CompactEncoder(chosen.model)
    if chosen.tiny:
        from samples.photos import CAPTIONS, copy_photos

        with tempfile.TemporaryDirectory() as folder:
            copy_photos(Path(folder))
            judged = measure(encoder, read_captions(CAPTIONS), Path(folder), 2)
    elif chosen.captions is None or chosen.images is None:
        parser.error("give --captions and --images, or --tiny")
    else:
        pictures = read_captions(chosen.captions, split=chosen.split)
        judged = measure(encoder, pictures, chosen.images, chosen.pairs)
    table = report(judged)
    print(table)
    output = chosen.output or (None if chosen.tiny else RESULTS)
    if output is not None:
        output.write_text(table + "\n", "utf-8")


def measure(
    encoder: Encoder, pictures: Sequence[CaptionedImage], images: Path, pairs: int
) -> list[Judged]:
    """Judge at most so many pairs of each kind."""
    encoded = encode_set(encoder, pictures, images)
    reranker = load_reranker("compact", encoder)
    assert reranker is not None
    return [judge(pair, encoder, reranker, encoded) for pair in made(encoded, pairs)]


def made(encoded: EncodedSet, pairs: int) -> list[Pair]:
    """At most `pairs` pairs of each kind, from captions in an order drawn at random."""
    rng = np.random.default_rng(_SEED)
    found: list[Pair] = []
    for kind in KINDS:
        own: list[Pair] = []
        for row in rng.permutation(len(encoded.captions)).tolist():
            if len(own) == pairs:
                break
            twin = false_twin(encoded.captions[row], rng, [kind])
            if twin is not None:
                own.append(Pair(kind, int(encoded.owner[row]), encoded.captions[row], twin.text))
        found += own
    return found


def judge(pair: Pair, encoder: Encoder, reranker: Reranker, encoded: EncodedSet) -> Judged:
    """Score both texts with the picture, and with another."""
    assert encoded.patch_tokens is not None
    rows = [pair.image, (pair.image + len(encoded.names) // 2) % len(encoded.names)]
    cosines, scores = np.empty((2, 2)), np.empty((2, 2))
    # In lower case as its twin is, so that nothing but the changed words differs.
    for place, text in enumerate((pair.caption.lower(), pair.twin)):
        encoding = encoder.encode_texts([text])
        cosines[place] = encoded.image_vectors[rows] @ encoding.vectors[0]
        candidates = [Candidate(row, Path(), 0.0, encoded.patch_tokens[row]) for row in rows]
        scores[place] = reranker.rerank(RerankQuery(text, encoding), candidates)
    fused = np.array(
        [
            [
                float(reranker.fusion.fuse([own], [second])[0])
                for own, second in zip(*text, strict=True)
            ]
            for text in zip(cosines, scores, strict=True)
        ]
    )
    first, second, both = (stage[0] - stage[1] for stage in (cosines, scores, fused))
    return Judged(
        pair.kind,
        first=bool(first[0] > first[1]),
        second=bool(second[0] > second[1]),
        both=bool(both[0] > both[1]),
        preferred=bool(both[0] > 0),
        blind=bool(both[1] > 0),
    )


def report(judged: Sequence[Judged]) -> str:
    """The table, with 95 % intervals over the pairs of a row."""
    lines = [
        "| pairs | told by the first stage | by the reranker | by both | "
        "caption preferred | with another picture |",
        "|---|---|---|---|---|---|",
    ]
    stages = ("first", "second", "both", "preferred", "blind")
    for kind in (*KINDS, None):
        own = [pair for pair in judged if kind is None or pair.kind == kind]
        if own:
            cells = " | ".join(_share([getattr(pair, stage) for pair in own]) for stage in stages)
            lines.append(f"| {kind or 'all'} ({len(own)}) | {cells} |")
    lines += ["", f"Chance tells half of the pairs. {machine()}"]
    return "\n".join(lines)


def _share(right: Sequence[bool]) -> str:
    values = np.array(right, dtype=float)
    draws = np.random.default_rng(0).choice(values, size=(_SAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{values.mean():.0%} [{low:.0%}, {high:.0%}]"


if __name__ == "__main__":
    main()
