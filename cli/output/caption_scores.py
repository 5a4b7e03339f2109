"""What was measured of a captioner, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.evaluation.captioning import CaptioningEvaluation


def as_table(found: CaptioningEvaluation) -> str:
    """The evaluation as lines for a terminal."""
    scores = found.scores
    lines = [f"{found.captioner} on {found.pictures} pictures"]
    if found.left_out:
        lines.append(f"{found.left_out} pictures left out, which could not be described")
    rows = [(f"BLEU-{words}", score) for words, score in enumerate(scores.bleu, start=1)]
    rows += [("ROUGE-L", scores.rouge_l), ("CIDEr", scores.cider)]
    if scores.meteor is not None:
        rows.append(("METEOR", scores.meteor))
    lines += ["", *(f"{name:<8} {score:6.1f}" for name, score in rows), ""]
    lines.append(f"{found.ms_a_picture:.0f} ms a picture")
    return "\n".join(lines)
