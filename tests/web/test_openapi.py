"""Requests made up from the service's own description never find an error of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings

from indexer import index_folders
from web.app import create_app
from web.settings import Limits, ServeSettings

# Streams do not end by themselves; the others reach for the disk and the screen of whoever runs
# the tests.
LEFT_OUT = ("/api/events", "/api/indexing", "/api/pictures/{item_id}/reveal", "/api/eval")
EXAMPLES = 6


def test_no_request_of_the_description_fails(photos: Path, tmp_path: Path) -> None:
    index_folders([photos / "chelsea.png", photos / "coffee.png"], tmp_path / "index")
    limits = Limits(requests_a_s=1e6, burst=10**6)
    app = create_app(ServeSettings(tmp_path / "index", limits=limits))
    described = schemathesis.openapi.from_dict(app.openapi())
    asked: set[str] = set()
    with TestClient(app, base_url="http://127.0.0.1:8017", raise_server_exceptions=False) as client:
        for found in described.get_all_operations():
            operation = found.ok()
            if operation.path in LEFT_OUT:
                continue

            @given(case=operation.as_strategy())
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def ask(case: Any) -> None:
                request = case.as_transport_kwargs(base_url="http://127.0.0.1:8017")
                request.pop("cookies", None)
                answer = client.request(**request)
                assert answer.status_code < 500, answer.text
                asked.add(case.operation.label)

            ask()
    assert len(asked) >= 20
