"""CoCa as a captioner: its decoder, seeing the picture, says a sentence.

Yu et al., *CoCa: Contrastive Captioners are Image-Text Foundation Models* (2022), by open_clip; the
beams are `retrieval.captioning.beam`'s. torch and open_clip load with the first picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.captioning.base import Caption, PictureToCaption
from retrieval.captioning.beam import BeamSettings, Floats, Integers, beam_search
from retrieval.captioning.pixels import pixel_batches
from retrieval.encoders.coca import load_coca, seen_by_decoder
from retrieval.encoders.once import LoadedOnce
from retrieval.encoders.requirements import require_packages

if TYPE_CHECKING:
    import torch

    from retrieval.encoders.open_clip import LoadedOpenClip

# Published models were trained on captions of about so many pieces.
_LONGEST = 30
_PICTURES_A_BATCH = 8


class CocaCaptioner:
    """An open_clip CoCa model, by a name as `OpenClipEncoder` takes it (`coca_ViT-B-32/TAG`).

    Raises UnknownModelError, on first use, where the model cannot be had or is no CoCa.
    """

    def __init__(self, name: str, *, beams: int = 5, length_penalty: float = 0.7) -> None:
        require_packages(f"The captioner {name}", "clip", "torch", "open_clip")
        self._name = name
        self._model = LoadedOnce(
            lambda: _LoadedCoca(load_coca(name, "describe pictures"), beams, length_penalty)
        )

    @property
    def name(self) -> str:
        """open_clip's name."""
        return self._name

    @property
    def needs_tokens(self) -> bool:
        """It brings its own picture encoder."""
        return False

    @property
    def needs_images(self) -> bool:
        """It opens the pictures' files."""
        return True

    def caption(self, pictures: Sequence[PictureToCaption]) -> list[Caption | None]:
        """A caption of each picture; None where its file cannot be read."""
        found: list[Caption | None] = [None] * len(pictures)
        if not pictures:
            return found
        model = self._model()
        paths = [picture.path for picture in pictures]
        preprocessing = model.loaded.preprocessing
        for places, pixels in pixel_batches(paths, preprocessing, _PICTURES_A_BATCH):
            for place, caption in zip(places, model.say(pixels), strict=True):
                found[place] = caption
        return found


class _LoadedCoca:
    """The torch side."""

    def __init__(self, loaded: LoadedOpenClip, beams: int, length_penalty: float) -> None:
        self.loaded = loaded
        tokenizer = loaded.tokenizer
        self._begin = int(tokenizer.sot_token_id)
        self._settings = BeamSettings(
            end=int(tokenizer.eot_token_id),
            longest=min(_LONGEST, int(loaded.model.text.context_length) - 1),
            beams=beams,
            length_penalty=length_penalty,
            # Neither the mark at the start nor padding is ever said.
            forbidden=tuple({self._begin, int(loaded.model.pad_id)}),
        )

    def say(self, pixels: NDArray[np.uint8]) -> list[Caption | None]:
        """Captions of n pictures, uint8 (n, size_px, size_px, 3)."""
        following = _Following(self.loaded, seen_by_decoder(self.loaded, pixels), self._begin)
        sentences = beam_search(following, len(pixels), self._settings)
        return [
            Caption(self._text(own[0].pieces), own[0].mean_log_probability) if own else None
            for own in sentences
        ]

    def _text(self, pieces: Sequence[int]) -> str:
        text: str = self.loaded.tokenizer.decode(list(pieces))
        return " ".join(text.split())


class _Following:
    """The decoder in the middle of captions, which it reads anew at each piece."""

    def __init__(self, loaded: LoadedOpenClip, seen: torch.Tensor, begin: int) -> None:
        self._loaded = loaded
        self._seen = seen
        self._said = np.full((len(seen), 1, 1), begin, np.int64)

    def __call__(self, pieces: Integers | None, parents: Integers | None) -> Floats:
        """See `NextPiece`."""
        import torch

        if pieces is not None and parents is not None:
            before = np.take_along_axis(self._said, parents[:, :, None], axis=1)
            self._said = np.concatenate([before, pieces[:, :, None]], axis=2)
        count, beams, length = self._said.shape
        model = self._loaded.model
        with torch.inference_mode():
            said = torch.from_numpy(self._said.reshape(count * beams, length))
            _, states = model.text(said.to(self._loaded.device))
            seen = self._seen.repeat_interleave(beams, dim=0)
            logits = model.text_decoder(seen, states)[:, length - 1]
            likely: Floats = logits.float().log_softmax(dim=-1).cpu().numpy()
        return likely.reshape(count, beams, -1)
