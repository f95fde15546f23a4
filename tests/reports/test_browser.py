"""The reports in a real browser, as a user would open them."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from audit_records import audit_result
from demo_records import HOSTILE, small_result
from molehunt.reports.audit_page import audit_page
from molehunt.reports.demo_page import demo_page
from molehunt.reports.study_page import study_page
from study_records import study_result

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the report is not opened in a browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr",
    "--window-size=1200,1600", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@dataclass
class Opened:
    """What the browser made of the page."""

    dom: str
    log: str
    requests: list[str]


def browse(folder: Path, page: Path, *flags: str, place: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri() + place]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


PAGES = {
    "demo": lambda: demo_page(small_result()),
    "study": lambda: study_page(study_result(HOSTILE)),
    "audit": lambda: audit_page(audit_result(HOSTILE)),
}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def opened(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return open_page(tmp_path_factory.mktemp("browser"), page)


def open_page(folder: Path, page: Path) -> Opened:
    ended = browse(folder, page, f"--log-net-log={folder / 'net.json'}", "--dump-dom")
    return Opened(ended.stdout, ended.stderr, requested(folder / "net.json"))


def requested(net_log: Path) -> list[str]:
    """Every URL that a page asked for; what the browser asks of its maker by itself has no origin."""
    log = json.loads(net_log.read_text())
    started = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event["params"] for event in log["events"] if event["type"] == started and "params" in event]
    return [params["url"] for params in asked if params.get("initiator") != "not an origin" and "url" in params]


@pytest.mark.parametrize("page", ["demo", "study"], indirect=True)
def test_the_page_renders_whole(opened: Opened) -> None:
    assert 'id="verdicts"' in opened.dom
    assert opened.dom.count('class="verdict suppressed"') >= 2
    assert opened.dom.rstrip().endswith("</html>")


@pytest.mark.parametrize("page", ["demo"], indirect=True)
def test_the_plots_of_the_demo_have_a_size(opened: Opened) -> None:
    sizes = re.findall(
        r'<svg[^>]*? width="([\d.]+)pt"[^>]*? height="([\d.]+)pt"|<svg[^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"', opened.dom
    )
    assert len(sizes) == 6
    assert all(max(map(float, filter(None, size))) > 100 for size in sizes)


def test_no_word_of_a_model_ran(opened: Opened) -> None:
    assert "<script" not in opened.dom
    assert "<img" not in opened.dom
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in opened.dom


def test_the_console_has_no_error(opened: Opened) -> None:
    assert not [line for line in opened.log.splitlines() if "CONSOLE" in line]


def test_no_request_leaves_the_page(opened: Opened) -> None:
    assert not [
        url for url in opened.requests if not url.startswith(("file:", "data:", "chrome:", "chrome-extension:"))
    ]


@pytest.mark.parametrize("page", ["study"], indirect=True)
def test_a_link_to_an_arm_unfolds_it_without_a_script(page: Path, tmp_path: Path) -> None:
    dom = browse(tmp_path, page, "--dump-dom", place="#arm-47").stdout
    unfolded = re.findall(r'<details class="arm" open="">.*?</summary>\s*<div id="(.*?)">', dom, re.DOTALL)
    assert unfolded == ["arm-47"]


def test_a_page_that_fetches_and_fails_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png"><script>nonsense()</script>')
    opened = open_page(tmp_path, page)
    assert "http://127.0.0.1:9/x.png" in opened.requests
    assert [line for line in opened.log.splitlines() if "CONSOLE" in line]


def test_a_picture_of_it_is_not_blank(page: Path, tmp_path: Path) -> None:
    browse(tmp_path, page, f"--screenshot={tmp_path / 'page.png'}")
    with Image.open(tmp_path / "page.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 20
    assert max(count for count, _ in colours) < 0.99 * sum(count for count, _ in colours)
