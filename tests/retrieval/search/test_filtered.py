"""A filtered question answers from what fits, as the same question would without the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from indexer import index_folders
from retrieval.errors import QueryError
from retrieval.query.filters import FileType, Name, Shaped
from retrieval.search.engine import SearchEngine
from tests.indexer.test_metadata import write_picture
from tests.support.program import mmsearch
from tests.support.small_encoder import ColorEncoder


def test_the_same_scores_as_without_the_rest(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        everything = {hit.path: hit.score for hit in engine.search("a temple", k=100, rerank="off")}
        for filter_ in (FileType("jpg"), ~FileType("jpg"), Shaped("square"), "-type:jpg"):
            hits = engine.search("a temple", k=100, filter=filter_, rerank="off")
            assert hits and len(hits) < len(everything)
            assert all(hit.score == pytest.approx(everything[hit.path], abs=1e-4) for hit in hits)
        assert {hit.path.suffix for hit in engine.search("a cat", filter="type:jpg")} == {".jpg"}
        assert engine.search("a cat", filter=Name("nothing*")) == []
        many = engine.search_many(["a cat", "a rocket"], filter="type:jpg", k=3)
        assert many[1] == engine.search("a rocket", filter="type:jpg", k=3)


def test_what_is_no_filter_is_an_error(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        with pytest.raises(QueryError, match="did you mean 'camera'"):
            engine.search("a cat", filter="camra:X100")
        with pytest.raises(TypeError, match="filter is a condition"):
            engine.search("a cat", filter=7)  # type: ignore[arg-type]


def test_conditions_alone_list_the_newest_first(tmp_path: Path) -> None:
    from PIL import Image

    library = tmp_path / "library"
    write_picture(library / "dated.jpg")
    for number in range(3):
        Image.effect_noise((16, 16), 50).save(library / f"{number}.png")
    index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    with SearchEngine.open(tmp_path / "index", encoder=ColorEncoder()) as engine:
        hits = engine.browse("type:jpg or type:png", k=10)
        assert hits[0].path.name == "dated.jpg"
        assert [hit.rank for hit in hits] == [1, 2, 3, 4]
        rest = engine.browse("type:jpg or type:png", k=2, offset=1)
        assert rest == hits[1:3]
        # A picture that comes is found by the next question.
        write_picture(library / "later.jpg")
        index_folders([library], tmp_path / "index", encoder=ColorEncoder())
        assert len(engine.browse("type:jpg", k=10)) == 2


def test_a_filtered_question_needs_no_sqlalchemy(photo_index: Path) -> None:
    code = (
        "import sys; from retrieval import SearchEngine\n"
        f"with SearchEngine.open({str(photo_index)!r}) as engine:\n"
        "    assert engine.search('a cat', k=3, filter='is:landscape taken:2021 or type:png')\n"
        "    assert engine.count_undated()\n"
        "print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not {"sqlalchemy", "PIL", "torch", "dateutil"} & set(found.stdout.split())


def names(*arguments: str, index_dir: Path) -> list[str]:
    done = mmsearch("query", *arguments, "--json", index_dir=index_dir)
    assert done.returncode == 0, done.stderr
    return [Path(hit["path"]).name for hit in json.loads(done.stdout)]


def test_the_command_understands_conditions_among_the_words(photo_index: Path) -> None:
    found = names("a", "cat", "-type:jpg", "-name:chelsea*", index_dir=photo_index)
    assert found and "chelsea.png" not in found
    assert not any(name.endswith(".jpg") for name in found)
    assert names("a cat", "--filter", "type:jpg or is:square", index_dir=photo_index)
    only = names("type:jpg", "-(is:square or is:portrait)", "-k", "100", index_dir=photo_index)
    assert only and all(name.endswith(".jpg") for name in only)
    plain = mmsearch("query", "taken:2021", index_dir=photo_index)
    assert "no known date" in plain.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a cat camra:X100"], "did you mean 'camera'"),
        (["a cat", "--filter", "dog"], "is no condition"),
        (["rating:9"], "character 1"),
        (["taken:soonish"], "is no time"),
    ],
)
def test_the_command_refuses_a_condition_in_one_sentence(
    photo_index: Path, arguments: list[str], says: str
) -> None:
    done = mmsearch("query", *arguments, index_dir=photo_index)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
