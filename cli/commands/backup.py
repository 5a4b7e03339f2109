"""`mmsearch backup`: the index's catalogue as one file."""

from __future__ import annotations

from pathlib import Path

import click

from cli.output.terminal import count, size
from retrieval.paths import show_path


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE where it is there already.")
@click.pass_obj
def command(index_dir: str | None, file: Path, force: bool) -> None:
    """Copy the catalogue, which is all of the index that must be kept, to FILE.

    Pictures may be indexed and asked for meanwhile. The copy is checked before it takes its name.
    """
    from indexer.maintenance.backup import back_up

    images = back_up(file, index_dir, replace=force)
    length = size(file.stat().st_size)
    click.echo(f"Backed up {count(images, 'picture')} to {show_path(file)} ({length}).")
