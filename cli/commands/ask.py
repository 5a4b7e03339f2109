"""`mmsearch ask`: questions about pictures, answered in a word."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cli.engine import opened_engine
from cli.exit_codes import NOTHING_FOUND
from cli.output.terminal import write_json
from cli.question import check_utf8, read_question
from cli.restriction import check_dates, restriction_options
from retrieval.media.times import at_time, clock
from retrieval.paths import show_path

if TYPE_CHECKING:
    from retrieval.answering.base import Answer
    from retrieval.search.engine import SearchEngine
    from retrieval.search.hit import Hit


@click.command("ask")
@click.argument("question")
@click.argument("photos", nargs=-1, metavar="[PHOTO]...", type=click.Path(path_type=Path))
@click.option(
    "--in-results",
    "query",
    metavar="TEXT",
    help="Ask the indexed pictures that are found for TEXT, which is read as `query` reads it, in "
    "place of files.",
)
@click.option(
    "-k",
    "limit",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of indexed pictures: how many.",
)
@restriction_options
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
    within: str | None,
    filter_text: str | None,
    after: datetime | None,
    before: datetime | None,
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
    no PHOTO: it is asked of indexed pictures, and those that fit are listed. A video has to be
    indexed: each of its moments is asked.

    Exit code 1 where no picture could be asked, or none fits.
    """
    check_utf8(question)
    if photos and query is not None:
        raise click.UsageError("Name files or give --in-results: they are two sets of pictures.")
    if photos and any(one is not None for one in (within, filter_text, after, before)):
        raise click.UsageError("Conditions choose among indexed pictures: leave the files out.")
    check_dates(after, before)
    if photos:
        found = _of_files(ctx, question, photos, answerer)
    else:
        if query is not None:
            # What is wrong with it is wrong usage, and known before the index opens.
            read_question([query], filter_text, ())
        with opened_engine(ctx) as engine:
            answered = engine.ask_results(
                question, query, limit, answerer=answerer, within=within, filter=filter_text,
                after=after, before=before,
            )  # fmt: skip
        found = [_Asked(one.hit.path, one.hit.time_ms, one.answer) for one in answered]
    told = [(one, one.answer) for one in found if one.answer is not None]
    if as_json:
        from retrieval.answering.records import answer_record

        write_json([{**one.record(), **answer_record(answer)} for one, answer in told])
    else:
        is_one = len(photos) == 1 and all(one.time_ms is None for one in found)
        for one, answer in told:
            name = "" if is_one else f"{at_time(show_path(one.path), one.time_ms)}: "
            click.echo(name + in_words(answer))
        if not found:
            click.echo("No picture fits.", err=True)
    if not told:
        ctx.exit(NOTHING_FOUND)


class _Asked(NamedTuple):
    """A picture, or a moment of a video, and what is answered; None where it cannot be read."""

    path: Path
    time_ms: int | None
    answer: Answer | None

    def record(self) -> dict[str, Any]:
        """Which one it is, as JSON takes it."""
        time = None if self.time_ms is None else clock(self.time_ms)
        return {"path": str(self.path), "time_ms": self.time_ms, "time": time}


def _of_files(
    ctx: click.Context, question: str, photos: Sequence[Path], answerer: str
) -> list[_Asked]:
    """The answers of files; of "which of these" those that are meant, and what cannot be read."""
    from retrieval.answering.which import read_which

    which = read_which(question)
    found = _asked(ctx, question if which is None else which.question, photos, answerer)
    if which is None:
        return found
    return [one for one in found if one.answer is None or one.answer.text == which.wanted]


def _asked(
    ctx: click.Context, question: str, photos: Sequence[Path], answerer: str
) -> list[_Asked]:
    from retrieval.errors import IndexMissingError
    from retrieval.media.base import VIDEO, kind_of
    from retrieval.search.ask import Asker

    if any(kind_of(photo.name) == VIDEO for photo in photos):
        # Without an index, what is asked of files says that a video has to be indexed.
        with suppress(IndexMissingError), opened_engine(ctx) as engine:
            pictures = [one for photo in photos for one in _moments(engine, photo)]
            answers = engine.ask_many(question, pictures, answerer=answerer)
            return [
                _Asked(one, None, answer)
                if isinstance(one, Path)
                else _Asked(one.path, one.time_ms, answer)
                for one, answer in zip(pictures, answers, strict=True)
            ]
    with Asker() as asker:
        answers = asker.many(question, photos, name=answerer)
    return [_Asked(photo, None, answer) for photo, answer in zip(photos, answers, strict=True)]


def _moments(engine: SearchEngine, photo: Path) -> Sequence[Hit | Path]:
    """The indexed moments of a video; what is none, or is not as it was indexed, as it stands."""
    from retrieval.search.ask import first_moment

    if first_moment(photo, engine.index.reader) is None:
        return [photo]
    return engine.moments(photo)


def in_words(answer: Answer) -> str:
    """The answer for a person: with how likely it is, or what it would be where that is little."""
    likely = f"{100 * answer.confidence:.0f} %"
    if answer.is_sure:
        return f"{answer.text} ({likely})"
    guesses = [f"{answer.text} ({likely})"]
    guesses += [f"{text} ({100 * share:.0f} %)" for text, share in answer.others[:1]]
    return f"not sure; perhaps {' or '.join(guesses)}"
