"""README and docs say what is true: their Python runs, their command lines are the program's."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, group
from cli.question import with_negations
from cli.remedies import EXIT_CODES
from tests.web.conftest import serving
from web.settings import ServeSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
# Where pages say that a server is.
SERVER = "http://127.0.0.1:8017"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str, page: Path) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def command_lines() -> list[str]:
    lines = {
        line.strip(): None
        for page in PAGES
        for block in blocks("(?:sh|console)", page)
        for line in block.splitlines()
    }
    return [re.split(r"  #| \| ", line)[0] for line in lines if line.startswith("mmsearch ")]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks("python", page)], ids=lambda page: page.name
)
def test_the_python_of_a_page_runs(
    page: Path,
    photos: Path,
    photo_index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(photo_index, tmp_path / "index")
    monkeypatch.chdir(photos)
    monkeypatch.setenv("MMSEARCH_INDEX_DIR", str(tmp_path / "index"))
    scope: dict[str, object] = {}
    with ExitStack() as servers:
        for block in blocks("python", page):
            if SERVER in block:
                address = servers.enter_context(serving(ServeSettings(tmp_path / "index")))
                block = block.replace(SERVER, address)
            exec(compile(block.replace("./photos", "."), page.name, "exec"), scope)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not link.startswith("https://"):
            assert (page.parent / link).exists(), link


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_reference_of_the_command_line_is_fresh() -> None:
    # In a process of its own: click remembers the options of a command once it was asked for them.
    command = [sys.executable, "-m", "docs.generate", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_of_a_page_is_understood(line: str) -> None:
    _, rest, _ = group.make_parser(click.Context(group)).parse_args(shlex.split(line)[1:])
    context = click.Context(group)
    command = group.get_command(context, rest[0])
    assert command is not None
    own = click.Context(command, context, **command.context_settings)
    command.make_parser(own).parse_args(with_negations(rest[1:]))


def test_every_command_stands_in_the_readme() -> None:
    for name in COMMANDS:
        assert f"`mmsearch {name}" in README


def test_every_exit_code_stands_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text("utf-8")
    raised = {1, *EXIT_CODES.values()}
    assert raised == {1, 2, 3, 4, 5, 6, 7, 8}
    for code in {0, 130} | raised:
        assert f"| {code} |" in page
