"""The library says what is wrong by code; the command line knows the exit code and the command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import COMMANDS
from cli.remedies import EXIT_CODES, OF_ERRORS, OF_FINDINGS, exit_code, in_words
from retrieval import errors
from retrieval.errors import DamagedCatalogError, ImageError, IndexMissingError, MmsearchError

ROOT = Path(__file__).parents[2]
LIBRARY = [
    file for package in ("retrieval", "indexer", "web") for file in (ROOT / package).rglob("*.py")
]
COMMAND = re.compile(rf"mmsearch ({'|'.join(COMMANDS)})\b|(?<![\w-])--[a-z]")


def said(file: Path) -> Iterator[str]:
    """The module's strings and docstrings, without f-strings' values."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("file", LIBRARY, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_library_names_no_command_and_no_option(file: Path) -> None:
    assert [text for text in said(file) if COMMAND.search(text)] == []


def test_every_code_with_a_remedy_is_raised_somewhere() -> None:
    sources = "\n".join(file.read_text("utf-8") for file in LIBRARY)
    for code in [*OF_ERRORS, *OF_FINDINGS]:
        assert f'"{code}"' in sources, code


def test_a_command_that_a_remedy_names_is_there() -> None:
    for remedy in [*OF_ERRORS.values(), *OF_FINDINGS.values()]:
        for named in re.findall(r"`mmsearch (?:--index-dir \w+ )?([a-z-]+)", remedy):
            assert named in COMMANDS


def test_every_class_of_errors_has_a_code_of_its_own() -> None:
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, MmsearchError)
        and not issubclass(kind, ImageError)
    ]
    assert len({kind.code for kind in classes}) == len(classes) > 7
    assert set(EXIT_CODES) < set(classes)


def test_an_error_is_said_with_its_remedy_and_ends_with_its_exit_code() -> None:
    missing = IndexMissingError("There is no index in /x.", folder=Path("/x"))
    assert in_words(missing).startswith("There is no index in /x. Make one with `mmsearch index ")
    assert exit_code(missing) == 2
    assert exit_code(DamagedCatalogError("It is damaged.", "malformed")) == 6
    assert exit_code(MmsearchError("Something else.")) == 1
    assert in_words(MmsearchError("Something else.")) == "Something else."


def test_a_fact_that_a_remedy_wants_and_an_error_lacks_is_no_second_error() -> None:
    error = errors.EncoderMismatchError("The index was made with another.")
    assert in_words(error) == "The index was made with another."
    error = errors.EncoderMismatchError("The index was made with another.", model="ViT-B-32/x")
    assert "--model ViT-B-32/x" in in_words(error)
