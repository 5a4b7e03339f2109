"""`mmsearch mcp`: an index as tools for assistants."""

from __future__ import annotations

import click


@click.command("mcp")
@click.option(
    "--http",
    "port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Serve over HTTP at http://127.0.0.1:PORT/mcp, instead of standard input and output.",
)
@click.option("--allow-tagging", is_flag=True, help="Let the assistant tag pictures in the index.")
@click.pass_obj
def command(index_dir: str | None, port: int | None, allow_tagging: bool) -> None:
    """Let an assistant search, look at pictures and read what is known of them.

    It speaks the Model Context Protocol over standard input and output; the assistant's program
    starts it. Nothing can be changed through it, save tags in the index with --allow-tagging.
    """
    from retrieval.encoders.requirements import require_packages

    require_packages("Serving assistants", "mcp", "mcp", "fastapi")
    from web.assistants import run_assistants
    from web.service import Service
    from web.settings import ServeSettings

    run_assistants(Service(ServeSettings(index_dir)), port=port, allow_tagging=allow_tagging)
