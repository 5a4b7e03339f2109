"""immich's vectors, out of a dump of its database in plain SQL, as it is or compressed by gzip.

Such a dump holds its tables as blocks of `COPY ... FROM stdin`: a line a row, tabs between the
values, a backslash before what would be read otherwise (PostgreSQL, "COPY", text format).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from indexer.importing.models import encoder_name
from indexer.importing.source import ROWS_A_BATCH, ForeignBatch, ForeignPicture, unusable
from indexer.importing.tables import metadata_of

_COPY = re.compile(r'^COPY (?:"?[\w]+"?\.)?"?(\w+)"? \((.*)\) FROM stdin;$')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_DEFAULT_MODEL = "ViT-B-32__openai"
# Facts of ours by immich's columns.
_EXIF = {
    "dateTimeOriginal": "taken_at", "make": "camera_make", "model": "camera_model",
    "lensModel": "lens", "focalLength": "focal_length_mm", "fNumber": "aperture", "iso": "iso",
    "latitude": "latitude", "longitude": "longitude", "rating": "rating",
    "description": "caption",
}  # fmt: skip


class ImmichSource:
    """The tables `asset`, `asset_exif`, `smart_search` and `system_metadata` of a dump.

    Tables under their former names (`assets`, `exif`) are read as well. What is in the bin, and
    videos, are left out.
    """

    name = "immich"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.model: str | None = encoder_name(_DEFAULT_MODEL)
        self.dim = 0
        self._pictures: dict[str, ForeignPicture] = {}
        self._with_vector: list[str] = []
        try:
            self._read_all_but_vectors()
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise unusable(path, f"it is no dump in plain SQL ({error})") from error
        if not self._with_vector:
            raise unusable(path, "it holds no rows of smart_search for pictures")

    def names(self) -> Iterator[str]:
        """See `Source`."""
        return (self._pictures[asset].name for asset in self._with_vector)

    def batches(self) -> Iterator[ForeignBatch]:
        """See `Source`."""
        pictures: list[ForeignPicture] = []
        vectors: list[np.ndarray] = []
        for table, row in self._rows({"smart_search"}):
            picture = self._pictures.get(_of_asset(row) or "")
            if table == "smart_search" and picture is not None and row["embedding"]:
                pictures.append(picture)
                vectors.append(self._vector(row["embedding"]))
            if len(pictures) == ROWS_A_BATCH:
                yield ForeignBatch(pictures, np.stack(vectors))
                pictures, vectors = [], []
        if pictures:
            yield ForeignBatch(pictures, np.stack(vectors))

    def _vector(self, text: str) -> np.ndarray:
        vector = np.fromstring(text.strip("[]"), np.float32, sep=",")
        if len(vector) != self.dim:
            raise unusable(self._path, "its vectors are not of one length")
        return vector

    def _read_all_but_vectors(self) -> None:
        exif: dict[str, dict[str, str | None]] = {}
        assets: dict[str, str] = {}
        with_vector: list[str] = []
        wanted = {"asset", "assets", "asset_exif", "exif", "smart_search", "system_metadata"}
        for table, row in self._rows(wanted):
            if table in ("asset", "assets"):
                is_there = row.get("type") == "IMAGE" and row.get("deletedAt") is None
                if is_there and row["id"] and row["originalPath"]:
                    assets[row["id"]] = row["originalPath"]
            elif table in ("asset_exif", "exif"):
                asset = row.pop("assetId", None)
                if asset:
                    exif[asset] = {k: v for k, v in row.items() if v is not None}
            elif table == "smart_search":
                asset = _of_asset(row)
                if asset and row["embedding"]:
                    with_vector.append(asset)
                    self.dim = self.dim or row["embedding"].count(",") + 1
            else:
                self._read_settings(row)
        self._pictures = {
            asset: _picture(path, exif.get(asset, {})) for asset, path in assets.items()
        }
        self._with_vector = [asset for asset in with_vector if asset in self._pictures]

    def _read_settings(self, row: dict[str, str | None]) -> None:
        if row.get("key") != "system-config":
            return
        try:
            settings = json.loads(row.get("value") or "{}")
            name = settings.get("machineLearning", {}).get("clip", {}).get("modelName")
        except (ValueError, AttributeError):
            return
        if name:
            self.model = encoder_name(str(name))

    def _rows(self, wanted: set[str]) -> Iterator[tuple[str, dict[str, str | None]]]:
        """The rows of these tables, each with the name of its table."""
        with _opened(self._path) as lines:
            for line in lines:
                start = _COPY.match(line.rstrip("\n"))
                if start is None:
                    continue
                table, columns = start[1], [name.strip(' "') for name in start[2].split(",")]
                for row in lines:
                    row = row.rstrip("\n")
                    if row == "\\.":
                        break
                    if table in wanted:
                        values = [_plain(value) for value in row.split("\t")]
                        if len(values) != len(columns):
                            raise unusable(self._path, f"a row of {table} is cut off")
                        yield table, dict(zip(columns, values, strict=True))


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    with path.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    # Only \n ends a row: other line ends may stand in the values.
    opening: Any = gzip.open if is_compressed else open
    with opening(path, "rt", encoding="utf-8", newline="\n") as lines:
        yield lines


def _plain(value: str) -> str | None:
    if value == "\\N":
        return None
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), value)


def _of_asset(row: dict[str, str | None]) -> str | None:
    return row.get("assetId") or row.get("assetsId")


def _picture(path: str, exif: dict[str, str | None]) -> ForeignPicture:
    facts = metadata_of({ours: exif[theirs] for theirs, ours in _EXIF.items() if theirs in exif})

    def number(column: str) -> int:
        value = exif.get(column) or ""
        return int(value) if value.isdecimal() else 0

    return ForeignPicture(
        path,
        facts,
        number("exifImageWidth"),
        number("exifImageHeight"),
        number("fileSizeInByte"),
    )
