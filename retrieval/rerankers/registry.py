"""From a reranker's name to a reranker, and the list of names."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from retrieval.encoders.base import Encoder, PatchTokenEncoder, gives_patch_tokens
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.headed import without_heads
from retrieval.errors import UnknownModelError
from retrieval.paths import expanded, is_folder
from retrieval.rerankers.base import Reranker
from retrieval.rerankers.compact import CompactReranker, is_trained_reranker

logger = logging.getLogger(__name__)

AUTO = "auto"
OFF = "off"
COMPACT = "compact"
COCA_PREFIX = "coca_"
BLIP = "blip"
# A name of BLIP's own choosing follows the colon: a repository or a folder.
BLIP_PREFIX = "blip:"
TRAINED_FOLDER = "reranker"


@dataclass(frozen=True)
class RerankerInfo:
    """A reranker that can be named."""

    name: str
    description: str


def load_reranker(
    name: str, encoder: Encoder, index_dir: str | os.PathLike[str] | None = None
) -> Reranker | None:
    """The reranker called `name` for an index of `encoder`, or None for none.

    `auto` takes what costs nothing: the one trained for the index in `index_dir`, else the one
    built into the encoder's model, else none. `off` is none. Others are `compact`, the folder of
    a trained one, `coca_NAME/TAG` (open_clip) and `blip` or `blip:NAME` (transformers); those two
    open the candidates' files and load when first used. Raises UnknownModelError.
    """
    if name == OFF:
        return None
    if name == AUTO:
        return _cheapest(encoder, None if index_dir is None else Path(index_dir))
    if name == COMPACT:
        return CompactReranker.built_in(_compact(name, encoder))
    if name.startswith(COCA_PREFIX):
        from retrieval.rerankers.coca import CocaReranker

        return CocaReranker(name)
    if name == BLIP or name.startswith(BLIP_PREFIX):
        from retrieval.rerankers.blip_itm import DEFAULT_BLIP, BlipItmReranker

        return BlipItmReranker(name.removeprefix(BLIP_PREFIX) if name != BLIP else DEFAULT_BLIP)
    folder = expanded(name)
    if is_folder(folder):
        return CompactReranker.trained(folder, _with_tokens(name, encoder))
    known = ", ".join(info.name for info in list_rerankers())
    raise UnknownModelError(f"There is no reranker called {name}: give one of {known}.")


def list_rerankers() -> list[RerankerInfo]:
    """What `load_reranker` takes."""
    return [
        RerankerInfo(AUTO, "the index's own, else the built-in one, else none"),
        RerankerInfo(OFF, "none: the first stage's order"),
        RerankerInfo(COMPACT, "built in: cross-attention over cached patches"),
        RerankerInfo("FOLDER", "one trained for an index of your own"),
        RerankerInfo("coca_ViT-B-32/TAG", "open_clip CoCa: how likely it would say these words"),
        RerankerInfo(BLIP, "BLIP image-text matching; needs the extra mmsearch[blip]"),
    ]


def _cheapest(encoder: Encoder, index_dir: Path | None) -> Reranker | None:
    # Heads change vectors and leave tokens as they are.
    encoder = without_heads(encoder)
    if not gives_patch_tokens(encoder):
        return None
    if index_dir is not None and is_trained_reranker(index_dir / TRAINED_FOLDER):
        try:
            return CompactReranker.trained(index_dir / TRAINED_FOLDER, encoder)
        except UnknownModelError as error:
            # Nobody asked for it by name, so the search goes on.
            logger.warning("%s", error)
    if not isinstance(encoder, CompactEncoder):
        return None
    try:
        return CompactReranker.built_in(encoder)
    except UnknownModelError:
        return None


def _compact(name: str, encoder: Encoder) -> CompactEncoder:
    base = without_heads(encoder)
    if not isinstance(base, CompactEncoder):
        raise UnknownModelError(
            f"The reranker {name} needs an index that was made with the compact model: rerank with "
            f"{BLIP} or a {COCA_PREFIX} model, or not at all."
        )
    return base


def _with_tokens(name: str, encoder: Encoder) -> PatchTokenEncoder:
    base = without_heads(encoder)
    if not gives_patch_tokens(base):
        raise UnknownModelError(
            f"The reranker {name} needs an index with patch tokens, as the compact model and "
            f"vit-bert keep them: rerank with {BLIP} or a {COCA_PREFIX} model, or not at all."
        )
    return base
