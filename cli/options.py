"""Options that several commands have."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from retrieval.encoders.precision import PRECISIONS


class Number(click.FloatRange):
    """A number in a range, which NaN is not: it is neither below nor above anything."""

    def _describe_range(self) -> str:
        """The range as help shows it; nothing where there is none."""
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As `click.FloatRange`."""
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is no number.", param, ctx)
        return found


model_option = click.option(
    "--model", metavar="NAME", help="The model of a new index; see `mmsearch models`."
)
exclude_option = click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Pass over what matches, as a line of a .gitignore does; in this run. Repeatable.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="Arithmetic of an open_clip model; auto is int8 where this processor gains by it.",
)


def captioned_options(example: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the argument CAPTIONS, `--images` and `--split`; `example` names a split."""

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(
            (
                click.argument("captions", type=click.Path(path_type=Path)),
                click.option(
                    "--images",
                    required=True,
                    type=click.Path(path_type=Path, exists=True, file_okay=False),
                    metavar="DIR",
                    help="The folder that the captions name pictures in.",
                ),
                click.option(
                    "--split",
                    metavar="NAME",
                    help=f"Keep to one split of the captions, such as {example}.",
                ),
            )
        ):
            command = option(command)
        return command

    return with_options
