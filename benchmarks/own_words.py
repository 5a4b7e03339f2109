"""What an encoder learns of one's own words: pieces of photographs with made-up names.

Twelve photographs get names that no model knows, and each of their pieces is called so. Heads for
texts alone and for both sides are trained as `mmsearch train-encoder` does, and compared with the
built-in model on pieces held out, without reranking.

    python -m benchmarks.own_words [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.indexing import machine
from benchmarks.support.results import publish
from retrieval.evaluation.captions import read_captions
from retrieval.evaluation.metrics import Estimate
from retrieval.tuning.data import SIDES, default_settings
from retrieval.tuning.install import TuningReport, tune_encoder
from samples.own_words import write_pieces
from samples.photos import copy_photos


def main(arguments: list[str] | None = None) -> None:
    """Train, compare, print; with `--tiny` one epoch on a few pieces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args(arguments).tiny
    lines = [
        "# Own words",
        "",
        "| heads | pieces | held out | R@1 before | after | gain, paired | kept |",
        "|---|---:|---:|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        copy_photos(scratch / "photos")
        captions = write_pieces(scratch / "photos", scratch / "pieces")
        pictures = read_captions(captions)
        for side in SIDES:
            report = tune_encoder(
                "compact",
                pictures[::6] if tiny else pictures,
                captions.parent / "images",
                scratch / side,
                default_settings("heads", side, epochs=1 if tiny else None),
            )
            lines.append(_row(side, report))
    lines += ["", machine(), ""]
    publish("\n".join(lines), "own_words", keep=not tiny)


def _row(side: str, report: TuningReport) -> str:
    found = report.comparison.text_to_image
    assert found.after is not None and found.gain_at_1 is not None
    cells = [
        side,
        str(report.pictures),
        str(report.compared_pictures),
        _percent(found.before.recall_at_1),
        _percent(found.after.recall_at_1),
        _percent(found.gain_at_1),
        "yes" if report.installed else "no",
    ]
    return f"| {' | '.join(cells)} |"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


if __name__ == "__main__":
    main()
