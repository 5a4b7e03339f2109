"""`mmsearch saved`: list saved questions, or forget one."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import click

from cli.output.terminal import write_json


@click.command("saved")
@click.option("--remove", metavar="NAME", help="Forget the one of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def command(index_dir: str | None, remove: str | None, as_json: bool) -> None:
    """List the questions that `mmsearch save` has kept in the index."""
    from cli.saved import arguments
    from indexer.saved import remove_saved_search, saved_searches

    if remove is not None:
        remove_saved_search(remove, index_dir)
        click.echo(f"Forgot {remove!r}.", err=True)
        return
    found = saved_searches(index_dir)
    if as_json:
        write_json(
            [
                {
                    "name": search.name,
                    "question": search.question,
                    "options": search.options,
                    "saved_at": datetime.fromtimestamp(search.saved_at, UTC).isoformat(),
                }
                for search in found
            ]
        )
        return
    width = max((len(search.name) for search in found), default=0)
    for search in found:
        click.echo(f"{search.name:{width}}  {shlex.join(arguments(search))}")
    if not found:
        click.echo("No search is saved: `mmsearch save NAME QUESTION` saves one.", err=True)
