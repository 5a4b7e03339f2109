"""One tower of a loaded open_clip model to a checked ONNX graph in a folder."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from retrieval.encoders.base import Pixels
from retrieval.encoders.onnx.export.errors import ExportError
from retrieval.encoders.onnx.export.quantize import quantize
from retrieval.encoders.onnx.export.tokenizer import write_tokenizer
from retrieval.encoders.onnx.export.towers import image_tower, text_tower
from retrieval.encoders.onnx.model_store import GRAPH_FILE, Tower, TowerRecord
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.encoders.open_clip import LoadedOpenClip
from retrieval.encoders.precision import WEIGHT_BITS, Arithmetic
from retrieval.encoders.tokenizers import load_tokenizer

logger = logging.getLogger(__name__)

# Mean cosines with torch's vectors. Float differs by rounding alone; int8 must not change answers.
LEAST_COSINE: dict[Arithmetic, float] = {"fp32": 0.9999, "int8": 0.999}
PIXELS, IDS, VECTORS = "pixels", "ids", "vectors"
_CHECKED_IMAGES = 32
# The newest that ONNX Runtime 1.17 knows is 20; 17 has all that the towers need.
_OPSET = 17
# A graph with its weights must stay below 2 GiB to be one file.
_MOST_BYTES = 1_900_000_000
_SENTENCES = (
    "a dog on a beach",
    "two children on a swing in the garden",
    "a photo of a cat",
    "sunset over the mountains, with a lake in front",
    "A man in a red jacket climbs a snow-covered rock while his friend holds the rope below",
    "people sitting around a table and eating dinner",
    "black and white portrait",
    "my old bicycle",
    "a street market at night in the rain, umbrellas everywhere",
    "a plate of spaghetti",
    "an aeroplane in a blue sky",
    "wedding",
    "a screenshot of a letter",
    "the view from the hotel room",
    "3 horses, grazing",
    "a little girl in a pink dress is climbing up a set of stairs in an entry way",
)


def export_images(
    loaded: LoadedOpenClip, pixels: Pixels, arithmetic: Arithmetic, folder: Path
) -> TowerRecord:
    """Write the picture tower, checked on `pixels`, uint8 (n, S, S, 3), of real pictures.

    Where int8 strays too far from torch on them, the tower is written in float, with one line that
    says so. Raises ExportError where it cannot be exported at all.
    """
    some = np.ascontiguousarray(pixels[:_CHECKED_IMAGES])
    module = image_tower(loaded.model, loaded.mean.cpu(), loaded.deviation.cpu())
    with _on_cpu(loaded):
        wanted = _images_by_torch(loaded, some)
        _write_float(module, torch.from_numpy(some[:2].copy()), PIXELS, False, folder)
    became, cosine = _settle("pictures", arithmetic, folder, {PIXELS: some}, wanted)
    return TowerRecord(became, cosine, loaded.preprocessing)


def export_texts(loaded: LoadedOpenClip, arithmetic: Arithmetic, folder: Path) -> TowerRecord:
    """Write the text tower and its tokenizer, checked on sentences as people ask them.

    As `export_images` otherwise.
    """
    write_tokenizer(loaded.tokenizer, folder)
    ids = load_tokenizer(folder)(_SENTENCES)
    module = text_tower(loaded.model)
    takes_short_ids = bool(module.takes_short_ids)
    with _on_cpu(loaded):
        with torch.inference_mode():
            vectors = loaded.model.encode_text(torch.from_numpy(ids), normalize=True)
        wanted = vectors.float().numpy()
        _write_float(module, torch.from_numpy(ids[:2].copy()), IDS, takes_short_ids, folder)
    became, cosine = _settle("texts", arithmetic, folder, {IDS: ids}, wanted)
    return TowerRecord(became, cosine, loaded.preprocessing, takes_short_ids)


def _settle(
    tower: Tower,
    arithmetic: Arithmetic,
    folder: Path,
    inputs: dict[str, NDArray[Any]],
    wanted: NDArray[np.float32],
) -> tuple[Arithmetic, float]:
    """Bring the float graph in `folder` to `arithmetic`, as far as it agrees with torch."""
    graph, trial = folder / GRAPH_FILE, folder / "trial.onnx"
    try:
        cosine = _agreement(graph, inputs, wanted)
    except Exception as error:  # ONNX Runtime raises many kinds.
        raise ExportError(f"ONNX Runtime cannot run it ({_short(error)})") from error
    if cosine < LEAST_COSINE["fp32"]:
        raise ExportError(f"its {tower} come out different outside of torch (cosine {cosine:.4f})")
    if arithmetic == "fp32":
        return "fp32", cosine
    tried = []
    for with_projections_down in (True, False):
        try:
            quantize(graph, trial, with_projections_down=with_projections_down)
            agreement = _agreement(trial, inputs, wanted)
        except Exception as error:  # ONNX Runtime raises many kinds; there is the float graph.
            logger.debug("Int8 failed: %s", error)
            agreement = -1.0
        if agreement >= LEAST_COSINE["int8"]:
            trial.replace(graph)
            return "int8", agreement
        tried.append(agreement)
    trial.unlink(missing_ok=True)
    logger.warning(
        "In int8 the %s of this model agree with torch to a mean cosine of %.4f only, less than "
        "%s: they run in fp32.",
        tower,
        max(tried),
        LEAST_COSINE["int8"],
    )
    return "fp32", cosine


def _agreement(graph: Path, inputs: dict[str, NDArray[Any]], wanted: NDArray[np.float32]) -> float:
    """The mean cosine of the graph's vectors and those wanted; both are of unit length."""
    (found,) = OnnxSession(graph, WEIGHT_BITS).run([VECTORS], inputs)
    cosine = float((found.astype(np.float64) * wanted).sum(axis=1).mean())
    return cosine if np.isfinite(cosine) else -1.0


