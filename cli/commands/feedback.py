"""`mmsearch feedback`: keep which pictures are right or wrong for a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cli.output.terminal import count, write_json


@click.command("feedback")
@click.argument("words", nargs=-1, metavar="[QUESTION]...")
@click.option(
    "--right", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A picture that is right for the question. Repeatable.",
)  # fmt: skip
@click.option(
    "--wrong", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A picture that is wrong for it, and is left out from now on. Repeatable.",
)  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="List what is marked, for all questions.")
@click.option("--forget", is_flag=True, help="Forget what is marked for QUESTION, or everything.")
@click.option("--json", "as_json", is_flag=True, help="With --list: print JSON.")
@click.pass_obj
def command(
    index_dir: str | None,
    words: tuple[str, ...],
    right: tuple[Path, ...],
    wrong: tuple[Path, ...],
    listed: bool,
    forget: bool,
    as_json: bool,
) -> None:
    """Mark pictures as right or wrong for QUESTION, so that it finds more like the right ones.

    The marks are kept in the index and leave it for nowhere; the same words, whatever their case,
    are asked with them from then on, unless `mmsearch query --no-feedback` is.
    """
    question = " ".join(words).strip()
    if sum((bool(right or wrong), listed, forget)) != 1:
        raise click.UsageError(
            "Say one thing to do: mark with --right or --wrong, --list, or --forget."
        )
    if as_json and not listed:
        raise click.UsageError("--json goes with --list.")
    if listed:
        _list(index_dir, question, as_json)
    elif forget:
        _forget(index_dir, question)
    elif not question:
        raise click.UsageError("Say which question the pictures are right or wrong for.")
    else:
        _keep(index_dir, question, right, wrong)


def _keep(
    index_dir: str | None, question: str, right: Sequence[Path], wrong: Sequence[Path]
) -> None:
    from indexer.feedback import keep_feedback

    try:
        keep_feedback(question, right=right, wrong=wrong, index_dir=index_dir)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"Kept for “{question}”: {len(right)} right, {len(wrong)} wrong.")


def _forget(index_dir: str | None, question: str) -> None:
    from indexer.feedback import forget_feedback

    forgotten = forget_feedback(question or None, index_dir)
    click.echo(f"Forgot {count(forgotten, 'mark')}.")


def _list(index_dir: str | None, question: str, as_json: bool) -> None:
    from retrieval.catalog import Catalog
    from retrieval.paths import show_path
    from retrieval.search.engine import as_query
    from retrieval.search.feedback import key_of
    from retrieval.storage.index_dir import resolve_index_dir

    key = key_of(as_query(question)) if question else None
    with Catalog.open(resolve_index_dir(index_dir).address) as catalog:
        kept = [mark for mark in catalog.all_marks() if key in (None, mark.question)]
    if as_json:
        write_json(
            [
                {"question": mark.question, "path": str(mark.path), "right": mark.is_right}
                for mark in kept
            ]
        )
        return
    if not kept:
        click.echo("Nothing is marked.", err=True)
    told = None
    for mark in kept:
        if mark.question != told:
            click.echo(mark.question)
            told = mark.question
        click.echo(f"  {'right' if mark.is_right else 'wrong'}  {show_path(mark.path)}")
