"""What a page needs to lay out all pictures before it has seen one: their ids and shapes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from retrieval.catalog.arrangement import newest_first
from retrieval.query.parse import parse
from web.api.service_of import Serving
from web.asking import hits_of, joined
from web.records import with_addresses
from web.safety.answers import JSONAnswer
from web.safety.errors import RefusedError

router = APIRouter(tags=["layout"])
_MOST = 500


@router.get("/layout")
def layout(
    service: Serving,
    q: Annotated[str, Query(max_length=2000, description="Conditions, and no words.")] = "",
    only: Annotated[str, Query(alias="filter", max_length=4000)] = "",
) -> Response:
    """All pictures that fit, the newest first: `ids`, `shapes` (hundredths of width by height).

    `months` counts those that follow one another in a month; null stands for no known time. What
    else is known of them, `/api/pictures` says.
    """
    asked = parse(q)
    if asked.words:
        raise RefusedError("What is asked in words has no order of its own: search for it.")
    chosen = joined(asked.filter, only)
    catalog = service.engine.catalog

    def arranged() -> bytes:
        ids = None if chosen is None else catalog.ids_matching(chosen)
        found = newest_first(catalog.raw_rows, ids)
        answer = {"ids": found.ids, "shapes": found.shapes, "months": found.months}
        return bytes(JSONAnswer(answer).body)

    body = service.arrangements.of(catalog.generation, chosen, arranged)
    return Response(body, media_type=JSONAnswer.media_type)


@router.get("/pictures")
def pictures(
    service: Serving,
    ids: Annotated[str, Query(max_length=10_000, pattern=r"^[0-9]{1,19}(,[0-9]{1,19})*$")],
) -> JSONAnswer:
    """What is known of several pictures, up to 500: numbers with commas between them.

    In their order; those that are not indexed are left out.
    """
    wanted = [int(one) for one in ids.split(",")]
    if len(wanted) > _MOST:
        raise RefusedError(f"At most {_MOST} pictures at once.")
    engine = service.engine
    return JSONAnswer({"hits": with_addresses(engine, hits_of(engine, wanted))})
