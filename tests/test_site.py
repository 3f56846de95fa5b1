"""The web page of the course: what is on it, and how it reads in a real browser.

Screenshots are kept in `build/screenshots/`.
"""

import functools
import html
import http.server
import inspect
import re
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import notebooks
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright
from sphinx.util.inventory import InventoryFile
from test_browser import SHOTS, chromium

from autograder.authors import site
from autograder.authors.assignment import assignment

PAGE_BYTES = 2_000_000
NOTEBOOKS = [f"{name}.html" for name in notebooks.NAMES]
TEXTS = ["index.html", "results.html", "package/solvers.html", "instructors.html"]
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def built(once) -> Path:
    def build(out: Path) -> None:
        assert site.build(notebooks.COURSE, out) == []

    return once("site", build)


@pytest.fixture(scope="module")
def pages(built) -> dict[str, BeautifulSoup]:
    return {
        path.relative_to(built).as_posix(): BeautifulSoup(
            path.read_text(encoding="utf-8"), "html.parser"
        )
        for path in sorted(built.rglob("*.html"))
        if "_static" not in path.parts
    }


def test_every_page_is_there_and_light(built, pages):
    assert {*NOTEBOOKS, *TEXTS, "authors.html", "package.html"} <= set(pages)
    for name, page in pages.items():
        loaded = {tag["src"] for tag in page.find_all("img", src=True)}
        loaded |= set(re.findall(r"url\(([^)]+)\)", str(page)))
        sizes = [(built / name).parent / place for place in loaded]
        own = (built / name).stat().st_size
        assert own + sum(path.stat().st_size for path in sizes) < PAGE_BYTES, name


def test_links_lead_somewhere_and_nothing_is_loaded_from_elsewhere(built, pages):
    anchors = {
        name: {tag["id"] for tag in page.find_all(id=True)}
        for name, page in pages.items()
    }
    for name, page in pages.items():
        for tag in page.find_all(["a", "img", "script", "link"]):
            place = tag.get("href") or tag.get("src") or ""
            if place.startswith(("http:", "https:", "mailto:")):
                loads = tag.name != "a" and tag.get("rel") != ["canonical"]
                assert not loads, f"{name} loads {place}"
                continue
            file, _, anchor = place.partition("#")
            file = file.split("?")[0]
            target = ((built / name).parent / file).resolve() if file else built / name
            assert target.exists(), f"{name} leads to {place}"
            if tag.name == "a" and anchor and target.suffix == ".html":
                there = target.resolve().relative_to(built.resolve()).as_posix()
                assert anchor in anchors[there], f"{name} leads to {place}"


def test_every_public_name_of_the_package_is_described(built):
    with (built / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, place: place)
    described = {name for kind in inventory.values() for name in kind}
    for name, module in site.Documented.of_package().modules.items():
        for member in site.public(module):
            thing = getattr(module, member)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                assert f"odenets.{name}.{member}" in described


def test_notebooks_and_package_lead_to_each_other(pages):
    first = pages["01_resnets_as_euler.html"]
    assert first.find("a", href=re.compile(r"^package/\w+.*\.html#odenets\."))
    places = [
        tag["href"] for tag in pages["package/solvers.html"].find_all("a", href=True)
    ]
    assert "../01_resnets_as_euler.html" in places


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_notebook_is_its_release_with_the_pictures_of_the_solution(
    name, built, pages
):
    page = pages[f"{name}.html"]
    assert "YOUR CODE HERE" in page.get_text()
    shown = page.select(".bd-article img, .bd-article .film-frame")
    assert len(shown) >= 3
    for picture in shown:
        words = picture.get("alt") or picture.get("aria-label") or ""
        assert len(words.split()) >= 4, picture
    assert not page.select(".bd-article .cell_output .math.error")
    for told in page.find_all("summary"):
        assert told.get_text().strip()
    (link,) = page.select("a.download")
    assert (built / link["href"]).read_bytes() == notebooks.COURSE.release(
        name
    ).read_bytes()


def test_the_gate_finds_what_only_the_solution_has(built, tmp_path):
    name = notebooks.NAMES[0]
    asked = assignment(notebooks.COURSE, name)
    shutil.copy(built / f"{name}.html", tmp_path)
    assert list(site.leaks([asked], tmp_path)) == []
    hidden = site.release.hidden_and_seen(asked)[0]
    for kind in ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME"):
        lines = [
            line for r in hidden if r.kind == kind for line in r.lines if len(line) > 40
        ]
        text = (built / f"{name}.html").read_text(encoding="utf-8")
        leaky = text.replace(
            "</article>", f"<pre>\n{html.escape(lines[0])}\n</pre></article>"
        )
        (tmp_path / f"{name}.html").write_text(leaky, encoding="utf-8")
        (found,) = site.leaks([asked], tmp_path)
        assert lines[0].strip() in found and kind.lower() in found


def test_it_is_built_the_same_again(built, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "leaks", lambda *_: [])  # looked for at the first time
    site.build(notebooks.COURSE, tmp_path / "again")

    def content(folder: Path) -> dict[str, bytes]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in files
        }

    one, other = content(built), content(tmp_path / "again")
    assert [
        path for path in one.keys() | other.keys() if one.get(path) != other.get(path)
    ] == []


