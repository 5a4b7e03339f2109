"""Names of models as other programs write them, in the spelling of `load_encoder`."""

from __future__ import annotations

# OpenAI's own models, which answer as they were trained only with this activation.
_OPENAI = "-quickgelu/openai"
_OPEN_CLIP = "open_clip:"


def encoder_name(name: str) -> str:
    """`ViT-B/32` of clip-retrieval, `ViT-B-32__openai` of immich, as open_clip's `NAME/TAG`.

    A name that is neither comes back as it is.
    """
    if name.startswith(_OPEN_CLIP):
        return name.removeprefix(_OPEN_CLIP)
    if "__" in name:
        architecture, _, tag = name.partition("__")
        return _of_openai(architecture) if tag == "openai" else f"{architecture}/{tag}"
    family, _, patch = name.partition("/")
    if family.startswith("RN") and not patch:
        return _of_openai(name)
    if family in ("ViT-B", "ViT-L"):
        return _of_openai(f"{family}-{patch.replace('@', '-').removesuffix('px')}")
    return name


def _of_openai(architecture: str) -> str:
    return architecture + _OPENAI
