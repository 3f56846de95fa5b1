"""A person's way: JupyterLab in a real browser opens a notebook and runs its cells.

Headless Chromium shows the page; a screenshot is kept in `build/screenshots/`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import notebooks
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from autograder.authors import pairs

SHOTS = notebooks.ROOT / "build" / "screenshots"
TOKEN = "test"
PROGRESS = "ODENETS_PROGRESS"
QUIET = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Start JupyterLab on an empty folder; yield its address."""
    for name, values in QUIET.items():
        path = tmp_path / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    (tmp_path / "root").mkdir()
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += [
        f"--ServerApp.port={address.rsplit(':', 1)[1]}",
        "--ServerApp.ip=127.0.0.1",
    ]
    command += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={tmp_path / 'root'}"]
    command += [f"--LabApp.user_settings_dir={tmp_path / 'settings'}"]
    # Progress bars are shown here, as they are to a person.
    seen = {key: value for key, value in os.environ.items() if key != PROGRESS}
    log = (tmp_path / "lab.log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=log, env=seen)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=5)
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()[-2000:]
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def chromium(own: str) -> str:
    """Return the system's Chromium, else Playwright's `own`, else skip (not in CI)."""
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), own)
    if not Path(found).exists():
        how = "no Chromium here; to get one: python -m playwright install chromium"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(how)
    return found


@pytest.fixture
def page() -> Iterator[Page]:
    switches = ["--disable-gpu", "--disable-background-networking", "--disable-sync"]
    switches += ["--no-first-run", "--disable-component-update"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        switches.append("--no-sandbox")  # Chromium refuses root otherwise
    with sync_playwright() as playwright:
        program = chromium(own=playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=program, args=switches)
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def opened(page: Page, lab: str, path: Path) -> None:
    """Show a notebook of the lab's folder, and wait until its kernel is there."""
    page.goto(f"{lab}/lab/tree/{path.name}?token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
    # Cells that are run before the kernel is there are dropped.
    page.wait_for_selector("text=| Idle", timeout=120_000)


def run_cell(page: Page, number: int, text: str | None = None) -> str:
    """Type `text` into a cell, run the cell, and return what it says."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
    if (folded := cell.locator(".jp-InputPlaceholder .jp-Placeholder-content")).count():
        folded.click()  # test cells are
    cell.locator(".cm-content").click(position={"x": 5, "y": 5})
    if text is not None:
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.insert_text(text)
    prompt = cell.locator(".jp-InputArea-prompt")
    before = prompt.inner_text()
    page.keyboard.press("ControlOrMeta+Enter")
    expect(prompt).not_to_have_text(before, timeout=60_000)
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=60_000)
    return "\n".join(cell.locator(".jp-OutputArea-output").all_inner_texts())


@pytest.mark.parametrize("name", ["01_resnets_as_euler"])
def test_all_cells_run_and_the_page_shows_checks_and_figures(lab, page, tmp_path, name):
    path = notebooks.SOLUTIONS / name / f"{name}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    figures = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            pages = [o.get("data", {}).get("text/html", "") for o in cell["outputs"]]
            figures += sum("".join(page).count("<img ") for page in pages)
            cell.update(outputs=[], execution_count=None)
    (tmp_path / "root" / f"{name}.ipynb").write_text(json.dumps(notebook))

    opened(page, lab, path)
    assert page.locator(".jp-OutputArea-output").count() == 0
    page.get_by_role("menuitem", name="Run", exact=True).click()
    menu = page.locator("#jp-mainmenu-run")
    menu.get_by_text("Run All Cells", exact=True).click()
    last = page.locator(".jp-CodeCell .jp-InputArea-prompt").last
    SHOTS.mkdir(parents=True, exist_ok=True)
    try:
        expect(last).to_have_text(re.compile(r"\[\d+\]"), timeout=300_000)
    except AssertionError:
        page.screenshot(path=SHOTS / f"{name}-stuck.png")
        raise

    shown = page.locator(".jp-Notebook").inner_text()
    for exercise in notebooks.exercises(name):
        assert f"{exercise.points:g} of {exercise.points:g} points" in shown
    assert "✗" not in shown
    assert page.locator(".jp-RenderedText[data-mime-type$=stderr]").count() == 0
    assert page.locator(".jp-OutputArea-output img").count() == figures > 0
    # Progress bars are gone, and no trace of them will be saved.
    assert page.locator(".jupyter-widget-hprogress").count() == 0
    assert page.locator(".jupyter-widget-slider, .widget-slider").count() > 0
    # Formulas are typeset, not shown as source.
    assert page.locator(".jp-RenderedMarkdown mjx-container").count() > 10
    assert not re.search(r"\$\$", shown)

    page.locator(".jp-OutputArea-output img").last.scroll_into_view_if_needed()
    page.screenshot(path=SHOTS / f"{name}.png")
    assert (SHOTS / f"{name}.png").stat().st_size > 50_000


def test_a_student_types_an_answer_and_reads_what_the_check_says(lab, page, tmp_path):
    name = "01_resnets_as_euler"
    path = notebooks.ROOT / "course" / name / f"{name}.ipynb"
    released = json.loads(path.read_text(encoding="utf-8"))
    (tmp_path / "root" / path.name).write_text(json.dumps(released))
    places = {
        cell["metadata"].get("nbgrader", {}).get("grade_id"): number
        for number, cell in enumerate(released["cells"])
    }
    answer, test = places["euler_step"], places["test_euler_step"]
    opened(page, lab, path)
    run_cell(page, 1)  # the set-up
    run_cell(page, answer)
    said = run_cell(page, test)
    assert "not written yet" in said and "0 of 2 points" in said

    hint = page.locator("details").first
    assert not hint.evaluate("hint => hint.open")
    hint.locator("summary").click()
    assert hint.evaluate("hint => hint.open")

    run_cell(page, answer, "def euler_step(f, t, y, h):\n    return y + f(t, y)")
    said = run_cell(page, test)
    assert "this looks like: the step size h is missing" in said
    drives = next(
        number
        for number, cell in enumerate(released["cells"])
        if number > test and "check.yours(exercise)" in "".join(cell["source"])
    )
    assert "the package's solvers.euler_step drives" in run_cell(page, drives)
    handed_on = "def euler_step(f, t, y, h):\n    return solvers.euler_step(f, t, y, h)"
    run_cell(page, answer, handed_on)
    said = run_cell(page, test)
    assert "write it yourself" in said and "0 of 2 points" in said
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}-handed-on.png")
    run_cell(page, answer, "def euler_step(f, t, y, h):\n    return y + h * f(t, y)")
    said = run_cell(page, test)
    assert "2 of 2 points" in said and "✗" not in said
    assert "your euler_step drives" in run_cell(page, drives)
    page.screenshot(path=SHOTS / f"{name}-answered.png")
    assert page.locator(".jp-RenderedText[data-mime-type$=stderr]").count() == 0


LIVE = """\
from matplotlib import pyplot as plt
from odenets import plots

def picture(h=0.25, field="spiral"):
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, h], ls="-" if field == "spiral" else ":")
    ax.set_ylim(0, 1)
    return fig

