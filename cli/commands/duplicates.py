"""`mmsearch duplicates`: list pictures that are there more than once; nothing is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cli.output.stage_progress import StageBar
from cli.output.terminal import count, size, write_json, write_raw_path
from cli.restriction import restrictable
from retrieval.paths import show_path

if TYPE_CHECKING:
    from retrieval.organise.copy_groups import Copy, CopyGroup
    from retrieval.organise.duplicates import Duplicates
    from retrieval.query.filters import Filter


@click.command("duplicates")
@click.option("--exact", is_flag=True, help="Only files of the very same bytes; none is read.")
@restrictable
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of groups.")
@click.option(
    "--paths",
    "only_paths",
    is_flag=True,
    help="Print the paths of all but the best of each group, one a line.",
)
@click.option("-0", "with_nul", is_flag=True, help="As --paths, ended by NUL, for `xargs -0`.")
@click.pass_obj
def command(
    index_dir: str | None,
    exact: bool,
    only: Filter | None,
    as_json: bool,
    only_paths: bool,
    with_nul: bool,
) -> None:
    """List copies of pictures in groups, the best of each first with the reason why it is.

    Copies are files of the same bytes, and pictures that were saved again, resized, mirrored,
    marked, or cropped to no less than 60 % of a side. Pictures of one burst are no copies. Nothing
    is deleted. Exit code 0, also where there are none.
    """
    if as_json and (only_paths or with_nul):
        raise click.UsageError("Choose one of --json and --paths (or -0): they are two outputs.")
    from retrieval.search.engine import SearchEngine

    with SearchEngine.open(index_dir) as engine, StageBar() as progress:
        found = engine.duplicates(only, exact=exact, progress=progress)
    if as_json:
        write_json([_group_record(group) for group in found.groups])
    elif only_paths or with_nul:
        for group in found.groups:
            for copy in group.others:
                write_raw_path(copy.path, "\0" if with_nul else "\n")
    else:
        for line in _lines(found):
            click.echo(line)
    if found.unreadable:
        click.echo(
            f"{count(found.unreadable, 'picture')} could not be read, so that copies of them may "
            "be missing.",
            err=True,
        )


def _lines(found: Duplicates) -> Iterator[str]:
    if not found.groups:
        yield "There are no duplicates."
        return
    for group in found.groups:
        yield f"{_facts(group.best)}  {show_path(group.best.path)}  (best: {group.reason})"
        for copy in group.others:
            yield f"{_facts(copy)}  {show_path(copy.path)}  ({copy.kind})"
        yield ""
    copies = sum(len(group.others) for group in found.groups)
    spare = sum(group.spare_bytes for group in found.groups)
    pictures = "has" if len(found.groups) == 1 else "have"
    yield (
        f"{count(len(found.groups), 'picture')} {pictures} {count(copies, 'copy', 'copies')}, "
        f"which take {size(spare)}."
    )


def _facts(copy: Copy) -> str:
    return f"{f'{copy.width_px}×{copy.height_px}':>11}  {size(copy.size_bytes):>8}"


def _group_record(group: CopyGroup) -> dict[str, Any]:
    return {
        "best": _copy_record(group.best),
        "reason": group.reason,
        "copies": [_copy_record(copy) | {"kind": copy.kind} for copy in group.others],
        "spare_bytes": group.spare_bytes,
    }


def _copy_record(copy: Copy) -> dict[str, Any]:
    return {
        "path": str(copy.path),
        "width_px": copy.width_px,
        "height_px": copy.height_px,
        "size_bytes": copy.size_bytes,
        "modified_at": copy.modified_at.isoformat(),
        "taken_at": copy.taken_at.isoformat() if copy.taken_at else None,
    }
