"""`mmsearch status`: what is indexed, with which model, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.config import current_config
from cli.output.terminal import count, size, write_json
from retrieval.paths import show_path

if TYPE_CHECKING:
    from retrieval.catalog import Catalog
    from retrieval.storage.index_dir import IndexDir
    from retrieval.vectors.base import StoreFacts


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--failures", is_flag=True, help="List the files that failed, each with its reason.")
@click.pass_obj
def command(index_dir: str | None, as_json: bool, failures: bool) -> None:
    """Say which folders are indexed, with which model, and what could not be read."""
    from retrieval.catalog import Catalog
    from retrieval.storage.index_dir import resolve_index_dir

    location = resolve_index_dir(index_dir)
    with Catalog.open(location.address) as catalog:
        record = status_record(catalog, location)
    if as_json:
        write_json(record)
        return
    for line in _failure_lines(record) if failures else _status_lines(record):
        click.echo(line)


def status_record(catalog: Catalog, location: IndexDir) -> dict[str, Any]:
    """The state of an index, as JSON takes it."""
    from retrieval.vectors.choice import StoreChoice
    from retrieval.vectors.faiss.kinds import AUTO

    made_by = catalog.encoder
    config_file = current_config().path
    facts, complaint = _store_facts(catalog, location)
    elsewhere = set(catalog.elsewhere())
    return {
        "index_dir": str(location.folder),
        "config": str(config_file) if config_file is not None else None,
        "model": made_by.name if made_by else None,
        "dim": made_by.dim if made_by else None,
        "fingerprint": made_by.fingerprint if made_by else None,
        "moving_to": _move_record(catalog),
        "pictures": catalog.count_items(),
        "size_bytes": sum(
            file.stat().st_size for file in location.folder.iterdir() if file.is_file()
        ),
        # The file and what SQLite keeps beside it while someone writes.
        "tokens_bytes": sum(
            file.stat().st_size for file in location.folder.glob(f"{location.tokens.name}*")
        ),
        "vector_store": StoreChoice.of(catalog.vector_store).address,
        "vector_store_problem": complaint,
        "vector_index": facts.kind if facts else None,
        "vector_index_choice": catalog.vector_index_choice or AUTO,
        "vector_index_effort": facts.effort if facts else None,
        "vector_index_recall": facts.recall if facts else None,
        "folders": [
            {
                "path": str(root.path),
                "pictures": catalog.count_items(root.id),
                "present": root.path.is_dir(),
                "elsewhere": root.path in elsewhere,
            }
            for root in catalog.roots()
        ],
        "removed": [str(path) for path in catalog.removed()],
        "failures": [
            {"path": str(failure.path), "kind": failure.kind, "reason": failure.reason}
            for failure in catalog.failures()
        ],
    }


def _store_facts(catalog: Catalog, location: IndexDir) -> tuple[StoreFacts | None, str | None]:
    """What the vector store says of its copy, or what is wrong with the store."""
    from retrieval.errors import VectorStoreError
    from retrieval.vectors.registry import store_of

    try:
        with closing(store_of(catalog, location.folder)) as store:
            return store.facts(catalog), None
    except VectorStoreError as error:
        return None, str(error)


def _move_record(catalog: Catalog) -> dict[str, Any] | None:
    following = catalog.next_space
    if following is None:
        return None
    space_id, space = following
    return {"model": space.name, "left": len(catalog.ids_without_vectors(space_id))}


def _status_lines(record: dict[str, Any]) -> list[str]:
    facts = [
        ("pictures", f"{record['pictures']:,}"),
        ("model", record["model"] or "none yet"),
        ("vector index", _vector_index_line(record)),
        ("index", f"{show_path(Path(record['index_dir']))} ({_size(record)})"),
    ]
    if record["moving_to"]:
        moving = record["moving_to"]
        left = f"{count(moving['left'], 'picture')} to go with `mmsearch upgrade`"
        facts.insert(2, ("moving to", f"{moving['model']}: {left}"))
    if record["config"]:
        facts.append(("config", show_path(Path(record["config"]))))
    lines = [*table_lines(facts), ""]
    lines += table_lines(
        [
            (
                count(folder["pictures"], "picture"),
                show_path(Path(folder["path"])) + _whereabouts(folder),
            )
            for folder in record["folders"]
        ]
    )
    if record["removed"]:
        lines += ["", "Removed, and kept out until `mmsearch index` is given their own path:"]
        lines += [f"    {show_path(Path(path))}" for path in record["removed"]]
    failed = len(record["failures"])
    if failed:
        lines += ["", f"{count(failed, 'file')} failed: `mmsearch status --failures` says why."]
    return lines


def _whereabouts(folder: dict[str, Any]) -> str:
    if folder["elsewhere"]:
        return "  (imported, files elsewhere)"
    return "" if folder["present"] else "  (not there now)"


def _size(record: dict[str, Any]) -> str:
    tokens = record["tokens_bytes"]
    of_which = f", of which patch tokens {size(tokens)}" if tokens else ""
    return f"{size(record['size_bytes'])}{of_which}"


def _vector_index_line(record: dict[str, Any]) -> str:
    """The kind, its knob, and how many of the ten nearest it finds, as one line."""
    from retrieval.vectors.choice import FAISS
    from retrieval.vectors.faiss.kinds import AUTO, EXACT, HNSW, INVERTED, family_of

    kind = record["vector_index"]
    if record["vector_store"] != FAISS:
        state = record["vector_store_problem"] or kind or "no copy yet"
        return f"{record['vector_store']} ({state})"
    if kind is None:
        return "none yet"
    family = family_of(kind)
    knob = {HNSW: "efSearch", **dict.fromkeys(INVERTED, "nprobe")}.get(family)
    effort = f" with {knob} {record['vector_index_effort']}" if knob else ""
    recall = f", recall@10 {record['vector_index_recall']:.3f}" if family != EXACT else ""
    chosen = "chosen" if record["vector_index_choice"] != AUTO else "auto"
    return f"{kind}{effort} ({family}, {chosen}{recall})"


def _failure_lines(record: dict[str, Any]) -> list[str]:
    if not record["failures"]:
        return ["No file has failed."]
    return [
        f"{show_path(Path(failure['path']))}: {failure['reason']}" for failure in record["failures"]
    ]


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as columns that line up."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