choices = {"h": [0.1, 0.25, 0.5], "field": ["spiral", "saddle"]}
plots.live(picture, "A line from 0 to h.", **choices)
"""


def test_a_live_figure_follows_its_slider_and_buttons(lab, page, tmp_path):
    path = tmp_path / "root" / "live.ipynb"
    live = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LIVE)])
    live.metadata = pairs.METADATA  # else a dialogue asks for a kernel
    nbformat.write(live, path)
    opened(page, lab, path)
    run_cell(page, 0)
    picture = page.locator(".jp-OutputArea-output img")
    expect(picture).to_have_count(1)
    assert picture.get_attribute("alt") == "A line from 0 to h."
    seen = [picture.get_attribute("src")]

    handle = page.locator(".jupyter-widgets [role=slider], .noUi-handle").first
    handle.focus()
    page.keyboard.press("ArrowRight")
    expect(picture).to_have_attribute("alt", re.compile(r"h = 0\.5, field = spiral"))
    seen.append(picture.get_attribute("src"))
    page.get_by_role("button", name="saddle").click()
    expect(picture).to_have_attribute("alt", re.compile(r"h = 0\.5, field = saddle"))
    seen.append(picture.get_attribute("src"))
    assert len(set(seen)) == 3
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "live.png")
    assert page.locator(".jp-RenderedText[data-mime-type$=stderr]").count() == 0
