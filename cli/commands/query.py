"""`mmsearch query`: find pictures by words, or by another picture."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.conditions import asks_for_times, tell_of_undated, with_options
from cli.exit_codes import NOTHING_FOUND
from cli.many_questions import Asking, answer_questions
from cli.output.answers import print_answers
from cli.output.gallery import write_answers
from cli.output.records import answer_records, hit_record
from cli.output.terminal import write_json, write_raw_path
from cli.question import QuestionCommand, composed, read_question

if TYPE_CHECKING:
    from retrieval.search.compose import Fusion
    from retrieval.search.question import Match

DATE = click.DateTime(["%Y-%m-%d", "%Y-%m", "%Y"])


@click.command("query", cls=QuestionCommand)
@click.argument("words", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Ask with a picture, instead of words or together with them.",
)
@click.option(
    "--like",
    "likes",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="And like this picture, together with the words. Repeatable.",
)
@click.option(
    "--not",
    "unwanted",
    multiple=True,
    metavar="WORDS",
    help="Push back pictures that show this. Repeatable; `a beach without people` means the same.",
)
@click.option(
    "--fusion",
    type=click.Choice(["average", "rrf"]),
    default="average",
    show_default=True,
    help="Of words and pictures together: all of it in one picture, or any of it (rrf).",
)
@click.option(
    "--match",
    type=click.Choice(["both", "pictures", "words"]),
    default="both",
    show_default=True,
    help="What is held against the words: the pictures, the words of their names, folders, titles, "
    "captions and keywords, or both.",
)
@click.option(
    "-k",
    "limit",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many pictures to answer with.",
)
@click.option(
    "--offset",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Leave out so many of the best, for the next page.",
)
@click.option(
    "--in",
    "within",
    type=click.Path(),
    metavar="FOLDER",
    help="Keep to pictures below a folder.",
)
@click.option(
    "--filter",
    "filter_text",
    metavar="TEXT",
    help="Keep to pictures that fit conditions, as camera:X100 or -tag:people; they may stand "
    "among the words as well.",
)
@click.option(
    "--after",
    type=DATE,
    metavar="DATE",
    help="Keep to pictures taken in 2023, 2023-06 or on 2023-06-01, or later.",
)
@click.option("--before", type=DATE, metavar="DATE", help="Keep to pictures taken before then.")
@click.option(
    "--min-score",
    type=float,
    metavar="X",
    help="Leave out pictures whose similarity, a cosine, is below X.",
)
@click.option("--relevant", is_flag=True, help="Keep only what fits well.")
@click.option(
    "--rerank",
    default="auto",
    show_default=True,
    metavar="auto|off|NAME",
    help="Look again at the best candidates with a reranker; `mmsearch models` lists them.",
)
@click.option(
    "--candidates",
    default=50,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many candidates are looked at again.",
)
@click.option(
    "--diverse",
    is_flag=True,
    help="Choose answers that also differ from one another (maximal marginal relevance).",
)
@click.option(
    "--lambda",
    "balance",
    type=click.FloatRange(0, 1),
    metavar="X",
    help="With --diverse: how much the scores count, from 1, the usual order, to 0.  [default: "
    "0.7]",
)
@click.option(
    "--fold/--all",
    default=None,
    help="Show copies and pictures of one burst as one answer, or each by itself. Terminals and "
    "galleries fold unless told otherwise; pipes, --json and --paths do not.",
)
@click.option("--explain", "with_places", is_flag=True, help="Say where each word was found.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of answers.")
@click.option("--paths", "only_paths", is_flag=True, help="Print paths alone, one a line.")
@click.option("-0", "with_nul", is_flag=True, help="As --paths, ended by NUL, for `xargs -0`.")
@click.option("--open", "show", is_flag=True, help="Open the best picture in a viewer.")
@click.option(
    "--gallery",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Also write the answers as a web page that needs nothing else.",
)
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    image: Path | None,
    likes: tuple[Path, ...],
    unwanted: tuple[str, ...],
    fusion: Fusion,
    match: Match,
    limit: int,
    offset: int,
    within: str | None,
    filter_text: str | None,
    after: datetime | None,
    before: datetime | None,
    min_score: float | None,
    relevant: bool,
    rerank: str,
    candidates: int,
    diverse: bool,
    balance: float | None,
    fold: bool | None,
    with_places: bool,
    as_json: bool,
    only_paths: bool,
    with_nul: bool,
    show: bool,
    gallery: Path | None,
) -> None:
    """Find the pictures that TEXT describes, best first. It needs no quotes.

    Conditions may stand in it: in: name: type: taken: after: before: month: season: hour: camera:
    lens: near: box: size: aspect: is: rating: tag:, each with - before it to turn it around, and
    `or` and brackets between them. Conditions alone list the pictures that fit, newest first.

    `mmsearch query -` reads questions from stdin, one a line, and answers each with a line of JSON:
    the `question` and its `hits`, or the `error` that it is. The exit code is then 1 where one was.

    Exit code 1 where there is no answer; with --relevant, where nothing fits well.
    """
    index_dir: str | None = ctx.obj
    if balance is not None and not diverse:
        raise click.UsageError("--lambda says how diverse answers are to be: give --diverse too.")
    by_difference: bool | float = diverse if balance is None else balance
    if words == ("-",):
        if image or with_places or only_paths or with_nul or show or gallery:
            raise click.UsageError(
                "`query -` prints JSON Lines: leave out --image, --explain, --paths, -0, --open "
                "and --gallery."
            )
        asking = Asking(
            limit, offset, filter_text, likes, unwanted,
            {
                "within": within, "after": after, "before": before, "min_score": min_score,
                "rerank": rerank, "candidates": candidates, "fusion": fusion, "match": match,
                "relevant": relevant,
                "diverse": by_difference, "fold": bool(fold),
            },
            hit_record,
        )  # fmt: skip
        answer_questions(index_dir, asking)
        return
    pictures = [*([image] if image is not None else []), *likes]
    question, parsed = read_question(words, filter_text, pictures)
    if as_json and (only_paths or with_nul):
        raise click.UsageError("Choose one of --json and --paths (or -0): they are two outputs.")
    if after is not None and before is not None and after >= before:
        raise click.UsageError("--after is not earlier than --before: no time lies between them.")
    if relevant and question is None:
        raise click.UsageError("--relevant judges words: say what is to be seen.")
    for_people = not (as_json or only_paths or with_nul) and (
        gallery is not None or sys.stdout.isatty()
    )
    if match == "words" and pictures:
        raise click.UsageError("--match words asks with words alone, without a picture.")
    from retrieval.search.engine import SearchEngine

    with SearchEngine.open(index_dir) as engine:
        if question is None and parsed.filter is not None:
            hits = engine.browse(
                with_options(parsed.filter, within, after, before), limit, offset=offset
            )
        else:
            assert question is not None
            hits = engine.search(
                composed(question, pictures, unwanted),
                limit,
                offset=offset,
                within=within,
                after=after,
                before=before,
                filter=parsed.filter,
                min_score=min_score,
                rerank=rerank,
                candidates=candidates,
                fusion=fusion,
                relevant=relevant,
                diverse=by_difference,
                fold=for_people if fold is None else fold,
                match=match,
            )
        explanations = engine.explain_many(hits) if with_places else [None] * len(hits)
        if after is not None or before is not None or asks_for_times(parsed.filter):
            tell_of_undated(engine.count_undated())
    if with_places and hits and not any(explanations):
        click.echo("Where the words were found is not known for these pictures.", err=True)
    if gallery is not None:
        write_answers(gallery, question or " ".join(words), hits, explanations)
    if as_json:
        write_json(answer_records(hits, explanations if with_places else None))
    elif only_paths or with_nul:
        for hit in hits:
            write_raw_path(hit.path, "\0" if with_nul else "\n")
    else:
        print_answers(hits, explanations, relevant=relevant)
    if show and hits:
        click.launch(os.fspath(hits[0].path))
    if not hits:
        ctx.exit(NOTHING_FOUND)
