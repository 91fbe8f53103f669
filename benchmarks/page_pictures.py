"""Pictures of the page for the documentation, from a run of one right and two wrong networks.

Usage: ``python benchmarks/page_pictures.py``; it needs the extra ``browser`` and Chromium with its
driver. It writes docs/page-light.png, docs/page-dark.png and docs/page-phone.png.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from selenium import webdriver

DOCS = Path(__file__).parents[1] / "docs"

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

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def taken(page: Path, picture: Path, width: int, height: int, scheme: str) -> None:
    """Take a picture of the page."""
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
        browser.save_screenshot(str(picture))
    finally:
        browser.quit()


def main() -> int:
    """Run the suite and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_network.py").write_text(SUITE, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "--gradcheck-report=page.html"]
        subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
        for name, (width, height, scheme) in PICTURES.items():
            taken(Path(folder) / "page.html", DOCS / name, width, height, scheme)
            print(DOCS / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
