"""Where imported pictures are: as files on this machine, or elsewhere.

Those whose file is here are items like any other, in the root around them. The others are kept in
a root of their own, which is noted as one whose files need not be here: a run neither misses nor
forgets them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from indexer.importing.source import ForeignPicture
from retrieval.catalog import Catalog
from retrieval.paths import relative_path

_FOLDER = "elsewhere"


@dataclass
class Places:
    """What a first look at the names of a source found.

    `here` are files on this machine by their names; `folders` are where these are to be roots.
    `base` is the folder of the pictures that are elsewhere, `prefix` what their names begin with.
    """

    here: dict[str, Path] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    elsewhere: int = 0
    base: Path = Path()
    prefix: str = ""

    def relative(self, picture: ForeignPicture) -> str:
        """The path, with / and relative to `base`, of a picture that is elsewhere."""
        name = picture.name.split("://", 1)[-1]
        if self.prefix and name.startswith(self.prefix):
            name = name[len(self.prefix) :]
        return relative_path(name)


def find_places(
    names: Iterable[str], source: str, catalog: Catalog, index_dir: Path, pictures: Path | None
) -> Places:
    """Look for each name on this machine; relative ones in the folder `pictures`, if there is one.

    Pictures elsewhere stand under their own paths where nothing on this machine is in the way of
    these, and in a folder of the index that is none otherwise.
    """
    found = Places()
    common: list[str] | None = None
    for name in names:
        path = _path(name, pictures)
        # Any error means that it is not to be had here.
        if path is not None and os.path.isfile(path):  # noqa: PTH113
            found.here[name] = Path(os.path.normpath(path))
            continue
        found.elsewhere += 1
        folders = name.split("/")[:-1] if name.startswith("/") else []
        common = folders if common is None else _shared(common, folders)
    found.folders = _folders(list(found.here.values()))
    own = Path("/".join(common)) if common and len(common) > 1 else None
    if own is not None and _is_free(own, catalog):
        found.base, found.prefix = own, f"{own}/"
    else:
        found.base = index_dir / _FOLDER / source
    return found


def _path(name: str, pictures: Path | None) -> Path | None:
    if "://" in name or "\0" in name:
        return None
    path = Path(name)
    if path.is_absolute():
        return path
    return None if pictures is None else pictures / path


def _shared(one: Sequence[str], other: Sequence[str]) -> list[str]:
    same = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        same += 1
    return list(one[:same])


def _is_free(folder: Path, catalog: Catalog) -> bool:
    """Whether pictures of elsewhere can stand under this folder's name."""
    if os.path.lexists(folder):
        return False
    roots = [root.path for root in catalog.roots()]
    if folder in catalog.elsewhere():
        return True
    return not any(
        folder == root or folder in root.parents or root in folder.parents for root in roots
    )


def _folders(paths: Sequence[Path]) -> list[Path]:
    """The folder around all of the files; several where that would be the whole disk."""
    if not paths:
        return []
    around = PurePosixPath(os.path.commonpath([path.parent for path in paths]))
    if around != PurePosixPath(around.anchor):
        return [Path(around)]
    by_first: dict[str, list[Path]] = {}
    for path in paths:
        by_first.setdefault(path.parts[1], []).append(path.parent)
    return sorted(Path(os.path.commonpath(some)) for some in by_first.values())
