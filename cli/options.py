"""Options that several commands have."""

from __future__ import annotations

import click

from retrieval.encoders.precision import PRECISIONS

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
