"""`mmsearch serve`: the page in a browser, and the service for programs."""

from __future__ import annotations

import logging
from pathlib import Path

import click


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=8017,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on.",
)
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Answer only who shows the token in FILE; needed where others can reach the host.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="A further name that the server goes by, behind a proxy say. Repeatable.",
)
@click.option(
    "--allow-folder",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where others can reach the host: let them index folders below DIR. Repeatable.",
)
@click.option("--log", "log", is_flag=True, help="Write a line for each request.")
@click.option("--log-questions", is_flag=True, help="Write what was asked into those lines, too.")
@click.option(
    "--trace",
    is_flag=True,
    help="Send a span of each request to $OTEL_EXPORTER_OTLP_ENDPOINT (OpenTelemetry).",
)
@click.pass_obj
def command(
    index_dir: str | None,
    host: str,
    port: int,
    show: bool,
    token_file: Path | None,
    names: tuple[str, ...],
    folders: tuple[Path, ...],
    log: bool,
    log_questions: bool,
    trace: bool,
) -> None:
    """Show the pictures in a browser, and answer programs over HTTP, until Ctrl-C.

    Only this machine can reach it. With another --host, others can: then a --token-file is needed,
    and whoever connects has to show what stands in it.
    """
    from retrieval.encoders.requirements import require_packages

    require_packages("Serving", "web", "fastapi", "uvicorn", "python_multipart")
    if trace:
        require_packages("Tracing", "tracing", "opentelemetry.sdk", "opentelemetry.exporter")
    from web.serving import serve
    from web.settings import ServeSettings, read_token

    settings = ServeSettings(
        index_dir=index_dir,
        host=host,
        port=port,
        token=read_token(token_file) if token_file else None,
        names=names,
        folders=tuple(folder.absolute() for folder in folders),
        log_questions=log_questions,
        trace=trace,
    )
    if log or log_questions:
        logging.getLogger("mmsearch.access").setLevel(logging.INFO)

    def say(address: str) -> None:
        click.echo(f"Serving on {address} until Ctrl-C.", err=True)
        if not settings.is_loopback:
            click.echo("Others can reach it; each has to show the token.", err=True)
        if show:
            click.launch(address)

    serve(settings, say)
