"""Questions asked one after another in one process, with a history that outlives it."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import click

from cli.commands.query import command as query_command
from cli.engine import FOUND, kept_engine
from cli.remedies import in_words
from retrieval.errors import MmsearchError

PROMPT = "? "
_HISTORY_LINES = 1000
_HELP = """\
Ask as with `mmsearch query`: a beach without people camera:X100 --not dogs -k 5
  :more         the next answers
  :open N       open the Nth answer in a viewer; the first without N
  :save NAME    keep the question under a name
  :run NAME     ask a saved one
  :quit         leave, as Ctrl-D does"""


class Shell:
    """Reads lines, each a question or a command of its own, until there are no more."""

    def __init__(self, ctx: click.Context) -> None:
        self._ctx = ctx
        self._asked: list[str] = []
        self._offset = 0
        self._found: list[Path] = []

    def run(self) -> None:
        """Ask until the end; what is wrong with a line is said, and the next one is read."""
        history = _History()
        with kept_engine(self._ctx):
            if sys.stdin.isatty():
                click.echo("Ask for pictures; :help lists what else there is.", err=True)
            while True:
                try:
                    line = _read_line()
                except KeyboardInterrupt:
                    click.echo(err=True)
                    continue
                if line is None or line in (":quit", ":q"):
                    break
                if line:
                    self._answer(line)
        history.keep()

    def _answer(self, line: str) -> None:
        try:
            if line.startswith(":"):
                self._command(line[1:])
            else:
                self._ask(_words(line))
        except click.exceptions.Exit:
            pass
        except MmsearchError as error:
            click.echo(in_words(error), err=True)
        except click.ClickException as error:
            click.echo(error.format_message(), err=True)
        except (KeyboardInterrupt, click.Abort):
            click.echo("Stopped.", err=True)

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        if name == "help":
            click.echo(_HELP, err=True)
        elif name == "more":
            if not self._asked:
                raise click.UsageError("Nothing was asked yet.")
            self._ask(self._asked, following=True)
        elif name == "open":
            self._open(rest or "1")
        elif name == "save":
            from cli.commands.save import command as save

            if not self._asked:
                raise click.UsageError("Nothing was asked yet.")
            with save.make_context("save", [rest, *self._asked], parent=self._ctx.parent) as saving:
                save.invoke(saving)
        elif name == "run":
            from cli.saved import arguments
            from indexer.saved import saved_search

            self._ask(arguments(saved_search(rest, self._ctx.obj)))
        else:
            raise click.UsageError(f":{name} is no command; :help lists them.")

    def _ask(self, args: list[str], *, following: bool = False) -> None:
        with query_command.make_context("query", list(args), parent=self._ctx.parent) as query:
            if not query.params["words"] and not query.params["filter_text"]:
                raise click.UsageError("Say what is to be seen.")
            self._asked = args
            self._offset = self._offset + query.params["limit"] if following else 0
            query.params["offset"] += self._offset
            query.meta[FOUND] = self._found
            self._found.clear()
            query_command.invoke(query)

    def _open(self, which: str) -> None:
        if not which.isdecimal() or not 0 < int(which) <= len(self._found):
            raise click.UsageError(f"There is no answer {which}: {len(self._found)} are shown.")
        click.launch(os.fspath(self._found[int(which) - 1]))


class _History:
    """What was typed in this and earlier sessions, for the arrow keys."""

    def __init__(self) -> None:
        from platformdirs import user_state_path

        self._path = user_state_path("mmsearch", appauthor=False) / "history"
        with suppress(ImportError, OSError):
            # Not on Windows.
            import readline

            readline.set_history_length(_HISTORY_LINES)
            readline.clear_history()
            readline.read_history_file(self._path)

    def keep(self) -> None:
        """Write it for the next session; it is left out where it cannot be written."""
        if not sys.stdin.isatty():
            return
        with suppress(ImportError, OSError):
            import readline

            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            readline.write_history_file(self._path)


def _read_line() -> str | None:
    """The next line without its spaces, None at the end."""
    try:
        return input(PROMPT if sys.stdin.isatty() else "").strip()
    except EOFError:
        if sys.stdin.isatty():
            click.echo(err=True)
        return None


def _words(line: str) -> list[str]:
    """A line as a shell splits it; an apostrophe that opens nothing is one."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
