"""`mmsearch query`: find pictures by words, or by another picture."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.conditions import asks_for_times, tell_of_marks, tell_of_undated, with_options
from cli.engine import FOUND, ask_engine
from cli.exit_codes import NOTHING_FOUND
from cli.many_questions import Asking, answer_questions
from cli.options import Number
from cli.output.options import Output, output_options
from cli.output.records import hit_record
from cli.question import QuestionCommand, composed, read_question
from cli.restriction import check_dates, paging_options, restriction_options

if TYPE_CHECKING:
    from retrieval.search.compose import Fusion
    from retrieval.search.engine import SearchEngine
    from retrieval.search.explain import Explanation
    from retrieval.search.hit import Hit
    from retrieval.search.question import Match
    from web.client.client import Client


# What a server gives at once.
LARGEST_ANSWER = 500


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
@paging_options
@restriction_options
@click.option(
    "--min-score",
    type=Number(),
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
    type=Number(0, 1),
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
@click.option(
    "--no-feedback", "unmarked", is_flag=True, help="Pay no heed to what `mmsearch feedback` keeps."
)
@click.option(
    "--server/--no-server",
    "use_server",
    default=True,
    help="Ask a `mmsearch serve` of the same index where one runs, which answers the same sooner, "
    "or do without.  [default: server]",
)
@output_options
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
    unmarked: bool,
    use_server: bool,
    output: Output,
) -> None:
    """Find the pictures that TEXT describes, best first. It needs no quotes.

    Conditions may stand in it: in: name: type: taken: after: before: month: season: hour: camera:
    lens: near: country: box: size: aspect: is: rating: tag:, each with - before it to turn it
    around, and `or` and brackets between them. Conditions alone list the pictures that fit, newest
    first.

    `mmsearch query -` reads questions from stdin, one a line, and answers each with a line of JSON:
    the `question` and its `hits`, or the `error` that it is. The exit code is then 1 where one was.
    Without a question, on a terminal, it asks for one after another, as `mmsearch shell` does.

    Exit code 1 where there is no answer; with --relevant, where nothing fits well.
    """
    if balance is not None and not diverse:
        raise click.UsageError("--lambda says how diverse answers are to be: give --diverse too.")
    by_difference: bool | float = diverse if balance is None else balance
    if words == ("-",):
        output.check_lines(image)
        asking = Asking(
            limit, offset, filter_text, likes, unwanted,
            {
                "within": within, "after": after, "before": before, "min_score": min_score,
                "rerank": rerank, "candidates": candidates, "fusion": fusion, "match": match,
                "relevant": relevant,
                "diverse": by_difference, "fold": bool(fold),
                "feedback": None if unmarked else "kept",
            },
            hit_record,
        )  # fmt: skip
        answer_questions(ctx.obj, asking)
        return
    if not words and not (image or likes or filter_text) and sys.stdin.isatty():
        from cli.shell import Shell

        Shell(ctx).run()
        return
    pictures = [*([image] if image is not None else []), *likes]
    question, parsed = read_question(words, filter_text, pictures)
    output.check()
    check_dates(after, before)
    if relevant and question is None:
        raise click.UsageError("--relevant judges words: say what is to be seen.")
    if match == "words" and pictures:
        raise click.UsageError("--match words asks with words alone, without a picture.")
    is_usual = max(limit, candidates) <= LARGEST_ANSWER

    def ask(engine: SearchEngine | Client) -> tuple[list[Hit], list[Explanation | None]]:
        if question is None and parsed.filter is not None:
            hits = engine.browse(
                with_options(parsed.filter, within, after, before), limit, offset=offset
            )
        else:
            assert question is not None
            query = composed(question, pictures, unwanted)
            if not unmarked:
                tell_of_marks(engine.kept_marks(query))
            hits = engine.search(
                query,
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
                fold=output.for_people if fold is None else fold,
                match=match,
                feedback=None if unmarked else "kept",
            )
        answers = output.sorted(hits)
        explanations: list[Explanation | None] = [None] * len(answers)
        if output.with_places:
            explanations = engine.explain_many(answers)
        if after is not None or before is not None or asks_for_times(parsed.filter):
            tell_of_undated(engine.count_undated())
        return answers, explanations

    answers, explanations = ask_engine(ctx, ask, may_be_remote=use_server and is_usual)
    ctx.meta.get(FOUND, []).extend(hit.path for hit in answers)
    output.write(answers, explanations, question or " ".join(words), relevant=relevant)
    if not answers:
        ctx.exit(NOTHING_FOUND)
