"""`mmsearch restore`: an index from a backup."""

from __future__ import annotations

from pathlib import Path

import click

from cli.output.terminal import count
from retrieval.paths import show_path


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the index that is there; it is kept aside.")
@click.pass_obj
def command(index_dir: str | None, file: Path, force: bool) -> None:
    """Make the index from the backup FILE, which is checked first.

    An index that is there already is replaced with --force only, and kept under another name.
    """
    from indexer.maintenance.backup import restore

    restored = restore(file, index_dir, replace=force)
    click.echo(f"Restored {count(restored.images, 'picture')} from {show_path(file)}.")
    if restored.kept is not None:
        click.echo(f"The catalogue that was there before is kept in {show_path(restored.kept)}.")
    if restored.without_tokens:
        click.echo(
            f"{count(restored.without_tokens, 'picture')} without patch tokens, which a backup "
            "does not hold: `mmsearch check --fix` makes them again where the model has such."
        )
