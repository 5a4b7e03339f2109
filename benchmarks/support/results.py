"""Where measurements are written to, to be quoted by the documents."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"


def publish(page: str, name: str, *, keep: bool = True) -> None:
    """Print a page in Markdown and, unless it was a quick look, keep it as `results/NAME.md`."""
    print(page)
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(page, "utf-8")
