"""Write the reference of the command line from the commands themselves, or check that it is fresh.

    python -m docs.generate [--check]

Writes `docs/reference/cli.md` and the man page `docs/man/mmsearch.1`. With `--check` nothing is
written, and the exit code is 1 where one of them is not as it would be written.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from cli.main import COMMANDS, EPILOG, group

DOCS = Path(__file__).resolve().parent
WIDTH = 90


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command with a context in which it explains itself, the program itself first."""
    widths: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    top = click.Context(group, info_name="mmsearch", **widths, **group.context_settings)
    yield "", group, top
    for name in COMMANDS:
        command = group.get_command(top, name)
        assert command is not None
        yield name, command, click.Context(command, info_name=name, parent=top, **widths)


def as_markdown() -> str:
    """The help of every command, as the terminal shows it."""
    parts = [
        "# The command line\n\nMade from the commands by `python -m docs.generate`; "
        "`mmsearch COMMAND --help` shows the same.\n"
    ]
    for name, command, context in commands():
        text = command.get_help(context).strip()
        parts.append(f"## `mmsearch {name}`\n\n```text\n{text}\n```\n".replace(" `\n", "`\n"))
    return "\n".join(parts)


def as_man_page() -> str:
    """One man page for the program and its commands, in roff."""
    lines = [
        f'.TH MMSEARCH 1 "" "mmsearch {version("mmsearch")}"',
        ".SH NAME",
        r"mmsearch \- find pictures by what is in them",
        ".SH SYNOPSIS",
        r".B mmsearch \fR[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(group.help or ""),
        ".SH OPTIONS",
    ]
    for name, command, context in commands():
        if name:
            lines += [f".SS mmsearch {name} {_roff(_usage(command, context))}"]
            lines += _paragraphs(command.help or "")
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None:
                lines += [".TP", rf"\fB{_roff(record[0])}\fR", _roff(" ".join(record[1].split()))]
        if not name:
            lines.append(".SH COMMANDS")
    return "\n".join([*lines, ".SH EXIT STATUS", *_paragraphs(EPILOG)]) + "\n"


def _usage(command: click.Command, context: click.Context) -> str:
    return " ".join(command.collect_usage_pieces(context))


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.replace("\b", "").strip()):
        lines += [".PP", _roff(" ".join(paragraph.split()))]
    return lines


def _roff(text: str) -> str:
    """Text that means itself: roff reads a backslash, and a dot or quote that begins a line."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit code."""
    pages = {
        DOCS / "reference" / "cli.md": as_markdown(),
        DOCS / "man" / "mmsearch.1": as_man_page(),
    }
    stale = [
        page
        for page, text in pages.items()
        # How lines are broken is click's affair, and may change with it.
        if not page.exists() or page.read_text("utf-8").split() != text.split()
    ]
    if "--check" in arguments:
        for page in stale:
            print(f"{page.relative_to(DOCS.parent)} is stale: run `python -m docs.generate`.")
        return int(bool(stale))
    for page in stale:
        page.write_text(pages[page], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
