"""`mmsearch move`: say that an indexed folder now lies elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from cli.output.terminal import count
from retrieval.paths import show_path


@click.command("move")
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.pass_obj
def command(index_dir: str | None, old: str, new: str) -> None:
    """Say that the indexed folder OLD is now at NEW. No picture is read again.

    It moves no files: do that first, then tell the index.
    """
    from indexer import move_root

    moved = move_root(old, new, index_dir)
    click.echo(f"{count(moved, 'picture')} now at {show_path(Path(new))}.")
