"""`mmsearch train-encoder`: a model for one's own kind of pictures, from one's own captions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import NOTHING_BETTER
from cli.options import Number, captioned_options
from cli.output.stage_progress import StageBar
from cli.output.terminal import write_json

if TYPE_CHECKING:
    from retrieval.evaluation.metrics import Estimate
    from retrieval.evaluation.protocol import Direction
    from retrieval.tuning.install import TuningReport


@click.command("train-encoder")
@captioned_options("train")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to be made for the trained model.",
)
@click.option("--model", metavar="NAME", help="The model to train; see `mmsearch models`.")
@click.option(
    "--what",
    type=click.Choice(["heads", "lora", "all"]),
    default="heads",
    show_default=True,
    help="A linear map after each tower, low-rank updates of its weights, or all of them.",
)
@click.option(
    "--side",
    type=click.Choice(["both", "texts"]),
    default="both",
    show_default=True,
    help="Whether heads follow both towers, or that of texts alone: then no picture of an index "
    "has to be encoded again.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="How often to go through the pictures at most: 60 for heads, else 15.",
)
@click.option("--learning-rate", type=Number(min=0, max=1, min_open=True), help="At its peak.")
@click.option("--resume", is_flag=True, help="Go on with a training that was cut off.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
def command(
    captions: Path,
    images: Path,
    output: Path,
    split: str | None,
    model: str | None,
    what: str,
    side: str,
    epochs: int | None,
    learning_rate: float | None,
    resume: bool,
    as_json: bool,
) -> int:
    """Train a model on pictures with CAPTIONS.

    A quarter of the pictures is held out: some to stop by, some to compare on, as `mmsearch eval`
    measures without reranking. The new model is kept only if its captions find their pictures
    better beyond chance, that is, if the 95 % interval of the gain in recall at 1 is above nought;
    else the exit code is 1.
    """
    from retrieval.encoders.registry import DEFAULT_MODEL
    from retrieval.encoders.requirements import require_packages
    from retrieval.evaluation.captions import read_captions

    # Before the modules that define networks, which import torch.
    require_packages("Training an encoder", "clip", "torch")
    from retrieval.tuning.data import default_settings
    from retrieval.tuning.install import tune_encoder

    with StageBar() as bar:
        report = tune_encoder(
            model or DEFAULT_MODEL,
            read_captions(captions, split=split),
            images,
            output.resolve(),
            default_settings(what, side, epochs, learning_rate),
            resume=resume,
            progress=bar,
        )
    if as_json:
        write_json(asdict(report))
    else:
        for line in _lines(report):
            click.echo(line)
    return 0 if report.installed else NOTHING_BETTER


def _lines(report: TuningReport) -> list[str]:
    lines = []
    if report.skipped:
        first = report.skipped[0]
        lines.append(
            f"{len(report.skipped)} pictures left out: {first.name}: {first.reason}"
            + (" …" if len(report.skipped) > 1 else "")
        )
    best = max(report.epochs, key=lambda epoch: epoch.mrr)
    lines.append(
        f"{report.epochs[-1].number} epochs on {report.pictures:,} pictures with "
        f"{report.captions:,} captions, the best of them number {best.number}; compared on "
        f"{report.compared_pictures:,} pictures held out."
    )
    lines.append(_gain("text → image", report.comparison.text_to_image))
    lines.append(_gain("image → text", report.comparison.image_to_text))
    if not report.installed:
        lines.append("Not kept: it is no better beyond chance.")
    elif report.same_space:
        lines.append(
            f"Kept in {report.model}. Let an index answer through it, with no picture encoded "
            f"again: mmsearch upgrade --model {report.model}"
        )
    else:
        lines.append(
            f"Kept in {report.model}. Move an index to it: mmsearch upgrade --model {report.model}"
        )
    return lines


def _gain(title: str, direction: Direction) -> str:
    assert direction.after is not None and direction.gain_at_1 is not None
    return (
        f"{title}: R@1 {_percent(direction.before.recall_at_1)} before, "
        f"{_percent(direction.after.recall_at_1)} after, gain {_percent(direction.gain_at_1)}."
    )


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
