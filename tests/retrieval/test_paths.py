from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.paths import absolute, expanded, show_path


def test_a_tilde_is_the_home_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert expanded("~/photos") == tmp_path / "photos"
    assert absolute("~") == tmp_path
    # What editors call their temporary files, and a name that no user has.
    for name in ("~$letter.docx", "~1.jpg", "~nobody-is-called-so", "a/~/b"):
        assert expanded(name) == Path(name)
        assert absolute(name) == tmp_path / name


def test_links_stay_as_they_were_given(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert absolute(tmp_path / "link" / "x" / "..") == tmp_path / "link"


@given(st.text())
def test_any_text_is_a_path_of_one_kind_or_another(text: str) -> None:
    assert absolute(text).is_absolute()
    assert absolute(absolute(text)) == absolute(text)
    assert show_path(absolute(text)).isprintable()


@given(st.text(max_size=8).map(lambda text: f"~{text}"))
def test_any_text_after_a_tilde_as_well(text: str) -> None:
    assert absolute(text).is_absolute()
