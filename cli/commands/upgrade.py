"""`mmsearch upgrade`: move the index to another model, in place."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cli.exit_codes import INTERRUPTED
from cli.options import precision_option
from cli.output.terminal import count, write_json
from retrieval.encoders.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from indexer import UpgradeReport


@click.command("upgrade")
@click.option(
    "--model",
    metavar="NAME",
    default=DEFAULT_MODEL,
    show_default=True,
    help="The model to move to; see `mmsearch models`.",
)
@precision_option
@click.option(
    "--leave-behind",
    is_flag=True,
    help="Move also where some pictures cannot be read: forget those.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
@click.pass_obj
def command(
    index_dir: str | None, model: str, precision: str, leave_behind: bool, as_json: bool
) -> int:
    """Encode every picture with another model; until that is done, the old one answers.

    Stopped in the middle, it goes on when it is run again. Exits with 1 where some pictures could
    not be read, so that the index stays with the model that it has.
    """
    from cli.interrupts import stop_on_interrupt
    from cli.output.progress import ProgressBar
    from indexer import upgrade_index

    with stop_on_interrupt() as stop:
        report = upgrade_index(
            index_dir,
            model=model,
            precision=precision,
            leave_behind=leave_behind,
            progress=ProgressBar(),
            stop=stop,
        )
    if as_json:
        write_json(asdict(report))
    else:
        click.echo(_line(report))
    if report.interrupted:
        return INTERRUPTED
    return int(bool(report.left) and not report.moved)


def _line(report: UpgradeReport) -> str:
    if report.model == report.model_before and not report.encoded:
        return f"The index has the model {report.model} already."
    images = count(report.encoded, "picture")
    if report.moved:
        behind = f"; {report.left:,} that could not be read were left behind" if report.left else ""
        return (
            f"The index has moved from {report.model_before} to {report.model}: {images}{behind}."
        )
    done = f"{report.total - report.left:,} of {count(report.total, 'picture')} are encoded"
    if report.interrupted:
        return f"Interrupted; {done}, and the next run goes on. {report.model_before} answers."
    return (
        f"{done} with {report.model}, and {report.left:,} cannot be read: plug in their disks, or "
        f"run `mmsearch index`, and then this again; or give --leave-behind. "
        f"{report.model_before} answers until then."
    )
