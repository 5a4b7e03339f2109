"""How often the built-in answerer is right, on questions made of captions that it never saw.

    python -m benchmarks.answers CAPTIONS --images DIR [--split dev] [--answerer NAME] [--tiny]

Each question is also asked of another picture: what is right then, the words alone tell.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.indexing import machine
from retrieval.answering.registry import load_answerer
from retrieval.evaluation.answers import AnswersEvaluation, KindOfAnswers, evaluate_answers
from retrieval.evaluation.captions import read_captions
from samples.photos import CAPTIONS, copy_photos

RESULT = Path(__file__).parent / "results" / "answers.md"


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captions", nargs="?", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--answerer", default="auto")
    parser.add_argument("--tiny", action="store_true", help="a few photographs; nothing is written")
    parser.add_argument("--output", type=Path, help=f"default: {RESULT.name}, none with --tiny")
    chosen = parser.parse_args(arguments)
    answerer = load_answerer(chosen.answerer)
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.tiny:
            copy_photos(Path(scratch))
            pictures, images = read_captions(CAPTIONS), Path(scratch)
        elif chosen.captions is None or chosen.images is None:
            parser.error("give CAPTIONS and --images, or --tiny")
        else:
            pictures, images = read_captions(chosen.captions, split=chosen.split), chosen.images
        found = evaluate_answers(answerer, pictures, images, swapped=True)
    text = "\n".join(report(found))
    output = chosen.output or (None if chosen.tiny else RESULT)
    if output is not None:
        output.write_text(text, "utf-8")
    print(text)


def report(found: AnswersEvaluation) -> list[str]:
    """The table, as lines of Markdown."""
    lines = [
        "# Questions about pictures",
        "",
        f"`{found.answerer}` on {found.questions} questions about {found.pictures} pictures, made "
        "of their captions by rule. Majority: the most frequent answer, given always. Another "
        "picture: the same question asked of a picture that it was not made for.",
        "",
        "| kind | questions | right | majority | another picture | sure of | right when sure |",
        "|---|---|---|---|---|---|---|",
        *(_row(one) for one in found.kinds),
        "",
        machine(),
        "",
    ]
    return lines


def _row(one: KindOfAnswers) -> str:
    cells = (
        one.kind,
        str(one.questions),
        _percent(one.accuracy),
        f"{_percent(one.majority)} ({one.majority_answer})",
        _percent(one.swapped),
        _percent(one.sure),
        _percent(one.sure_accuracy),
    )
    return f"| {' | '.join(cells)} |"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
