"""A question as it comes from the shell: words, conditions, or a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from retrieval.query.parse import ParsedQuestion
    from retrieval.query.query import Query

# `key:`, maybe after a minus, as `-tag:people`.
_TERM = re.compile(r"-?([a-z]+):.", re.IGNORECASE | re.DOTALL)


class QuestionCommand(click.Command):
    """A command whose words may begin with a minus where they are conditions: `-tag:people`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        return super().parse_args(ctx, with_negations(args))


def with_negations(args: Sequence[str]) -> list[str]:
    """The arguments, with `not` and a condition for one that is turned around by a minus."""
    from retrieval.query.parse import keys

    told: list[str] = []
    for arg in args:
        match = _TERM.match(arg)
        is_negated = arg.startswith("-(") or (match and match[1].lower() in keys())
        told += ["not", arg[1:]] if arg.startswith("-") and is_negated else [arg]
    return told


def read_question(
    words: Sequence[str], filter_text: str | None, pictures: Sequence[Path]
) -> tuple[str | Path | None, ParsedQuestion]:
    """What is asked, None where only conditions are, and the conditions.

    Raises QueryError for a condition that makes no sense, click.UsageError where nothing is asked.
    """
    from retrieval.query.parse import ParsedQuestion, parse, parse_filter

    text = " ".join(_with_quotes(word, alone=len(words) == 1) for word in words)
    parsed = parse(text)
    if filter_text is not None:
        own = parse_filter(filter_text)
        parsed = ParsedQuestion(parsed.words, own if parsed.filter is None else parsed.filter & own)
    if parsed.words:
        _check_words(parsed.words)
    if pictures and not parsed.words:
        return pictures[0], parsed
    if not words and parsed.filter is None:
        raise click.UsageError('Ask with words, as "a dog on a beach", or with --image FILE.')
    if not parsed.words and parsed.filter is None:
        raise click.UsageError("The question is empty: say what is to be seen on the picture.")
    return parsed.words or None, parsed


def composed(question: str | Path, pictures: Sequence[Path], unwanted: Sequence[str]) -> Query:
    """The question with pictures that are to be like it, and without what is not wanted."""
    from retrieval.query.query import Query
    from retrieval.query.sequence import read_question as read_words

    query = read_words(question) if isinstance(question, str) else Query.of(question)
    for picture in pictures:
        if picture is not question:
            query = query.like(picture)
    for words in unwanted:
        if not words.strip():
            raise click.UsageError("--not is empty: say what is not to be seen.")
        check_utf8(words, "--not")
        query = query.minus(words)
    return query


def _check_words(text: str) -> None:
    from retrieval.arguments import check_words

    try:
        check_words(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def check_utf8(text: str, what: str = "The question") -> None:
    """Raise click.UsageError for words whose bytes are no UTF-8, as a terminal in Latin-1 sends."""
    from retrieval.utf8 import is_utf8

    if not is_utf8(text):
        raise click.UsageError(f"{what} is not UTF-8.")


def _with_quotes(word: str, *, alone: bool) -> str:
    """A word as it was typed: the shell has taken the quotes of `camera:"EOS R5"` away."""
    match = _TERM.match(word)
    if alone or match is None or '"' in word or not re.search(r"\s", word):
        return word
    key, value = word.split(":", 1)
    return f'{key}:"{value}"'
