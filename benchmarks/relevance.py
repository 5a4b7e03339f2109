"""Does the built-in model know when nothing fits? On pictures that its calibration never saw.

Questions with and without an answer are made of captions (`training.questions`) and asked of a part
of the pictures; one counts as answerable where one of the first ten answers is said to fit well.

    python -m benchmarks.relevance CAPTIONS --images DIR [--split dev] [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.indexing import machine
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import encode_set
from retrieval.search.relevance import RelevanceModel
from samples.photos import CAPTIONS, copy_photos
from training.data import Picture, of_split, read_pictures
from training.questions import QuestionMaker
from training.relevance import bags_of_words
from training.relevance_fit import measure, split_questions
from training.relevance_scores import Asker

RESULT = Path(__file__).parent / "results" / "relevance.md"
_WAYS = {
    "first": "first stage alone",
    "second": "reranked",
    "languages": "through the tower for other languages, in English",
}


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captions", nargs="?", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--questions", type=int, default=60, help="of each kind, in each draw")
    parser.add_argument("--draws", type=int, default=3, help="of the pictures searched, by size")
    parser.add_argument("--tiny", action="store_true", help="a few photographs; nothing is written")
    parser.add_argument("--output", type=Path, help=f"default: {RESULT.name}, none with --tiny")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.tiny:
            copy_photos(Path(scratch))
            pictures = read_pictures(Path(CAPTIONS), Path(scratch))
            text = "\n".join(_report(pictures, 3, 1, bags_of_words))
        elif chosen.captions is None or chosen.images is None:
            parser.error("give CAPTIONS and --images, or --tiny")
        else:
            from training.sentences import SentenceEncoder

            pictures = of_split(read_pictures(chosen.captions, chosen.images), chosen.split)
            text = "\n".join(_report(pictures, chosen.questions, chosen.draws, SentenceEncoder()))
    output = chosen.output or (None if chosen.tiny else RESULT)
    if output is not None:
        output.write_text(text, "utf-8")
    print(text)


def _report(pictures: Sequence[Picture], questions: int, draws: int, sentences: Any) -> list[str]:
    rng = np.random.default_rng(0)
    encoder = CompactEncoder()
    model = RelevanceModel.beside(COMPACT_DIR, encoder.space.fingerprint)
    if model is None:
        raise SystemExit("The built-in model was not calibrated: run training.relevance first.")
    told = [CaptionedImage(str(one.path), one.split, one.captions) for one in pictures]
    asker = Asker(encoder, encode_set(encoder, told, Path()), model.cohort)
    asked = split_questions(
        QuestionMaker(pictures, sentences), np.arange(len(pictures)), questions, draws,
        (0.05, 0.3, 0.6), rng,
    )  # fmt: skip
    lines = [
        "# Knowing when nothing fits",
        "",
        f"{len(pictures)} pictures, {len(asked)} questions, of which "
        f"{sum(one.question.is_answerable for one in asked)} have an answer among the pictures "
        "searched, a twentieth to three fifths of all. 95 % intervals from questions drawn anew.",
    ]
    for way in asker.ways():
        calibration = model.calibrations.get(way)
        if calibration is None:
            continue
        found = measure(calibration, [asker.ask(way, one) for one in asked], rng)
        lines += ["", f"## {_WAYS[way].capitalize()}", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {_shown(value)} |" for name, value in found.items()]
    return [*lines, "", machine(), ""]


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) == 3:
        return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
    return ", ".join(f"{one:.3f}" for one in value) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
