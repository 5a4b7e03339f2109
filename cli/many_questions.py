"""`mmsearch query -`: questions from stdin, one a line, answered in JSON Lines by one process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from cli.question import composed, read_question

if TYPE_CHECKING:
    from retrieval.query.filters import Filter
    from retrieval.query.query import Query
    from retrieval.search.engine import SearchEngine
    from retrieval.search.hit import Hit
    from retrieval.search.question import SearchOptions

_BLOCK_BYTES = 2**16


@dataclass(frozen=True)
class _Asked:
    """A line as it was read: a question, only conditions, or what is wrong with it."""

    line: str
    query: Query | None = None
    only: Filter | None = None
    error: str | None = None


@dataclass(frozen=True)
class Asking:
    """What holds for each question; see the options of `mmsearch query`."""

    limit: int
    offset: int
    filter_text: str | None
    likes: tuple[Path, ...]
    unwanted: tuple[str, ...]
    options: SearchOptions
    as_record: Callable[[Hit], dict[str, Any]]


def answer_questions(index_dir: str | None, asking: Asking) -> None:
    """Answer each line of stdin with one of stdout; exit code 1 where one was no question.

    Such a line is answered with what is wrong with it. What has come in is answered at once, so
    that a program can ask, read and ask again.
    """
    from retrieval.search.engine import SearchEngine

    all_answered = True
    with SearchEngine.open(index_dir) as engine:
        for lines in read_lines(sys.stdin.buffer):
            asked = [_read(line, asking) for line in lines]
            for record in _answers(engine, asked, asking):
                all_answered &= "error" not in record
                click.echo(json.dumps(record, ensure_ascii=True))
            sys.stdout.flush()
    if not all_answered:
        click.get_current_context().exit(1)


def read_lines(stream: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of a stream, as many at a time as are there."""
    rest = b""
    # Not `readlines`, which waits for more than a program that asks and listens has to say.
    while block := stream.read1(_BLOCK_BYTES):  # type: ignore[attr-defined]
        *lines, rest = (rest + block).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]


def _read(line: bytes, asking: Asking) -> _Asked:
    from retrieval.errors import QueryError

    shown = line.decode("utf-8", "backslashreplace").strip("\r\n")
    try:
        line.decode("utf-8")
        question, parsed = read_question([shown], asking.filter_text, asking.likes)
        if question is None:
            return _Asked(shown, only=parsed.filter)
        query = composed(question, asking.likes, asking.unwanted)
        if parsed.filter is not None:
            query = query.where(parsed.filter)
        return _Asked(shown, query)
    except UnicodeDecodeError:
        return _Asked(shown, error="The question is not UTF-8.")
    except click.UsageError as error:
        return _Asked(shown, error=error.message)
    except (QueryError, ValueError) as error:
        return _Asked(shown, error=str(error))


def _answers(
    engine: SearchEngine, asked: Sequence[_Asked], asking: Asking
) -> Iterator[dict[str, Any]]:
    """One record a line, in their order."""
    queries = [one.query for one in asked if one.query is not None]
    found = iter(_search(engine, queries, asking))
    for one in asked:
        if one.error is not None:
            yield {"question": one.line, "error": one.error}
            continue
        if one.query is not None:
            hits = next(found)
        else:
            assert one.only is not None
            hits = engine.browse(one.only, asking.limit, offset=asking.offset)
        yield {"question": one.line, "hits": [asking.as_record(hit) for hit in hits]}


def _search(
    engine: SearchEngine, queries: Sequence[Query], asking: Asking
) -> Sequence[Sequence[Hit]]:
    return engine.search_many(queries, asking.limit, offset=asking.offset, **asking.options)
