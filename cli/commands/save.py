"""`mmsearch save`: keep a question with its options under a name."""

from __future__ import annotations

import click

from cli.question import check_utf8, with_negations


@click.command(
    "save",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--replace", is_flag=True, help="Also where a search of that name is saved.")
@click.argument("name")
@click.argument("question", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, replace: bool, name: str, question: tuple[str, ...]) -> None:
    """Keep QUESTION, with options of `mmsearch query`, under NAME, in the index.

    \b
    mmsearch save beach a beach without people camera:X100 -k 30 --sort date
    mmsearch run beach
    """
    from cli.saved import read
    from indexer.saved import save_search

    if not name.strip():
        raise click.UsageError("The name is empty.")
    check_utf8(name, "The name")
    text, options = read(ctx, with_negations(question))
    save_search(name, text, options, ctx.obj, replace=replace)
    click.echo(f"Saved {name!r}.", err=True)
