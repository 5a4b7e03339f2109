"""A span of OpenTelemetry for each request, with the extra `tracing`.

Where spans go is set as OpenTelemetry sets it, by `OTEL_EXPORTER_OTLP_ENDPOINT` and its like. They
carry what an address is for and the status, never what was asked.
"""

from __future__ import annotations

from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.routes import route_of


def tracer_provider(exporter: SpanExporter | None = None) -> TracerProvider:
    """What makes spans and sends them, over HTTP unless an exporter is given."""
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    # What the environment names counts before this.
    provider = TracerProvider(resource=Resource.create({"service.name": "mmsearch"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class TraceRequests:
    """Middleware that makes a span of each request, inside of its caller's where that says so."""

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._provider = provider
        self._tracer = provider.get_tracer("mmsearch.web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on within its span; at the server's end, send what is left."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                self._provider.shutdown()
            return
        parent = extract(dict(Headers(scope=scope)))
        with self._tracer.start_as_current_span(
            scope["method"], context=parent, kind=SpanKind.SERVER
        ) as span:

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await self._app(scope, receive, noting)
            route = route_of(scope)
            span.update_name(f"{scope['method']} {route}")
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("http.route", route)
