"""A server counts what it answers, for Prometheus, and traces it, without what was asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

import web.tracing
from web.app import create_app
from web.settings import ServeSettings

ADDRESS = "http://127.0.0.1:8017"


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/api/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_what_they_are_for(web_index: Path) -> None:
    with TestClient(create_app(ServeSettings(web_index)), base_url=ADDRESS) as client:
        for word in ("cat", "rocket"):
            assert client.get("/api/search", params={"q": f"a secret {word}"}).status_code == 200
        client.get("/api/pictures/1")
        client.get("/api/pictures/2")
        client.get("/api/pictures/999999")
        client.get("/nothing/of/the/sort")
        assert client.get("/api/search", headers={"host": "evil.example"}).status_code == 421
        found = samples(client)
        text = client.get("/api/metrics").text
    assert found["mmsearch_requests_total", "/api/search", "200", "GET"] == 2
    assert found["mmsearch_requests_total", "/api/pictures/{item_id}", "200", "GET"] == 2
    assert found["mmsearch_requests_total", "/api/pictures/{item_id}", "404", "GET"] == 1
    assert found["mmsearch_requests_total", "421", "GET", "other"] == 1
    assert found["mmsearch_request_seconds_count", "/api/search", "GET"] == 2
    assert found["mmsearch_pictures",] > 10
    assert found["mmsearch_indexing",] == 0
    assert "secret" not in text


def test_each_request_is_a_span_within_its_callers(
    web_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = InMemorySpanExporter()
    real = web.tracing.tracer_provider

    def provider() -> object:
        made = real(kept)
        made.add_span_processor(SimpleSpanProcessor(kept))
        return made

    monkeypatch.setattr(web.tracing, "tracer_provider", provider)
    caller = "4bf92f3577b34da6a3ce929d0e0e4736"
    settings = ServeSettings(web_index, trace=True)
    with TestClient(create_app(settings), base_url=ADDRESS) as client:
        client.get(
            "/api/search",
            params={"q": "a secret cat"},
            headers={"traceparent": f"00-{caller}-00f067aa0ba902b7-01"},
        )
        (span,) = {one.context.span_id: one for one in kept.get_finished_spans()}.values()
    assert span.name == "GET /api/search"
    assert f"{span.context.trace_id:032x}" == caller
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200
    assert "secret" not in span.to_json()
