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

# Below this share of the best score of all questions, and without standing out by this much.
WEAK_SHARE = 0.5
WEAK_MARGIN = 0.1


def main(arguments: list[str]) -> None:
    """Index, ask, write; prints the best answers on the way."""
    if len(arguments) < 4:
        raise SystemExit(__doc__)
    photos, index_dir, page, *questions = arguments
    summary = index_folders([photos], index_dir)
    print(f"{summary.new} new pictures in {summary.elapsed_s:.1f} s")
    asked: list[Question] = []
    with SearchEngine.open(index_dir) as engine:
        found = {question: engine.search(question, k=6) for question in questions}
        best = max((hits[0].score for hits in found.values() if hits), default=0.0)
        for question, hits in found.items():
            answers = [
                Answer(hit, word_heats(explanation))
                for hit, explanation in zip(hits, engine.explain_many(hits), strict=True)
            ]
            note = weak_note(hits, best)
            asked.append(Question(question, tuple(answers), note))
            print(question)
            for hit in hits[:3]:
                print(f"  {hit.score:.3f}  {hit.path.name}")
            if note:
                print(f"  {note}")
    write_gallery(Path(page), asked)
    print(f"Gallery in {page}")


def weak_note(hits: Sequence[Hit], best: float) -> str:
    """Why these answers are weak, beside the best score of all questions; empty where they are not.

    Every question has answers: the pictures that are nearest, however far that is. What tells is
    the score, and whether one picture stands out from the next.
    """
    if len(hits) < 2:
        return ""
    first, second = hits[0].score, hits[1].score
    if first >= WEAK_SHARE * best or first - second >= WEAK_MARGIN:
        return ""
    return (
        f"Weak: the best of these scores {first:.2f}, the next {second:.2f}, where a picture that "
        f"shows what was asked scores up to {best:.2f} and stands out. Most likely none shows it."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
