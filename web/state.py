"""What is indexed and what the server can do, as JSON takes it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from retrieval.errors import IndexMissingError
from web.reveal import can_reveal
from web.service import Service

FEATURES = (
    "explain",
    "similar",
    "facets",
    "places",
    "zip",
    "tags",
    "saved",
    "feedback",
    "copies",
    "layout",
    "eval",
)


def status_record(service: Service) -> dict[str, Any]:
    """The state as JSON takes it; of an empty index where there is none yet."""
    job = service.indexing.job
    record: dict[str, Any] = {
        "index_dir": str(service.location.folder),
        "version": version("mmsearch"),
        "features": list(FEATURES),
        "can_reveal": service.settings.is_loopback and can_reveal(),
        "read_only": False,
        # Below which folders a client may have more indexed; null where it may any.
        "index_below": None
        if service.settings.is_loopback
        else [str(folder) for folder in service.settings.folders],
        "indexing": None if job is None else job.record(),
        "model": None,
        "dim": None,
        "fingerprint": None,
        "pictures": 0,
        "failed": 0,
        "size_bytes": 0,
        "folders": [],
    }
    try:
        catalog = service.engine.catalog
    except IndexMissingError:
        return record
    made_by = catalog.encoder
    record |= {
        "model": made_by.name if made_by else None,
        "dim": made_by.dim if made_by else None,
        "fingerprint": made_by.fingerprint if made_by else None,
        "pictures": catalog.count_items(),
        "failed": len(catalog.failures()),
        "size_bytes": sum(
            file.stat().st_size for file in service.location.folder.iterdir() if file.is_file()
        ),
        "folders": [
            {
                "path": str(root.path),
                "pictures": catalog.count_items(root.id),
                "present": root.path.is_dir(),
            }
            for root in catalog.roots()
        ],
    }
    return record
