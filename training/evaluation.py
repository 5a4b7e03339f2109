"""What the exported model scores on the split `dev`, as the product runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrieval.encoders.compact import CompactEncoder
from retrieval.pictures import decode
from training.data import batches, of_split, read_pictures
from training.metrics import Recall, recall, text_to_image_ranks


def score_on_dev(model: Path, captions: Path, images: Path) -> Recall | None:
    """Text-to-image recall over the pictures of `dev`; None where there are none."""
    pictures = of_split(read_pictures(captions, images), "dev")
    if not pictures:
        return None
    encoder = CompactEncoder(model)
    vectors = []
    for part in batches(len(pictures), 32):
        decoded = [decode(p.path.read_bytes(), encoder.preprocessing) for p in pictures[part]]
        vectors.append(encoder.encode_pictures(np.stack([d.pixels for d in decoded])).vectors)
    texts = [text for picture in pictures for text in picture.captions]
    owner = np.repeat(np.arange(len(pictures)), [len(p.captions) for p in pictures])
    asked = [encoder.encode_texts(texts[part]).vectors for part in batches(len(texts), 64)]
    return recall(text_to_image_ranks(np.concatenate(asked), np.concatenate(vectors), owner))
