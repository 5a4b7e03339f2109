"""README.md says what is true: its Python runs, its command lines are the program's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, group
from cli.remedies import EXIT_CODES

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def command_lines() -> list[str]:
    lines = [line.strip() for block in blocks("(?:sh|console)") for line in block.splitlines()]
    return [re.split(r"  #| \| ", line)[0] for line in lines if line.startswith("mmsearch ")]


def test_the_python_of_the_readme_runs(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    monkeypatch.setenv("MMSEARCH_INDEX_DIR", str(tmp_path / "index"))
    scope: dict[str, object] = {}
    assert blocks("python")
    for block in blocks("python"):
        exec(compile(block.replace("./photos", "."), "README.md", "exec"), scope)


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_of_the_readme_is_understood(line: str) -> None:
    _, rest, _ = group.make_parser(click.Context(group)).parse_args(shlex.split(line)[1:])
    context = click.Context(group)
    command = group.get_command(context, rest[0])
    assert command is not None
    command.make_parser(click.Context(command, context)).parse_args(rest[1:])


def test_every_command_stands_in_the_readme() -> None:
    for name in COMMANDS:
        assert f"`mmsearch {name}" in README


def test_every_exit_code_stands_in_the_readme() -> None:
    raised = {1, *EXIT_CODES.values()}
    assert raised == {1, 2, 3, 4, 5, 6, 7}
    for code in {0, 130} | raised:
        assert f"| {code} |" in README
