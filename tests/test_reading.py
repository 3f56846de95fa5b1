"""Reading answers: every one on a page, nothing of it runs, points reach nbgrader."""

import json
import re
import signal
import time
import urllib.error
import urllib.request

import pytest
from grading_tools import (
    QUESTION,
    SOURCE,
    TINY,
    executed,
    graded,
    hand_in,
    needs_bubblewrap,
    rows,
    run_autograder,
    write,
)
from playwright.sync_api import expect
from test_browser import SHOTS, free_port, page  # noqa: F401 - a fixture

from autograder.classroom import feedback, prose
from autograder.classroom.gradebook import Classroom

pytestmark = needs_bubblewrap

CELL = "question_depth"
EVIL = """<script>document.title = "owned"</script> <img src=x onerror="alert(1)">
<svg onload=alert(2)> [click](javascript:alert(3)) [data](data:text/html,<script>)
![track](http://127.0.0.1:9/x.png) <iframe src="/"></iframe> </article></main>

<style>body { display: none }</style> $</code><script>alert(4)</script>$ $x < y$
![pasted](attachment:no.png)"""
TEXTS = {
    "ada": ["The depth is **abyssal**, since $h = T/N$ and $\\|K\\|_2 \\le 1$."],
    "bob": [EVIL],
    "eve": ["Deep.", "And $\\begin{pmatrix} a & b \\end{pmatrix}$ dark."],
}


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    return executed(tmp_path_factory.mktemp("course"), SOURCE + QUESTION)


@pytest.fixture(scope="module")
def room(asking, tmp_path_factory):
    room = Classroom(tmp_path_factory.mktemp("class"))
    hand_in(asking, room, TINY, **dict.fromkeys([*TEXTS, "zoe"], "# base: solution"))
    for student, texts in TEXTS.items():
        write(room, student, *texts)
    graded(asking, room, TINY)
    return room


