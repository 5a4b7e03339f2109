"""The notebook that compares fusions runs from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[3]
NOTEBOOK = ROOT / "examples" / "fusion.ipynb"
METHODS = ("towers", "concatenation", "weighted average", "shared space", "cross-attention")


def _printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(
        output.get("text", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def _pictures(notebook: nbformat.NotebookNode) -> int:
    return sum(
        "image/jpeg" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def test_it_runs_on_the_photographs_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FUSION_CAPTIONS", "FUSION_EPOCHS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    printed = _printed(notebook)
    for method in METHODS:
        assert f"\n{method} " in printed
    assert _pictures(notebook) == 3


def test_what_is_kept_of_a_real_run_is_small_and_whole() -> None:
    assert NOTEBOOK.stat().st_size < 400_000
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert _pictures(notebook) == 3
    assert "shared space, then cross-attention" in _printed(notebook)
