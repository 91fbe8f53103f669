"""The page in a real browser: filter, tabs, dark and light, phone and wide, accessibility.

Skipped where Chromium, its driver, Selenium or axe-core are not there; ``.ci/run`` installs them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.report.files import write
from pytest_gradcheck.report.record import Refusal, RunRecord, TestRecord
from pytest_gradcheck.report.summary import drawn

webdriver: Any = pytest.importorskip("selenium.webdriver")
pytest.importorskip("axe_playwright_python")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no Chromium with its driver"
)

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def wrong_row(w: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    gradient: np.ndarray[Any, Any] = np.cos(w)
    gradient[1] = 0
    return gradient


def reports() -> dict[str, Report]:
    """Return reports of each kind that the page tells apart."""
    rng = np.random.default_rng(0)
    return {
        "test_wrong": check_gradients(
            lambda w: float(np.sin(w).sum()),
            wrong_row,
            lambda rng: rng.normal(size=(4, 6)),
            seeds=2,
        ),
        "test_right": check_gradients(lambda x: float(x @ x), lambda x: 2 * x, rng.normal(size=9)),
        "test_kinked": check_gradients(
            lambda x: float(np.abs(x).sum()), lambda x: np.ones(2), np.array([0.0, 1.0])
        ),
    }


def record() -> RunRecord:
    tests = [
        TestRecord(
            f"test_it.py::{name}",
            "test_it.py",
            3,
            "passed" if report.passed else "failed",
            checks=(drawn(report),),
        )
        for name, report in reports().items()
    ]
    refused = TestRecord(
        "test_it.py::test_refused[<b>]",
        outcome="failed",
        refusals=(Refusal("nonscalar-cost", "nonscalar-cost: f returned <i>three</i> numbers"),),
    )
    return RunRecord(tests=(*tests, refused), exit_status=1)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "run.html"
    write(path, record())
    return path


def opened(page: Path, *, scripts: bool = True, width: int = 1400, dark: bool = False) -> Any:
    """Open the page in a browser of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--window-size={width},1000"):
        options.add_argument(flag)
    if not scripts:
        never = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", never)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    browser = webdriver.Chrome(options=options, service=service)
    if dark:
        feature = {"name": "prefers-color-scheme", "value": "dark"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(page.as_uri())
    return browser


@pytest.fixture
def browser(page: Path) -> Iterator[Any]:
    driver = opened(page)
    yield driver
    driver.quit()


def shown(browser: Any) -> list[str]:
    """Return the tests that are on display."""
    found = browser.find_elements("css selector", "details.test")
    return [
        test.find_element("css selector", "summary code").text.partition("::")[2]
        for test in found
        if test.is_displayed()
    ]


def test_the_worst_comes_first_and_is_open(browser: Any) -> None:
    assert shown(browser) == ["test_wrong", "test_refused[<b>]", "test_kinked", "test_right"]
    opened = browser.find_elements("css selector", "details.test[open] summary code")
    assert [one.text for one in opened] == [
        "test_it.py::test_wrong",
        "test_it.py::test_refused[<b>]",
    ]


def test_the_filter_shows_a_group_or_what_holds_a_text(browser: Any) -> None:
    def press(group: str) -> None:
        browser.find_element("css selector", f"#filter [data-group={group}]").click()

    press("wrong")
    assert shown(browser) == ["test_wrong", "test_refused[<b>]"]
    press("undecided")
    assert shown(browser) == ["test_kinked"]
    press("all")
    browser.find_element("css selector", "#filter input").send_keys("three")
    assert shown(browser) == ["test_refused[<b>]"]
    assert browser.find_element("id", "shown").text == "1 of 4 tests"


def test_points_are_tabs_that_the_keyboard_reaches(browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    tabs = browser.find_elements("css selector", "[role=tab]")
    panels = browser.find_elements("css selector", "[role=tabpanel]")
    assert [panel.is_displayed() for panel in panels] == [True, False]
    tabs[0].send_keys(Keys.ARROW_RIGHT)
    assert [panel.is_displayed() for panel in panels] == [False, True]
    assert browser.switch_to.active_element == tabs[1]


def test_nothing_is_said_to_the_console_and_nothing_is_fetched(browser: Any) -> None:
    assert browser.get_log("browser") == []
    script = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert [name for name in browser.execute_script(script) if not name.startswith("data:")] == []


def test_names_of_users_are_text(browser: Any) -> None:
    assert browser.find_elements("css selector", "summary b, summary i") == []


def test_without_scripts_all_is_there(page: Path) -> None:
    browser = opened(page, scripts=False)
    try:
        assert len(shown(browser)) == 4
        assert not browser.find_element("id", "filter").is_displayed()
        points = browser.find_elements("css selector", "details[open] .point")
        assert [point.is_displayed() for point in points] == [True, True]
    finally:
        browser.quit()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_is_accessible_and_fits_its_window(page: Path, width: int, dark: bool) -> None:
    browser = opened(page, width=width, dark=dark)
    try:
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(f"return {overflow}") <= 0
        background = browser.execute_script(
            "return getComputedStyle(document.body).backgroundColor"
        )
        assert (background == "rgb(255, 255, 255)") is not dark
        axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        browser.execute_script(axe)
        found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        assert [(one["id"], one["help"]) for one in found["violations"]] == []
    finally:
        browser.quit()