@pytest.fixture(scope="module")
def server(asking, room):
    """Start the command as an instructor does; yield the address with the token."""
    port = str(free_port())
    options = ["--no-browser", "--port", port, "--folder", str(room.root)]
    process = run_autograder(asking, "read", "1", *options)
    line = process.stdout.readline()
    assert line.startswith("Read at http://127.0.0.1:"), line + process.stdout.read()
    yield line.split()[-1]
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0 and "autograder feedback" in said


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def ask(url, body=None, **headers):
    """Return the status, headers and text of an answer, without following it."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    try:
        reply = urllib.request.build_opener(_Stay).open(request, timeout=60)
    except urllib.error.HTTPError as error:
        reply = error
    return reply.status, reply.headers, reply.read().decode()


def test_only_who_has_the_token_on_this_machine_is_answered(server):
    base, token = server.split("/?token=")
    port = base.rpartition(":")[2]
    cookie = {"Cookie": f"read-{port}={token}"}
    assert ask(server)[0] == 302
    assert ask(f"{base}/", **cookie)[0] == 200
    for url, headers in (
        (f"{base}/", {}),
        (f"{base}/?token=x", {}),
        (f"{base}/{TINY}/{CELL}", {"Cookie": f"read-{port}=x"}),
        (f"{base}/", cookie | {"Host": f"evil.example:{port}"}),
        (f"{base}/read.js", {}),
    ):
        assert ask(url, **headers)[0] == 403, url
    for path in ("/../etc/passwd", f"/{TINY}/nothing", f"/02_other/{CELL}", "/x.py"):
        assert ask(base + path, **cookie)[0] == 404, path
    body = {"key": "x", "digest": "", "points": 1, "comment": ""}
    at = f"{base}/{TINY}/{CELL}"
    assert ask(at, body, **cookie)[0] == 403, "another page cannot post"
    assert ask(at, body, **cookie, **{"X-Token": token})[0] == 404


def test_points_are_checked_and_an_answer_that_changed_is_not_graded(server, room):
    base, token = server.split("/?token=")
    known = {"Cookie": f"read-{base.rpartition(':')[2]}={token}", "X-Token": token}
    at = f"{base}/{TINY}/{CELL}"
    text = ask(at, **known)[2]
    found = re.findall(r'data-key="(\w+)"\s+data-digest="(\w+)"', text)
    assert len(found) == len(TEXTS), "who wrote nothing is not there"
    key, digest = found[0]
    good = {"key": key, "digest": digest, "points": 1, "comment": ""}
    for wrong in (-1, 2.5, float("nan"), float("inf"), "many", [1]):
        assert ask(at, good | {"points": wrong}, **known)[0] == 400, wrong
    assert ask(at, good | {"digest": "0"}, **known)[0] == 409
    assert ask(at, good | {"comment": "x" * 20_001}, **known)[0] == 400
    assert ask(at, [1], **known)[0] == 400
    assert not any(row.scores[CELL] for row in rows(room, TINY).values())


def test_a_page_in_a_browser(server, room, page):  # noqa: F811
    SHOTS.mkdir(parents=True, exist_ok=True)
    alerts, called, errors = [], [], []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: called.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server)
    assert "token" not in page.url
    assert "3 of 3 wait" in page.locator("main").inner_text()
    page.screenshot(path=SHOTS / "read-index.png")
    page.get_by_role("link", name="Question 1.4 - How deep?").click()
    assert page.title() == f"Question 1.4 - How deep? - {TINY}"
    aside = page.locator("aside").inner_text()
    assert "How deep is it?" in aside and "Two points for abyssal." in aside
    shown = page.locator("main").inner_text()
    assert not re.search("ada|bob|eve|zoe", shown), "nobody is named"
    assert '<script>document.title = "owned"</script>' in shown, "it is text"
    bad = "main script, main iframe, main svg, main style, [onerror], [onload]"
    assert page.locator(bad).count() == 0
    links = page.locator("main a").evaluate_all("all => all.map(a => a.href)")
    assert not [link for link in links if not link.startswith("http")]
    sources = page.locator("main img").evaluate_all("all => all.map(i => i.src)")
    assert all(source.startswith("data:image/") for source in sources if source)
    page.screenshot(path=SHOTS / "read-before.png", full_page=True)

    answers = page.locator(".answer")
    (at,) = (i for i in range(3) if "abyssal" in answers.nth(i).inner_text())
    formulas = answers.nth(at).locator("img.formula")
    assert formulas.first.get_attribute("alt") == "$h = T/N$"
    assert formulas.first.evaluate("one => one.naturalWidth") > 20

    # By keyboard alone: two points and a comment for the good answer.
    for _ in range(3):
        page.keyboard.press("k")
    for _ in range(at):
        page.keyboard.press("j")
    page.keyboard.press("2")
    state = answers.nth(at).locator(".state")
    expect(state).to_have_text("saved")
    page.keyboard.press("c")
    page.keyboard.type("Clear. **Good**, $R$ is right. <b onclick=alert(9)>x</b>")
    page.keyboard.press("Escape")
    page.wait_for_selector(".preview strong")
    assert page.locator(".preview img.formula").get_attribute("alt") == "$R$"
    # The same comment for the next unread one, and half a point.
    page.keyboard.press("u")
    page.keyboard.press("h")
    page.keyboard.press("r")
    page.keyboard.press("1")
    expect(page.locator(".preview strong")).to_have_count(2)
    expect(page.locator("#count")).to_have_text("1 of 3 wait")
    page.screenshot(path=SHOTS / "read-after.png", full_page=True)
    assert not alerts and not errors
    assert all(url.startswith((server.split("/?")[0], "data:")) for url in called)

    with room.gradebook() as book:  # what formgrader shows
        grade = book.find_grade(CELL, TINY, TINY, "ada")
        assert grade.manual_score == 2 and not grade.needs_manual_grade
        scores = [book.find_grade(CELL, TINY, TINY, s).manual_score for s in TEXTS]
        assert sorted(scores, key=str) == [0.5, 2.0, None]
    # It is there again on a page that is loaded anew.
    page.reload()
    assert answers.nth(at).locator(".points").input_value() == "2"

    assert feedback.rewrite(room, TINY) == 2
    page.goto(room.feedback("ada", TINY).as_uri())
    said = page.locator("body").inner_text()
    assert "Question 1.4 - How deep?" in said and "2 of 2 points" in said
    assert page.locator(".note strong").inner_text() == "Good"
    assert page.locator("blockquote strong").inner_text() == "abyssal"
    assert page.locator(".note img").evaluate("one => one.naturalWidth") > 5
    page.screenshot(path=SHOTS / "feedback.png", full_page=True)
    page.goto(room.feedback("bob", TINY).as_uri())
    assert page.locator("script, iframe, svg, [onerror], [onload]").count() == 0
    assert not alerts


def test_a_port_that_is_taken_and_nothing_to_read_are_said(asking, room, tmp_path):
    empty = run_autograder(asking, "read", "--folder", str(tmp_path))
    said = empty.communicate(timeout=300)[0]
    assert empty.returncode == 1 and "nothing to read" in said


def test_formgrader_as_root_and_gone_when_it_is_told_to_go(asking):
    port = free_port()
    options = ["--no-browser", "--allow-root", "--port", str(port)]
    process = run_autograder(asking, "formgrader", *options)
    said = ""
    while "token=" not in said or "http://127.0.0.1:" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    token = re.findall(r"token=(\w+)", said)[0]
    for _ in range(60):
        try:
            status, _, text = ask(f"http://127.0.0.1:{port}/formgrader?token={token}")
            break
        except urllib.error.URLError:
            assert process.poll() is None
            time.sleep(0.5)
    assert status in (200, 302), text
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](javascript:alert(1))",
        "![x](http://evil.example/pixel.png)",
        '![x"onerror="alert(1)](x)',
        "<img src=x onerror=alert(1)>",
        "$<img src=x onerror=alert(1)>$",
        '$"><script>alert(1)</script>$',
        "\\begin{x}<script>alert(1)</script>\\end{x}",
        "```mermaid\n<script>alert(1)</script>\n```",
        '```"><script>alert(1)</script>\nx\n```',
        "# <script>alert(1)</script>",
        "<!-- --><svg/onload=alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        "<javascript:alert(1)>",
    ],
)
def test_prose_of_a_stranger_runs_and_fetches_nothing(text):
    made = prose.to_html(text)
    tags = re.findall(r"<[^>]*>", made)
    for tag in tags:
        assert re.fullmatch(r"</?\w+( (alt|src|class|href)=\"[^\"]*\")*\s*/?>", tag), (
            tag
        )
        assert not re.search(r"<(script|svg|iframe|style)|javascript:|data:text", tag)
        assert "src" not in tag or 'src="data:image/' in tag


@pytest.mark.parametrize(
    "evil",
    [
        "[" * 30_000,
        "> " * 9_000,
        "$" + r"\frac{" * 90 + "$",
        "*a" * 20_000,
        "x" * 60_000,
    ],
)
def test_prose_takes_no_time_for_what_is_no_prose(evil):
    assert prose.to_html(evil)
    assert "<code>" in prose.to_html(f"${'x' * 600}$"), "a formula has an end"


def test_the_same_formula_is_the_same_picture():
    prose.formula.cache_clear()
    one = prose.formula(r"h \le \frac{T}{N}")
    prose.formula.cache_clear()
    assert prose.formula(r"h \le \frac{T}{N}") == one and "svg+xml" in one
    assert prose.formula(r"\unknown{x}") == r"<code>$\unknown{x}$</code>"
