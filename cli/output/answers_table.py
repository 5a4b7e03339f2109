"""What was measured of an answerer, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.evaluation.answers import AnswersEvaluation


def as_table(found: AnswersEvaluation) -> str:
    """The evaluation as lines for a terminal."""
    lines = [f"{found.answerer}: {found.questions} questions about {found.pictures} pictures"]
    if found.skipped:
        lines.append(f"{len(found.skipped)} pictures left out:")
        lines += [f"  {left.name}: {left.reason}" for left in found.skipped[:5]]
        if len(found.skipped) > 5:
            lines.append(f"  and {len(found.skipped) - 5} more")
    rows = [("", "questions", "right", "majority", "sure", "right when sure")]
    rows += [
        (
            one.kind,
            str(one.questions),
            _percent(one.accuracy),
            f"{_percent(one.majority)} ({one.majority_answer})",
            _percent(one.sure),
            "" if one.sure_accuracy is None else _percent(one.sure_accuracy),
        )
        for one in found.kinds
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines.append("")
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