def test_a_mark_that_is_missing_is_said(tmp_path):
    (tmp_path / "page.md").write_text("# no mark")
    with pytest.raises(site.CourseError, match="needs the mark"):
        site._fill(tmp_path / "page.md", {"names": "01"})


# ------------------------------------------------------------------- in a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def browser(built):
    """A browser, and the address under which it finds the site."""
    handler = functools.partial(Quiet, directory=str(built))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        own = chromium(playwright.chromium.executable_path)
        chrome = playwright.chromium.launch(executable_path=own, args=["--no-sandbox"])
        yield SimpleNamespace(
            chrome=chrome, at=f"http://127.0.0.1:{server.server_port}"
        )
    server.shutdown()


@pytest.fixture
def visit(browser):
    """Open a page; collect what the console complains of, and what it loads."""
    contexts = []

    def open_page(name, scheme="light", width=1280, height=900):
        def failed(request):
            if request.failure != "net::ERR_ABORTED":  # the next page cuts that short
                page.complaints.append(request.url)

        context = browser.chrome.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on(
            "console", lambda m: m.type == "error" and page.complaints.append(m.text)
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("requestfailed", failed)
        return go(page, name)

    def go(page, name):
        page.goto(f"{browser.at}/{name}", wait_until="load")
        page.wait_for_function("!window.MathJax || !!window.MathJax.startup?.promise")
        page.evaluate("window.MathJax && window.MathJax.startup.promise")
        return page

    open_page.go = go
    yield open_page
    for context in contexts:
        context.close()


def test_all_pages_open_without_a_complaint(visit, pages):
    page = visit("index.html")
    for name in pages:
        assert visit.go(page, name).complaints == [], name


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_formulas_are_rendered(name, visit):
    page = visit(f"{name}.html")
    asked = page.locator(".math").count()
    assert page.locator("mjx-container").count() >= asked > 0
    assert page.locator("mjx-merror").count() == 0
    assert "$" not in page.locator(".bd-article p").all_inner_texts().__str__()


@pytest.mark.parametrize("name", [NOTEBOOKS[4], NOTEBOOKS[7]])
def test_wide_formulas_can_be_read_in_the_hand(name, visit):
    page = visit(name, width=390)
    boxes = page.evaluate("""
        [...document.querySelectorAll('div.math')].map(box => {
          const left = box.getBoundingClientRect().left;
          const formula = box.querySelector('mjx-math').getBoundingClientRect();
          const scrolls = getComputedStyle(box).overflowX == 'auto';
          return [formula.left - left, formula.width > box.clientWidth, scrolls];
        })
    """)
    assert any(wide for _, wide, _ in boxes), "else this shows nothing"
    for begins, wide, scrolls in boxes:
        assert begins >= -1 and (scrolls or not wide)


@pytest.mark.parametrize("name", [*TEXTS, NOTEBOOKS[0], NOTEBOOKS[2], NOTEBOOKS[9]])
def test_axe_finds_nothing_serious(name, visit):
    # The dark page has the same elements, and all pages colour code by one style.
    whole = {"resultTypes": ["violations"]}
    colours = whole | {"runOnly": ["color-contrast"]}
    part = None if name == NOTEBOOKS[0] else {"exclude": [["pre"]]}
    results = [
        Axe().run(visit(name), options=whole),
        Axe().run(visit(name, "dark"), context=part, options=colours),
    ]
    for result in results:
        found = [v for v in result.response["violations"] if v["impact"] in SERIOUS]
        told = [(v["id"], v["nodes"][0]["html"][:200]) for v in found]
        assert told == []
        assert result.response["passes"]


def test_the_keyboard_reaches_everything(visit):
    page = visit(NOTEBOOKS[0])
    reached = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 300)"))
        if page.evaluate("!!document.activeElement.closest('footer')"):
            break
    for what in (
        ".search-button-field",
        "a.download",
        "summary",
        "a[href*='package/']",
    ):
        there = page.locator(what).first.evaluate("e => e.outerHTML.slice(0, 300)")
        assert there in reached, what


def test_an_animation_plays_and_stops(visit, pages):
    name = next(name for name, page in pages.items() if page.select(".film"))
    page = visit(name)
    film = page.locator(".film").first
    place = "e => e.querySelector('.film-frame').style.backgroundPositionY"
    film.scroll_into_view_if_needed()
    assert film.evaluate(place) == "0%"
    film.locator("button").click()
    page.wait_for_timeout(800)
    film.get_by_role("button", name="Pause").click()
    stopped = film.evaluate(place)
    assert stopped != "0%"
    page.wait_for_timeout(400)
    assert film.evaluate(place) == stopped
    film.locator("input").focus()
    page.keyboard.press("Home")
    assert film.evaluate(place) == "0%"


def test_search_finds_a_page_without_a_network(visit):
    page = visit("search.html?q=antisymmetric")
    page.wait_for_selector("#search-results li")
    assert "03" in page.locator("#search-results").inner_text()


def test_code_copies_with_one_click(visit):
    page = visit(NOTEBOOKS[0])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("div.highlight").first.hover()
    page.locator("button.copybtn").first.click()
    assert "import torch" in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["index", NOTEBOOKS[2][:-5], "results"])
def test_it_is_readable_on_a_desk_and_in_the_hand(name, width, visit):
    page = visit(f"{name}.html", width=width)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width + 1, "nobody scrolls sideways"
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"site-{name}-{width}.png")
