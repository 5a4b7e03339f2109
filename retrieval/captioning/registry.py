"""Captioners by their names."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.captioning.base import Captioner
from retrieval.encoders.base import Encoder
from retrieval.encoders.compact import CompactEncoder
from retrieval.errors import UnknownModelError

COMPACT = "compact"
COCA_PREFIX = "coca_"
BLIP = "blip"
# A name of BLIP's own choosing follows the colon: a repository or a folder.
BLIP_PREFIX = "blip:"


@dataclass(frozen=True)
class CaptionerInfo:
    """A captioner that can be named."""

    name: str
    description: str


def load_captioner(name: str, encoder: Encoder) -> Captioner:
    """The captioner called `name` for an index of `encoder`.

    `compact` needs an index of the built-in model; `coca_NAME/TAG` (open_clip) and `blip` or
    `blip:NAME` (transformers) open the pictures' files and load when first used. Raises
    UnknownModelError.
    """
    if name == COMPACT:
        from retrieval.captioning.compact import CompactCaptioner

        return CompactCaptioner(_compact(encoder))
    if name.startswith(COCA_PREFIX):
        from retrieval.captioning.coca import CocaCaptioner

        return CocaCaptioner(name)
    if name == BLIP or name.startswith(BLIP_PREFIX):
        from retrieval.captioning.blip import DEFAULT_BLIP, BlipCaptioner

        return BlipCaptioner(name.removeprefix(BLIP_PREFIX) if name != BLIP else DEFAULT_BLIP)
    known = ", ".join(info.name for info in list_captioners())
    raise UnknownModelError(
        f"There is no captioner called {name}: give one of {known}.", code="no-captioner"
    )


def list_captioners() -> list[CaptionerInfo]:
    """What `load_captioner` takes."""
    return [
        CaptionerInfo(COMPACT, "built in: a small decoder over cached patches"),
        CaptionerInfo("coca_ViT-B-32/TAG", "open_clip CoCa"),
        CaptionerInfo(BLIP, "BLIP; needs the extra mmsearch[blip]"),
    ]


def _compact(encoder: Encoder) -> CompactEncoder:
    if not isinstance(encoder, CompactEncoder):
        raise UnknownModelError(
            f"The captioner {COMPACT} needs an index that was made with the compact model: take "
            f"{BLIP} or a {COCA_PREFIX} model.",
            code="no-captioner",
        )
    return encoder
