"""`mmsearch ask`: questions about pictures, answered in a word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import NOTHING_FOUND
from cli.output.terminal import write_json
from cli.restriction import restrictable
from retrieval.paths import show_path

if TYPE_CHECKING:
    from retrieval.answering.base import Answer
    from retrieval.query.filters import Filter


@click.command("ask")
@click.argument("question")
@click.argument("photos", nargs=-1, metavar="[PHOTO]...", type=click.Path(path_type=Path))
@click.option(
    "--in-results",
    "query",
    metavar="TEXT",
    help="Ask the indexed pictures that are found for TEXT, in place of files.",
)
@click.option(
    "-k",
    "limit",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of indexed pictures: how many.",
)
@restrictable
@click.option(
    "--answerer",
    default="auto",
    show_default=True,
    metavar="auto|blip|NAME",
    help="What answers: the built-in model, or BLIP, as blip or blip:FOLDER.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one object a picture.")
@click.pass_context
def command(
    ctx: click.Context,
    question: str,
    photos: tuple[Path, ...],
    query: str | None,
    limit: int,
    only: Filter | None,
    answerer: str,
    as_json: bool,
) -> None:
    """Answer QUESTION about each PHOTO, which need not be indexed.

    \b
    mmsearch ask "how many dogs are there?" photo.jpg
    mmsearch ask "what colour is the dog?" --in-results "a dog on a beach"
    mmsearch ask "which of my beach photos has a dog?"

    The built-in model answers by yes and no, by numbers, colours, things, places and what somebody
    does, and says so where it is not sure. A question that begins with "which of my photos" needs
    no PHOTO: it is asked of indexed pictures, and those that fit are listed.

    Exit code 1 where no picture could be asked, or none fits.
    """
    if photos and query is not None:
        raise click.UsageError("Name files or give --in-results: they are two sets of pictures.")
    if photos and only is not None:
        raise click.UsageError("Conditions choose among indexed pictures: leave the files out.")
    if photos:
        from retrieval.search.ask import Asker

        with Asker() as asker:
            answers = asker.many(question, photos, name=answerer)
        found = list(zip(photos, answers, strict=True))
    else:
        from cli.engine import opened_engine

        with opened_engine(ctx) as engine:
            answered = engine.ask_results(question, query, limit, answerer=answerer, filter=only)
        found = [(one.hit.path, one.answer) for one in answered]
    told = [(path, answer) for path, answer in found if answer is not None]
    if as_json:
        from retrieval.answering.records import answer_record

        write_json([{"path": str(path), **answer_record(answer)} for path, answer in told])
    else:
        for path, answer in told:
            name = f"{show_path(path)}: " if len(found) > 1 or not photos else ""
            click.echo(name + in_words(answer))
        if not found:
            click.echo("No picture fits.", err=True)
    if not told:
        ctx.exit(NOTHING_FOUND)


def in_words(answer: Answer) -> str:
    """The answer for a person: with how likely it is, or what it would be where that is little."""
    likely = f"{100 * answer.confidence:.0f} %"
    if answer.is_sure:
        return f"{answer.text} ({likely})"
    guesses = [f"{answer.text} ({likely})"]
    guesses += [f"{text} ({100 * share:.0f} %)" for text, share in answer.others[:1]]
    return f"not sure; perhaps {' or '.join(guesses)}"
