"""The tools of `mmsearch mcp`, called by the protocol's own client."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from PIL import Image

Visit = Callable[[Client], Awaitable[None]]
ENVIRONMENT = {
    name: os.environ[name]
    for name in ("PATH", "PYTHONPATH", "HOME", "MMSEARCH_CACHE_DIR")
    if name in os.environ
}


def _command(index: Path, *more: str) -> list[str]:
    return ["-m", "mmsearch", "--index-dir", str(index), "mcp", *more]


@pytest.fixture(scope="module")
def http_address(web_index: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *_command(web_index, "--http", str(port))], env=ENVIRONMENT
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["stdio", "http"])
def visit(request: pytest.FixtureRequest, web_index: Path) -> Callable[[Visit], None]:
    def over(do: Visit) -> None:
        async def talk() -> None:
            server: Any = (
                StdioServerParameters(
                    command=sys.executable, args=_command(web_index), env=ENVIRONMENT
                )
                if request.param == "stdio"
                else request.getfixturevalue("http_address")
            )
            async with Client(server) as client:
                await do(client)

        if request.param == "http":
            request.getfixturevalue("http_address")
        asyncio.run(talk())

    return over


def _told(result: Any) -> Any:
    assert not result.is_error, result.content
    if result.structured_content is not None:
        told = result.structured_content
        return told.get("result", told)
    return json.loads(result.content[0].text)


def test_an_assistant_finds_looks_and_is_told_why(visit: Callable[[Visit], None]) -> None:
    async def do(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {
            "search", "similar", "ask", "explain", "get_picture", "status",
        }  # fmt: skip
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        hits = _told(await client.call_tool("search", {"question": "a cat", "count": 3}))
        assert Path(hits[0]["path"]).stem == "chelsea"
        cat = hits[0]["id"]
        like = _told(await client.call_tool("similar", {"picture": cat, "count": 2}))
        assert len(like) == 2 and cat not in [hit["id"] for hit in like]
        where = _told(await client.call_tool("explain", {"picture": cat, "question": "a cat"}))
        assert list(where) == ["cat"]
        asked = {"question": "is there a cat?", "pictures": [cat, like[0]["id"]]}
        answers = _told(await client.call_tool("ask", asked))
        assert answers[str(cat)] == "yes" and len(answers) == 2
        seen = await client.call_tool("get_picture", {"picture": cat, "longest_side": 128})
        image = Image.open(io.BytesIO(base64.b64decode(seen.content[0].data)))  # type: ignore[union-attr]
        assert max(image.size) == 128 and not image.getexif()
        assert _told(await client.call_tool("status", {}))["pictures"] > 10

    visit(do)


def test_what_makes_no_sense_is_told_as_an_error(visit: Callable[[Visit], None]) -> None:
    async def do(client: Client) -> None:
        for tool, arguments in (
            ("search", {"question": "a cat rating:many"}),
            ("search", {"question": "a cat", "count": 0}),
            ("get_picture", {"picture": 99999}),
            ("similar", {"picture": -1}),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error, (tool, arguments)

    visit(do)


def test_tags_are_given_only_where_that_is_allowed(tmp_path: Path, web_index: Path) -> None:
    index = Path(shutil.copytree(web_index, tmp_path / "index"))

    async def tagged(*more: str) -> list[str]:
        args = _command(index, *more)
        async with Client(
            StdioServerParameters(command=sys.executable, args=args, env=ENVIRONMENT)
        ) as client:
            arguments = {"pictures": [1], "add": ["kept"], "remove": []}
            result = await client.call_tool("tag", arguments)
            assert result.is_error is (not more)
            found = _told(await client.call_tool("search", {"question": "tag:kept"}))
            return [hit["id"] for hit in found]

    assert asyncio.run(tagged()) == []
    assert asyncio.run(tagged("--allow-tagging")) == [1]
