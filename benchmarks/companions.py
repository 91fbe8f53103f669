"""Does the plugin get on with others? A small suite, run beside each, has to come to the same.

Usage: ``python benchmarks/companions.py [--write] [NAME ...]``. A virtual environment is made for
all of them; in a run only the plugin that is asked for is loaded, through ``-p``. ``--write`` puts
the table into docs/compatibility.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- companions -->", "<!-- end of companions -->"

SUITE = """
import unittest
import numpy as np
import pytest
from pytest_gradcheck import Problem, gradcheck as imported

def cost(p):
    return float(np.sum(p["W"] ** 2) + np.sum(p["b"] ** 3))

def good(p):
    return {"W": 2 * p["W"], "b": 3 * p["b"] ** 2}

def bad(p):
    return {"W": 2 * p["W"], "b": 12 * p["b"] ** 2}

PARAMS = {"W": np.arange(1.0, 7.0).reshape(2, 3), "b": np.array([1.0, 2.0, 3.0])}

def test_right(gradcheck):
    gradcheck(cost, good, PARAMS)

@pytest.mark.parametrize("k", [1, 2])
def test_wrong(gradcheck, k):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.xfail(strict=True)
def test_expected(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.gradcheck
def test_returned():
    return Problem(cost, good, PARAMS)

@pytest.mark.gradcheck
def test_returned_wrong():
    return [Problem(cost, good, PARAMS), Problem(cost, bad, PARAMS)]

@pytest.mark.skip
def test_skipped(gradcheck):
    gradcheck(cost, good, PARAMS)

class TestCase(unittest.TestCase):
    def test_in_a_case(self):
        imported(cost, good, PARAMS)
"""


@dataclass(frozen=True)
class Companion:
    """Another plugin: the package, how pytest loads it, and what it is told.

    `more` are modules that it needs, `left` tests that are known to be left to pytest beside it.
    """

    package: str
    module: str
    args: tuple[str, ...] = ()
    note: str = ""
    more: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


COMPANIONS = (
    Companion("pytest-xdist", "xdist", ("-n2",), "`-n2`"),
    *(
        Companion("pytest-xdist", "xdist", ("-n2", "--dist", dist), f"`-n2 --dist {dist}`")
        for dist in ("loadscope", "loadfile", "loadgroup", "worksteal", "each")
    ),
    Companion("pytest-randomly", "pytest_randomly"),
    Companion("pytest-rerunfailures", "pytest_rerunfailures", ("--reruns", "1"), "`--reruns 1`"),
    Companion("pytest-cov", "pytest_cov", ("--cov",), "`--cov`"),
    Companion("pytest-timeout", "pytest_timeout", ("--timeout", "60"), "`--timeout 60`"),
    Companion(
        "pytest-html",
        "pytest_html.plugin",
        ("--html", "out.html"),
        "`--html`",
        ("pytest_metadata.plugin",),
    ),
    Companion(
        "pytest-json-report",
        "pytest_jsonreport.plugin",
        ("--json-report",),
        "`--json-report`",
        ("pytest_metadata.plugin",),
    ),
    Companion("pytest-sugar", "pytest_sugar"),
    Companion("pytest-rich", "pytest_rich.plugin", ("--rich",), "`--rich`"),
    Companion("pytest-instafail", "pytest_instafail", ("--instafail",), "`--instafail`"),
    Companion("pytest-asyncio", "pytest_asyncio.plugin"),
    Companion("anyio", "anyio.pytest_plugin"),
    Companion("pytest-bdd", "pytest_bdd.plugin"),
    Companion("pytest-benchmark", "pytest_benchmark.plugin"),
    Companion("allure-pytest", "allure_pytest.plugin", ("--alluredir", "allure"), "`--alluredir`"),
    Companion(
        "pytest-reportlog",
        "pytest_reportlog.plugin",
        ("--report-log", "log.json"),
        "`--report-log`",
    ),
    Companion("nbmake", "nbmake.pytest_plugin"),
    Companion(
        "pytest-run-parallel",
        "pytest_run_parallel.plugin",
        ("--parallel-threads", "2"),
        "`--parallel-threads 2`",
        left=("test_returned", "test_returned_wrong"),
    ),
)


def run(python: Path, args: tuple[str, ...], modules: tuple[str, ...]) -> dict[str, str] | str:
    """Run the suite beside a plugin; return the state of each test, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_it.py").write_text(SUITE, encoding="utf-8")
        loaded = [
            word for module in ("pytest_gradcheck.plugin", *modules) for word in ("-p", module)
        ]
        ended = subprocess.run(
            [str(python), "-m", "pytest", *loaded, "--gradcheck-report=run.json", *args],
            cwd=folder,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        report = Path(folder) / "run.json"
        if ended.returncode not in (0, 1) or not report.exists():
            told = (ended.stderr or ended.stdout).strip().splitlines()
            return " ".join(told[-3:])
        found = json.loads(report.read_text(encoding="utf-8"))
        return {test["test"]: test["state"] for test in found["tests"]}


def made(packages: list[str], folder: Path) -> Path:
    """Return the interpreter of a new environment with the plugin and all companions."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, str(ROOT), *packages], check=True)
    return python


def version(python: Path, package: str) -> str:
    """Return the installed version of a package."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    told = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def main() -> int:
    """Run all companions, print the table, and return 1 where one does not get on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    asked = [one for one in COMPANIONS if not options.names or one.package in options.names]
    rows, bad = [], 0
    with tempfile.TemporaryDirectory() as folder:
        python = made(sorted({one.package for one in asked}), Path(folder))
        alone = run(python, (), ())
        for one in asked:
            found = run(python, one.args, (one.module, *one.more))
            same = _known(found, one) == _known(alone, one)
            bad += not same
            said = "the same" + f", but for {' and '.join(one.left)}" * bool(one.left)
            if not same:
                said = f"differs: {_apart(found, alone)}"
            rows.append(f"| {one.package} {version(python, one.package)} | {one.note} | {said} |")
            print(rows[-1], flush=True)
    table = "\n".join(
        [BEGIN, "| plugin | run with | outcome of each test |", "|---|---|---|", *rows, END]
    )
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        PAGE.write_text(before + table + rest.split(END)[1], encoding="utf-8")
    return int(bad > 0)


def _known(found: dict[str, str] | str, one: Companion) -> dict[str, str] | str:
    """Return the states of the tests that have to be the same beside a plugin."""
    if isinstance(found, str):
        return found
    return {name: state for name, state in found.items() if name.split("::")[-1] not in one.left}


def _apart(found: dict[str, str] | str, alone: dict[str, str] | str) -> str:
    """Return the tests whose state is another than without the plugin, or what went wrong."""
    if isinstance(found, str):
        return found
    known = alone if isinstance(alone, dict) else {}
    names = sorted(name for name in {*found, *known} if found.get(name) != known.get(name))
    told = ", ".join(f"{name.partition('::')[2]} {found.get(name)}" for name in names[:3])
    return told + ", ..." * (len(names) > 3)


if __name__ == "__main__":
    sys.exit(main())
