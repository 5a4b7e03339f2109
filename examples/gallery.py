"""Index a folder, ask several questions, write all answers as one page: the library in use.

python -m examples.gallery PHOTOS INDEX_DIR PAGE.html QUESTION...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from indexer import index_folders
from retrieval import SearchEngine
from retrieval.search.heatmaps import word_heats
from retrieval.search.hit import Hit
from web.gallery import Answer, Question, write_gallery


def main(arguments: list[str]) -> None:
    """Index, ask, write; prints the best answers on the way."""
    if len(arguments) < 4:
        raise SystemExit(__doc__)
    photos, index_dir, page, *questions = arguments
    summary = index_folders([photos], index_dir)
    print(f"{summary.new} new pictures in {summary.elapsed_s:.1f} s")
    asked: list[Question] = []
    with SearchEngine.open(index_dir) as engine:
        for question in questions:
            hits = engine.search(question, k=6)
            answers = [
                Answer(hit, word_heats(explanation))
                for hit, explanation in zip(hits, engine.explain_many(hits), strict=True)
            ]
            note = weak_note(hits)
            asked.append(Question(question, tuple(answers), note))
            print(question)
            for hit in hits[:3]:
                print(f"  {hit.score:.3f}  {hit.path.name}")
            if note:
                print(f"  {note}")
    write_gallery(Path(page), asked)
    print(f"Gallery in {page}")


def weak_note(hits: Sequence[Hit]) -> str:
    """Why these answers are weak; empty where they are not.

    Every question has answers: the pictures that are nearest, however far that is. How likely each
    is to fit tells whether any of them shows what was asked.
    """
    likely = max((hit.relevance for hit in hits if hit.relevance is not None), default=1.0)
    if any(hit.fits is not False for hit in hits):
        return ""
    return f"Weak: the best of these is {likely:.0%} likely to show it. Most likely none does."


if __name__ == "__main__":
    main(sys.argv[1:])
