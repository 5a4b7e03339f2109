"""`mmsearch train-reranker`: a reranker for one's own kind of pictures, from one's own captions."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import captioned_options
from cli.output.stage_progress import StageBar


@click.command("train-reranker")
@captioned_options("train")
@click.option("--model", metavar="NAME", help="The model to train it for; see `mmsearch models`.")
@click.option(
    "--epochs",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="How often to go through the captions at most.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was cut off.")
@click.pass_obj
def command(
    index_dir: str | None,
    captions: Path,
    images: Path,
    split: str | None,
    model: str | None,
    epochs: int,
    resume: bool,
) -> None:
    """Train a reranker for the index on pictures with CAPTIONS.

    It looks at patch tokens, which the built-in model and `vit-bert:` models give.

    A fifth of the pictures is held out. The new reranker is put beside the index and used from
    then on only if it finds their captions' pictures at least as well as the one before.
    """
    from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
    from retrieval.encoders.requirements import require_packages
    from retrieval.evaluation.captions import read_captions
    from retrieval.index import Index

    # An index that is missing is told at once, before anything is made.
    Index.open(index_dir).close()
    # Before the modules that define networks, which import torch.
    require_packages("Training a reranker", "export", "torch", "onnx")
    from retrieval.rerankers.training.export import require_exporter
    from retrieval.rerankers.training.install import train_for_index
    from retrieval.rerankers.training.train import TrainingSettings
    from retrieval.storage.index_dir import resolve_index_dir

    require_exporter()
    pictures = read_captions(captions, split=split)
    folder = resolve_index_dir(index_dir).folder / "reranker"
    with StageBar() as bar:
        report = train_for_index(
            load_encoder(model or DEFAULT_MODEL),
            pictures,
            images,
            folder,
            TrainingSettings(epochs=epochs),
            resume=resume,
            progress=bar,
        )
    if report.skipped:
        click.echo(
            f"{len(report.skipped)} pictures left out: {report.skipped[0].name}: "
            f"{report.skipped[0].reason}" + (" …" if len(report.skipped) > 1 else "")
        )
    click.echo(
        f"{report.epochs} epochs on {report.pictures} pictures with {report.captions} captions; "
        f"compared on {report.held_out_captions} captions held out."
    )
    click.echo(
        f"R@1 on what was held out: {100 * report.first_stage:.1f} without a reranker, "
        f"{100 * report.before:.1f} before, {100 * report.after:.1f} after."
    )
    click.echo(
        f"Installed in {folder}; measure with it: mmsearch eval --rerank {folder}"
        + (f" --model {model}." if model else ".")
        if report.installed
        else "Not put in place: it is no better than what is in use."
    )
