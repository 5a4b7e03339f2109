"""The page in a real browser: ask, narrow by time and place, select, find copies, add a folder.

Each view is walked through, also on a phone and in the dark, and looked over by axe.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.made_collection import fill_collection
from indexer import index_folders
from samples.photos import copy_photos
from tests.web.conftest import serving
from web.settings import ServeSettings

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
_DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
}"""
# Munich, Boston, Kyoto.
_PLACES = ((48.14, 11.58), (42.36, -71.06), (35.01, 135.77))
_MADE = 1500
_SHOWN = "li.picture img.there"

if CHROMIUM is None:
    pytest.skip("the page's tests need Chromium: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
playwright.expect.set_options(timeout=30_000)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra `test` has it")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test photographs, taken in six months at three places; a smaller copy of one."""
    folder = tmp_path_factory.mktemp("page") / "photos"
    for number, path in enumerate(copy_photos(folder)):
        exif = Image.Exif()
        taken = datetime(2023, 1, 15) + timedelta(days=30 * (number % 6), minutes=number)
        exif[306] = exif.get_ifd(0x8769)[36867] = taken.strftime("%Y:%m:%d %H:%M:%S")
        latitude, longitude = _PLACES[number % 3]
        exif.get_ifd(0x8825).update(
            {
                1: "N",
                2: (latitude, 0, 0),
                3: "E" if longitude > 0 else "W",
                4: (abs(longitude), 0, 0),
            }
        )
        with Image.open(path) as image:
            image.save(path, exif=exif)
    with Image.open(folder / "rocket.jpg") as image:
        image.resize((image.width // 2, image.height // 2)).save(folder / "small rocket.jpg")
    return folder


@pytest.fixture(scope="module")
def address(photos: Path) -> Iterator[str]:
    index_dir = photos.parent / "index"
    index_folders([photos], index_dir)
    with serving(ServeSettings(index_dir)) as address:
        # Looked for in the background, while others are walked through.
        _copies(address)
        yield address
        # A thread that still computes at the interpreter's end would bring it down.
        while _copies(address) == "running":
            time.sleep(0.1)


def _copies(address: str) -> str:
    with urllib.request.urlopen(f"{address}/api/duplicates", timeout=60) as answer:
        return str(json.load(answer)["state"])


@pytest.fixture(scope="module")
def made_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of many entries that stand for few pictures."""
    folder = tmp_path_factory.mktemp("made")
    fill_collection(folder / "index", folder / "photos", _MADE, with_tokens=False)
    with serving(ServeSettings(folder / "index")) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address as somebody with such a screen; fails where the page reports an error."""
    contexts, wrong = [], []

    def open_page(address: str, width: int = 1200, height: int = 800, **options: Any) -> Any:
        options = {"locale": "en-GB", "service_workers": "block"} | options
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        shown = context.new_page()
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.set_default_timeout(30_000)
        shown.goto(address)
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def page(visit: Callable[..., Any], address: str) -> Any:
    shown = visit(address)
    shown.wait_for_selector(_SHOWN)
    return shown


def ask(page: Any, words: str, first: str) -> None:
    page.fill("#question", words)
    playwright.expect(page.locator("li.picture").first.locator(".card")).to_have_attribute(
        "aria-label", first
    )
    # The second look, after which nothing moves any more.
    page.wait_for_selector("#words button")


def until(page: Any, expression: str) -> None:
    """Wait for a condition; the page's policy lets no text be run from within."""
    ends = time.monotonic() + 30
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < ends, expression
        time.sleep(0.03)


def said(page: Any) -> int:
    """How many pictures the page says that there are."""
    found = re.search(r"\d+", page.inner_text("#said").replace(",", ""))
    assert found is not None, page.inner_text("#said")
    return int(found[0])


def names(page: Any) -> list[str]:
    return [card.get_attribute("aria-label") for card in page.locator("button.card").all()]


def test_what_fits_stands_above_the_line_and_the_rest_below(page: Any) -> None:
    ask(page, "a cat", "chelsea.png")
    page.wait_for_selector("li.cut")
    weak = page.locator("li.picture.weak").count()
    assert 0 < weak < page.locator("li.picture").count()
    assert "weak" not in page.locator("li.picture").first.get_attribute("class")


def test_a_word_shows_where_it_looks_and_where_it_is_not(page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/heat?" in one.url else None)
    ask(page, "a cat", "chelsea.png")
    page.click("#words button:has-text('cat')")
    heat = page.wait_for_selector("li.picture img.heat")
    box, card = heat.bounding_box(), page.locator("li.picture").first.bounding_box()
    assert abs(box["width"] - card["width"]) < 2 and abs(box["height"] - card["height"]) < 2
    assert "not found" in page.wait_for_selector(".badge.missing").inner_text()
    page.click("#words button:has-text('cat')")
    assert page.locator("img.heat").count() == 0
    page.click("#words button:has-text('cat')")
    page.wait_for_selector("li.picture img.heat")
    assert len(asked) == len(set(asked))


def test_answers_stand_by_date_where_that_is_wished(page: Any) -> None:
    ask(page, "a cat", "chelsea.png")
    page.fill("#question", "a photograph of a person or a cat")
    page.wait_for_selector("#words button:has-text('person')")
    page.click("#order button:has-text('By date')")
    playwright.expect(page.locator("li.cut")).to_have_count(0)
    dates = page.locator("li.picture").evaluate_all("all => all.map((one) => one.hit.taken_at)")
    assert dates == sorted(dates, reverse=True)
    assert page.get_attribute("#order [data-order=time]", "aria-pressed") == "true"


def test_the_viewer_opens_steps_and_closes_by_keys(page: Any) -> None:
    ask(page, "a cat", "chelsea.png")
    page.locator("button.card").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[open]")
    assert page.inner_text("#viewer-name") == "chelsea.png"
    assert "451 × 300" in page.inner_text("#viewer dl") and "2023" in page.inner_text("#viewer dl")
    page.wait_for_selector("#viewer .strip [aria-current]")
    assert page.locator("#viewer .strip button").count() > 3
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("#viewer-name")).not_to_have_text("chelsea.png")
    page.keyboard.press("Escape")
    assert page.locator("#viewer[open]").count() == 0
    assert page.evaluate("document.activeElement.matches('.card')")


def test_a_chip_narrows_and_is_taken_away_again(page: Any) -> None:
    whole = said(page)
    page.click("#facets button:has-text('jpg')")
    page.wait_for_selector("#asked button")
    playwright.expect(page.locator("#said")).not_to_contain_text(str(whole))
    assert all(name.endswith((".jpg", ".jpeg")) for name in names(page))
    page.click("#asked button")
    playwright.expect(page.locator("#said")).to_contain_text(str(whole))


def test_a_dropped_picture_finds_itself(page: Any, photos: Path) -> None:
    data = base64.b64encode((photos / "coffee.png").read_bytes()).decode()
    page.evaluate(_DROP, ["anything.png", data])
    page.wait_for_selector("#asked img")
    playwright.expect(page.locator("button.card").first).to_have_attribute(
        "aria-label", "coffee.png"
    )


def test_more_like_this_asks_with_the_picture(page: Any) -> None:
    ask(page, "a motorcycle", "motorcycle_left.png")
    page.locator("li.picture").first.hover()
    page.locator(".alike").first.click()
    page.wait_for_selector("#asked img")


def test_of_many_pictures_only_those_near_the_view_are_in_the_document(
    visit: Callable[..., Any], made_address: str
) -> None:
    page = visit(made_address)
    page.wait_for_selector(_SHOWN)
    assert said(page) == _MADE
    assert page.evaluate("document.getElementById('grid').offsetHeight") > 20_000
    page.locator("button.card").first.focus()
    for key in ("End", "Home", "ArrowDown", "End"):
        page.keyboard.press(key)
        until(page, "document.activeElement.closest('li.picture')?.hit")
        assert page.locator("#grid li").count() < 150
        box = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
        assert box["top"] >= 0 and box["bottom"] <= 800
    assert page.evaluate("document.activeElement.closest('li').index") == _MADE - 1
    tops = page.locator("li.picture").evaluate_all("all => all.map((one) => one.index)")
    assert tops == sorted(tops)


def test_the_timeline_moves_the_rows_and_keeps_a_month(
    visit: Callable[..., Any], made_address: str
) -> None:
    page = visit(made_address)
    page.wait_for_selector(_SHOWN)
    line = page.locator("#timeline").bounding_box()
    x, middle = line["x"] + line["width"] - 5, line["y"] + line["height"] / 2
    page.mouse.move(x, line["y"] + 20)
    page.mouse.down()
    page.mouse.move(x, middle, steps=4)
    page.mouse.up()
    until(page, "scrollY > 3000")
    assert page.locator("#asked button").count() == 0
    page.focus("#timeline")
    spoken = page.get_attribute("#timeline", "aria-valuetext")
    page.keyboard.press("ArrowUp")
    playwright.expect(page.locator("#timeline")).not_to_have_attribute("aria-valuetext", spoken)
    page.mouse.click(x, middle)
    term = page.wait_for_selector("#asked button").inner_text().removesuffix(" ×").strip()
    assert re.fullmatch(r"taken:20\d\d-\d\d", term)
    playwright.expect(page.locator("#said")).not_to_contain_text("1,500")
    found = page.evaluate(
        "async (term) => (await (await fetch(`/api/layout?filter=${term}`)).json()).ids", term
    )
    assert said(page) == len(found) > 0


def test_the_map_keeps_a_place_and_a_box(page: Any) -> None:
    whole = said(page)
    page.click("#map-button")
    page.wait_for_selector("#map svg .land")
    playwright.expect(page.locator(".pin")).to_have_count(3)
    page.locator(".pin").first.click()
    page.wait_for_selector("#asked button:has-text('this place')")
    playwright.expect(page.locator("#said")).not_to_contain_text(str(whole))
    near = said(page)
    box = page.locator("#map").bounding_box()
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + box["height"] - 10, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    until(page, f"parseInt(document.getElementById('said').textContent) > {near}")
    assert page.locator("#asked button").count() == 1
    assert near < said(page) < whole
    page.locator("#map").focus()
    before = page.get_attribute("#map svg", "viewBox")
    page.keyboard.press("+")
    until(page, f"document.querySelector('#map svg').getAttribute('viewBox') !== '{before}'")


def test_copies_are_shown_with_the_best_marked(page: Any, photos: Path) -> None:
    files = sorted(photos.iterdir())
    page.click("#copies-button")
    # By its words: the list is drawn anew while they are looked for.
    best = page.locator("#copies .best", has_text="the largest").first
    best.wait_for(timeout=90_000)
    assert "rocket.jpg" in best.inner_text()
    assert "Resized" in page.inner_text("#copies ol")
    page.click("#copies button:has-text('Select the other')")
    page.keyboard.press("Escape")
    assert page.inner_text("#selection output") == "1 selected"
    assert sorted(photos.iterdir()) == files


def test_pictures_are_selected_copied_packed_and_tagged(page: Any, tmp_path: Path) -> None:
    cards = page.locator("button.card")
    cards.nth(0).click(modifiers=["Control"])
    cards.nth(2).click(modifiers=["Shift"])
    assert page.inner_text("#selection output") == "3 selected"
    cards.nth(1).focus()
    page.keyboard.press("Space")
    assert page.inner_text("#selection output") == "2 selected"
    wanted = sorted([names(page)[0], names(page)[2]])
    page.click("#selection button:has-text('Copy paths')")
    page.wait_for_selector("#note.shown")
    paths = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert sorted(Path(path).name for path in paths) == wanted
    with page.expect_download() as download:
        page.click("#selection button:has-text('Download')")
    download.value.save_as(tmp_path / "pictures.zip")
    with zipfile.ZipFile(tmp_path / "pictures.zip") as archive:
        assert sorted(archive.namelist()) == wanted
    page.click("#selection button:has-text('Tag')")
    page.fill("#tag-name", "a walk")
    page.click("#tagging button[value=add]")
    page.wait_for_selector("#facets button:has-text('a walk')")
    page.keyboard.press("Escape")
    assert page.locator("#selection").is_hidden()
    page.click("#facets button:has-text('a walk')")
    playwright.expect(page.locator("#said")).to_contain_text("2 pictures")
    page.keyboard.press("Control+a")
    page.click("#selection button:has-text('Tag')")
    page.fill("#tag-name", "a walk")
    page.click("#tagging button[value=remove]")
    playwright.expect(page.locator("#said")).to_contain_text("No picture")


def test_a_folder_is_added_watched_and_shown(
    visit: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(photos / "coffee.png", own)
    (own / "broken.jpg").write_bytes(b"no picture")
    with serving(ServeSettings(tmp_path / "index")) as address:
        page = visit(address)
        playwright.expect(page.locator("#said")).to_contain_text("Nothing is indexed yet")
        page.click("#index-button")
        page.fill("#folder", str(own))
        page.click("#add-folder")
        playwright.expect(page.locator("#job")).to_have_text("All is indexed.")
        page.click("#failures summary")
        assert "broken.jpg" in page.inner_text("#failures")
        page.keyboard.press("Escape")
        page.wait_for_selector(_SHOWN)
        assert names(page) == ["coffee.png"]
        page.context.close()


def test_it_can_be_installed_and_opens_while_the_server_is_away(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(address, service_workers="allow")
    page.wait_for_selector(_SHOWN)
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    until(page, "navigator.serviceWorker.controller")
    developer = page.context.new_cdp_session(page)
    found = developer.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A context of these tests is a private window.
    assert [one["errorId"] for one in found if one["errorId"] != "in-incognito"] == []
    manifest = json.loads(developer.send("Page.getAppManifest")["data"])
    assert manifest["name"] == "mmsearch" and manifest["display"] == "standalone"
    page.context.set_offline(True)
    page.reload()
    playwright.expect(page.locator("#said")).to_contain_text("The server does not answer")
    page.context.set_offline(False)
    kept = page.evaluate("caches.open('page').then((all) => all.keys()).then((all) => all.length)")
    folder = Path(__file__).parents[2] / "web" / "page"
    scripts = {str(file.relative_to(folder)) for file in folder.rglob("*.js")} - {"sw.js"}
    listed = set(re.findall(r'"([\w/.]+\.js)"', (folder / "sw.js").read_text()))
    assert listed == scripts and kept > len(scripts)


@pytest.mark.parametrize(
    "screen",
    [
        {"width": 1200, "height": 800, "color_scheme": "light"},
        {"width": 390, "height": 800, "color_scheme": "dark", "locale": "de-DE"},
    ],
    ids=["large and light", "small and dark"],
)
def test_nothing_serious_stands_in_the_way_of_anybody(
    visit: Callable[..., Any], address: str, screen: dict[str, Any]
) -> None:
    page = visit(address, **screen)
    page.wait_for_selector(_SHOWN)

    def look(view: str) -> None:
        found = axe.Axe().run(page).response["violations"]
        serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
        assert (view, serious) == (view, [])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        for dialog in page.locator("dialog[open]").all():
            box = dialog.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= screen["width"], view

    look("all pictures")
    page.click("#map-button")
    page.wait_for_selector(".pin")
    look("the map")
    page.click("#map-button")
    page.fill("#question", "a cat")
    page.wait_for_selector("#words button")
    look("answers")
    page.locator(".check").first.click(force=True)
    look("a selection")
    page.locator("#selection button").nth(2).click()
    page.wait_for_selector("#tagging[open]")
    look("tagging")
    page.keyboard.press("Escape")
    page.wait_for_selector("#tagging", state="hidden")
    page.locator("#selection button").last.click()
    page.locator("button.card").first.click()
    page.wait_for_selector("#viewer .strip img")
    look("the viewer")
    page.keyboard.press("Escape")
    page.click("#copies-button")
    page.wait_for_selector("#copies .best", timeout=90_000)
    look("copies")
    page.keyboard.press("Escape")
    page.click("#index-button")
    page.wait_for_selector("#index-folders li")
    look("the index")


def test_small_and_dark_it_speaks_the_browser_s_language(
    visit: Callable[..., Any], address: str
) -> None:
    page = visit(
        f"{address}/#a%20rocket%20on%20its%20launch%20pad",
        width=390, color_scheme="dark", locale="de-DE",
    )  # fmt: skip
    page.wait_for_selector(_SHOWN)
    assert page.input_value("#question") == "a rocket on its launch pad"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(int(part) for part in dark[4:-1].split(",")) < 150
    assert page.inner_text("#choose") == "Mit einem Bild"
    page.click("#theme")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(int(part) for part in light[4:-1].split(",")) > 600


def test_every_language_says_everything(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    keys = page.evaluate(
        """async () => Promise.all(["en", "de", "zh"].map(async (one) =>
            Object.keys((await import(`/texts/${one}.js`)).text).sort()))"""
    )
    assert keys[0] == keys[1] == keys[2]


def test_the_page_is_light_before_its_pictures(visit: Callable[..., Any], address: str) -> None:
    page = visit(address)
    page.wait_for_selector(_SHOWN)
    page.click("#map-button")
    page.wait_for_selector("#map svg")
    loaded = page.evaluate(
        """["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
            .filter((one) => !one.name.includes("/api/"))
            .reduce((sum, one) => sum + one.transferSize, 0)"""
    )
    assert 50_000 < loaded < 150_000
