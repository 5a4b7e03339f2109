"""From a key pressed to the rows painted: how long does the page take, in a real browser?

A collection of made entries with thumbnails (`benchmarks.made_collection`), served on loopback and
shown in headless Chromium. The last letter of each question is pressed a pause after the others:
the time is taken to the frame in which the new rows stand on the screen, and to the one in which
every thumbnail in view is painted as well. Beside it: what is in the document, jumps through the
whole collection, and what the page weighs before its pictures.

    python -m benchmarks.page [--pictures 100000] [--questions 20] [--tiny]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.indexing import machine
from benchmarks.made_collection import fill_collection
from benchmarks.serve import running_server
from benchmarks.support.results import publish

_WORDS = (
    "cat", "rocket", "coffee", "stars", "temple", "flower", "moon", "motorcycle", "woman",
    "space", "stones", "coins", "grass", "page", "camera", "eye", "bricks", "tower",
)  # fmt: skip
_PAUSE_MS = 1500
_JUMPS = 20

# The frame that draws the rows, and the one after it, by whose beginning they are on the screen.
_WATCH = """() => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const grid = document.getElementById("grid");
  const inView = () => [...grid.querySelectorAll("li.picture img")].filter((image) => {
    const { top, bottom } = image.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  let pressed = null;
  document.getElementById("question").addEventListener("keydown", (event) => {
    pressed = event.timeStamp;
  }, true);
  new MutationObserver(async () => {
    if (pressed === null) return;
    const since = pressed;
    pressed = null;
    await frame();
    await frame();
    const rows = performance.now() - since;
    const isThere = (image) => image.complete && image.classList.contains("there");
    while (!inView().every(isThere)) await frame();
    await frame();
    window.took = [rows, performance.now() - since];
  }).observe(document.getElementById("said"), { childList: true });
}"""
_JUMP = """async (jumps) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const longest = [];
  for (let i = 1; i <= jumps; i += 1) {
    const started = performance.now();
    scrollTo(0, (document.body.scrollHeight - innerHeight) * (i / jumps));
    await frame();
    await frame();
    longest.push([performance.now() - started, document.querySelectorAll("#grid li").length]);
  }
  return longest;
}"""
_WEIGHT = """() => ["navigation", "resource"]
  .flatMap((kind) => performance.getEntriesByType(kind))
  .filter((one) => !one.name.includes("/api/"))
  .reduce((sum, one) => sum + one.transferSize, 0)"""


@dataclass(frozen=True)
class Walk:
    """What was measured: milliseconds for each question or jump, elements, bytes."""

    rows_ms: list[float]
    thumbnails_ms: list[float]
    jumps_ms: list[float]
    most_elements: int
    opened_ms: float
    weight_bytes: int
    weight_with_map_bytes: int


def walk(address: str, chromium: str, questions: int) -> Walk:
    """Open the page, scroll through all of it, and ask."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(
            viewport={"width": 1280, "height": 800}, service_workers="block"
        )
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_selector("li.picture .card[aria-label]")
        opened_ms = page.evaluate("performance.now()")
        page.wait_for_selector("li.picture img.there")
        weight = page.evaluate(_WEIGHT)
        jumps = page.evaluate(_JUMP, _JUMPS)
        page.click("#map-button")
        page.wait_for_selector("#map svg")
        with_map = page.evaluate(_WEIGHT)
        page.click("#map-button")
        # The first question waits for the model.
        page.fill("#question", "a picture")
        page.wait_for_selector("#words button")
        page.evaluate(_WATCH)
        took = [_asked(page, text) for text in _questions(questions)]
        browser.close()
    return Walk(
        [one[0] for one in took],
        [one[1] for one in took],
        [one[0] for one in jumps],
        max(one[1] for one in jumps),
        opened_ms,
        weight,
        with_map,
    )


def _questions(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" and a ".join(rng.choice(_WORDS, 2, replace=False)) for _ in range(count)]


def _asked(page: Any, text: str) -> list[float]:
    page.fill("#question", text[:-1])
    page.wait_for_timeout(_PAUSE_MS)
    page.evaluate("window.took = null")
    page.press("#question", text[-1])
    while (took := page.evaluate("window.took")) is None:
        page.wait_for_timeout(20)
    return [float(one) for one in took]


def report(folder: Path, pictures: int, questions: int) -> str:
    """The result as a table."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return "The page is measured in Chromium: apt-get install chromium.\n"
    fill_collection(folder / "index", folder / "photos", pictures)
    with running_server(folder / "index") as (address, _):
        found = walk(address, chromium, questions)
    return table(found, pictures)


def table(found: Walk, pictures: int) -> str:
    """What was measured, in Markdown."""
    lines = [
        f"{pictures:,} pictures, {len(found.rows_ms)} questions, {machine()}.",
        "",
        "| milliseconds | fastest | median | p95 |",
        "|---|---|---|---|",
    ]
    for name, values in (
        ("key pressed to rows painted", found.rows_ms),
        ("key pressed to all thumbnails in view painted", found.thumbnails_ms),
        ("a jump to anywhere, to its rows painted", found.jumps_ms),
    ):
        figures = (min(values), np.median(values), np.percentile(values, 95))
        lines.append(f"| {name} | {' | '.join(f'{one:.0f}' for one in figures)} |")
    lines += [
        "",
        f"Opened, to the first pictures' names: {found.opened_ms:.0f} ms. Elements of the rows in "
        f"the document, at most: {found.most_elements}. The page before its pictures: "
        f"{found.weight_bytes / 1000:.0f} kB, with the map "
        f"{found.weight_with_map_bytes / 1000:.0f} kB.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="only show that it runs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.tiny:
            print(report(Path(folder), 200, 2))
            return
        text = report(Path(folder), args.pictures, args.questions)
    publish(text, "page")


if __name__ == "__main__":
    main()
