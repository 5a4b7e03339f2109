"""Answers on a terminal: a line each, and a cut above those that do not fit well."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.output.links import linked, shows_links
from cli.output.previews import print_preview, shows_previews
from retrieval.media.times import at_time
from retrieval.paths import show_path
from retrieval.search.folded import folded_in_words
from retrieval.search.hit import Hit

if TYPE_CHECKING:
    from retrieval.search.explain import Explanation

NOTHING = "Nothing fits well."
NOTHING_BELOW = "Below this nothing fits well."


def print_answers(
    hits: Sequence[Hit],
    explanations: Sequence[Explanation | None],
    *,
    relevant: bool,
    previews: bool | None = False,
) -> None:
    """Answers for a person; the weak ones at the end dimmed, below a line that says so.

    With previews where they are chosen, or None and the terminal can show them.
    """
    with_previews = bool(hits) and shows_previews(previews)
    strong = count_strong(hits)
    lines = hit_lines(hits, with_links=shows_links())
    # In a pipe each line is an answer, as programs count them.
    on_terminal = sys.stdout.isatty()
    dims = on_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    for place, (line, explanation) in enumerate(zip(lines, explanations, strict=True)):
        if on_terminal and place == strong:
            click.secho(NOTHING_BELOW if strong else NOTHING, dim=dims or None)
        click.secho(line, dim=(dims and hits[place].fits is False) or None)
        if explanation is not None:
            from retrieval.search.heatmaps import where_line

            click.echo(f"        {where_line(explanation)}")
        if with_previews:
            print_preview(hits[place].path, hits[place].time_ms)
    if not hits:
        click.echo(NOTHING if relevant else "No picture was found.", err=True)


def count_strong(hits: Sequence[Hit]) -> int:
    """How many answers stand above the cut: all up to the last that fits, or that may."""
    return max((place + 1 for place, hit in enumerate(hits) if hit.fits is not False), default=0)


def hit_lines(hits: Sequence[Hit], *, with_links: bool = False) -> list[str]:
    """One line an answer, score and path in columns; the path is a link to the file if wanted."""
    shown = [show_path(hit.path) for hit in hits]
    if with_links:
        shown = [linked(text, hit.path) for text, hit in zip(shown, hits, strict=True)]
    return [
        f"{hit.score:6.3f}  {at_time(text, hit.time_ms)}{folded_in_words(hit)}"
        for text, hit in zip(shown, hits, strict=True)
    ]
