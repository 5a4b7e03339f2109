"""Options that keep a command to some of the indexed pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from retrieval.query.filters import Filter

_DATE = click.DateTime(["%Y-%m-%d", "%Y-%m", "%Y"])


def paging_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `-k`, which reaches it as `limit`, and `--offset`."""
    options = (
        click.option(
            "-k",
            "limit",
            default=10,
            show_default=True,
            type=click.IntRange(min=1),
            help="How many pictures to answer with.",
        ),
        click.option(
            "--offset",
            default=0,
            show_default=True,
            type=click.IntRange(min=0),
            help="Leave out so many of the best, for the next page.",
        ),
    )
    return _with(options, command)


def restriction_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--in`, `--filter`, `--after` and `--before`, as they were typed.

    They reach it as `within`, `filter_text`, `after` and `before`, each None where not given.
    """
    options = (
        click.option(
            "--in",
            "within",
            type=click.Path(),
            metavar="FOLDER",
            help="Keep to pictures below a folder.",
        ),
        click.option(
            "--filter",
            "filter_text",
            metavar="TEXT",
            help="Keep to pictures that fit conditions, as camera:X100 or -tag:people.",
        ),
        click.option(
            "--after",
            type=_DATE,
            metavar="DATE",
            help="Keep to pictures taken in 2023, 2023-06 or on 2023-06-01, or later.",
        ),
        click.option(
            "--before", type=_DATE, metavar="DATE", help="Keep to pictures taken before then."
        ),
    )
    return _with(options, command)


def restrictable(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the `restriction_options`, which reach it as `only`.

    `only` is one filter that all pictures of interest fit, None where all are.
    """

    @restriction_options
    @functools.wraps(command)
    def restricted(
        *args: Any,
        within: str | None,
        filter_text: str | None,
        after: datetime | None,
        before: datetime | None,
        **options: Any,
    ) -> Any:
        return command(*args, only=_as_one(within, filter_text, after, before), **options)

    return restricted


def check_dates(after: datetime | None, before: datetime | None) -> None:
    """Raise click.UsageError where no time lies between `--after` and `--before`."""
    if after is not None and before is not None and after >= before:
        raise click.UsageError("--after is not earlier than --before: no time lies between them.")


def _with(options: Sequence[Callable[..., Any]], command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def _as_one(
    within: str | None, filter_text: str | None, after: datetime | None, before: datetime | None
) -> Filter | None:
    """Raises QueryError where the text of a filter makes no sense, UsageError for times."""
    from retrieval.paths import absolute
    from retrieval.query.filters import And, Below, Taken
    from retrieval.query.parse import parse_filter

    check_dates(after, before)
    parts: list[Filter] = []
    if within is not None:
        parts.append(Below(absolute(within)))
    if filter_text is not None:
        parts.append(parse_filter(filter_text))
    if after is not None or before is not None:
        parts.append(Taken(after, before))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(tuple(parts))
