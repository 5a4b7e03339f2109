"""`mmsearch eval`: how well a model finds the pictures of a captioned set."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import captioned_options, precision_option
from cli.output.stage_progress import StageBar

if TYPE_CHECKING:
    from retrieval.evaluation.metrics import Estimate, Summary
    from retrieval.evaluation.protocol import Direction, Evaluation


@click.command("eval")
@captioned_options("dev")
@click.option(
    "--task",
    type=click.Choice(["retrieval", "caption", "vqa"]),
    default="retrieval",
    show_default=True,
    help="What is measured: finding pictures, describing them, or answers to questions.",
)
@click.option("--model", metavar="NAME", help="The model to measure; see `mmsearch models`.")
@precision_option
@click.option(
    "--rerank",
    default="auto",
    show_default=True,
    metavar="auto|off|NAME",
    help="Look again at the best candidates with a reranker.",
)
@click.option(
    "--candidates",
    default=50,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many candidates of a question are looked at again.",
)
@click.option(
    "--answerer",
    default="auto",
    show_default=True,
    metavar="auto|blip|NAME",
    help="With --task vqa: what answers.",
)
@click.option(
    "--captioner",
    default="compact",
    show_default=True,
    metavar="compact|blip|NAME",
    help="With --task caption: what describes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(
    captions: Path,
    images: Path,
    split: str | None,
    task: str,
    model: str | None,
    precision: str,
    rerank: str,
    candidates: int,
    answerer: str,
    captioner: str,
    as_json: bool,
) -> None:
    """Measure a model on pictures with CAPTIONS.

    CAPTIONS is a table with the columns image, caption and maybe split, separated by tabs, or
    the JSON of Karpathy's splits or of COCO captions. Each caption is asked for its picture, and
    each picture for one of its captions; the table gives recall at 1, 5 and 10, the median rank,
    MRR and nDCG@10, each with a 95 % interval, before and after reranking.

    With --task vqa, questions are made of the captions by rule and asked of their pictures; the
    table gives, for each kind of question, how often the answer is right, how often the most
    frequent answer would be, how often the answerer is sure, and how often it is right then.

    With --task caption, each picture is described and the sentence compared with its captions by
    BLEU, ROUGE-L and CIDEr, and by METEOR where there is Java. Needs mmsearch[captions].
    """
    if task == "vqa":
        _measure_answers(captions, images, split, answerer, as_json)
        return
    if task == "caption":
        _measure_captioner(captions, images, split, captioner, as_json)
        return
    from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
    from retrieval.evaluation.captions import read_captions
    from retrieval.evaluation.protocol import evaluate
    from retrieval.evaluation.rerank import choose_second_stage

    pictures = read_captions(captions, split=split)
    encoder = load_encoder(model or DEFAULT_MODEL, precision)
    stage = choose_second_stage(rerank, encoder, images)
    with StageBar() as bar:
        found = evaluate(
            encoder, pictures, images, second_stage=stage, candidates=candidates, progress=bar
        )
    click.echo(json.dumps(as_record(found), indent=2) if as_json else as_table(found))


def _measure_answers(
    captions: Path, images: Path, split: str | None, answerer: str, as_json: bool
) -> None:
    from cli.output.answers_table import as_table as answers_table
    from retrieval.answering.registry import load_answerer
    from retrieval.evaluation.answers import evaluate_answers
    from retrieval.evaluation.captions import read_captions

    pictures = read_captions(captions, split=split)
    asked = load_answerer(answerer)
    with StageBar() as bar:
        found = evaluate_answers(asked, pictures, images, progress=bar)
    click.echo(json.dumps(asdict(found), indent=2) if as_json else answers_table(found))


def _measure_captioner(
    captions: Path, images: Path, split: str | None, captioner: str, as_json: bool
) -> None:
    from cli.output.caption_scores import as_table as scores_table
    from retrieval.captioning.registry import load_captioner
    from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
    from retrieval.evaluation.captioning import evaluate_captioner
    from retrieval.evaluation.captions import read_captions

    pictures = read_captions(captions, split=split)
    encoder = load_encoder(DEFAULT_MODEL)
    with StageBar() as bar:
        found = evaluate_captioner(
            load_captioner(captioner, encoder), encoder, pictures, images, progress=bar
        )
    click.echo(json.dumps(asdict(found), indent=2) if as_json else scores_table(found))


def as_record(found: Evaluation) -> dict[str, object]:
    """The evaluation as JSON takes it, with the total time a question."""
    record = asdict(found)
    record["timing"]["total_ms"] = found.timing.total_ms
    return record


def as_table(found: Evaluation) -> str:
    """The evaluation as lines for a terminal."""
    lines = [
        f"{found.encoder.name} on {found.pictures} pictures with {found.captions} captions"
        + (f", {found.reranker} on the best {found.candidates}" if found.reranker else "")
    ]
    if found.skipped:
        lines.append(f"{len(found.skipped)} pictures left out, captions and all:")
        lines += [f"  {left.name}: {left.reason}" for left in found.skipped[:5]]
        if len(found.skipped) > 5:
            lines.append(f"  and {len(found.skipped) - 5} more")
    header = ("", "R@1", "R@5", "R@10", "median rank", "MRR", "nDCG@10")
    rows = [header]
    for title, direction in (
        ("text → image", found.text_to_image),
        ("image → text", found.image_to_text),
    ):
        rows += _rows(title, direction)
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines.append("")
    lines += ["  ".join(_padded(row, widths)).rstrip() for row in rows]
    lines.append("")
    for title, direction in (
        ("text → image", found.text_to_image),
        ("image → text", found.image_to_text),
    ):
        if direction.gain_at_1 is not None:
            gain = direction.gain_at_1
            lines.append(
                f"reranking, {title}: R@1 {100 * gain.value:+.1f} points "
                f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
            )
    timing = found.timing
    parts = [f"words {timing.encode_ms:.1f}", f"search {timing.search_ms:.1f}"]
    if timing.rerank_ms is not None:
        parts.append(f"rerank {timing.rerank_ms:.1f}")
    lines.append(f"{timing.total_ms:.1f} ms a question ({', '.join(parts)})")
    return "\n".join(lines)


_Cells = tuple[str, str, str, str, str, str, str]


def _rows(title: str, direction: Direction) -> list[_Cells]:
    if direction.after is None:
        return [_row(title, direction.before)]
    return [
        _row(f"{title}, before", direction.before),
        _row(f"{title}, after", direction.after),
    ]


def _row(title: str, summary: Summary) -> _Cells:
    return (
        title,
        _percent(summary.recall_at_1),
        _percent(summary.recall_at_5),
        _percent(summary.recall_at_10),
        _number(summary.median_rank, 1),
        _number(summary.mrr, 3),
        _number(summary.ndcg_at_10, 3),
    )


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _number(estimate: Estimate, digits: int) -> str:
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _padded(row: _Cells, widths: list[int]) -> list[str]:
    return [
        row[0].ljust(widths[0]),
        *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
    ]
