"""Answers as the page takes them: with the addresses of their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrieval.catalog.originals import content_hashes_of
from retrieval.media.times import at_time
from retrieval.search.engine import SearchEngine
from retrieval.search.hit import Hit
from retrieval.search.records import exact_record


def with_addresses(engine: SearchEngine, hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Answers, each with `name` and the addresses `thumbnail` and `picture`.

    An address changes with the content it shows, so that a browser may keep it for ever.
    """
    ids = [one.item_id for hit in hits for one in (hit, *hit.like)]
    hashes = content_hashes_of(engine.catalog.raw_rows, ids)
    return [_record(exact_record(hit), hashes) for hit in hits]


def _record(record: dict[str, Any], hashes: dict[int, bytes]) -> dict[str, Any]:
    version = hashes.get(record["id"], b"")[:8].hex()
    address = f"/api/pictures/{record['id']}"
    name = record["path"].replace("\\", "/").rsplit("/", 1)[-1]
    record["name"] = at_time(name, record["time_ms"])
    record["thumbnail"] = f"{address}/thumbnail?v={version}"
    record["picture"] = f"{address}/file?v={version}"
    if "like" in record:
        record["like"] = [_record(other, hashes) for other in record["like"]]
    return record
