"""The answers to a question as a web page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from retrieval.search.explain import Explanation
    from retrieval.search.hit import Hit


def write_answers(
    path: Path,
    question: str | Path,
    hits: Sequence[Hit],
    explanations: Sequence[Explanation | None],
) -> None:
    """Write the page and say where. Raises MmsearchError where the file cannot be written."""
    from retrieval.errors import MmsearchError
    from retrieval.search.heatmaps import word_heats
    from web.gallery import Answer, Question, write_gallery

    asked = Question(
        text=question if isinstance(question, str) else f"like {question.name}",
        answers=tuple(
            Answer(hit, word_heats(explanation))
            for hit, explanation in zip(hits, explanations, strict=True)
        ),
    )
    try:
        write_gallery(path, [asked])
    except OSError as error:
        raise MmsearchError(f"{path} cannot be written ({error.strerror}).") from error
    click.echo(f"Gallery in {path}", err=True)
