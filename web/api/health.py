"""Whether the server is alive and has an index to answer from; asked without a token."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response

from retrieval.errors import MmsearchError
from web.api.service_of import Serving
from web.safety.answers import JSONAnswer

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive(service: Serving) -> JSONAnswer:
    """Which server this is: `instance` is another after each start."""
    return JSONAnswer({"instance": service.instance, "version": version("mmsearch")})


@router.get("/readyz", responses={503: {"description": "There is no index yet."}})
def ready(service: Serving) -> JSONAnswer:
    """200 once questions can be answered, 503 until then."""
    try:
        engine = service.engine
        engine.embed_texts(["a picture"])
    except MmsearchError as error:
        return JSONAnswer({"ready": False, "why": error.code}, status_code=503)
    return JSONAnswer({"ready": True})


metrics_router = APIRouter(tags=["health"])


@metrics_router.get("/metrics", responses={404: {"description": "The extra is not there."}})
def metrics(service: Serving) -> Response:
    """What is counted, in the text format of Prometheus."""
    if service.metrics is None:
        raise MmsearchError(
            'Metrics need the package prometheus_client: run `pip install "mmsearch[metrics]"`.',
            code="not-found",
        )
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
