"""The page of a run in a real browser: no error, the slider and the keys move what is seen, it fits a phone."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from exact_path import exact_solution
from genwgp.diagnostics import compare
from genwgp.io import comparison_record
from genwgp.io.plain import decode
from genwgp.report import write_page
from genwgp.report.scene import STEPS, scene

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60  # seconds, on a machine that does something else
EVIL = "</script><script>window.harmed = true</script><img src=x onerror='window.harmed = true'>"


@pytest.fixture(scope="module")
def browser():
    """A browser without a window, whose messages are kept."""
    program, driver = next(filter(None, map(shutil.which, BROWSERS)), None), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser: install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    # No sandbox: a browser that root starts refuses to run in one.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pages of paths in 1, 2 and 5 dimensions; the second has a comparison, and texts that must stay texts."""
    where = tmp_path_factory.mktemp("pages")
    for dim in (1, 2, 5):
        solution = exact_solution(dim, layers=3)
        record = None
        if dim == 2:
            record = decode(comparison_record(compare(solution, solution.problem.reference, 3, 60)))
            solution = dataclasses.replace(solution, message=EVIL, settings={"seed": 0, EVIL: EVIL})
        write_page(solution, where / f"{dim}.html", comparison=record, shown=scene(solution.path))
    return where


@pytest.fixture
def opened(request, browser, folder):
    """A page, in the plane unless a test says otherwise, that has drawn its first place.

    Afterwards, it must have had nothing to complain about.
    """
    browser.get_log("browser")
    browser.get((folder / f"{getattr(request, 'param', 2)}.html").as_uri())
    drawn(browser, 0)
    yield browser
    assert browser.get_log("browser") == []


def drawn(browser, place: int) -> None:
    """Wait until the pictures show a place."""
    WebDriverWait(browser, PATIENCE, 0.02).until(lambda _: shown(browser) == place)


def shown(browser) -> int | None:
    place = browser.execute_script("return document.documentElement.dataset.place")
    return None if place is None else int(place)


def seen(browser) -> dict[str, Any]:
    """What is on the screen: pixels or shapes of the density, places of particles, of the cursor, and the text."""
    return browser.execute_script("""
        const density = document.getElementById("density");
        const cursor = [...document.querySelectorAll("#curve-speed .shapelayer path")].at(-1);
        return {
            density: (density.querySelector(".heatmaplayer image") ?? density.querySelector(".fills path") ?? {})
                .outerHTML,
            particles: [...density.querySelectorAll(".points path")].map((dot) => dot.getAttribute("transform")).join(),
            cursor: cursor.getAttribute("d"),
            where: document.getElementById("where").textContent,
            slider: document.getElementById("place").value,
        };
    """)


def slide(browser, place: int) -> None:
    """Move the slider as a hand does."""
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
    browser.execute_script(script, browser.find_element(By.ID, "place"), place)
    drawn(browser, place)


def press(browser, key: str) -> None:
    browser.find_element(By.TAG_NAME, "body").send_keys(key)


@pytest.mark.parametrize("opened", [1, 2, 5], indirect=True)
def test_the_slider_moves_density_particles_and_cursor(opened):
    browser = opened
    looks = [seen(browser)]
    for place in (STEPS // 2, STEPS):
        slide(browser, place)
        looks.append(seen(browser))
    for name in looks[0]:
        assert len({str(look[name]) for look in looks}) == 3, name
    assert looks[0]["density"]
    assert looks[0]["where"].startswith("s = 0.00 of")
    assert looks[0]["where"].endswith("t = 0")
    assert looks[2]["where"].endswith("t = ∞")


def test_the_comparison_and_the_places_on_its_curves(opened):
    browser = opened
    drawings = "return [...document.querySelectorAll('#ratios .shapelayer path')].at(-1).getAttribute('d')"
    before = browser.execute_script(drawings)
    assert len(browser.find_elements(By.CSS_SELECTOR, "#ratios .scatterlayer .trace")) == 4
    assert len(browser.find_elements(By.CSS_SELECTOR, "#curve-free_energy .scatterlayer .trace")) == 2
    point = browser.find_element(By.CSS_SELECTOR, "#curve-speed .points path:nth-child(2)")  # a third of the way
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    # A pause: what the pointer is over is found a moment after it has moved.
    ActionChains(browser).move_to_element(point).pause(0.5).click().perform()
    drawn(browser, STEPS // 3)
    assert browser.execute_script(drawings) != before


def test_keys_move_and_play(opened):
    browser = opened
    for key, place in ((Keys.ARROW_RIGHT, 1), (Keys.END, STEPS), (Keys.ARROW_LEFT, STEPS - 1), (Keys.HOME, 0)):
        press(browser, key)
        drawn(browser, place)
        assert seen(browser)["slider"] == str(place)
    press(browser, " ")
    assert browser.find_element(By.ID, "play").get_attribute("aria-label") == "Pause"
    WebDriverWait(browser, PATIENCE).until(lambda _: (shown(browser) or 0) > 2)
    press(browser, " ")
    assert browser.find_element(By.ID, "play").get_attribute("aria-label") == "Play"


def test_the_play_button_stops_at_the_end(opened):
    browser = opened
    slide(browser, STEPS - 2)
    browser.find_element(By.ID, "play").click()
    drawn(browser, STEPS)
    WebDriverWait(browser, PATIENCE).until(
        lambda _: browser.find_element(By.ID, "play").get_attribute("aria-label") == "Play"
    )


def test_curves_go_against_arclength_and_time(opened):
    browser = opened
    slide(browser, STEPS // 3)
    before = seen(browser)["cursor"]
    Select(browser.find_element(By.ID, "axis")).select_by_value("at")
    ticks = "return [...document.querySelectorAll('#curve-speed .xtick text')].map((tick) => tick.textContent)"
    WebDriverWait(browser, PATIENCE).until(lambda _: "∞" in browser.execute_script(ticks))
    assert seen(browser)["cursor"] != before


def test_themes_change_and_the_page_fits_a_phone(opened):
    browser = opened
    theme = "return document.documentElement.dataset.theme + getComputedStyle(document.body).backgroundColor"
    before = browser.execute_script(theme)
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script(theme) != before
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    try:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        width = "return [document.documentElement.scrollWidth, document.getElementById('density').clientWidth]"
        WebDriverWait(browser, PATIENCE).until(lambda _: max(browser.execute_script(width)) <= 390)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_controls_have_names_and_nothing_foreign_runs(opened):
    browser = opened
    for control in browser.find_elements(By.CSS_SELECTOR, "main button, main select, main input, header button"):
        assert control.accessible_name
    assert browser.execute_script("return window.harmed ?? null") is None
    assert browser.find_element(By.CLASS_NAME, "message").text == EVIL


@pytest.mark.parametrize("opened", [5], indirect=True)
def test_pairs_of_coordinates_can_be_chosen(opened):
    browser = opened
    before = seen(browser)["particles"]
    Select(browser.find_element(By.ID, "pair")).select_by_visible_text("x3 and x4")
    title = "return document.querySelector('#density .xtitle').textContent"
    WebDriverWait(browser, PATIENCE).until(lambda _: re.sub(r"\W", "", browser.execute_script(title)) == "x3")
    assert seen(browser)["particles"] != before
