"""`mmsearch check`: whether the parts of an index agree with each other and with the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.output.terminal import count, write_json
from cli.remedies import of_finding
from retrieval.paths import show_path

if TYPE_CHECKING:
    from indexer.maintenance.check import CheckReport
    from indexer.maintenance.fix import FixReport


@click.command("check")
@click.option("--content", is_flag=True, help="Read every file again and compare its content.")
@click.option("--fix", is_flag=True, help="Mend what can be made again; no picture is forgotten.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(index_dir: str | None, content: bool, fix: bool, as_json: bool) -> int:
    """Compare catalogue, vectors, patch tokens, vector index and files.

    Exits with 0 where all is well and with 1 where something differs; with --fix, where something
    differs still.
    """
    from cli.output.progress import ProgressBar

    mended: FixReport | None = None
    if fix:
        from indexer.maintenance.fix import fix_index

        mended = fix_index(index_dir, with_content=content, progress=ProgressBar())
        report = mended.left
    else:
        from indexer.maintenance.check import check_index

        report = check_index(index_dir, with_content=content, progress=ProgressBar())
    if as_json:
        write_json(_record(report, mended))
    else:
        for line in [*_mended_lines(mended), *_report_lines(report)]:
            click.echo(line)
    return int(bool(report.findings))


def _report_lines(report: CheckReport) -> list[str]:
    lines = []
    for finding in report.findings:
        lines.append(f"{finding.sentence} {of_finding(finding.kind)}")
        lines += [f"    {show_path(path)}" for path in finding.paths]
        if finding.paths and finding.count > len(finding.paths):
            lines.append(f"    and {finding.count - len(finding.paths):,} more")
    if not report.findings:
        images = count(report.images, "picture")
        lines.append(f"All is well: {images}, with vectors, tokens, vector index and files.")
    lines += [
        f"Not there at present, its files were not looked at: {show_path(root)}"
        for root in report.absent_roots
    ]
    return lines


def _mended_lines(mended: FixReport | None) -> list[str]:
    if mended is None:
        return []
    done = [
        f"{number:,} {what}"
        for number, what in (
            (mended.encoded, "vectors made again"),
            (mended.with_tokens, "pictures given patch tokens"),
            (mended.dropped, "vectors and tokens without a picture dropped"),
            (mended.marked, "pictures marked, which `mmsearch index` reads again"),
        )
        if number
    ]
    if mended.rebuilt:
        done.append("the vector index made again")
    return [f"Mended: {', '.join(done)}."] if done else []


def _record(report: CheckReport, mended: FixReport | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        "ok": not report.findings,
        "pictures": report.images,
        "findings": [
            {
                "kind": finding.kind,
                "count": finding.count,
                "sentence": finding.sentence,
                "remedy": of_finding(finding.kind),
                "paths": [str(path) for path in finding.paths],
            }
            for finding in report.findings
        ],
        "absent_roots": [str(root) for root in report.absent_roots],
    }
    if mended is not None:
        record["mended"] = {
            "encoded": mended.encoded,
            "with_tokens": mended.with_tokens,
            "dropped": mended.dropped,
            "marked": mended.marked,
            "rebuilt": mended.rebuilt,
        }
    return record
