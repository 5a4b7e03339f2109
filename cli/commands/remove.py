"""`mmsearch remove`: forget a folder or a picture; the files stay."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from cli.output.terminal import count
from retrieval.paths import show_path


@click.command("remove")
@click.argument("path", type=click.Path())
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(index_dir: str | None, path: str, yes: bool) -> None:
    """Forget the pictures below PATH. The files themselves are left alone.

    They stay out of the index, also when the indexed folder around PATH is looked at again, until
    PATH itself is given to `mmsearch index`.
    """
    from indexer import remove_folder

    if not yes:
        click.confirm(
            f"Forget all pictures below {show_path(Path(path))}? (The files stay.)",
            abort=True,
            err=True,
        )
    click.echo(f"Forgot {count(remove_folder(path, index_dir), 'picture')}; the files are kept.")
    again = shlex.join(["mmsearch", "index", show_path(Path(path))])
    click.echo(f"They stay out of the index until they are named: {again}")
