"""Options that several commands have."""

from __future__ import annotations

import click

from retrieval.encoders.precision import PRECISIONS

model_option = click.option(
    "--model", metavar="NAME", help="The model of a new index; see `mmsearch models`."
)
precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="Arithmetic of an open_clip model; auto is int8 where this processor gains by it.",
)
