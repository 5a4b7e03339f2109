"""`mmsearch similar`: find pictures like a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import NOTHING_FOUND
from cli.options import Number
from cli.output.answers import print_answers
from cli.output.terminal import write_json, write_raw_path
from cli.restriction import paging_options, restrictable

if TYPE_CHECKING:
    from retrieval.query.filters import Filter


@click.command("similar")
@click.argument("file", type=click.Path(path_type=Path))
@paging_options
@restrictable
@click.option(
    "--min-score", type=Number(), metavar="X", help="Leave out pictures whose cosine is below X."
)
@click.option("--diverse", is_flag=True, help="Choose pictures that also differ from one another.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, as `query --json` does.")
@click.option("--paths", "only_paths", is_flag=True, help="Print paths alone, one a line.")
@click.option("-0", "with_nul", is_flag=True, help="As --paths, ended by NUL, for `xargs -0`.")
@click.option("--open", "show", is_flag=True, help="Open the most like one in a viewer.")
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    limit: int,
    offset: int,
    only: Filter | None,
    min_score: float | None,
    diverse: bool,
    as_json: bool,
    only_paths: bool,
    with_nul: bool,
    show: bool,
) -> None:
    """Find the pictures most like FILE, the nearest first; FILE itself is left out.

    An indexed picture asks with what the index keeps of it, so that the file need not be there; any
    other is read. The score is the cosine of the two pictures.

    Exit code 1 where there is none.
    """
    if as_json and (only_paths or with_nul):
        raise click.UsageError("Choose one of --json and --paths (or -0): they are two outputs.")
    from cli.output.records import hit_record
    from retrieval.search.engine import SearchEngine

    with SearchEngine.open(ctx.obj) as engine:
        hits = engine.similar(
            file, limit, offset=offset, filter=only, min_score=min_score, diverse=diverse
        )
    if as_json:
        write_json([hit_record(hit) for hit in hits])
    elif only_paths or with_nul:
        for hit in hits:
            write_raw_path(hit.path, "\0" if with_nul else "\n")
    elif hits:
        print_answers(hits, [None] * len(hits), relevant=False)
    else:
        click.echo("No other picture was found.", err=True)
    if show and hits:
        click.launch(os.fspath(hits[0].path))
    if not hits:
        ctx.exit(NOTHING_FOUND)
