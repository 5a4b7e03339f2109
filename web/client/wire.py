"""Questions as JSON for the service, and its errors as the exceptions that they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval import errors
from retrieval.images.files import read_file
from retrieval.paths import absolute
from retrieval.query.filters import And, Filter, Taken
from retrieval.query.parse import format_filter
from retrieval.query.query import Embedding, Query, Term
from retrieval.search.feedback import Feedback
from retrieval.search.hit import Hit
from retrieval.search.restrict import as_filter

if TYPE_CHECKING:
    from PIL.Image import Image

Upload = Callable[[bytes], str]


def question_record(query: Query, upload: Upload) -> dict[str, Any]:
    """What is asked; pictures are uploaded, and stand by the names that `upload` gives them."""
    record: dict[str, Any] = {"terms": _terms(query, upload)}
    if query.following:
        record["following"] = [_terms(step, upload) for step in query.following]
    return record


def _terms(query: Query, upload: Upload) -> list[dict[str, Any]]:
    return [
        *(_term(term, upload) for term in query.wanted),
        *(_term(term, upload) | {"wanted": False} for term in query.unwanted),
    ]


def condition_record(
    filter_: Filter | str | None,
    own: Filter | None,
    within: str | os.PathLike[str] | None,
    after: datetime | None,
    before: datetime | None,
) -> dict[str, Any]:
    """The conditions of a question, as one text; the folder by itself, since it has to be known."""
    parts = [as_filter(part) for part in (filter_, own) if part is not None]
    if after is not None or before is not None:
        parts.append(Taken(after, before))
    record: dict[str, Any] = {}
    if parts:
        record["filter"] = format_filter(parts[0] if len(parts) == 1 else And(tuple(parts)))
    if within is not None:
        record["within"] = str(absolute(within))
    return record


def feedback_record(feedback: Feedback | str | None) -> dict[str, Any]:
    """Which pictures are marked; by id where they are answers, else by path."""
    if feedback is None or isinstance(feedback, str):
        return {"feedback": feedback or "none"}
    return {
        "feedback": "none",
        "right": [picture_record(picture) for picture in feedback.right],
        "wrong": [picture_record(picture) for picture in feedback.wrong],
    }


def picture_record(picture: Hit | str | os.PathLike[str]) -> int | str:
    """An indexed picture, by its id or its path."""
    return picture.item_id if isinstance(picture, Hit) else str(absolute(picture))


def picture_bytes(picture: Path | Image) -> bytes:
    """The file of a picture, or an open one as a file. Raises ImageError."""
    if not isinstance(picture, Path):
        from retrieval.images.png import as_png

        return as_png(picture)
    try:
        return read_file(picture)
    except OSError as error:
        raise errors.ImageError(
            "unreadable", f"{picture} cannot be read ({error.strerror or error})."
        ) from error
    except errors.ImageError as error:
        raise errors.ImageError(error.kind, f"{picture} cannot be used: {error.reason}.") from error


def error_of(record: dict[str, Any], status: int) -> Exception:
    """The exception that an error of the service stands for."""
    told = record.get("error", {})
    code, text = str(told.get("code", "error")), str(told.get("message", f"HTTP status {status}."))
    kind = getattr(errors, str(told.get("kind", "")), None)
    if code == "arguments":
        return ValueError(text)
    if kind is errors.ImageError:
        return errors.ImageError(code, text)
    if kind is errors.DamagedCatalogError:
        return errors.DamagedCatalogError(text, text)
    if isinstance(kind, type) and issubclass(kind, errors.MmsearchError):
        return kind(text, code=code)
    return errors.MmsearchError(text, code=code)


def names_of(pictures: Sequence[Any]) -> list[int | str]:
    """Indexed pictures by their ids or paths. Raises TypeError for a single one."""
    if isinstance(pictures, str | os.PathLike | Hit):
        raise TypeError("Pictures are a list of hits or paths: put a single one in a list.")
    return [picture_record(picture) for picture in pictures]


def _term(term: Term, upload: Upload) -> dict[str, Any]:
    record: dict[str, Any] = {"weight": term.weight}
    if isinstance(term.value, str):
        return record | {"words": term.value}
    if isinstance(term.value, Embedding):
        return record | {"vector": term.value.vector[0].tolist()}
    return record | {"upload": upload(picture_bytes(term.value))}
