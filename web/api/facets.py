"""What answers can be narrowed down by: values with their counts, months, places, tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from retrieval.catalog.facets import Facets, FacetValue
from retrieval.query import filters as f
from retrieval.query.parse import format_filter
from web.api.service_of import Serving
from web.asking import Id, filter_of
from web.safety.answers import JSONAnswer
from web.safety.errors import RefusedError
from web.service import Service

router = APIRouter(tags=["facets"])
FilterText = Annotated[str, Query(alias="filter", max_length=4000)]
Tag = Annotated[str, Field(min_length=1, max_length=200)]
_MOST = 200


@router.get("/facets")
def facets(service: Serving, only: FilterText = "") -> JSONAnswer:
    """How many pictures have which camera, year, folder and so on; `term` narrows down to them."""
    found = _facets(service, only)
    folders, types = found.folders_and_types()
    return JSONAnswer(
        {
            "total": found.total(),
            "camera": _records(found.of_items("camera"), f.Camera),
            "lens": _records(found.of_items("lens"), f.Lens),
            "year": _of_times(found.of_items("year")),
            "month": _of_times(found.of_items("month")),
            "folder": _records(folders, lambda value: f.Below(Path(value))),
            "tag": _records(found.tags(), f.Tagged),
            "rating": _records(found.of_items("rating"), lambda v: f.Rating(int(v), int(v))),
            "type": _records(types, f.FileType),
            "orientation": _records(found.of_items("orientation"), f.Shaped),  # type: ignore[arg-type]
            "undated": found.undated(),
            "unplaced": found.unplaced(),
        }
    )


@router.get("/timeline")
def timeline(service: Serving, only: FilterText = "") -> JSONAnswer:
    """How many pictures were taken in which month, the earliest first."""
    found = _facets(service, only)
    months = sorted(found.of_items("month"), key=lambda one: one.value)
    return JSONAnswer(
        {
            "months": [{"month": one.value, "count": one.count} for one in months],
            "undated": found.undated(),
        }
    )


@router.get("/places")
def places(
    service: Serving,
    only: FilterText = "",
    limit: Annotated[int, Query(ge=1, le=200_000)] = 20_000,
) -> JSONAnswer:
    """Where pictures were taken: id, latitude, longitude, in degrees."""
    found = _facets(service, only)
    return JSONAnswer(
        {
            "places": [list(one) for one in found.places(limit)],
            "total": found.total() - found.unplaced(),
        }
    )


class Tagging(BaseModel):
    """Tags to give to pictures, and to take from them."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Id] = Field(min_length=1, max_length=10_000)
    add: list[Tag] = Field([], max_length=50)
    remove: list[Tag] = Field([], max_length=50)


@router.post("/tags")
def change(service: Serving, tagging: Tagging) -> JSONAnswer:
    """Tag pictures in the index; their files stay as they are."""
    from indexer.hand_tags import change_tags

    try:
        changed = change_tags(
            tagging.ids,
            add=tagging.add,
            remove=tagging.remove,
            index_dir=service.location.folder,
        )
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return JSONAnswer({"changed": changed})


@router.get("/tags")
def tags(service: Serving) -> JSONAnswer:
    """All keywords, with how many pictures have them."""
    found = Facets(service.engine.catalog.raw_rows).tags()
    return JSONAnswer({"tags": [{"value": one.value, "count": one.count} for one in found]})


def _facets(service: Service, text: str) -> Facets:
    engine = service.engine
    only = filter_of(text)
    ids = None if only is None else engine.catalog.ids_matching(only)
    return Facets(engine.catalog.raw_rows, ids)


def _records(
    values: Sequence[FacetValue], as_filter: Callable[[str], f.Filter]
) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for one in values[:_MOST]:
        try:
            term = format_filter(as_filter(one.value))
        except ValueError:
            # A value of a file's own that no condition can name.
            continue
        records.append({"value": one.value, "count": one.count, "term": term})
    return records


def _of_times(values: Sequence[FacetValue]) -> list[dict[str, Any]]:
    return [{"value": v.value, "count": v.count, "term": f"taken:{v.value}"} for v in values]
