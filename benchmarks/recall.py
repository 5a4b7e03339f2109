"""How well the compact model finds pictures, before and after reranking, written as Markdown.

`python -m benchmarks.recall CAPTIONS --images DIR --split dev`, or `--tiny` for the photographs
that the scikit-image and scikit-learn wheels carry.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

from retrieval.encoders.registry import DEFAULT_MODEL, load_encoder
from retrieval.evaluation.captions import read_captions
from retrieval.evaluation.metrics import Estimate, Summary
from retrieval.evaluation.protocol import DEFAULT_CANDIDATES, Direction, Evaluation, evaluate
from retrieval.evaluation.rerank import choose_second_stage

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "recall.md"


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captions", nargs="?", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--rerank", default="auto")
    parser.add_argument("--candidates", type=int, default=DEFAULT_CANDIDATES)
    parser.add_argument(
        "--tiny", action="store_true", help="the wheels' photographs; nothing is written"
    )
    parser.add_argument("--output", type=Path, help=f"default: {RESULTS.name}, none with --tiny")
    chosen = parser.parse_args(arguments)
    if chosen.tiny:
        with tempfile.TemporaryDirectory() as folder:
            captions = _tiny_set(Path(folder))
            found = _measure(captions, Path(folder), None, chosen.rerank, chosen.candidates)
    elif chosen.captions is None or chosen.images is None:
        parser.error("give CAPTIONS and --images, or --tiny")
    else:
        found = _measure(
            chosen.captions, chosen.images, chosen.split, chosen.rerank, chosen.candidates
        )
    text = as_markdown(found)
    output = chosen.output or (None if chosen.tiny else RESULTS)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    print(text)


def as_markdown(found: Evaluation) -> str:
    """The evaluation as a Markdown page, with a line on the machine."""
    reranker = found.reranker or "none"
    lines = [
        "# Recall",
        "",
        f"Model: {found.encoder.name} ({found.encoder.fingerprint[:8]}); reranker: {reranker}; "
        f"{found.pictures} pictures, {found.captions} captions, {len(found.skipped)} left out. "
        "95 % bootstrap intervals over pictures.",
        "",
        "| | R@1 | R@5 | R@10 | median rank | MRR | nDCG@10 |",
        "|---|---|---|---|---|---|---|",
        *_rows("text → image", found.text_to_image),
        *_rows("image → text", found.image_to_text),
        "",
        *_gains(found),
        f"{found.timing.total_ms:.1f} ms a question, of which reranking "
        f"{found.timing.rerank_ms or 0.0:.1f} ms for {found.candidates} candidates.",
        "",
        f"Machine: {platform.machine()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}.",
        "",
    ]
    return "\n".join(lines)


def _measure(
    captions: Path, images: Path, split: str | None, rerank: str, candidates: int
) -> Evaluation:
    encoder = load_encoder(DEFAULT_MODEL)
    return evaluate(
        encoder,
        read_captions(captions, split=split),
        images,
        second_stage=choose_second_stage(rerank, encoder, images),
        candidates=candidates,
    )


def _tiny_set(folder: Path) -> Path:
    """Copy the photographs into a folder; returns their captions file."""
    from samples import photos

    photos.copy_photos(folder)
    return Path(photos.CAPTIONS)


def _rows(title: str, direction: Direction) -> list[str]:
    if direction.after is None:
        return [_row(title, direction.before)]
    return [
        _row(f"{title}, before", direction.before),
        _row(f"{title}, after", direction.after),
    ]


def _gains(found: Evaluation) -> list[str]:
    """What reranking brings, paired question by question."""
    gains = (("text → image", found.text_to_image), ("image → text", found.image_to_text))
    parts = [
        f"{title} {_cell(direction.gain_at_1, 100.0, 1)}"
        for title, direction in gains
        if direction.gain_at_1 is not None
    ]
    return [f"Gain in R@1 by reranking, paired: {'; '.join(parts)}.", ""] if parts else []


def _row(title: str, summary: Summary) -> str:
    cells = [
        title,
        _cell(summary.recall_at_1, 100.0, 1),
        _cell(summary.recall_at_5, 100.0, 1),
        _cell(summary.recall_at_10, 100.0, 1),
        _cell(summary.median_rank, 1.0, 1),
        _cell(summary.mrr, 1.0, 3),
        _cell(summary.ndcg_at_10, 1.0, 3),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(estimate: Estimate, factor: float, digits: int) -> str:
    value, low, high = (
        f"{factor * number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main()
