"""The page in a real browser: ask, see where a word looks, open, narrow, drop, dark, small."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer import index_folders
from samples.photos import copy_photos

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
_DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
}"""

if CHROMIUM is None:
    pytest.skip("the page's tests need Chromium: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "photos"
    copy_photos(folder)
    return folder


@pytest.fixture(scope="module")
def address(photos: Path) -> Iterator[str]:
    index_dir = photos.parent / "index"
    index_folders([photos], index_dir)
    arguments = ["--index-dir", str(index_dir), "serve", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        said = server.stdout.readline()
        while "http://" not in said:
            assert said, "the server ended"
            said = server.stdout.readline()
        found = "http://" + said.split("http://")[1].split("/")[0]
        urllib.request.urlopen(f"{found}/api/status", timeout=30).close()
        yield found
        server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 800}, locale="en-GB")
    shown = context.new_page()
    wrong: list[str] = []
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.set_default_timeout(30_000)
    shown.goto(address)
    shown.wait_for_selector("li.picture")
    yield shown
    context.close()
    assert wrong == []


def ask(page: Any, words: str, first: str) -> None:
    page.fill("#question", words)
    page.wait_for_selector(f'li.picture:first-child button.card[aria-label="{first}"]')


def test_what_fits_stands_above_the_line_and_the_rest_below(page: Any) -> None:
    ask(page, "a cat", "chelsea.png")
    page.wait_for_selector("li.cut")
    weak = page.locator("li.picture.weak").count()
    assert 0 < weak < page.locator("li.picture").count()
    assert "weak" not in page.locator("li.picture").first.get_attribute("class")


def test_a_word_shows_where_it_looks_and_where_it_is_not(page: Any) -> None:
    ask(page, "a cat", "chelsea.png")
    page.click("#words button:has-text('cat')")
    heat = page.wait_for_selector("li.picture:first-child img.heat")
    box, card = heat.bounding_box(), page.locator("li.picture").first.bounding_box()
    assert abs(box["width"] - card["width"]) < 2 and abs(box["height"] - card["height"]) < 2
    assert "not found" in page.wait_for_selector(".badge.missing").inner_text()
    page.click("#words button:has-text('cat')")
    assert page.locator("img.heat").count() == 0


def test_the_viewer_opens_steps_and_closes_by_keys(page: Any) -> None:
    ask(page, "a cat", "chelsea.png")
    page.locator("button.card").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[open]")
    assert page.inner_text("#viewer-name") == "chelsea.png"
    assert "451 × 300" in page.inner_text("#viewer dl")
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#viewer-name")).not_to_have_text("chelsea.png")
    page.keyboard.press("Escape")
    assert page.locator("#viewer[open]").count() == 0


def test_a_chip_narrows_and_is_taken_away_again(page: Any) -> None:
    whole = page.locator("li.picture").count()
    page.click("#facets button:has-text('jpg')")
    playwright.expect(page.locator("li.picture")).not_to_have_count(whole)
    names = [card.get_attribute("aria-label") for card in page.locator("button.card").all()]
    assert names and all(name.endswith((".jpg", ".jpeg")) for name in names)
    page.click("#asked button")
    playwright.expect(page.locator("li.picture")).to_have_count(whole)


def test_a_dropped_picture_finds_itself(page: Any, photos: Path) -> None:
    data = base64.b64encode((photos / "coffee.png").read_bytes()).decode()
    page.evaluate(_DROP, ["anything.png", data])
    page.wait_for_selector('li.picture:first-child button.card[aria-label="coffee.png"]')
    assert page.locator("#asked img").count() == 1


def test_more_like_this_asks_with_the_picture(page: Any) -> None:
    ask(page, "a motorcycle", "motorcycle_left.png")
    page.locator("li.picture").first.hover()
    page.locator(".alike").first.click()
    page.wait_for_selector("#asked img")


def test_small_and_dark_it_keeps_within_its_width(browser: Any, address: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, color_scheme="dark", locale="de-DE"
    )
    page = context.new_page()
    page.goto(f"{address}/#a%20rocket%20on%20its%20launch%20pad")
    page.wait_for_selector("li.picture")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.input_value("#question") == "a rocket on its launch pad"
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(int(part) for part in light[4:-1].split(",")) < 150
    assert page.inner_text("#choose") == "Mit einem Bild"
    context.close()


def test_nothing_serious_stands_in_the_way_of_anybody(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    ask(page, "a cat", "chelsea.png")
    found = axe.Axe().run(page).response["violations"]
    serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []


def test_the_page_is_light(address: str) -> None:
    folder = Path(__file__).parents[2] / "web" / "page"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 150_000
