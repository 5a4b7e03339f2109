"""Putting an index right after a check: what can be made again is made again, nothing else goes.

Vectors and patch tokens come from the pictures' files, the vector index from the catalogue. No
picture is forgotten: that is for `indexer.pipeline.run`, which looks whether it has moved.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from indexer.maintenance.check import CheckReport, Examination, examine, report
from indexer.pipeline.reencode import reencode
from indexer.report import Progress, SilentProgress
from retrieval.encoders.base import Encoder
from retrieval.index import Index
from retrieval.storage.patch_tokens import discard


@dataclass(frozen=True)
class FixReport:
    """What was done, as counts, and what still differs.

    `encoded` pictures got a new vector and `with_tokens` new patch tokens; `dropped` orphan
    vectors and tokens were let go; `marked` pictures are read again by the next indexing run;
    `rebuilt` says whether the vector index was made again.
    """

    encoded: int
    with_tokens: int
    dropped: int
    marked: int
    rebuilt: bool
    left: CheckReport


def fix_index(
    index_dir: str | os.PathLike[str] | None = None,
    *,
    with_content: bool = False,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> FixReport:
    """Check an index as `check_index` does, mend what can be mended, and check again.

    Raises what `check_index` raises, and EncoderMismatchError or UnknownModelError where pictures
    must be encoded again and the model that made the index is not at hand.
    """
    seen_by = progress or SilentProgress()
    with Index.writing(index_dir, keep_format=True, encoder=encoder) as index:
        seen = examine(index, with_content=with_content, progress=seen_by)
        done = FixReport(0, 0, 0, 0, False, report(index.catalog, seen))
        if seen.catalog.damage or index.catalog.encoder is None:
            return done
        index.catalog.upgrade()
        done = _mend(index, seen, seen_by, done)
        left = examine(index, with_content=False, progress=SilentProgress())
        return replace(done, left=report(index.catalog, left))


def _mend(index: Index, seen: Examination, progress: Progress, done: FixReport) -> FixReport:
    catalog, location = index.catalog, index.dir
    defects = seen.catalog
    # These say nothing, and no vector index can be made with them.
    useless = [*defects.without_item, *defects.wrong_dim, *defects.no_numbers]
    if useless or seen.files.altered:
        with catalog.transaction() as change:
            change.drop_vectors(useless)
            change.mark_unread(catalog.file_ids_of(seen.files.altered))
    if seen.tokens.is_damaged:
        discard(location.tokens)
    for_vectors = {
        *defects.without_vector,
        *defects.wrong_dim,
        *defects.no_numbers,
        *defects.wrong_length,
    }
    for_tokens = {*seen.without_tokens, *(seen.tokens.odd_ids - seen.orphan_tokens)}
    index.patch_tokens.remove(sorted({*seen.orphan_tokens, *seen.tokens.odd_ids}))
    if for_vectors or for_tokens:
        again = reencode(
            catalog,
            index.patch_tokens,
            index.encoder.loaded,
            for_vectors=for_vectors,
            for_tokens=for_tokens,
            progress=progress,
        )
        done = replace(done, encoded=again.vectors, with_tokens=again.tokens)
    rebuilt = bool(seen.copy.unusable or seen.copy.lacking or seen.copy.foreign)
    if rebuilt:
        index.vectors.rebuild(catalog)
    else:
        index.vectors.refresh(catalog)
    return replace(
        done,
        dropped=len(defects.without_item) + len(seen.orphan_tokens),
        marked=len(seen.files.altered),
        rebuilt=rebuilt,
    )
