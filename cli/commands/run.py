"""`mmsearch run`: ask a saved question."""

from __future__ import annotations

import click


@click.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("name")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, name: str, options: tuple[str, ...]) -> None:
    """Ask the question that was saved under NAME; OPTIONS of `mmsearch query` beat the saved ones.

    \b
    mmsearch run beach --gallery beach.html
    """
    from cli.commands.query import command as query_command
    from cli.saved import arguments
    from indexer.saved import saved_search

    args = arguments(saved_search(name, ctx.obj))
    at = args.index("--") if "--" in args else len(args)
    asked = [*args[:at], *options, *args[at:]]
    with query_command.make_context("query", asked, parent=ctx.parent) as query:
        query_command.invoke(query)