def _images_by_torch(loaded: LoadedOpenClip, pixels: Pixels) -> NDArray[np.float32]:
    with torch.inference_mode():
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255.0)
        values = (values - loaded.mean.cpu()) / loaded.deviation.cpu()
        vectors: NDArray[np.float32] = (
            loaded.model.encode_image(values, normalize=True).float().numpy()
        )
        return vectors


def _write_float(
    module: nn.Module, example: torch.Tensor, name: str, any_length: bool, folder: Path
) -> None:
    """Write the module's graph, its rows free and, with `any_length`, the length of a row too."""
    size = sum(weight.numel() * weight.element_size() for weight in _own_weights(module))
    if size > _MOST_BYTES:
        raise ExportError(f"its weights, {size / 1e9:.1f} GB, are too many for one ONNX file")
    graph = folder / GRAPH_FILE
    reasons = []
    for write in (_write_traced, _write_exported):
        try:
            with _quiet(), torch.no_grad():
                write(module, example, name, any_length, graph)
        except Exception as error:  # The exporters raise nearly anything.
            reasons.append(_short(error))
            continue
        _gather_weights(graph)
        return
    raise ExportError(f"torch cannot export it ({'; '.join(reasons)})")


def _write_traced(
    module: nn.Module, example: torch.Tensor, name: str, any_length: bool, graph: Path
) -> None:
    """By tracing: five times as fast as what torch now prefers, and needs no onnxscript."""
    free = {0: "n", 1: "length"} if any_length else {0: "n"}
    torch.onnx.export(
        module,
        (example,),
        str(graph),
        input_names=[name],
        output_names=[VECTORS],
        dynamic_axes={name: free, VECTORS: {0: "n"}},
        opset_version=_OPSET,
        dynamo=False,
    )


def _write_exported(
    module: nn.Module, example: torch.Tensor, name: str, any_length: bool, graph: Path
) -> None:
    """By torch.export, for what cannot be traced, or where tracing is gone."""
    free = {0: torch.export.Dim("n")}
    if any_length:
        free[1] = torch.export.Dim("length", min=3, max=example.shape[1])
    torch.onnx.export(
        module,
        (example,),
        str(graph),
        input_names=[name],
        output_names=[VECTORS],
        dynamic_shapes=(free,),
        external_data=False,
        dynamo=True,
        verbose=False,
    )


def _gather_weights(graph: Path) -> None:
    """One file, whatever the exporter left beside it."""
    model = onnx.load(graph)
    for file in graph.parent.iterdir():
        if file.suffix == ".data" or file == graph:
            file.unlink()
    onnx.save(model, graph)


def _own_weights(module: nn.Module) -> Iterator[torch.Tensor]:
    """What the tower is likely to take along; the other tower of its model is not."""
    skipped = ("model.visual.",) if hasattr(module, "takes_short_ids") else ("model.t",)
    for name, weight in module.named_parameters():
        if not name.startswith(skipped):
            yield weight


@contextlib.contextmanager
def _on_cpu(loaded: LoadedOpenClip) -> Iterator[None]:
    """The model on the processor for a while: graphs are traced and compared there."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    loaded.model.to("cpu")
    # The fast path is one operator that ONNX has no word for.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        loaded.model.to(loaded.device)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters print graphs and warn of their own ways."""
    torch_logger = logging.getLogger("torch.onnx")
    level = torch_logger.level
    torch_logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch_logger.setLevel(level)


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
