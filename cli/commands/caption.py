"""`mmsearch caption`: have a model describe the indexed pictures in a sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import INTERRUPTED
from cli.output.terminal import count, write_json
from retrieval.paths import show_path

if TYPE_CHECKING:
    from indexer.captions import CaptionReport

_SHOWN = 10


@click.command("caption")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@click.option("--all", "everything", is_flag=True, help="Describe all indexed pictures.")
@click.option(
    "--model",
    metavar="NAME",
    help="compact (built in), blip, blip:NAME or coca_NAME/TAG.  [default: compact]",
)
@click.option("--force", is_flag=True, help="Describe anew what this model has described before.")
@click.option(
    "--xmp",
    "sidecars",
    is_flag=True,
    help="Write the captions to XMP side-cars, beside the pictures; their files stay as they are.",
)
@click.option(
    "--remove",
    is_flag=True,
    help="Forget captions instead: this model's, or without --model those of all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, captions and all.")
@click.pass_obj
def command(
    index_dir: str | None,
    folders: tuple[Path, ...],
    everything: bool,
    model: str | None,
    force: bool,
    sidecars: bool,
    remove: bool,
    as_json: bool,
) -> int:
    """Describe indexed pictures in FOLDER, or --all, in a sentence each.

    The sentences are kept in the index beside what files say of themselves: they are shown with the
    answers, and their words help to find pictures. Only pictures are described that the model has
    not described yet. Stopped in the middle, it goes on when it is run again.

    Exits with 1 where some pictures could not be described, or a side-car stays as it is.
    """
    if everything == bool(folders):
        raise click.UsageError("Give folders to describe the pictures of, or --all.")
    if remove:
        return _remove(index_dir, folders, model, sidecars, as_json)
    from cli.interrupts import stop_on_interrupt
    from cli.output.progress import ProgressBar
    from indexer import caption_pictures

    captions: list[tuple[Path, str]] = []
    with stop_on_interrupt() as stop:
        report = caption_pictures(
            index_dir,
            folders=folders or None,
            model=model,
            force=force,
            sidecars=sidecars,
            progress=ProgressBar(),
            described=(lambda path, text: captions.append((path, text))) if as_json else None,
            stop=stop,
        )
    if as_json:
        write_json(_record(report, captions))
    else:
        _print(report)
    if report.interrupted:
        return INTERRUPTED
    return int(bool(report.left))


def _remove(
    index_dir: str | None,
    folders: tuple[Path, ...],
    model: str | None,
    sidecars: bool,
    as_json: bool,
) -> int:
    from indexer import remove_captions

    left: list[tuple[Path, str]] = []
    gone = remove_captions(
        index_dir,
        folders=folders or None,
        model=model,
        sidecars=sidecars,
        left=lambda path, reason: left.append((path, reason)),
    )
    if as_json:
        write_json({"removed": gone, "left": _left_record(left)})
    else:
        click.echo(f"{count(gone, 'caption')} forgotten.")
        _print_left(left)
        if left:
            click.echo("Mend or move them, and run this again: it looks at them anew.", err=True)
    return int(bool(left))


def _record(report: CaptionReport, captions: list[tuple[Path, str]]) -> dict[str, object]:
    return {
        "model": report.model,
        "described": report.described,
        "known": report.known,
        "sidecars": report.sidecars,
        "interrupted": report.interrupted,
        "captions": [{"path": str(path), "text": text} for path, text in captions],
        "left": _left_record(report.left),
    }


def _left_record(left: list[tuple[Path, str]]) -> list[dict[str, str]]:
    return [{"path": str(path), "reason": reason} for path, reason in left]


def _print(report: CaptionReport) -> None:
    parts = [f"{count(report.described, 'picture')} described by {report.model}"]
    if report.known:
        parts.append(f"{report.known:,} were described before")
    if report.sidecars:
        parts.append(f"{count(report.sidecars, 'side-car')} written")
    click.echo("; ".join(parts) + ".")
    if report.interrupted:
        click.echo("Interrupted: the next run goes on.", err=True)
    _print_left(report.left)


def _print_left(left: list[tuple[Path, str]]) -> None:
    for path, reason in left[:_SHOWN]:
        click.echo(f"{show_path(path)}: {reason}", err=True)
    if len(left) > _SHOWN:
        click.echo(f"and {len(left) - _SHOWN:,} more", err=True)
