"""Options that keep a command to some of the indexed pictures, read as one filter."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from retrieval.query.filters import Filter

DATE = click.DateTime(["%Y-%m-%d", "%Y-%m", "%Y"])


def restrictable(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--in`, `--filter`, `--after` and `--before`, which reach it as `only`.

    `only` is a filter that all pictures of interest fit, None where all are.
    """

    @click.option(
        "--in",
        "within",
        type=click.Path(),
        metavar="FOLDER",
        help="Keep to pictures below a folder.",
    )
    @click.option(
        "--filter",
        "filter_text",
        metavar="TEXT",
        help="Keep to pictures that fit conditions, as camera:X100 or -tag:people.",
    )
    @click.option(
        "--after",
        type=DATE,
        metavar="DATE",
        help="Keep to pictures taken in 2023, 2023-06 or on 2023-06-01, or later.",
    )
    @click.option("--before", type=DATE, metavar="DATE", help="Keep to pictures taken before then.")
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


def _as_one(
    within: str | None, filter_text: str | None, after: datetime | None, before: datetime | None
) -> Filter | None:
    """Raises QueryError where the text of a filter makes no sense, UsageError for times."""
    from retrieval.query.filters import And, Below, Taken
    from retrieval.query.parse import parse_filter

    if after is not None and before is not None and after >= before:
        raise click.UsageError("--after is not earlier than --before: no time lies between them.")
    parts: list[Filter] = []
    if within is not None:
        # Not resolve(): the catalogue keeps paths as they were given, symbolic links and all.
        parts.append(Below(Path(os.path.abspath(Path(within).expanduser()))))  # noqa: PTH100
    if filter_text is not None:
        parts.append(parse_filter(filter_text))
    if after is not None or before is not None:
        parts.append(Taken(after, before))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(tuple(parts))
