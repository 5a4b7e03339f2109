"""`mmsearch repair`: save what can be read of a damaged catalogue."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cli.output.terminal import count, write_json
from retrieval.paths import show_path

if TYPE_CHECKING:
    from indexer import RepairSummary


@click.command("repair")
@click.option(
    "--model", metavar="NAME", help="The model of the index, where the catalogue no longer says."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object.")
@click.pass_obj
def command(index_dir: str | None, model: str | None, as_json: bool) -> None:
    """Save what can be read of a damaged catalogue into a new one.

    The damaged file is kept beside it. The vector index is made again. A sound catalogue is left
    as it is.
    """
    from indexer import repair_catalog

    summary = repair_catalog(index_dir, model=model)
    if as_json:
        write_json(_record(summary))
        return
    for line in summary_lines(summary):
        click.echo(line)


def summary_lines(summary: RepairSummary) -> list[str]:
    """What was saved and what was lost, as lines for a person."""
    if summary.was_sound:
        return [f"The catalogue is sound, with {count(summary.saved_pictures, 'picture')}."]
    if not summary.saved_folders and not summary.lost_pictures:
        lines = [
            "Nothing of the catalogue could be read: bring back a backup with `mmsearch restore`, "
            "or index your folders again with `mmsearch index FOLDER`."
        ]
    else:
        lines = [
            f"Saved {count(summary.saved_pictures, 'picture')} in "
            f"{count(summary.saved_folders, 'folder')}, lost {summary.lost_pictures:,}."
        ]
    if summary.lost_pictures:
        lines.append("`mmsearch index` without a path finds again what was lost.")
    lines += [
        f"The name of a folder could not be read; say where it is: mmsearch move "
        f"{show_path(folder)} FOLDER"
        for folder in summary.lost_folders
    ]
    if summary.damaged_file is not None:
        lines.append(f"The damaged catalogue is kept as {show_path(summary.damaged_file)}.")
    return lines


def _record(summary: RepairSummary) -> dict[str, object]:
    record = asdict(summary)
    record["damaged_file"] = None if summary.damaged_file is None else str(summary.damaged_file)
    record["lost_folders"] = [str(folder) for folder in summary.lost_folders]
    return record
