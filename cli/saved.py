"""Questions with their options as they are saved: what was typed, and no more than that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cli.commands.query import command as query_command
from retrieval.paths import expanded

if TYPE_CHECKING:
    from retrieval.catalog.records import SavedSearch

_WORDS = "words"
# Names of files and folders: as they were meant where they were typed.
_PATHS = frozenset({"image", "likes", "within", "gallery", "copy_to", "link_to"})


def read(ctx: click.Context, args: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The question and the options of `mmsearch query ARGS`, as JSON takes them.

    Raises click.UsageError or QueryError for what `mmsearch query` would refuse before it asks.
    """
    from cli.question import read_question

    with query_command.make_context("query", list(args), parent=ctx.parent) as asked:
        params = asked.params
        pictures = [*([params["image"]] if params["image"] else []), *params["likes"]]
        read_question(params[_WORDS], params["filter_text"], pictures)
        typed = {
            name: _as_json(name, value)
            for name, value in params.items()
            if name != _WORDS and asked.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
    return " ".join(params[_WORDS]), typed


def arguments(search: SavedSearch) -> list[str]:
    """What `mmsearch query` is to be called with."""
    options = {option.name: option for option in query_command.params}
    args: list[str] = []
    for name, value in search.options.items():
        option = options.get(name)
        # One that a later version saved, or that is no more.
        if not isinstance(option, click.Option):
            raise click.UsageError(
                f"{search.name!r} was saved with an option that this version does not know "
                f"({name}): save it again."
            )
        if option.is_flag:
            args.append(option.opts[0] if value else option.secondary_opts[0])
            continue
        for one in value if option.multiple else [value]:
            args += [option.opts[0], str(one)]
    return [*args, *(["--", search.question] if search.question else [])]


def _as_json(name: str, value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_as_json(name, one) for one in value]
    if isinstance(value, datetime):
        return value.date().isoformat()
    if name in _PATHS:
        return str(expanded(value).absolute())
    return value
