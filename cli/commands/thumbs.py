"""`mmsearch thumbs`: the moments of a video that the index keeps, and a strip of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.output.terminal import write_json
from retrieval.media.times import clock

if TYPE_CHECKING:
    from retrieval.search.engine import SearchEngine
    from retrieval.search.hit import Hit, Hits


@click.command("thumbs")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PICTURE",
    help="Write a strip of all moments, each with its time, as JPEG, PNG or WebP by its name.",
)
@click.option("--open", "show", is_flag=True, help="Open the strip in a viewer; needs --save.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of `time_ms` and `time`.")
@click.pass_obj
def command(
    index_dir: str | None, file: Path, save: Path | None, show: bool, as_json: bool
) -> None:
    """List the moments that the index keeps of the video FILE.

    On a terminal that shows pictures, with their frames.
    """
    if show and save is None:
        raise click.UsageError("--open opens the strip: say with --save where it is to be.")
    if save is not None:
        _check_name(save)
    from retrieval.search.engine import SearchEngine

    with SearchEngine.open(index_dir) as engine:
        moments = _moments(engine, file)
        if save is not None:
            _require_unchanged(engine, moments[0])
    times = [hit.time_ms or 0 for hit in moments]
    if as_json:
        write_json([{"time_ms": time_ms, "time": clock(time_ms)} for time_ms in times])
    else:
        _print(moments)
    if save is not None:
        _save(moments[0].path, times, save)
        if show:
            click.launch(str(save))


def _check_name(save: Path) -> None:
    from retrieval.media.strip import FORMATS

    if save.suffix.lower() not in FORMATS:
        raise click.UsageError(
            f"--save {save}: the name says what is written, and has to end with one of "
            f"{', '.join(FORMATS)}."
        )


def _moments(engine: SearchEngine, file: Path) -> Hits:
    """Raises MmsearchError where there are none, with what the last run said of the file."""
    from retrieval.errors import MmsearchError
    from retrieval.paths import absolute

    try:
        return engine.moments(file)
    except MmsearchError as error:
        if error.code != "not-indexed":
            raise
        path = absolute(file)
        for failure in engine.catalog.failures():
            if failure.path == path:
                raise MmsearchError(
                    f"{path} could not be indexed: {failure.reason}. "
                    "See `mmsearch status --failures`."
                ) from error
        raise


def _require_unchanged(engine: SearchEngine, moment: Hit) -> None:
    """Raise MmsearchError where a video is another than the one whose moments are kept.

    Of one that is gone whoever reads it says so.
    """
    from retrieval.catalog.originals import original_of
    from retrieval.errors import MmsearchError
    from retrieval.search.unchanged import is_same_file

    original = original_of(engine.index.reader.raw_rows, moment.item_id)
    if original is not None and is_same_file(original) is False:
        raise MmsearchError(
            f"{moment.path} has changed since it was indexed: run `mmsearch index` first, "
            "so that its moments are those of the file."
        )


def _print(moments: Hits) -> None:
    from cli.output.previews import print_preview, shows_previews

    with_previews = shows_previews(None) and sys.stdout.isatty()
    for hit in moments:
        click.echo(clock(hit.time_ms or 0))
        if with_previews:
            print_preview(hit.path, hit.time_ms)


def _save(path: Path, times_ms: list[int], save: Path) -> None:
    from retrieval.errors import ImageError, MmsearchError
    from retrieval.media.strip import as_file, strip_of

    try:
        save.write_bytes(as_file(strip_of(path, times_ms), save.suffix))
    except ImageError as error:
        raise ImageError(error.kind, f"{path} cannot be used: {error.reason}.") from error
    except OSError as error:
        raise MmsearchError(f"{save} cannot be written ({error.strerror}).") from error
    click.echo(f"Strip in {save}", err=True)
