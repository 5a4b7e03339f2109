"""A run of `index_folders` whose pictures are encoded by a Ray cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from indexer.distributed.cluster import ClusterSettings, connected
from indexer.distributed.encoding import RayEncoding
from indexer.pipeline.run import index_folders
from indexer.report import IndexReport, Progress
from retrieval.catalog import Catalog
from retrieval.encoders.base import Encoder
from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
from retrieval.errors import IndexMissingError
from retrieval.storage.index_dir import resolve_index_dir


def index_distributed(
    paths: Sequence[str | os.PathLike[str]],
    index_dir: str | os.PathLike[str] | None = None,
    *,
    settings: ClusterSettings | None = None,
    model: str | None = None,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **options: Any,
) -> IndexReport:
    """As `index_folders`, with the encoding done by the workers of a Ray cluster.

    Files are read and decoded here, where a hostile one is set aside, and only pixels are sent. A
    worker that is lost costs its batches' time and no picture; where this process is, the next run
    goes on after the last batch that was written. `options` are others of `index_folders`.

    Raises what `index_folders` raises, and MmsearchError where the cluster cannot be used.
    """
    chosen = settings or ClusterSettings()
    with connected(chosen) as ray:
        space = (encoder or load_encoder(_model(model, index_dir), chosen.precision)).space
        with closing(RayEncoding(ray, chosen, space, encoder)) as backend:
            return index_folders(
                paths,
                index_dir,
                model=model,
                precision=chosen.precision,
                encoder=encoder,
                backend=backend,
                progress=progress,
                stop=stop,
                **options,
            )


def _model(model: str | None, index_dir: str | os.PathLike[str] | None) -> str:
    if model is not None:
        return model
    try:
        with Catalog.open(resolve_index_dir(index_dir).address) as catalog:
            made_by = catalog.encoder
    except IndexMissingError:
        made_by = None
    return made_by.name if made_by else DEFAULT_MODEL
