"""The page in a real browser: by mouse and keyboard, at two widths, without a network.

Needs gradio (the extra `app`), Chromium and its driver. The page runs as a user starts it; an audit
hook in its process lists every address that it asks for.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE

import pytest

from browser import NEEDS_CHROMIUM, chromium_driver, set_width
from commands import start_process, vistok
from tiny import tiny_tokenizer
from vistok.data.sources.bundled import SAMPLES
from vistok.eval.reconstructors.catalog import open_reconstructors
from vistok.page.clip import Limits, open_clip
from vistok.page.comparison import compare

PHOTO = SAMPLES / "images" / "kodim15.jpg"
CLIP = SAMPLES / "videos" / "asl_bird_0.mp4"
WIDTHS = (1280, 400)
PATIENCE = 120.0

# Runs before anything else in the process of the page.
LIST_ADDRESSES = """
import os, sys

def audit(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = arguments[1] if event != "socket.getaddrinfo" else arguments[0]
        with open(os.environ["ASKED"], "a") as file:
            file.write(repr(address) + "\\n")

sys.addaudithook(audit)
"""

needs_page = [
    pytest.mark.browser,
    pytest.mark.slow,
    NEEDS_CHROMIUM,
    pytest.mark.skipif(
        find_spec("gradio") is None, reason="no gradio (pip install 'gradio>=6.31', the extra app)"
    ),
]


def test_without_gradio_one_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    result = vistok("app", "--tokenizer", "./nothing", code=1)
    assert "needs gradio" in result.stderr
    assert "pip install 'gradio>=6.31'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@dataclass
class Served:
    url: str
    folder: Path

    def asked(self) -> list[str]:
        """Addresses outside this machine that the process of the page asked for."""
        lines = (self.folder / "asked.txt").read_text().splitlines()
        ours = ("127.0.0.1", "localhost", "::1", "/", "None")
        return [line for line in lines if not any(name in line for name in ours)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    tiny_tokenizer().save_pretrained(folder / "tiny")
    (folder / "temp").mkdir()
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(LIST_ADDRESSES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "PYTHONPATH": f"{folder / 'hook'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "ASKED": str(folder / "asked.txt"),
        "TMPDIR": str(folder / "temp"),
    }
    command = [sys.executable, "-m", "vistok", "app", "--tokenizer", folder / "tiny"]
    command += ["--port", port, "--max-frames", "3", "--max-side", "200", "--device", "cpu"]
    with (
        (folder / "log.txt").open("w") as log,
        start_process(
            [*map(str, command)], stdout=PIPE, stderr=log, text=True, env=os.environ | variables
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url == f"http://127.0.0.1:{port}/", (folder / "log.txt").read_text()
            yield Served(url, folder)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0, (folder / "log.txt").read_text()
        finally:
            process.kill()
    assert list((folder / "temp").glob("vistok-app-*")) == []


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with chromium_driver(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(browser, served: Served):
    """The page as it is opened, at 1280 pixels."""
    set_width(browser, 1280)
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # empties it
    browser.get(served.url)
    until(lambda: len(find_all(browser, "#vt-examples .thumbnail-lg")) == 22)
    return browser


def until(condition) -> None:
    """Wait until something is there; a page that is drawn again loses its elements meanwhile."""
    from selenium.common.exceptions import WebDriverException

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (WebDriverException, IndexError):
            pass
        time.sleep(0.1)
    pytest.fail(f"not within {PATIENCE} seconds")


def find_all(driver, selector: str):
    return driver.find_elements("css selector", selector)


def upload(driver, path: Path) -> None:
    find_all(driver, "#file input[type=file]")[0].send_keys(str(path))


def lines(driver) -> dict[str, list[str]]:
    """Cells of the table by the name of the tokenizer or codec."""
    rows = [[cell.text for cell in row.find_elements("css selector", "td")]
            for row in find_all(driver, "#results tbody tr")]  # fmt: skip
    return {name: cells for name, *cells in rows}


def shows(driver, text: str) -> bool:
    return text in driver.find_element("css selector", "body").text


def as_wide_as_its_window(driver, width: int) -> bool:
    return driver.execute_script("return document.documentElement.scrollWidth") <= width


class TestPage:
    pytestmark = needs_page

    def test_a_photo_is_compared_and_nothing_is_asked_of_the_network(self, page, served: Served):
        upload(page, PHOTO)
        until(lambda: len(find_all(page, "#results section")) == 2)
        found = lines(page)
        assert list(found) == ["uncompressed", "tiny", "jpeg:q=50"]
        reconstructors = open_reconstructors("jpeg:q=50")
        (expected,) = compare(open_clip(PHOTO, Limits(side=200)), reconstructors).results
        assert expected.stored_bytes is not None
        assert found["jpeg:q=50"][:4] == [
            f"{expected.psnr:.2f} dB",
            f"{expected.ssim:.3f}",
            f"{expected.bits_per_pixel:.3f}",
            f"{expected.stored_bytes / 1000:.1f} kB",
        ]
        assert found["tiny"][4] == f"{17 * 25:,}"  # 133 x 200 pixels, padded
        assert shows(page, "Downscaled from 384 × 256 to 200 × 133 pixels")
        for width in WIDTHS:
            set_width(page, width)
            time.sleep(0.3)
            assert as_wide_as_its_window(page, width)
            broken = (
                "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
            )
            assert page.execute_script(broken) == 0
        events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
        urls = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        ours = (served.url, "data:", "blob:", "chrome:")
        assert [url for url in urls if not url.startswith(ours)] == []
        assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
        assert served.asked() == []

    def test_the_original_appears_over_the_reconstruction(self, page):
        from selenium.webdriver import ActionChains

        upload(page, PHOTO)
        until(lambda: len(find_all(page, "#results section")) == 2)
        pair = find_all(page, ".vt-pair")[0]
        over = pair.find_element("css selector", ".vt-over")
        assert over.value_of_css_property("opacity") == "0"
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", pair)
        ActionChains(page).move_to_element(pair).perform()
        until(lambda: over.value_of_css_property("opacity") == "1")
        image = pair.find_element("css selector", "img")
        assert over.size == image.size

    def test_an_example_is_a_click_and_a_clip_has_a_slider(self, page):
        clips = find_all(page, "#vt-examples .thumbnail-lg")
        assert not find_all(page, "#frame input")
        page.execute_script("arguments[0].click()", clips[15])
        until(lambda: shows(page, "frame 1 of 3 shown"))
        assert shows(page, "Only the first 3 frames are compared")
        slider = find_all(page, "#frame input[type=number]")[0]
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
        slider.clear()
        slider.send_keys("3\t")
        until(lambda: shows(page, "frame 3 of 3 shown"))

    def test_a_codec_can_be_typed(self, page):
        upload(page, PHOTO)
        until(lambda: len(find_all(page, "#results section")) == 2)
        box = find_all(page, "#names input")[0]
        box.send_keys("webp:q=33\n")
        until(lambda: "webp:q=33" in lines(page))

    @pytest.mark.parametrize(
        ("typed", "message"),
        [("/etc/passwd\n", "is neither loaded nor a codec"), ("jpeg:q=500\n", "must be in 1")],
    )
    def test_a_wrong_choice_is_one_message(self, page, typed: str, message: str):
        upload(page, PHOTO)
        until(lambda: len(find_all(page, "#results section")) == 2)
        find_all(page, "#names input")[0].send_keys(typed)
        until(lambda: shows(page, message))

    def test_a_list_of_paths_is_refused(self, page, tmp_path: Path):
        (tmp_path / "photo.jpg").write_text("/etc/passwd\n")
        upload(page, tmp_path / "photo.jpg")
        until(lambda: shows(page, "not an image or video"))
