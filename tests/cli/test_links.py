"""Answers on a terminal are links to their files; elsewhere they are plain text."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from cli.output.answers import NOTHING, NOTHING_BELOW
from cli.output.links import linked
from tests.support.program import mmsearch
from tests.support.terminals import on_a_terminal

LINK = re.compile(rb"\x1b\]8;;(.*?)\x1b\\(.*?)\x1b\]8;;\x1b\\")
# Dimming, and the line above what is dimmed.
CUT = re.compile(rb"\x1b\[\d?m|(?:%s|%s)\n" % (NOTHING.encode(), NOTHING_BELOW.encode()))
ASKED = ("query", "a cup of coffee", "-k", "3")


def printed_on_a_terminal(index_dir: Path, *options: str, **variables: str) -> bytes:
    """What is printed where stdout is a terminal, without what is dimmed and the line above it."""
    arguments = ("--index-dir", str(index_dir), *ASKED, *options)
    printed = on_a_terminal(*arguments, **{"TERM": "xterm-256color"} | variables)
    return CUT.sub(b"", printed.replace(b"\x1b[0m\n", b"\n"))


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_paths_on_a_terminal_are_links_under_an_unchanged_text(
    photo_index: Path, photos: Path, variables: dict[str, str]
) -> None:
    plain = mmsearch(*ASKED, index_dir=photo_index).stdout.encode()
    shown = printed_on_a_terminal(photo_index, **variables)
    assert LINK.sub(rb"\2", shown) == plain
    urls = [urlsplit(url.decode()) for url, _ in LINK.findall(shown)]
    assert len(urls) == 3
    assert {(url.scheme, url.netloc) for url in urls} == {("file", socket.gethostname())}
    assert urls[0].path == str(photos / "coffee.png")


def test_a_pipe_gets_no_links(photo_index: Path) -> None:
    assert "\033" not in mmsearch(*ASKED, index_dir=photo_index).stdout


@pytest.mark.parametrize("option", ["--json", "--paths", "-0"])
def test_outputs_for_programs_have_no_links_on_a_terminal_either(
    photo_index: Path, option: str
) -> None:
    assert b"\033" not in printed_on_a_terminal(photo_index, option)


@pytest.mark.parametrize("terminal", ["dumb", "linux"])
def test_a_terminal_that_knows_no_links_gets_none(photo_index: Path, terminal: str) -> None:
    assert b"\033" not in printed_on_a_terminal(photo_index, TERM=terminal)


def test_any_name_makes_a_link_of_plain_letters() -> None:
    name = b"/pictures/caf\xe9 \xc3\xa9\n\x1b]#?%.png"
    text = linked("shown", Path(os.fsdecode(name))).encode("ascii")
    ((url, shown),) = LINK.findall(text)
    assert shown == b"shown"
    assert re.fullmatch(rb"[!-~]+", url)
    assert unquote_to_bytes(url.split(socket.gethostname().encode(), 1)[1]) == name
