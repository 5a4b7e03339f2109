"""`mmsearch import`: pictures and vectors that another program made."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import INTERRUPTED
from cli.options import model_option
from cli.output.terminal import count, write_json

if TYPE_CHECKING:
    from indexer.importing.report import ImportReport


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="PATH")
@click.option(
    "--from",
    "kind",
    type=click.Choice(["clip-retrieval", "parquet", "faiss", "rclip", "immich"]),
    help="Which program PATH is of; told by its looks without it.",
)
@model_option
@click.option(
    "--ids",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="Of a FAISS index: the names of its pictures, as lines, .npy or parquet.",
)
@click.option(
    "--pictures",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where pictures with relative names are.",
)
@click.option("--no-check", is_flag=True, help="Compare no vectors with those of the model.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.pass_obj
def command(
    index_dir: str | None,
    source: Path,
    kind: str | None,
    model: str | None,
    ids: Path | None,
    pictures: Path | None,
    no_check: bool,
    as_json: bool,
) -> int:
    """Take the vectors at PATH into the index; nothing is encoded.

    PATH is an embedding folder of clip-retrieval (img_emb/ and metadata/), parquet with columns
    `path` and `embedding`, a FAISS index with --ids, rclip's db.sqlite3, or a dump of immich's
    database in plain SQL. The index answers with the model that made the vectors, which has to be
    named where PATH does not say it.

    Pictures whose file is on this machine are read and become items like any other. The rest stay
    in the index without a file until they are removed.
    """
    from cli.interrupts import stop_on_interrupt
    from cli.output.progress import ProgressBar
    from indexer import import_vectors

    with stop_on_interrupt() as stop:
        report = import_vectors(
            source,
            index_dir,
            kind=kind,
            model=model,
            ids=ids,
            pictures=pictures,
            check=not no_check,
            progress=ProgressBar(),
            stop=stop,
        )
    if as_json:
        write_json(asdict(report))
    else:
        for line in _lines(report):
            click.echo(line)
    return INTERRUPTED if report.interrupted else 0


def _lines(report: ImportReport) -> list[str]:
    done = "Interrupted; what was done is kept" if report.interrupted else "Imported"
    parts = [
        f"{count(report.here, 'picture')} that are here",
        f"{report.elsewhere:,} that are elsewhere",
    ]
    parts += [
        f"{getattr(report, kind):,} {kind}"
        for kind in ("known", "failed", "skipped")
        if getattr(report, kind)
    ]
    lines = [f"{done}: {', '.join(parts)} ({report.elapsed_s:.1f} s)."]
    if report.likeness is not None:
        lines.append(
            f"The vectors agree with those of {report.model} (a mean cosine of "
            f"{report.likeness:.3f})."
        )
    elif report.elsewhere:
        lines.append(
            f"No picture is here to compare the vectors with: that they are of {report.model} "
            "is taken on trust."
        )
    return lines
