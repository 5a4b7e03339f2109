"""Exported rows as tar files of WebDataset: the picture, its facts and its vector under one key."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import webdataset

from indexer.exporting.rows import ExportedRows, facts_of


class TarShards:
    """Writes `00000.tar` and so on: `KEY.jpg`, `KEY.json`, `KEY.npy`, the key being the item's id.

    A picture whose file cannot be read has no picture in there; `bare` counts those.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0
        self.bare = 0

    def write(self, rows: ExportedRows) -> None:
        """One more file."""
        path = self._folder / f"{self._written:05}.tar"
        with webdataset.TarWriter(str(path), encoder=False) as tar:
            for item, vector in zip(rows.items, rows.vectors, strict=True):
                tar.write(self._sample(item.id, facts_of(item), item.path, vector))
        self._written += 1

    def _sample(
        self, item_id: int, facts: dict[str, object], path: Path, vector: np.ndarray
    ) -> dict[str, object]:
        import json

        array = BytesIO()
        np.save(array, vector)
        sample: dict[str, object] = {
            "__key__": f"{item_id:09}",
            "json": json.dumps(facts, default=str).encode(),
            "npy": array.getvalue(),
        }
        try:
            sample[path.suffix.lstrip(".").lower() or "bin"] = path.read_bytes()
        except OSError:
            self.bare += 1
        return sample
