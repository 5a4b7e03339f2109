"""Several servers answer as one index would; where one is away, the rest do, and it is said."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from indexer import index_folders
from mmsearch import EncoderMismatchError, MmsearchError, SearchEngine, ShardedClient, parse_filter
from tests.web.conftest import serving
from web.settings import ServeSettings


@pytest.fixture(scope="module")
def shards(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Three servers with a third of the photographs each, by their names."""
    root = tmp_path_factory.mktemp("shards")
    with ExitStack() as stack:
        addresses = {}
        for number in range(3):
            part = root / f"part {number}"
            part.mkdir()
            for path in sorted(photos.iterdir())[number::3]:
                shutil.copy2(path, part)
            index_folders([part], root / f"index {number}")
            settings = ServeSettings(root / f"index {number}")
            addresses[f"s{number}"] = stack.enter_context(serving(settings))
        yield addresses


def test_answers_are_those_of_one_index(shards: dict[str, str], photo_index: Path) -> None:
    with ShardedClient(shards) as several, SearchEngine.open(photo_index) as one:
        for question in ("a cat", "a rocket", "a cup of coffee"):
            expected = one.search(question, 12, rerank="off", match="pictures")
            found = several.search(question, 12, match="pictures")
            assert [hit.path.name for hit in found] == [hit.path.name for hit in expected]
            assert [hit.score for hit in found] == pytest.approx([h.score for h in expected])
            assert found.missing == () and {hit.shard for hit in found} <= set(shards)
            page = several.search(question, 5, offset=4, match="pictures")
            assert [(hit.rank, hit.path) for hit in page] == [
                (hit.rank, hit.path) for hit in found[4:9]
            ]
        assert {hit.shard for hit in several.search("a cat", 12)} == set(shards)
        newest = several.browse(parse_filter("after:1990"), 5)
        assert [hit.path.name for hit in newest] == [
            hit.path.name for hit in one.browse(parse_filter("after:1990"), 5)
        ]
        assert several.count_undated() == one.count_undated()
        everything = list(several.iter_hits("a cat", page=4))
        assert len(everything) == len({hit.path for hit in everything}) == 17 + 1


def test_an_answer_is_compared_and_explained_by_its_own_server(
    shards: dict[str, str], photo_index: Path
) -> None:
    with ShardedClient(shards) as several, SearchEngine.open(photo_index) as one:
        cat = several.search("a cat", 1)[0]
        mine = one.search("a cat", 1, rerank="off")[0]
        near = several.similar(cat, 5)
        assert [hit.path.name for hit in near] == [h.path.name for h in one.similar(mine, 5)]
        assert several.explain(cat) is not None
        assert np.allclose(several.vectors_of([cat]), one.vectors_of([mine]), atol=1e-3)
        with pytest.raises(ValueError, match="of none of these servers"):
            several.explain(mine)


def test_a_server_that_is_away_is_missing_and_the_rest_answers(shards: dict[str, str]) -> None:
    gone = "http://127.0.0.1:9"
    with ShardedClient(shards | {"s1": gone}, patience_s=5) as several:
        found = several.search("a cat", 12)
        assert found.missing == ("s1",)
        assert {hit.shard for hit in found} == {"s0", "s2"}
        assert several.status()["s1"] is None
    with ShardedClient([gone]) as nobody, pytest.raises(MmsearchError, match="None of") as caught:
        nobody.search("a cat")
    assert caught.value.code == "no-server"


def test_a_server_that_hangs_is_not_waited_for(shards: dict[str, str]) -> None:
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        ShardedClient(
            shards | {"s1": f"http://127.0.0.1:{silent.getsockname()[1]}"}, patience_s=3
        ) as several,
    ):
        assert several.search("a cat", 3).missing == ("s1",)


def test_servers_of_two_models_are_not_mixed(
    shards: dict[str, str], photo_index: Path, tmp_path: Path
) -> None:
    shutil.copytree(photo_index, tmp_path / "index")
    with closing(sqlite3.connect(tmp_path / "index" / "catalog.sqlite")) as catalog:
        catalog.execute("UPDATE spaces SET fingerprint = 'f0'")
        catalog.commit()
    with (
        serving(ServeSettings(tmp_path / "index")) as other,
        ShardedClient({**shards, "other": other}) as several,
        pytest.raises(EncoderMismatchError, match="do not compare"),
    ):
        several.search("a cat")


def test_what_a_server_says_of_a_question_reaches_the_caller(shards: dict[str, str]) -> None:
    with ShardedClient(shards) as several:
        with pytest.raises(MmsearchError):
            several.search("a cat", rerank="no such reranker")
        with pytest.raises(ValueError, match="beyond"):
            several.search("a cat", 400, offset=200)
    with pytest.raises(ValueError, match="At least one"):
        ShardedClient([])
