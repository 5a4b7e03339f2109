import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.pipeline.diff import ScanDiff, compare
from indexer.pipeline.scan import Scan, ScannedFile
from retrieval.catalog import KnownFile

# "-" and "." sort before the "/" between folder and file, "0" and "é" after it, and the last two
# are bytes that are no text.
_names = st.text("a-.0é\udce9\udcff", min_size=1, max_size=3).map(lambda name: f"x{name}")
_paths = st.tuples(st.lists(_names, max_size=3), _names).map(
    lambda parts: "/".join([*parts[0], f"{parts[1]}.jpg"])
)
_States = st.dictionaries(_paths, st.integers(1, 3), max_size=12)


def _write(root: Path, sizes: dict[str, int]) -> dict[str, ScannedFile]:
    """Files of these sizes, save where one would have to lie in another; as they are then."""
    for path, size in sizes.items():
        place = root / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"x" * size)
        except OSError:
            continue
        os.utime(place, ns=(0, size))
    return {
        path: ScannedFile(path, size, size)
        for path, size in sizes.items()
        if (root / path).is_file()
    }


def _known(sizes: dict[str, int]) -> dict[str, KnownFile]:
    """As if the catalogue had indexed the even sizes and failed with the odd ones."""
    return {
        path: KnownFile(
            size, size, number if size % 2 == 0 else None, None if size % 2 == 0 else "damaged"
        )
        for number, (path, size) in enumerate(sizes.items())
    }


def _in_order(known: dict[str, KnownFile]) -> list[tuple[str, KnownFile]]:
    return sorted(known.items(), key=lambda one: os.fsencode(one[0]))


@settings(max_examples=150, deadline=None)
@given(_States)
def test_files_come_in_the_order_of_their_paths_bytes(sizes: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        there = _write(Path(folder), sizes)
        found = Scan(Path(folder))
        assert list(found) == [there[path] for path in sorted(there, key=os.fsencode)]
        assert not found.failures
        assert found.is_empty == (not any(Path(folder).iterdir()))


@settings(max_examples=150, deadline=None)
@given(_States, _States, st.data())
def test_a_comparison_tells_what_two_lists_would(
    now: dict[str, int], before: dict[str, int], data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(sorted(now)), unique=True)) if now else []
    known = _known(before | {path: now[path] for path in kept})
    with tempfile.TemporaryDirectory() as folder:
        there = _write(Path(folder), now)
        differences = compare(Scan(Path(folder)), _in_order(known))
    as_known = {
        path
        for path, file in there.items()
        if path in known and file[1:] == (known[path].size_bytes, known[path].mtime_ns)
    }
    gone = known.keys() - there.keys()
    assert {file.path for file in differences.to_read} == there.keys() - as_known
    assert differences.vanished == {
        path: id_ for path in gone if (id_ := known[path].file_id) is not None
    }
    assert set(differences.mended) == {path for path in gone if known[path].failure_kind}
    assert differences.unchanged == sum(known[path].file_id is not None for path in as_known)
    assert differences.still_failing == len(as_known) - differences.unchanged
    assert differences.known == {path: known[path] for path in known.keys() - as_known}


def test_what_lies_behind_a_link_is_known_wherever_the_link_sorts(tmp_path: Path) -> None:
    for place in ("shelf/b.jpg", "photos/a.jpg", "photos/z.jpg"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"x")
        os.utime(tmp_path / place, ns=(0, 1))
    (tmp_path / "photos" / "m").symlink_to(tmp_path / "shelf")
    known = {
        name: KnownFile(1, 1, number) for number, name in enumerate(("a.jpg", "m/b.jpg", "z.jpg"))
    }
    seen = compare(Scan(tmp_path / "photos"), _in_order(known))
    assert seen == ScanDiff(unchanged=3)


def test_the_catalogue_is_asked_before_the_folder_is(tmp_path: Path) -> None:
    """Else a file that others add in between would look as if it were gone."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    os.utime(tmp_path / "a.jpg", ns=(0, 1))

    def known() -> Iterator[tuple[str, KnownFile]]:
        (tmp_path / "b.jpg").write_bytes(b"x")
        yield "a.jpg", KnownFile(1, 1, 1)

    assert [file.path for file in compare(Scan(tmp_path), known()).to_read] == ["b.jpg"]


def test_what_an_unreadable_folder_hides_is_not_gone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    known = {"a/loop/x.jpg": KnownFile(1, 1, 1), "b.jpg": KnownFile(1, 1, 2)}
    found = Scan(tmp_path)
    seen = compare(found, _in_order(known))
    assert {path: failure.kind for path, failure in found.failures.items()} == {"a/loop": "loop"}
    assert seen.vanished == {"b.jpg": 2}
    assert seen.known == known
