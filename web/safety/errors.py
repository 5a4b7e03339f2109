"""Errors as the service answers with them: a status, a code for programs, a sentence for people."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from retrieval import errors
from web.safety.answers import JSONAnswer

_LOG = logging.getLogger("mmsearch.web")
# The nearest class decides.
_STATUS: dict[type[errors.MmsearchError], int] = {
    errors.IndexMissingError: 503,
    errors.IndexBusyError: 409,
    errors.CatalogError: 503,
    errors.StorageError: 507,
    errors.VectorStoreError: 503,
    errors.EncoderMismatchError: 503,
    errors.ImageError: 415,
    errors.MmsearchError: 400,
}
# By an error's own code, before its class.
_STATUS_OF_CODE = {
    "not-found": 404,
    "not-indexed": 404,
    "no-search": 404,
    "changed": 404,
    "too-large": 413,
    "busy": 409,
    "forbidden": 403,
}


def add_handlers(app: FastAPI) -> None:
    """Let the app answer every error as JSON, `{"error": {"code", "message"}}`."""
    app.add_exception_handler(errors.MmsearchError, _of_mmsearch)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RefusedError, _of_arguments)
    app.add_exception_handler(Exception, _of_anything)


def error_answer(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONAnswer:
    """An error as an answer."""
    return JSONAnswer(
        {"error": {"code": code, "message": message}}, status_code=status, headers=headers
    )


class RefusedError(ValueError):
    """Arguments of a question that make no sense; the text is meant for a person."""


async def _of_mmsearch(_request: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, errors.MmsearchError)
    status = _STATUS_OF_CODE.get(error.code) or next(
        _STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS
    )
    told = {"code": error.code, "message": str(error), "kind": type(error).__name__}
    return JSONAnswer({"error": told}, status_code=status)


async def _of_validation(_request: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = dict(error.errors()[0])
    name = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return error_answer(422, "arguments", f"{name}: {first['msg']}.")


async def _of_http(_request: Request, error: Exception) -> JSONAnswer:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers) if error.headers else None
    return error_answer(
        error.status_code, phrase.lower().replace(" ", "-"), f"{error.detail}", headers
    )


async def _of_arguments(_request: Request, error: Exception) -> JSONAnswer:
    return error_answer(400, "arguments", str(error))


async def _of_anything(request: Request, error: Exception) -> JSONAnswer:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_answer(500, "internal", "Something went wrong here; the server's log says what.")
