"""Where exported towers lie on disk, and how they are found without loading a model.

    <models>/twins/names/<hash>.json            which fingerprint a model's name stands for
    <models>/twins/<fingerprint>/<tower>-<arithmetic>/   graph.onnx, tower.json, tokenizer files
    <models>/twins/<fingerprint>/<tower>-<arithmetic>.failed.json   why there is none

A folder appears by one rename and never changes after it, so that any number of processes may
read and write at once. All of it can be deleted and is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock

from retrieval.encoders.precision import Arithmetic
from retrieval.encoders.space import EmbeddingSpace
from retrieval.images.preprocess import Preprocessing
from retrieval.paths import expanded
from retrieval.storage.index_dir import model_cache_dir

logger = logging.getLogger(__name__)

Tower = Literal["pictures", "texts"]
GRAPH_FILE = "graph.onnx"
_RECORD_FILE = "tower.json"
_MAKING = ".making-"
# Another number where what is written changes, so that what older versions left is not read.
_FORMAT = 1
# What decides whether an export succeeds; after an update of these it is tried again.
_EXPORTERS = ("torch", "open_clip_torch", "onnx")


@dataclass(frozen=True)
class TowerRecord:
    """What is known of an exported tower.

    `arithmetic`: what its matrix products run in. `cosine`: the mean cosine of its vectors and
    torch's, when it was checked. `takes_short_ids`: whether texts may come without padding.
    """

    arithmetic: Arithmetic
    cosine: float
    preprocessing: Preprocessing
    takes_short_ids: bool = False


@dataclass(frozen=True)
class StoredTower:
    """An exported tower on disk."""

    folder: Path
    record: TowerRecord

    @property
    def graph(self) -> Path:
        """The ONNX graph."""
        return self.folder / GRAPH_FILE


@dataclass(frozen=True)
class KnownModel:
    """What a name stands for: the space of its vectors, and a hash of the weights of both towers.

    Towers are kept under the latter.
    """

    space: EmbeddingSpace
    fingerprint: str


@dataclass(frozen=True)
class ExportedModel:
    """A model with exported towers, for a person: `arithmetics` by tower."""

    name: str
    arithmetics: dict[str, str]
    size_bytes: int


class ExportedModels:
    """The exported towers of one user. Reads give None where there is nothing sound."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_user(cls) -> Self:
        """The store in the user's cache folder."""
        return cls(model_cache_dir() / "twins")

    def known(self, name: str) -> KnownModel | None:
        """The model that `name` stood for when it was last loaded.

        None where it never was, or its files on disk have changed since.
        """
        record = _read_json(self._name_file(name))
        if record is None or record.get("format") != _FORMAT:
            return None
        model = str(record["fingerprint"])
        # A record of mmsearch 0.1 knows the space by the hash of the whole model.
        pictures = str(record.get("space", model))
        return KnownModel(EmbeddingSpace(name, int(record["dim"]), pictures, (model,)), model)

    def remember(self, model: KnownModel) -> None:
        """Note which model a name stands for."""
        record = {
            "format": _FORMAT,
            "name": model.space.name,
            "dim": model.space.dim,
            "space": model.space.fingerprint,
            "fingerprint": model.fingerprint,
        }
        _write_json(self._name_file(model.space.name), record)

    def find(self, fingerprint: str, tower: Tower, arithmetic: Arithmetic) -> StoredTower | None:
        """A tower as it was asked for in `arithmetic`; its record says what it became."""
        folder = self._tower_folder(fingerprint, tower, arithmetic)
        record = _read_json(folder / _RECORD_FILE)
        if record is None or record.get("format") != _FORMAT or not _is_whole(folder, record):
            return None
        fields = record["tower"]
        preprocessing = Preprocessing(**fields.pop("preprocessing"))
        return StoredTower(folder, TowerRecord(preprocessing=preprocessing, **fields))

    def add(
        self,
        fingerprint: str,
        tower: Tower,
        arithmetic: Arithmetic,
        write: Callable[[Path], TowerRecord],
    ) -> StoredTower:
        """Store the tower whose files `write` puts into the folder it is given.

        Where another process was faster, its tower is taken. Raises OSError where the folder
        cannot be written, and what `write` raises.
        """
        target = self._tower_folder(fingerprint, tower, arithmetic)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=_MAKING) as made:
            folder = Path(made) / "tower"
            folder.mkdir()
            record = write(folder)
            sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
            _write_json(
                folder / _RECORD_FILE,
                {"format": _FORMAT, "tower": asdict(record), "sizes": sizes},
            )
            for file in folder.iterdir():
                _to_disk(file)
            if self.find(fingerprint, tower, arithmetic) is None:
                # What is there is damaged, or of another format.
                shutil.rmtree(target, ignore_errors=True)
            with suppress(OSError):
                folder.rename(target)
        found = self.find(fingerprint, tower, arithmetic)
        if found is None:
            raise OSError(f"{target} cannot be written")
        return found

    def discard(self, stored: StoredTower) -> None:
        """Take away a tower that cannot be used."""
        shutil.rmtree(stored.folder, ignore_errors=True)

    def failure(self, fingerprint: str, tower: Tower, arithmetic: Arithmetic) -> str | None:
        """Why this tower could not be exported, by the exporters that are installed now."""
        record = _read_json(self._failure_file(fingerprint, tower, arithmetic))
        if record is None or record.get("exporters") != exporters():
            return None
        return str(record["reason"])

    def note_failure(
        self, fingerprint: str, tower: Tower, arithmetic: Arithmetic, reason: str
    ) -> None:
        """Keep a failure, so that the next run need not find it out again."""
        _write_json(
            self._failure_file(fingerprint, tower, arithmetic),
            {"exporters": exporters(), "reason": reason},
        )

    @contextmanager
    def exporting(self, fingerprint: str) -> Iterator[None]:
        """One process at a time exports a model; the others wait, and find it made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / f"{fingerprint}.lock"):
            for left in (self._folder / fingerprint).glob(f"{_MAKING}*"):
                # By a process that was killed: with the lock in hand nobody else makes any.
                shutil.rmtree(left, ignore_errors=True)
            yield

    def listing(self) -> list[ExportedModel]:
        """The models that have exported towers, by name."""
        found = []
        for file in sorted((self._folder / "names").glob("*.json")):
            named = _read_json(file) or {}
            folder = self._folder / str(named.get("fingerprint", "?"))
            towers = {}
            for record_file in sorted(folder.glob(f"*/{_RECORD_FILE}")):
                record = _read_json(record_file) or {}
                tower = record_file.parent.name.partition("-")[0]
                towers[tower] = str(record.get("tower", {}).get("arithmetic", "?"))
            if towers:
                size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
                found.append(ExportedModel(str(named["name"]), towers, size))
        return sorted({twin.name: twin for twin in found}.values(), key=lambda twin: twin.name)

    def _tower_folder(self, fingerprint: str, tower: Tower, arithmetic: Arithmetic) -> Path:
        return self._folder / fingerprint / f"{tower}-{arithmetic}"

    def _failure_file(self, fingerprint: str, tower: Tower, arithmetic: Arithmetic) -> Path:
        return self._folder / fingerprint / f"{tower}-{arithmetic}.failed.json"

    def _name_file(self, name: str) -> Path:
        key = json.dumps([name, _stamp(name), _version("open_clip_torch")])
        return (
            self._folder
            / "names"
            / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.json"
        )


def exporters() -> dict[str, str]:
    """The versions of what exports; an absent one has none."""
    return {package: version for package in _EXPORTERS if (version := _version(package))}


def _stamp(name: str) -> list[list[str | int]]:
    """Size and time of a model's files on disk; nothing for one that is downloaded by name."""
    whole = expanded(name)
    weights = expanded(name.partition("/")[2])
    try:
        files = sorted(whole.iterdir()) if whole.is_dir() else [weights]
        stats = [(file.name, file.stat()) for file in files if file.is_file()]
    except OSError:
        return []
    return [[file, stat.st_size, stat.st_mtime_ns] for file, stat in stats]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _is_whole(folder: Path, record: dict[str, Any]) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in record["sizes"].items())
    except (OSError, KeyError):
        return False


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=file.parent, prefix=".", suffix=".tmp", delete=False, encoding="utf-8"
    ) as made:
        json.dump(value, made, indent=2)
    Path(made.name).replace(file)


def _to_disk(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
