"""`mmsearch tag`: tag the pictures that labels of one's own fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import Number
from cli.output.terminal import count, write_json
from cli.restriction import restrictable
from retrieval.paths import show_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.tags import TagReport
    from retrieval.query.filters import Filter


@click.command("tag")
@click.argument("labels", required=False, type=click.Path(path_type=Path), metavar="[LABELS.txt]")
@click.option("--dry-run", is_flag=True, help="Say what would be tagged, and change nothing.")
@click.option(
    "--threshold",
    type=Number(min=0),
    metavar="X",
    help="By how many standard deviations a label has to stand out; more is stricter.  "
    "[default: 3.0]",
)
@restrictable
@click.option("--list", "listing", is_flag=True, help="List the labels that have tagged pictures.")
@click.option(
    "--remove",
    "removed",
    multiple=True,
    metavar="NAME",
    help="Take a label's tags away. Repeatable.",
)
@click.option("--remove-all", is_flag=True, help="Take the tags of all labels away.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of labels.")
@click.pass_obj
def command(
    index_dir: str | None,
    labels: Path | None,
    dry_run: bool,
    threshold: float | None,
    only: Filter | None,
    listing: bool,
    removed: tuple[str, ...],
    remove_all: bool,
    as_json: bool,
) -> None:
    """Tag the pictures that each label in LABELS.txt fits, so that `tag:NAME` finds them.

    The file has one label a line, as `dog`, or with the phrases that it stands for, as
    `pets: a dog | a cat | a rabbit`. Where a label fits is told by the index's model alone; a label
    that fits nothing tags nothing. Given again, a label's former tags are replaced. Keywords in the
    files are never touched.

    Exit code 2 for a file that is none of labels.
    """
    asked = sum([labels is not None, listing, bool(removed), remove_all])
    if asked != 1:
        raise click.UsageError(
            "Give a file of labels, or one of --list, --remove NAME and --remove-all."
        )
    from indexer.tags import TagReport, count_tags, remove_tags, tag_pictures

    if labels is None:
        if dry_run or threshold is not None or only is not None:
            raise click.UsageError(
                "--dry-run, --threshold and conditions say how labels are given: name their file."
            )
        counts = (
            count_tags(index_dir)
            if listing
            else remove_tags(None if remove_all else removed, index_dir)
        )
        reports = [TagReport(name, number) for name, number in counts.items()]
        if not reports and not as_json:
            click.echo("No label has tagged a picture.", err=True)
    else:
        from retrieval.organise.labels import DEFAULT_THRESHOLD, read_labels

        reports = tag_pictures(
            read_labels(labels),
            index_dir,
            filter=only,
            threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
            dry_run=dry_run,
        )
    if as_json:
        write_json(
            [
                {
                    "name": report.name,
                    "pictures": report.pictures,
                    "examples": [str(path) for path in report.examples],
                }
                for report in reports
            ]
        )
    else:
        _print(reports)


def _print(reports: Sequence[TagReport]) -> None:
    for report in reports:
        click.echo(f"{count(report.pictures, 'picture'):>15}  {report.name}")
        for path in report.examples:
            click.echo(f"{'':17}{show_path(path)}")
