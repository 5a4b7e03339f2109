"""Copies of files, or links to them, in a folder: nothing that is there is touched."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import count as numbers
from pathlib import Path

import click

from cli.output.terminal import count
from retrieval.errors import MmsearchError
from retrieval.paths import show_path
from retrieval.storage.disk import DISK_ERRORS


def place(files: Sequence[Path], folder: Path, *, links: bool) -> None:
    """Copy files into a folder, made where it is missing, or link to them there; say how many.

    A name that is taken gets a number: `cat-2.jpg`. What is there already, the same link or the
    same bytes, is not placed again. Raises MmsearchError where the folder cannot be made, or where
    a file could not be placed, after the others were.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MmsearchError(f"The folder {folder} cannot be made ({error.strerror}).") from error
    put = _link if links else _copy
    placed = there = 0
    failures: list[str] = []
    for file in files:
        try:
            if put(file, folder):
                placed += 1
            else:
                there += 1
        except OSError as error:
            if error.errno in DISK_ERRORS:
                raise
            failures.append(f"{show_path(file)} ({error.strerror or error})")
    already = f", {there:,} there already" if there else ""
    what = count(placed, "link") if links else count(placed, "copy", "copies")
    click.echo(f"{what} in {show_path(folder)}{already}.", err=True)
    if failures:
        which = "could not be linked to" if links else "could not be copied"
        raise MmsearchError(f"{count(len(failures), 'file')} {which}: {', '.join(failures)}.")


def _copy(file: Path, folder: Path) -> bool:
    """Whether a copy was made; False where one is there."""
    for target in _names(file, folder):
        try:
            with file.open("rb") as source, target.open("xb") as copy:
                try:
                    shutil.copyfileobj(source, copy)
                except BaseException:
                    target.unlink()
                    raise
        except FileExistsError:
            if target.is_file() and filecmp.cmp(file, target, shallow=False):
                return False
            continue
        shutil.copystat(file, target)
        return True
    raise AssertionError("names never end")


def _link(file: Path, folder: Path) -> bool:
    """Whether a link was made; False where one is there."""
    if not file.exists():
        raise FileNotFoundError(2, os.strerror(2))
    for target in _names(file, folder):
        try:
            target.symlink_to(file)
        except FileExistsError:
            if target.is_symlink() and target.readlink() == file:
                return False
            continue
        return True
    raise AssertionError("names never end")


def _names(file: Path, folder: Path) -> Iterator[Path]:
    yield folder / file.name
    for number in numbers(2):
        yield folder / f"{file.stem}-{number}{file.suffix}"
