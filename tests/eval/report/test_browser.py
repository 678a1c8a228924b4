"""The page in a real browser: it works by mouse and keyboard, at two widths, and asks for nothing.

Needs Chromium and its driver (Debian: chromium, chromium-driver).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import NEEDS_CHROMIUM, chromium_driver, set_width
from made_rows import discrete_row, examples, preset_row, row, some_rows
from planted import photos
from vistok.eval.diagnostics.finding import Finding
from vistok.eval.protocols.protocol import CANONICAL
from vistok.eval.report.report import Report

pytestmark = [pytest.mark.browser, NEEDS_CHROMIUM]
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    flat = photos(64)[0, :, 0]
    battery = [Finding("flat_field", "a", {"stride_2_levels": 1.2}, "a pattern", image=flat)]
    clip = row("video model", 0.1, 25.0, examples=examples(frames=8))
    rows = [*some_rows(), clip, preset_row()]
    Report("a source", CANONICAL, rows, battery=battery).write(folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with chromium_driver(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def open_page(driver, page: Path, width: int = 1280) -> None:
    set_width(driver, width)
    for kind in ("browser", "performance"):
        driver.get_log(kind)  # empties it
    driver.get(page.as_uri())


def find(driver, selector: str):
    return driver.find_element("css selector", selector)


def find_all(driver, selector: str):
    return driver.find_elements("css selector", selector)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_asked_of_the_network_and_nothing_is_complained_about(chromium, report, width):
    open_page(chromium, report, width)
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert report.as_uri() in urls
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert [url for url in urls if url.startswith("file:")] == [report.as_uri()]
    assert chromium.get_log("browser") == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_as_wide_as_its_window_and_images_are_drawn(chromium, report, width):
    open_page(chromium, report, width)
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    broken = chromium.execute_script(
        "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    )
    assert broken == 0
    wide = chromium.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3,p,figure,select,svg,.scroll')]"
        f".filter(e => e.getBoundingClientRect().right > {width} && !e.closest('.strip')).length"
    )
    assert wide == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_slider_follows_the_mouse_and_the_keys(chromium, report, width):
    from selenium.webdriver import ActionChains, Keys

    open_page(chromium, report, width)
    slider = find(chromium, "details[open] .pair input")
    pair = slider.find_element("xpath", "..")
    after = pair.find_element("css selector", ".after")

    def cut() -> float:
        clip = after.value_of_css_property("clip-path")
        return float(clip.rstrip(")").split()[-1].rstrip("%"))

    chromium.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    assert cut() == 50
    side = pair.size["width"]
    ActionChains(chromium).move_to_element(slider).click_and_hold().move_by_offset(
        int(side * 0.3), 0
    ).release().perform()
    assert 70 < cut() <= 90
    before = cut()
    slider.send_keys(Keys.ARROW_LEFT)
    assert cut() == before - 1


def names(driver) -> list[str]:
    return [cell.text for cell in find_all(driver, "table.sortable tbody td:first-child")]


def test_a_click_sorts_the_table_and_a_second_one_turns_it_round(chromium, report):
    open_page(chromium, report)
    given = names(chromium)
    heading = next(
        th for th in find_all(chromium, "table.sortable th") if th.text.startswith("PSNR")
    )
    column = find_all(chromium, "table.sortable th").index(heading)

    def values() -> list[float]:
        cells = find_all(chromium, f"table.sortable tbody td:nth-child({column + 1})")
        return [float(cell.text.split()[0].replace("inf", "Infinity")) for cell in cells]

    heading.find_element("css selector", "button").click()
    assert heading.get_attribute("aria-sort") == "descending"  # the best end of PSNR first
    assert values() == sorted(values(), reverse=True)
    heading.find_element("css selector", "button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    assert names(chromium) != given
    assert sorted(names(chromium)) == sorted(given)


def test_empty_cells_stay_at_the_end_either_way(chromium, report):
    open_page(chromium, report)
    headings = find_all(chromium, "table.sortable th")
    column = next(i for i, th in enumerate(headings) if th.text.startswith("parameters"))
    for _ in range(2):
        headings[column].find_element("css selector", "button").click()
        cells = find_all(chromium, f"table.sortable tbody td:nth-child({column + 1})")
        empty = [cell.text == "–" for cell in cells]
        assert any(empty)
        assert empty == sorted(empty)


def test_the_error_is_shown_on_demand(chromium, report):
    open_page(chromium, report)
    figure = find(chromium, "details[open] figure:has(.pair)")
    button = figure.find_element("css selector", "button.switch")
    error = figure.find_element("css selector", ".error")
    assert error.value_of_css_property("opacity") == "0"
    chromium.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    assert error.value_of_css_property("opacity") == "1"
    assert button.text == "show the image"


def test_any_two_tokenizers_can_be_compared(chromium, report):
    from selenium.webdriver.support.ui import Select

    open_page(chromium, report)
    below, above = find_all(chromium, ".compare .pair img")
    left, right = (Select(element) for element in find_all(chromium, ".compare select"))
    assert below.get_attribute("src") != above.get_attribute("src")
    right.select_by_visible_text("original")
    assert below.get_attribute("src") == above.get_attribute("src")
    left.select_by_visible_text("jpeg:q=10")
    assert below.get_attribute("src") != above.get_attribute("src")
    assert find(chromium, ".compare .tag.left").text == "jpeg:q=10"


def test_rows_of_other_rules_look_different(chromium, report):
    open_page(chromium, report)
    marked = find_all(chromium, "table.sortable tr.other")
    assert len(marked) == 1
    assert "†" in marked[0].text
    assert "are not comparable" in find(chromium, ".warning").text


def test_a_page_of_one_row_works_too(chromium, tmp_path):
    Report("a source", CANONICAL, [discrete_row()]).write(tmp_path)
    open_page(chromium, tmp_path / "report.html", 390)
    assert chromium.get_log("browser") == []
    assert names(chromium) == ["fsq"]
