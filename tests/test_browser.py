"""A person's way: JupyterLab in a real browser opens a notebook and runs all cells.

Headless Chromium shows the page; a screenshot is kept in `build/screenshots/`.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import notebooks
import pytest
from playwright.sync_api import Page, expect, sync_playwright

SHOTS = notebooks.ROOT / "build" / "screenshots"
TOKEN = "test"
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
    log = (tmp_path / "lab.log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=log)
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


@pytest.fixture
def page(program) -> Iterator[Page]:
    chromium = program("chromium")
    switches = ["--disable-gpu", "--disable-background-networking", "--disable-sync"]
    switches += ["--no-first-run", "--disable-component-update"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        switches.append("--no-sandbox")  # Chromium refuses root otherwise
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=switches)
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


@pytest.mark.parametrize("name", ["01_resnets_as_euler"])
def test_all_cells_run_and_the_page_shows_checks_and_figures(lab, page, tmp_path, name):
    path = notebooks.SOLUTIONS / name / f"{name}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    figures = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            figures += sum("image/png" in o.get("data", {}) for o in cell["outputs"])
            cell.update(outputs=[], execution_count=None)
    (tmp_path / "root" / f"{name}.ipynb").write_text(json.dumps(notebook))

    page.goto(f"{lab}/lab/tree/{name}.ipynb?token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
    assert page.locator(".jp-OutputArea-output").count() == 0
    # Cells that are run before the kernel is there are dropped.
    page.wait_for_selector("text=| Idle", timeout=120_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
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
    # Formulas are typeset, not shown as source.
    assert page.locator(".jp-RenderedMarkdown mjx-container").count() > 10
    assert not re.search(r"\$\$", shown)

    page.locator(".jp-OutputArea-output img").last.scroll_into_view_if_needed()
    page.screenshot(path=SHOTS / f"{name}.png")
    assert (SHOTS / f"{name}.png").stat().st_size > 50_000
