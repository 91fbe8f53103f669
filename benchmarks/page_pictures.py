"""Pictures of the page for the documentation, from a run of one right and two wrong networks.

Usage: ``python benchmarks/page_pictures.py``; it needs the extra ``browser`` and Chromium with its
driver. It writes docs/page-*.png, and docs/card-*.png of the test that the README shows.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

SUITE = """
import numpy as np

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 20)), rng.normal(size=(3, 20))
PARAMS = {
    "W1": rng.normal(size=(8, 6)), "b1": rng.normal(size=8),
    "W2": rng.normal(size=(3, 8)), "b2": rng.normal(size=3),
}

def cost(p):
    A = np.tanh(p["W1"] @ X + p["b1"][:, None])
    return float(np.sum((p["W2"] @ A + p["b2"][:, None] - Y) ** 2) / 40)

def backprop(p):
    A = np.tanh(p["W1"] @ X + p["b1"][:, None])
    d = (p["W2"] @ A + p["b2"][:, None] - Y) / 20
    dZ = (p["W2"].T @ d) * (1 - A**2)
    return {"W1": dZ @ X.T, "b1": dZ.sum(axis=1), "W2": d @ A.T, "b2": d.sum(axis=1)}

def row_forgotten(p):
    grads = backprop(p)
    grads["W1"][2] = 0
    return grads

def sum_for_a_mean(p):
    grads = backprop(p)
    grads["b2"] = 20 * grads["b2"]
    return grads

def test_network(gradcheck):
    gradcheck(cost, backprop, PARAMS)

def test_a_row_is_forgotten(gradcheck):
    gradcheck(cost, row_forgotten, PARAMS)

def test_a_mean_is_missing(gradcheck):
    gradcheck(cost, sum_for_a_mean, PARAMS)
"""

PICTURES = {
    "page-light.png": (1200, 1500, "light"),
    "page-dark.png": (1200, 1500, "dark"),
    "page-phone.png": (400, 1500, "light"),
}
"""Columns, rows and scheme of each."""

CARDS = {"card-light.png": (840, 2000, "light"), "card-dark.png": (840, 2000, "dark")}
CARD = "details.test"
"""The part of the page that is about one test."""

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def taken(page: Path, picture: Path, form: tuple[int, int, str], part: str = "body") -> None:
    """Take a picture of the page, or of a part of it."""
    width, height, scheme = form
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get(page.as_uri())
        if part == "body":
            browser.save_screenshot(str(picture))
        else:
            browser.find_element(By.CSS_SELECTOR, part).screenshot(str(picture))
    finally:
        browser.quit()


def page_of(name: str, source: str, folder: Path) -> Path:
    """Run a file of tests, and return the page of its report."""
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    asked = [f"{name}.py", f"--gradcheck-report={name}.html"]
    command = [sys.executable, "-m", "pytest", "-q", *asked]
    subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
    return folder / f"{name}.html"


def main() -> int:
    """Run the suite and the README's test, and take the pictures."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- file: test_softmax.py -->\n```python\n(.*?)```", readme, re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        page = page_of("test_network", SUITE, Path(folder))
        for name, form in PICTURES.items():
            taken(page, DOCS / name, form)
        page = page_of("test_softmax", shown, Path(folder))
        for name, form in CARDS.items():
            taken(page, DOCS / name, form, CARD)
    return 0


if __name__ == "__main__":
    sys.exit(main())
