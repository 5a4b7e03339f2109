"""How like what people wrote a model's captions are: BLEU, ROUGE-L, CIDEr and METEOR.

The scores are pycocoevalcap's, the code by which results on COCO are reported. It brings a
tokenizer that needs Java; here captions are put into lower case and cut into runs of letters and
digits, with what follows an apostrophe as a part of the word, so that punctuation is left out as
it is there. METEOR is Java itself, and is left out where there is none.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retrieval.errors import MmsearchError

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# What stands for a caption without any word, since an empty one cannot be scored.
_NO_WORD = "nothing"


@dataclass(frozen=True)
class CaptionScores:
    """Scores over all pictures, times 100; larger is better.

    `bleu`: of one to four words in a row (Papineni et al. 2002), the closest reference's length
    counting. `rouge_l`: Lin 2004. `cider`: CIDEr-D (Vedantam et al. 2015). `meteor`: Denkowski and
    Lavie 2014; None where there is no Java.
    """

    bleu: tuple[float, float, float, float]
    rouge_l: float
    cider: float
    meteor: float | None = None


def require_caption_scores() -> None:
    """Raise MmsearchError where the package of the scores is not installed."""
    if importlib.util.find_spec("pycocoevalcap") is None:
        raise MmsearchError(
            "Measuring captions needs the package pycocoevalcap.", code="no-caption-scores"
        )


def tokenised(caption: str) -> str:
    """A caption's words in lower case, with single spaces."""
    return " ".join(_WORD.findall(caption.lower())) or _NO_WORD


def score_captions(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    with_meteor: bool = True,
) -> CaptionScores:
    """The scores of one caption of each picture against what people wrote of it.

    Raises ValueError where there are none or their numbers differ, and MmsearchError where the
    package is missing.
    """
    if not captions or len(captions) != len(references):
        raise ValueError("Each picture needs one caption and its references.")
    require_caption_scores()
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    said = {place: [tokenised(caption)] for place, caption in enumerate(captions)}
    meant = {place: [tokenised(one) for one in own] for place, own in enumerate(references)}
    # It prints lengths.
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(meant, said, verbose=0)
    rouge, _ = Rouge().compute_score(meant, said)
    cider, _ = Cider().compute_score(meant, said)
    first, second, third, fourth = (100 * float(score) for score in bleu)
    meteor = _meteor(said, meant) if with_meteor and shutil.which("java") else None
    return CaptionScores(
        (first, second, third, fourth), 100 * float(rouge), 100 * float(cider), meteor
    )


def _meteor(said: Mapping[int, list[str]], meant: Mapping[int, list[str]]) -> float | None:
    from pycocoevalcap.meteor.meteor import Meteor

    try:
        scorer = Meteor()
        return 100 * float(scorer.compute_score(meant, said)[0])
    except (OSError, ValueError):
        # A Java that cannot run it.
        return None
