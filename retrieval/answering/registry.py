"""From an answerer's name to an answerer, and the list of names."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.answering.base import Answerer
from retrieval.encoders.base import Encoder
from retrieval.encoders.compact import CompactEncoder
from retrieval.errors import UnknownModelError

AUTO = "auto"
COMPACT = "compact"
BLIP = "blip"
# A name of BLIP's own choosing follows the colon: a repository or a folder.
BLIP_PREFIX = "blip:"


@dataclass(frozen=True)
class AnswererInfo:
    """An answerer that can be named."""

    name: str
    description: str


def load_answerer(name: str = AUTO, encoder: Encoder | None = None) -> Answerer:
    """The answerer called `name`; `encoder` is that of an index, whose kept tokens may serve it.

    `auto` and `compact` are the built-in one, which works on pictures of any index; `blip` or
    `blip:NAME` is one by transformers, which opens the files and loads when first used. Raises
    UnknownModelError.
    """
    if name in (AUTO, COMPACT):
        from retrieval.answering.compact import CompactAnswerer

        own = encoder if isinstance(encoder, CompactEncoder) else CompactEncoder()
        try:
            return CompactAnswerer(own)
        except UnknownModelError:
            # A compact model of somebody's own, without an answerer: the built-in one sees files.
            return CompactAnswerer(CompactEncoder())
    if name == BLIP or name.startswith(BLIP_PREFIX):
        from retrieval.answering.blip import DEFAULT_BLIP, BlipAnswerer

        return BlipAnswerer(name.removeprefix(BLIP_PREFIX) if name != BLIP else DEFAULT_BLIP)
    known = ", ".join(info.name for info in list_answerers())
    raise UnknownModelError(f"There is no answerer called {name}: give one of {known}.")


def list_answerers() -> list[AnswererInfo]:
    """What `load_answerer` takes."""
    return [
        AnswererInfo(AUTO, "the built-in one"),
        AnswererInfo(COMPACT, "built in: closed answers, from cached patches"),
        AnswererInfo(BLIP, "BLIP question answering; needs the extra mmsearch[blip]"),
        AnswererInfo("blip:FOLDER", "the same with weights of one's own"),
    ]
