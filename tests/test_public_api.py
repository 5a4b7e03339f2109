"""What `import mmsearch` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mmsearch
from retrieval import errors


def test_every_exported_name_is_there() -> None:
    for name in mmsearch.__all__:
        assert getattr(mmsearch, name) is not None
    assert mmsearch.__all__ == sorted(mmsearch.__all__)


def test_every_error_can_be_caught_by_the_package_s_name() -> None:
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.MmsearchError)
    }
    assert raised <= set(mmsearch.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(mmsearch, "no_such_name")


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, mmsearch\n"
        "heavy = {'torch', 'faiss', 'open_clip', 'numpy', 'sqlalchemy', 'PIL', 'onnxruntime'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_index_is_made_and_asked_through_it(photos: Path, tmp_path: Path) -> None:
    report = mmsearch.index_folders([photos / "coffee.png", photos / "rocket.jpg"], tmp_path / "i")
    assert report.new == 2
    with mmsearch.SearchEngine.open(tmp_path / "i") as engine:
        assert engine.search("a cup of coffee", k=1)[0].path.stem == "coffee"


def test_python_m_mmsearch_runs_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmsearch", "-h"], capture_output=True, text=True, check=True
    )
    assert "Find your pictures" in done.stdout
