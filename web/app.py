"""The application: the API, the page, and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from web.api import (
    ask,
    facets,
    health,
    index,
    kept,
    layout,
    organise,
    pictures,
    programs,
    search,
)
from web.api import zip as archives
from web.api.service_of import Serving
from web.head import AnswerHead
from web.safety.errors import add_handlers, error_answer
from web.safety.guard import Guard, same, set_cookie
from web.safety.limits import LimitRequests
from web.service import Service
from web.settings import ServeSettings

PAGE = Path(__file__).parent / "page"

_login = APIRouter(tags=["login"])


class Shown(BaseModel):
    """The token that a person typed."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(max_length=1000)]


@_login.post("/login", status_code=204)
def login(service: Serving, shown: Shown) -> Response:
    """Set the cookie that shows the token from now on."""
    token = service.settings.token
    if token is not None and not same(shown.token, token):
        return error_answer(401, "unauthorized", "That is not the token.")
    answer = Response(status_code=204)
    if token is not None:
        set_cookie(answer, token)
    return answer


def create_app(settings: ServeSettings, service: Service | None = None) -> FastAPI:
    """The application over one index. `service` is made, and closed at the end, unless given."""
    held = service or Service(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        held.closing.set()
        await run_in_threadpool(held.close)

    app = FastAPI(
        title="mmsearch",
        version=version("mmsearch"),
        description="Find your pictures by what is in them.",
        openapi_url="/api/openapi.json",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = held
    for router in (
        _login,
        search.router,
        ask.router,
        programs.router,
        layout.router,
        pictures.router,
        facets.router,
        index.router,
        kept.router,
        organise.router,
        archives.router,
        health.metrics_router,
    ):
        app.include_router(router, prefix="/api")
    app.include_router(health.router)
    add_handlers(app)
    app.mount("/", _Page(directory=PAGE, html=True, check_dir=False), name="page")
    app.add_middleware(AnswerHead)
    app.add_middleware(LimitRequests, limits=settings.limits)
    app.add_middleware(Guard, settings=settings)
    # The last one added is the outermost.
    if held.metrics is not None:
        from web.metrics import MeasureRequests

        app.add_middleware(MeasureRequests, metrics=held.metrics)
    if settings.trace:
        from web.tracing import TraceRequests, tracer_provider

        app.add_middleware(TraceRequests, provider=tracer_provider())
    return app


class _Page(StaticFiles):
    """The page's files; a browser asks each time whether they have changed."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        answer = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        answer.headers["cache-control"] = "no-cache"
        if str(args[0]).endswith(".webmanifest"):
            answer.headers["content-type"] = "application/manifest+json"
        return answer
