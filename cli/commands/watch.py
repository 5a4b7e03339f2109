"""`mmsearch watch`: follow changes in folders and index them as they come."""

from __future__ import annotations

import json
import signal
import threading
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING

import click

from cli import configured
from cli.exit_codes import INTERRUPTED
from cli.options import Number, exclude_option, model_option, precision_option
from retrieval.paths import show_path

if TYPE_CHECKING:
    from indexer.watch.watch import Round


@click.command("watch")
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@model_option
@precision_option
@exclude_option
@click.option(
    "--quiet",
    "quiet_s",
    default=1.0,
    show_default=True,
    type=Number(min=0),
    metavar="SECONDS",
    help="Wait until nothing has changed for so long.",
)
@click.option(
    "--max-delay",
    "max_delay_s",
    default=30.0,
    show_default=True,
    type=Number(min=0),
    metavar="SECONDS",
    help="But no longer than this after the first change.",
)
@click.option(
    "--rescan",
    "rescan_s",
    default=3600.0,
    show_default=True,
    type=Number(min=1),
    metavar="SECONDS",
    help="Look at everything again so often: not all disks tell of their changes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and round.")
@click.pass_obj
def command(
    index_dir: str | None,
    paths: tuple[str, ...],
    model: str | None,
    precision: str,
    exclude: tuple[str, ...],
    quiet_s: float,
    max_delay_s: float,
    rescan_s: float,
    as_json: bool,
) -> int:
    """Index the folders PATH, then what changes in them, until it is stopped.

    Without a PATH, all folders of the index are followed; while it has none, the `folders` of your
    configuration file. Stopped by SIGTERM it exits with 0, by
    Ctrl-C with 130; what was indexed until then is kept. Between its rounds other commands may
    write to the index.
    """
    stop = threading.Event()
    code = 0

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal code
        code = INTERRUPTED if number == signal.SIGINT else 0
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)

    from indexer.watch.watch import watch_folders
    from retrieval.storage.index_dir import resolve_index_dir

    location = resolve_index_dir(index_dir)

    def report(done: Round) -> None:
        line = _json_line(done) if as_json else _line(done)
        if line:
            click.echo(line)

    watch_folders(
        paths or configured.folders_to_begin_with(location),
        index_dir,
        stop=stop,
        report=report,
        model=configured.model_of_new_index(model, location),
        precision=precision,
        exclude=configured.patterns(exclude),
        quiet_s=quiet_s,
        max_delay_s=max_delay_s,
        rescan_s=rescan_s,
    )
    return code


def _line(done: Round) -> str | None:
    """One line; none for a look at everything that found nothing."""
    from cli.commands.index import counted

    summary = done.summary
    parts = counted(summary, "new", "changed", "moved", "removed", "failed")
    if done.cause == "rescan" and not parts:
        return None
    if done.cause == "start":
        parts.append(f"{summary.unchanged:,} unchanged")
    absent = [f"not there: {show_path(root)}" for root in summary.absent_roots]
    did = ", ".join([*parts, *absent]) or "nothing to do"
    return f"{datetime.now():%H:%M:%S}  {did} ({summary.elapsed_s:.1f} s)"


def _json_line(done: Round) -> str:
    from cli.commands.index import summary_record

    record = {
        "time": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "cause": done.cause,
        **summary_record(done.summary),
    }
    return json.dumps(record, ensure_ascii=True)
