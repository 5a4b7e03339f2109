"""Addresses of vector stores, whose secrets are neither kept nor shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import VectorStoreError
from retrieval.vectors.address import MILVUS, PASSWORD_VARIABLE, PGVECTOR, StoreAddress
from retrieval.vectors.choice import StoreChoice
from retrieval.vectors.registry import open_vector_store, reach_store


def test_a_file_and_servers_are_told_apart() -> None:
    file = StoreAddress.parse("milvus:///photos/vectors.db")
    assert (file.scheme, file.file) == (MILVUS, Path("/photos/vectors.db"))
    server = StoreAddress.parse("milvus://ann@store.example/pictures?secure=true")
    assert (server.file, server.user, server.database) == (None, "ann", "pictures")
    assert server.http_url == "https://store.example:19530"
    assert StoreAddress.parse("milvus://[::1]:7000").http_url == "http://[::1]:7000"
    postgres = StoreAddress.parse("postgres://ann@store.example:5433/pictures?sslmode=require")
    assert postgres.scheme == PGVECTOR
    assert str(postgres) == ("postgresql+psycopg://ann@store.example:5433/pictures?sslmode=require")
    assert postgres.postgres_url == ("postgresql://ann@store.example:5433/pictures?sslmode=require")


@pytest.mark.parametrize(
    "address",
    ["", "faiss2", "milvus://", "http://host", "milvus://ann:xyzzy@host:port", "milvus:///xyzzy"],
)
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(VectorStoreError) as refused:
        StoreAddress.parse(address)
    assert refused.value.code == "vector-store-address"
    assert "xyzzy" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "milvus://ann:x%2Fyzzy@host:19530/pictures",
        "milvus://ann@host:19530/pictures?token=x/yzzy",
        "postgresql+psycopg://ann:x%2Fyzzy@host/pictures",
        "postgresql://ann@host/pictures?password=x/yzzy",
    ],
)
def test_a_password_is_known_to_this_process_and_stands_nowhere(address: str) -> None:
    found = StoreAddress.parse(address)
    assert found.secret == "x/yzzy"
    again = StoreAddress.parse(found.text)
    assert again.secret == "x/yzzy"
    for shown in (str(found), repr(found), found.text, found.postgres_url, found.http_url):
        assert "yzzy" not in shown
    assert "yzzy" not in StoreChoice.at(found.text).text


def test_a_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "from outside")
    assert StoreAddress.parse("milvus://bob@host.example").secret == "from outside"


def test_a_store_that_is_not_there_is_told_with_its_address_and_no_password(
    tmp_path: Path,
) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("psycopg_pool")
    for address in (
        f"milvus://{tmp_path}/nowhere/vectors.db",
        "postgresql://ann:xyzzy@127.0.0.1:1/pictures",
    ):
        with pytest.raises(VectorStoreError) as refused:
            reach_store(address)
        assert refused.value.code == "vector-store"
        assert "xyzzy" not in str(refused.value) + repr(refused.value.facts)
        assert refused.value.__cause__ is None


def test_a_client_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymilvus", None)
    monkeypatch.delitem(
        __import__("sys").modules, "retrieval.vectors.database.milvus", raising=False
    )
    with pytest.raises(VectorStoreError, match=r"pip install 'mmsearch\[milvus\]'"):
        open_vector_store("milvus:///photos/vectors.db", tmp_path)


@given(st.text(max_size=20) | st.sampled_from(['{"stamps": 3}', "[]", '{"address": null}', "1"]))
def test_a_choice_that_cannot_be_read_is_faiss_files(text: str) -> None:
    StoreChoice.of(text)
    chosen = StoreChoice.at("milvus://host").stamped(None).stamped("a")
    assert StoreChoice.of(chosen.text) == chosen
