"""`mmsearch export`: the index's vectors and facts for other programs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cli.output.terminal import count, write_json
from cli.restriction import restrictable
from retrieval.paths import show_path

if TYPE_CHECKING:
    from retrieval.query.filters import Filter


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option(
    "--layout",
    type=click.Choice(["parquet", "npy", "webdataset"]),
    default="parquet",
    show_default=True,
    help="Parquet with all facts; clip-retrieval's folders (npy); tar files with the pictures.",
)
@click.option(
    "--shard",
    default=100_000,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="How many pictures go into one file.",
)
@restrictable
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.pass_obj
def command(
    index_dir: str | None,
    folder: Path,
    layout: Literal["parquet", "npy", "webdataset"],
    shard: int,
    only: Filter | None,
    as_json: bool,
) -> None:
    """Write the indexed pictures' facts and vectors into FOLDER, which is made or empty.

    Vectors come out as they are stored: float16, of unit length. `mmsearch import` reads parquet
    and npy again.
    """
    from cli.output.progress import ProgressBar
    from indexer import export_index

    report = export_index(
        folder,
        index_dir,
        layout=layout,
        only=only,
        rows_a_shard=shard,
        progress=ProgressBar(),
    )
    if as_json:
        write_json(asdict(report))
        return
    files = count(report.shards, "file")
    click.echo(f"Exported {count(report.pictures, 'picture')} to {show_path(folder)} ({files}).")
    if report.bare:
        click.echo(f"{count(report.bare, 'picture')} could not be read: facts and vectors alone.")
