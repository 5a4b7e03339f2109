"""From a model's name to an encoder, and the list of names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retrieval.encoders.base import Encoder
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.encoders.headed import SETTINGS_FILE, HeadedEncoder
from retrieval.encoders.precision import check_precision
from retrieval.encoders.requirements import require_packages
from retrieval.encoders.vit_bert import PREFIX as VIT_BERT_PREFIX
from retrieval.encoders.vit_bert import VitBertEncoder
from retrieval.errors import UnknownModelError
from retrieval.paths import is_file

DEFAULT_MODEL = "compact"
STEP_UP_MODEL = "ViT-B-32/laion2b_s34b_b79k"


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be used. `size_bytes` is None where it has yet to be downloaded."""

    name: str
    description: str
    size_bytes: int | None


def load_encoder(name: str = DEFAULT_MODEL, precision: str = "auto") -> Encoder:
    """The encoder called `name`: `compact`, a folder of such a model, or any open_clip name.

    A folder may also be one that `retrieval.tuning` wrote. `vit-bert:FOLDER` and
    `vit-bert:VIT+BERT` are as `VitBertEncoder` takes them.

    `precision`: `fp32`, `int8`, or `auto`, which is int8 where the processor gains by it; vectors
    of one and the other can be mixed. The compact model comes in int8 alone, a ViT with a BERT in
    fp32 alone. Weights load when the encoder is first used. Raises UnknownModelError where the
    name or the precision cannot be one; a name that open_clip does not know comes out at the first
    use.
    """
    chosen = check_precision(precision)
    is_folder = is_file(Path(name) / "image.onnx")
    if name == DEFAULT_MODEL or is_folder:
        if chosen == "fp32":
            raise UnknownModelError(
                f"The model {name} comes in int8 alone: ask for no other precision, or choose "
                "another model."
            )
        return CompactEncoder() if name == DEFAULT_MODEL else CompactEncoder(Path(name), name)
    if not name.strip():
        raise UnknownModelError("A model needs a name.", code="no-such-model")
    if is_file(Path(name) / SETTINGS_FILE):
        return HeadedEncoder.load(Path(name), name, lambda base: load_encoder(base, precision))
    if name.startswith(VIT_BERT_PREFIX):
        if chosen == "int8":
            raise UnknownModelError(
                f"The model {name} comes in fp32 alone: ask for no other precision, or choose "
                "another model."
            )
        return VitBertEncoder(name)
    from retrieval.encoders.onnx.encoder import OnnxEncoder

    return OnnxEncoder(name, chosen)


def list_models() -> list[ModelInfo]:
    """The models that need no look at open_clip's own list, which takes seconds to load."""
    size = sum(file.stat().st_size for file in COMPACT_DIR.iterdir() if file.is_file())
    return [
        ModelInfo(DEFAULT_MODEL, "built in: small, fast, needs no network", size),
        ModelInfo(STEP_UP_MODEL, "open_clip: a good step up, downloaded once", None),
        ModelInfo("NAME/TAG", "any model of open_clip", None),
        ModelInfo("NAME/FILE", "an open_clip model with a checkpoint of your own", None),
        ModelInfo("vit-bert:VIT+BERT", "a ViT and a BERT of transformers, to be trained", None),
        ModelInfo("FOLDER", "a model trained on one's own captions", None),
        *_exported(),
    ]


def _exported() -> list[ModelInfo]:
    from retrieval.encoders.onnx.model_store import ExportedModels

    return [
        ModelInfo(
            twin.name,
            "exported: "
            + ", ".join(f"{tower} in {kind}" for tower, kind in twin.arithmetics.items()),
            twin.size_bytes,
        )
        for twin in ExportedModels.of_user().listing()
        if twin.name != STEP_UP_MODEL
    ]


def list_open_clip_models() -> list[str]:
    """All pretrained models of open_clip as NAME/TAG. Imports open_clip, which takes seconds."""
    require_packages("The list of open_clip's models", "clip", "torch", "open_clip")
    import open_clip

    return [f"{name}/{tag}" for name, tag in open_clip.list_pretrained()]
