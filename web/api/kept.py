"""What people keep in an index beside pictures: saved searches, and marks of right and wrong."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from retrieval.arguments import has_words
from retrieval.catalog.records import SavedSearch
from retrieval.query.parse import parse
from web.api.service_of import Serving
from web.asking import Asked, Id, hit_of
from web.safety.answers import JSONAnswer
from web.safety.errors import RefusedError

router = APIRouter(tags=["kept"])
Name = Annotated[str, Path(min_length=1, max_length=200)]
# A question's options as they are named here, and as the command line names what it saves.
_NAMES = {
    "filter": "filter_text",
    "k": "limit",
    "not": "unwanted",
    **{
        name: name
        for name in (
            "offset", "rerank", "candidates", "fusion", "match", "relevant", "fold", "min_score",
            "after", "before", "within",
        )
    },
}  # fmt: skip


class Mark(BaseModel):
    """A picture that is right or wrong for a question in words."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(min_length=1, max_length=2000)]
    id: Id
    good: bool


class Unmark(BaseModel):
    """A question whose marks are to be forgotten."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(min_length=1, max_length=2000)]


@router.get("/saved")
def saved(service: Serving) -> JSONAnswer:
    """All saved searches, by name; those of the command line as well."""
    found = service.engine.catalog.saved_searches()
    return JSONAnswer({"saved": [saved_record(search) for search in found]})


@router.put("/saved/{name}", status_code=204)
def save(service: Serving, name: Name, asked: Asked) -> Response:
    """Keep a question under a name; the command line knows it, too."""
    from indexer.saved import save_search

    if asked.like or asked.not_like or asked.upload or asked.right or asked.wrong:
        raise RefusedError("A question with pictures cannot be saved.")
    told = asked.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    options = {own: told[here] for here, own in _NAMES.items() if here in told}
    if told.get("diverse") not in (None, False):
        options["diverse"] = True
        if not isinstance(told["diverse"], bool):
            options["balance"] = told["diverse"]
    try:
        save_search(name, asked.q, options, service.location.folder, replace=True)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return Response(status_code=204)


@router.delete("/saved/{name}", status_code=204)
def forget(service: Serving, name: Name) -> Response:
    """Forget the search of that name."""
    from indexer.saved import remove_saved_search

    remove_saved_search(name, service.location.folder)
    return Response(status_code=204)


@router.get("/feedback")
def marks(service: Serving, q: Annotated[str, Query(max_length=2000)]) -> JSONAnswer:
    """The ids of pictures that are marked as right and as wrong for a question."""
    found = service.engine.kept_marks(q) if has_words(q) else None
    right, wrong = (found.right, found.wrong) if found else ((), ())
    return JSONAnswer({"right": list(right), "wrong": list(wrong)})


@router.post("/feedback", status_code=204)
def mark(service: Serving, marked: Mark) -> Response:
    """Keep that a picture is right or wrong for a question, which is moved by it from then on."""
    from indexer.feedback import keep_feedback

    path = hit_of(service.engine, marked.id).path
    right, wrong = ([path], []) if marked.good else ([], [path])
    try:
        keep_feedback(_words(marked.q), right=right, wrong=wrong, index_dir=service.location.folder)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return Response(status_code=204)


@router.delete("/feedback", status_code=204)
def unmark(service: Serving, question: Unmark) -> Response:
    """Forget all marks of a question."""
    from indexer.feedback import forget_feedback

    try:
        forget_feedback(_words(question.q), service.location.folder)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    return Response(status_code=204)


def saved_record(search: SavedSearch) -> dict[str, Any]:
    """A saved search with its options as `/api/search` takes them; `others` it cannot take."""
    here = {own: name for name, own in _NAMES.items()}
    options = {here[name]: value for name, value in search.options.items() if name in here}
    return {
        "name": search.name,
        "q": search.question,
        "saved_at": search.saved_at,
        "options": options,
        "others": sorted(name for name in search.options if name not in here),
    }


def _words(text: str) -> str:
    words = parse(text).words
    if not words:
        raise RefusedError("Marks are kept for a question in words.")
    return words
