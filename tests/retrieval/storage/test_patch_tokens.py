"""The cache of patch tokens: what is put in comes out, and no damage is anyone's trouble."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.storage.patch_tokens import PatchTokenStore

FINGERPRINT = "made by one encoder"


def _tokens(count: int, seed: int = 0, patches: int = 81, dim: int = 192) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, size=(count, patches, dim)).astype(np.int8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.sqlite"


def test_tokens_come_back_as_they_were_put(path: Path) -> None:
    tokens = _tokens(3)
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        cache.put([5, 1, 9], tokens)
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        found = cache.get([9, 5, 77])
        assert len(cache) == 3
    assert set(found) == {5, 9}
    assert found[5].dtype == np.int8
    assert np.array_equal(found[5], tokens[0])
    assert np.array_equal(found[9], tokens[2])


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "remove", "copy"]), st.integers(1, 6), st.integers(1, 6)),
        max_size=20,
    )
)
def test_the_cache_holds_what_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    expected: dict[int, np.ndarray] = {}
    path = tmp_path_factory.mktemp("cache") / "tokens.sqlite"
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        for seed, (step, one, other) in enumerate(steps):
            if step == "put":
                tokens = _tokens(1, seed, patches=2, dim=3)
                cache.put([one], tokens)
                expected[one] = tokens[0]
            elif step == "remove":
                cache.remove([one, other])
                expected = {id_: own for id_, own in expected.items() if id_ not in (one, other)}
            else:
                cache.copy(one, other)
                if one in expected:
                    expected[other] = expected[one]
        found = cache.get(range(1, 7))
    assert set(found) == set(expected)
    assert all(np.array_equal(found[id_], expected[id_]) for id_ in expected)


def test_more_pictures_than_a_statement_takes_are_found(path: Path) -> None:
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        cache.put(range(1200), _tokens(1200, patches=1, dim=2))
        assert len(cache.get(range(1200))) == 1200


def test_tokens_of_another_encoder_are_dropped(path: Path) -> None:
    with PatchTokenStore.open(path, "the encoder before") as cache:
        cache.put([1], _tokens(1))
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        assert len(cache) == 0


@pytest.mark.parametrize(
    "wreck", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 99]
)
def test_a_damaged_file_is_begun_anew_with_one_line(
    path: Path, wreck: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(wreck)
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        cache.put([1], _tokens(1))
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        assert len(cache) == 1
    assert [record.message for record in caplog.records] == [
        "The cache of patch tokens is damaged: beginning it anew."
    ]


def test_damage_inside_the_file_costs_the_tokens_and_nothing_else(path: Path) -> None:
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        cache.put(range(200), _tokens(200))
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        assert cache.get([150]) == {}
        cache.put([150], _tokens(1))
        assert set(cache.get([150])) == {150}


def test_who_only_asks_reads_what_is_left_of_a_damaged_file_and_leaves_it(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = _tokens(200)
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        cache.put(range(200), tokens)
    data = bytearray(path.read_bytes())
    half = len(data) // 2 // 4096 * 4096
    data[half : half + 2**16] = b"\xa5" * 2**16
    path.write_bytes(data)
    for _ in range(2):
        with PatchTokenStore.open(path, FINGERPRINT, begins_anew=False) as cache:
            found = cache.get(range(200))
        assert 0 < len(found) < 200
        assert all(np.array_equal(own, tokens[id_]) for id_, own in found.items())
    assert path.read_bytes() == data
    assert {record.message for record in caplog.records} == {
        "The cache of patch tokens is damaged: to mend the index makes them again."
    }
    path.write_bytes(b"damaged" * 1000)
    with PatchTokenStore.open(path, FINGERPRINT, begins_anew=False) as cache:
        assert cache.get([1]) == {}
    assert path.read_bytes() == b"damaged" * 1000


def test_a_database_of_something_else_is_begun_anew(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE tokens (word TEXT)")
    other.close()
    with PatchTokenStore.open(path, FINGERPRINT) as cache:
        cache.put([1], _tokens(1))
        cache.put([1], _tokens(1))
        assert set(cache.get([1])) == {1}


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    with PatchTokenStore.open(tmp_path / "missing" / "tokens.sqlite", FINGERPRINT) as cache:
        cache.put([1], _tokens(1))
        assert set(cache.get([1])) == {1}
    assert not (tmp_path / "missing").exists()


def test_a_picture_takes_no_more_than_sixteen_kibibytes(path: Path) -> None:
    with (
        PatchTokenStore.open(path, FINGERPRINT) as cache,
        pytest.raises(ValueError, match="16384 bytes"),
    ):
        cache.put([1], _tokens(1, patches=82, dim=200))


def test_threads_read_while_another_writes(path: Path) -> None:
    tokens = _tokens(1)
    seen: list[bool] = []
    with (
        PatchTokenStore.open(path, FINGERPRINT) as writer,
        PatchTokenStore.open(path, FINGERPRINT) as reader,
    ):
        writer.put([0], tokens)

        def read() -> None:
            for _ in range(50):
                seen.append(np.array_equal(reader.get([0])[0], tokens[0]))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(1, 50):
            writer.put([number], tokens)
        for thread in threads:
            thread.join()
        assert len(reader) == 50
    assert len(seen) == 200
    assert all(seen)
