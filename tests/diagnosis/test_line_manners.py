"""The search for a line leaves coverage, debuggers, workers and threads as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

USER = """
import numpy as np

X = np.random.default_rng(0).standard_normal((7, 3))


def only_where_rest_is_changed(rest):
    return rest


def cost(w):
    z = X @ w
    rest = z - X @ w
    if rest.any():
        rest = only_where_rest_is_changed(rest)
    a = np.tanh(z + rest)
    return np.sum(a**2)


def grad(w):
    z = X @ w
    a = np.tanh(z)
    da = 2 * a
    dz = da * (1 - a)
    dw = X.T @ dz
    return dw


W = np.random.default_rng(1).standard_normal((3, 2))
"""

TEST = """
import pytest
import users

@pytest.mark.parametrize("number", range(2))
def test_backprop(gradcheck, number):
    gradcheck(users.cost, users.grad, users.W)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "users.py").write_text(USER)
    (tmp_path / "test_users.py").write_text(TEST)
    return tmp_path


def run(folder: Path, *command: str, **environment: str) -> str:
    """Return what a run of Python in a folder prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "120", **environment},
    )
    return done.stdout + done.stderr


PLAIN = ("-p", "no:randomly", "-p", "no:cacheprovider")


@pytest.mark.parametrize("core", ["ctrace", "sysmon"])
def test_coverage_measures_the_same_lines_with_and_without(folder: Path, core: str) -> None:
    pytest.importorskip("coverage")
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is there from Python 3.12 on")
    measured = []
    for option in ("--no-gradcheck-locate", "--gradcheck-locate"):
        told = run(
            folder,
            *("-m", "coverage", "run", "--include=users.py", "-m", "pytest", *PLAIN, option),
            COVERAGE_CORE=core,
        )
        assert "2 failed" in told
        assert ("(users.py:" in told) is (option == "--gradcheck-locate")
        run(folder, "-m", "coverage", "json", "-o", "lines.json")
        files: dict[str, Any] = json.loads((folder / "lines.json").read_text())["files"]
        measured.append(files["users.py"]["executed_lines"])
    assert measured[0] == measured[1] != []


def test_a_debugger_that_is_attached_stops_where_it_is_told_to(folder: Path) -> None:
    (folder / "script.py").write_text(
        "from pytest_gradcheck import check_gradients\n"
        "import users\n"
        "report = check_gradients(users.cost, users.grad, users.W, locate=True)\n"
        "codes = [finding.code for finding in report.findings]\n"
        "print(codes)\n"
    )
    commands = ("b 5", "c", "p report.passed", "p 'line' in codes", "q")
    told = run(folder, "-m", "pdb", *(w for c in commands for w in ("-c", c)), "script.py")
    assert "script.py:5" in told
    assert told.split().count("False") == 2


def test_workers_of_xdist_tell_the_same_line(folder: Path) -> None:
    pytest.importorskip("xdist")
    told = run(folder, "-m", "pytest", *PLAIN, "--gradcheck-locate", "-n", "2")
    assert "2 failed" in told
    assert told.count("cause (line): users.py:") == 2


def test_threads_search_side_by_side(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_gradcheck import check_gradients

    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("users", None)
    import users  # type: ignore[import-not-found]

    found: list[Any] = []
    traced: list[bool] = []

    def search() -> None:
        before = sys.gettrace()
        report = check_gradients(users.cost, users.grad, users.W, locate=True)
        found.append([finding.where for finding in report.findings if finding.code == "line"])
        traced.append(sys.gettrace() is before)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 3 != [[]] * 3
    assert traced == [True] * 3
