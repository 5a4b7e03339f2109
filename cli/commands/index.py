"""`mmsearch index`: add folders of pictures, or look for what changed in them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import click

from cli import configured
from cli.exit_codes import INTERRUPTED
from cli.options import exclude_option, model_option, precision_option
from cli.output.terminal import count, write_json
from retrieval.paths import show_path
from retrieval.vectors.faiss.kinds import CHOICES

if TYPE_CHECKING:
    from indexer import IndexPreview, IndexReport


@click.command("index")
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@model_option
@precision_option
@exclude_option
@click.option(
    "--vector-index",
    type=click.Choice(CHOICES),
    help="How vectors are searched, kept in the index; `auto` chooses by how many there are.",
)
@click.option(
    "--catalog",
    metavar="URL",
    help="Keep the catalogue on a PostgreSQL server: postgresql+psycopg://user@host/database.",
)
@click.option(
    "--vector-store",
    metavar="URL",
    help="Where vectors are searched, kept in the index: `faiss` or a database's address.",
)
@click.option(
    "--distributed",
    metavar="ADDRESS",
    help="Encode on a Ray cluster: ray://HOST:PORT, `auto`, or `local` for this machine's cores.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --distributed: how many encode at once.  [default: all processors, or GPUs]",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "gpu"]),
    default="cpu",
    show_default=True,
    help="With --distributed: what each worker takes.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 where a picture could not be read or a folder is absent.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.pass_obj
def command(
    index_dir: str | None,
    paths: tuple[str, ...],
    model: str | None,
    precision: str,
    exclude: tuple[str, ...],
    vector_index: str | None,
    catalog: str | None,
    vector_store: str | None,
    distributed: str | None,
    workers: int | None,
    device: Literal["cpu", "gpu"],
    strict: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Add the pictures below PATH to the index.

    Run again, it reads only what is new or changed, and forgets what is gone. Without a PATH it
    looks again at every folder that is indexed already; while there is none, at the `folders` of
    your configuration file. A folder that is absent, an unplugged disk say, is named and its
    pictures are kept. With --distributed, PATH may also be tar files of WebDataset or parquet with
    a column `url`, here, behind http:// or in s3://.
    """
    from cli.interrupts import stop_on_interrupt
    from cli.output.progress import ProgressBar
    from indexer import index_folders
    from retrieval.catalog import Catalog
    from retrieval.storage.index_dir import resolve_index_dir

    location = resolve_index_dir(index_dir)
    is_first_run = not location.has_catalog
    chosen = list(paths) or configured.folders(location)
    if not chosen:
        raise click.UsageError("Nothing is indexed yet: name a folder of pictures.")
    model = configured.model_of_new_index(model, location)
    exclude = configured.patterns(exclude)
    if dry_run:
        from indexer import preview_index

        preview = preview_index(chosen, index_dir, model=model, exclude=exclude)
        _write_preview(preview, as_json=as_json)
        return int(strict and bool(preview.failed or preview.absent_roots))
    with stop_on_interrupt() as stop:
        shared: dict[str, Any] = {
            "model": model,
            "precision": precision,
            "exclude": exclude,
            "vector_index": vector_index,
            "catalog": catalog,
            "vector_store": vector_store,
            "progress": ProgressBar(),
            "stop": stop,
        }
        if distributed is not None:
            from cli.distributed import run_distributed

            summary = run_distributed(
                chosen, index_dir, address=distributed, workers=workers, device=device, **shared
            )
        else:
            summary = index_folders(chosen, index_dir, **shared)
    if as_json:
        write_json(summary_record(summary))
    else:
        for line in summary_lines(summary):
            click.echo(line)
        with Catalog.open(location.address) as opened:
            made_by = opened.encoder
        if is_first_run and made_by is not None and not summary.interrupted:
            _say_how_to_step_up(made_by.name)
    if summary.interrupted:
        return INTERRUPTED
    return int(strict and bool(summary.failed or summary.absent_roots))


def summary_lines(summary: IndexReport) -> list[str]:
    """What a run did, as lines for a person."""
    parts = counted(summary, "new", "changed", "moved", "removed", "unchanged", "failed")
    done = "Interrupted; what was done is kept" if summary.interrupted else "Indexed"
    nothing = "nothing so far" if summary.interrupted else "no images found"
    lines = [f"{done}: {', '.join(parts) or nothing} ({summary.elapsed_s:.1f} s)."]
    lines += [
        f"Not there at present, its pictures are kept: {show_path(root)}"
        for root in summary.absent_roots
    ]
    if summary.failed:
        what = count(summary.failed, "file")
        lines.append(f"{what} could not be indexed: `mmsearch status --failures` says why.")
    return lines


def counted(summary: IndexReport, *kinds: str) -> list[str]:
    """`2 new`, `1 failed`: the summary's counts of these kinds that are not zero."""
    return [f"{getattr(summary, kind):,} {kind}" for kind in kinds if getattr(summary, kind)]


def summary_record(summary: IndexReport) -> dict[str, object]:
    """What a run did, as JSON takes it."""
    record = asdict(summary)
    record["absent_roots"] = [str(root) for root in summary.absent_roots]
    return record


def _write_preview(preview: IndexPreview, *, as_json: bool) -> None:
    from cli.output.preview import preview_lines, preview_record

    if as_json:
        write_json(preview_record(preview))
        return
    for line in preview_lines(preview):
        click.echo(line)


def _say_how_to_step_up(model: str) -> None:
    from retrieval.encoders.registry import DEFAULT_MODEL, STEP_UP_MODEL

    if model == DEFAULT_MODEL:
        click.echo(
            "This index uses the small built-in model. A large one finds more: "
            f"mmsearch --index-dir OTHER index FOLDER --model {STEP_UP_MODEL}"
        )
