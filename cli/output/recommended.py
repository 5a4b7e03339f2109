"""Large models that are recommended: what each is good for, and how long it would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cli.output.terminal import count, size

# Where nothing is indexed yet.
_SOME_PICTURES = 10_000


def recommended_records(index_dir: str | None) -> list[dict[str, Any]]:
    """Each model as JSON takes it; the seconds are for all pictures of the index, or for 10,000."""
    from retrieval.encoders.recommended import RECOMMENDED, measure_gflops, seconds_a_picture

    pictures = _indexed(index_dir) or _SOME_PICTURES
    gflops = measure_gflops()
    return [
        asdict(model)
        | {
            "kind": "recommended",
            "pictures": pictures,
            "indexing_s": round(pictures * seconds_a_picture(model, gflops)),
        }
        for model in RECOMMENDED
    ]


def recommended_lines(records: Sequence[dict[str, Any]]) -> list[str]:
    """The same for a person."""
    pictures = count(records[0]["pictures"], "picture")
    lines = ["", f"Recommended, with a network; times are for {pictures} on this processor:"]
    for record in records:
        lines += [
            f"{record['name']}  {record['serves']}",
            f"    {size(record['size_bytes'])} once; languages: {record['languages']}; "
            f"{record['licence']}; {duration(record['indexing_s'])}",
            f"    {record['published']} ({record['source']})",
        ]
    return lines


def duration(seconds: float) -> str:
    """About how long, in a unit that suits it."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    hours = seconds / 3600
    return f"about {hours:.1f} h" if hours < 10 else f"about {round(hours):,} h"


def _indexed(index_dir: str | None) -> int:
    from retrieval.catalog import Catalog
    from retrieval.errors import MmsearchError
    from retrieval.storage.index_dir import resolve_index_dir

    try:
        with Catalog.open(resolve_index_dir(index_dir).address) as catalog:
            return catalog.count_items()
    except MmsearchError:
        # The list is of models: an index that is missing or damaged is no hindrance.
        return 0
