"""`mmsearch cluster`: what the pictures are about, in groups named by words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cli.exit_codes import NOTHING_FOUND
from cli.output.terminal import count, write_json
from cli.restriction import restrictable
from retrieval.paths import show_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.query.filters import Filter
    from retrieval.search.themes import Theme


@click.command("cluster")
@click.option(
    "-k",
    "groups",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many groups to make.  [default: as many as stand apart best]",
)
@click.option(
    "--examples",
    default=3,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many typical pictures of each group to show.",
)
@restrictable
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of groups.")
@click.option("--members", is_flag=True, help="With --json: every picture of each group.")
@click.pass_context
def command(
    ctx: click.Context,
    groups: int | None,
    examples: int,
    only: Filter | None,
    as_json: bool,
    members: bool,
) -> None:
    """Put the pictures into groups of one theme each, named by words; the largest first.

    Words and vectors are those of the index's own model. The same pictures give the same groups.

    Exit code 1 where there are no pictures.
    """
    if members and not as_json:
        raise click.UsageError("--members lists every picture: give --json too.")
    from retrieval.search.engine import SearchEngine

    with SearchEngine.open(ctx.obj) as engine:
        themes = engine.themes(groups, filter=only, examples=None if members else examples)
    if as_json:
        write_json([_record(theme, examples, members) for theme in themes])
    else:
        for line in _lines(themes):
            click.echo(line)
    if not themes:
        click.echo("There are no pictures to group.", err=True)
        ctx.exit(NOTHING_FOUND)


def _lines(themes: Sequence[Theme]) -> Iterator[str]:
    for theme in themes:
        yield f"{count(theme.count, 'picture'):>15}  {theme.name}"
        for hit in theme.examples:
            yield f"{'':17}{show_path(hit.path)}"


def _record(theme: Theme, examples: int, members: bool) -> dict[str, Any]:
    paths = [str(hit.path) for hit in theme.examples]
    return {
        "name": theme.name,
        "terms": list(theme.terms),
        "pictures": theme.count,
        "examples": paths[:examples],
        **({"members": paths} if members else {}),
    }
