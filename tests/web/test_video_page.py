"""A video in the page, in a real browser: it plays from the moment that answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from indexer import index_folders
from samples.clips import ClipFormat, Shot, write_clip
from tests.web.conftest import serving
from web.settings import ServeSettings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("the page's tests need Chromium: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")


def test_a_video_plays_from_the_moment_that_answers(photos: Path, tmp_path: Path) -> None:
    shots = [Shot(photos / name, 1.5, "still") for name in ("chelsea.png", "coffee.png")]
    # VP9, which every build of Chromium plays.
    form = ClipFormat(codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    write_clip(tmp_path / "videos" / "clip.webm", shots, form)
    index_folders([tmp_path / "videos"], tmp_path / "index")
    with (
        serving(ServeSettings(tmp_path / "index", port=0)) as address,
        playwright.sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{address}/#a%20cup%20of%20coffee")
        page.locator("li.picture .card").first.click()
        film = page.locator("#viewer video")
        film.wait_for()
        page.wait_for_function("document.querySelector('#viewer video').readyState >= 2")
        assert film.evaluate("film => film.currentTime") == pytest.approx(1.5, abs=0.1)
        assert not page.locator("#viewer figure img").is_visible()
        assert "00:00:01" in page.locator("#viewer-name").inner_text()
        browser.close()
