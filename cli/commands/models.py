"""`mmsearch models`: what can be given to --model, and what to --rerank."""

from __future__ import annotations

from dataclasses import asdict

import click

from cli.commands.status import table_lines
from cli.output.recommended import recommended_lines, recommended_records
from cli.output.terminal import size, write_json


@click.command("models")
@click.option("--all", "everything", is_flag=True, help="Also list open_clip's own models.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.pass_obj
def command(index_dir: str | None, everything: bool, as_json: bool) -> None:
    """List the models for `mmsearch index --model`, and the rerankers for `query --rerank`.

    Three large ones are recommended, with about how long each would take to index the pictures of
    the present index on this machine's processor.
    """
    from retrieval.encoders.registry import ModelInfo, list_models, list_open_clip_models
    from retrieval.rerankers.registry import list_rerankers

    models = list_models()
    if everything:
        listed = {model.name for model in models}
        models += [
            ModelInfo(name, "open_clip", None)
            for name in list_open_clip_models()
            if name not in listed
        ]
    if as_json:
        write_json(
            [asdict(model) | {"kind": "encoder"} for model in models]
            + recommended_records(index_dir)
            + [asdict(reranker) | {"kind": "reranker"} for reranker in list_rerankers()]
        )
        return
    rows = [
        (
            model.name,
            "" if model.size_bytes is None else size(model.size_bytes),
            model.description,
        )
        for model in models
    ]
    for line in table_lines(rows):
        click.echo(line)
    for line in recommended_lines(recommended_records(index_dir)):
        click.echo(line)
    click.echo("\nRerankers, for `mmsearch query --rerank`:")
    for line in table_lines([(one.name, one.description) for one in list_rerankers()]):
        click.echo(line)
