"""What is done with answers, as options that commands share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from retrieval.search.explain import Explanation
    from retrieval.search.hit import Hit

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """What was chosen; see the options' help."""

    sort: Literal["score", "date"]
    is_reversed: bool
    with_places: bool
    as_json: bool
    as_csv: bool
    only_paths: bool
    with_nul: bool
    previews: bool | None
    show: bool
    gallery: Path | None
    copy_to: Path | None
    link_to: Path | None

    def check(self) -> None:
        """Raise click.UsageError for outputs that exclude one another."""
        if self.as_json + self.as_csv + (self.only_paths or self.with_nul) > 1:
            raise click.UsageError(
                "Choose one of --json, --csv and --paths (or -0): they are different outputs."
            )
        if self.copy_to is not None and self.link_to is not None:
            raise click.UsageError("Choose one of --copy-to and --link-to.")

    def check_lines(self, image: Path | None) -> None:
        """Raise click.UsageError for what does not go with JSON Lines."""
        others = (
            image, self.with_places, self.as_csv, self.only_paths, self.with_nul, self.show,
            self.gallery, self.copy_to, self.link_to, self.is_reversed, self.sort != "score",
            self.previews,
        )  # fmt: skip
        if any(others):
            raise click.UsageError(
                "`query -` prints JSON Lines: leave out other outputs, as --image, --explain, "
                "--csv, --paths, -0, --open and --gallery."
            )

    @property
    def for_people(self) -> bool:
        """Whether a person is to look at the answers, on a terminal or a page."""
        for_programs = self.as_json or self.as_csv or self.only_paths or self.with_nul
        return not for_programs and (self.gallery is not None or sys.stdout.isatty())

    def sorted(self, hits: Sequence[Hit]) -> list[Hit]:
        """The answers in the order that was asked for; those without a date come last."""
        if self.sort == "score":
            return list(reversed(hits)) if self.is_reversed else list(hits)
        dated = [hit for hit in hits if hit.taken_at is not None]
        dated.sort(key=lambda hit: hit.taken_at or 0, reverse=not self.is_reversed)
        return dated + [hit for hit in hits if hit.taken_at is None]

    def write(
        self,
        hits: Sequence[Hit],
        explanations: Sequence[Explanation | None],
        question: str | Path,
        *,
        relevant: bool,
    ) -> None:
        """Print the answers, and do what else was asked for with them.

        Raises MmsearchError where a page cannot be written or files cannot be placed.
        """
        if self.with_places and hits and not any(explanations):
            click.echo("Where the words were found is not known for these pictures.", err=True)
        if self.gallery is not None:
            from cli.output.gallery import write_answers

            write_answers(self.gallery, question, hits, explanations)
        self._print(hits, explanations, relevant=relevant)
        if self.show and hits:
            click.launch(str(hits[0].path))
        folder = self.copy_to or self.link_to
        if folder is not None:
            from cli.output.place import place

            place([hit.path for hit in hits], folder, links=self.link_to is not None)

    def _print(
        self, hits: Sequence[Hit], explanations: Sequence[Explanation | None], *, relevant: bool
    ) -> None:
        if self.as_json:
            from cli.output.records import answer_records
            from cli.output.terminal import write_json

            write_json(answer_records(hits, explanations if self.with_places else None))
        elif self.as_csv:
            from cli.output.table import write_csv

            write_csv(hits)
        elif self.only_paths or self.with_nul:
            from cli.output.terminal import write_raw_path

            for hit in hits:
                write_raw_path(hit.path, "\0" if self.with_nul else "\n")
        else:
            from cli.output.answers import print_answers

            print_answers(hits, explanations, relevant=relevant, previews=self.previews)


def output_options(function: F) -> F:
    """Give a command these options; it gets them as one `output`."""

    @functools.wraps(function)
    def collected(*args: Any, **values: Any) -> Any:
        chosen = {field.name: values.pop(field.name) for field in fields(Output)}
        return function(*args, output=Output(**chosen), **values)

    wrapped: Any = collected
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


_OPTIONS = (
    click.option(
        "--sort",
        type=click.Choice(["score", "date"]),
        default="score",
        show_default=True,
        help="Order of the answers: the best first, or the latest taken first.",
    ),
    click.option("--reverse", "is_reversed", is_flag=True, help="The other way round."),
    click.option("--explain", "with_places", is_flag=True, help="Say where each word was found."),
    click.option("--json", "as_json", is_flag=True, help="Print a JSON list of answers."),
    click.option("--csv", "as_csv", is_flag=True, help="Print a table for spreadsheets."),
    click.option("--paths", "only_paths", is_flag=True, help="Print paths alone, one a line."),
    click.option("-0", "with_nul", is_flag=True, help="As --paths, ended by NUL, for `xargs -0`."),
    click.option(
        "--previews/--no-previews",
        default=None,
        help="Show the pictures among the lines; by themselves on terminals that are known to be "
        "able to.",
    ),
    click.option("--open", "show", is_flag=True, help="Open the best picture in a viewer."),
    click.option(
        "--gallery",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.html",
        help="Also write the answers as a web page that needs nothing else.",
    ),
    click.option(
        "--copy-to",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Also copy the files into a folder; nothing there is overwritten.",
    ),
    click.option(
        "--link-to",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Also make links to the files in a folder.",
    ),
)
