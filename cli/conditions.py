"""What a question's conditions mean for the command line: options beside them, and their limits."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli.output.terminal import count

if TYPE_CHECKING:
    from retrieval.query.filters import Filter
    from retrieval.search.feedback import Marks


def asks_for_times(filter_: Filter | None) -> bool:
    """Whether a condition is about when pictures were taken."""
    from retrieval.query.filters import Month, Taken, TimeOfDay, conditions

    found = conditions(filter_) if filter_ is not None else []
    return any(isinstance(condition, Taken | TimeOfDay | Month) for condition in found)


def with_options(
    filter_: Filter, within: str | None, after: datetime | None, before: datetime | None
) -> Filter:
    """The filter and what `--in`, `--after` and `--before` ask for."""
    from retrieval.paths import absolute
    from retrieval.query.filters import Below, Taken

    if within is not None:
        filter_ &= Below(absolute(within))
    if after is not None or before is not None:
        filter_ &= Taken(after, before)
    return filter_


def tell_of_undated(undated: int) -> None:
    """Say how many pictures cannot be found by a time."""
    if undated:
        verb = "has" if undated == 1 else "have"
        click.echo(
            f"{count(undated, 'picture')} {verb} no known date and cannot be found by it.", err=True
        )


def tell_of_marks(marks: Marks | None) -> None:
    """Say that a question is asked with what was marked for it."""
    if marks is not None:
        click.echo(
            f"Asked with {len(marks.right)} marked right and {len(marks.wrong)} marked wrong; "
            "--no-feedback asks without.",
            err=True,
        )
