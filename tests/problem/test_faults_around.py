"""What is around a check goes wrong: a worker is killed, a disk is full, a folder is read-only.

The rows of docs/reliability.md that have no numbers are those of these tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pytest
from conftest import Suite
from joblib.externals.loky import get_reusable_executor

from pytest_gradcheck import ProblemError, check_gradients

Array = npt.NDArray[np.float64]

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals and files")


def grad(x: Array) -> Array:
    return 2 * x


@POSIX
def test_a_killed_worker_is_reported_and_the_next_check_has_workers_again() -> None:
    here = os.getpid()

    def deadly(x: Array) -> float:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(x @ x)

    x = np.linspace(1, 2, 12)
    before = x.tobytes()
    try:
        with pytest.raises(ProblemError, match="a worker's process ended") as error:
            check_gradients(deadly, grad, x, workers=2)
        assert error.value.code == "cost-raised"
        assert isinstance(error.value.__cause__, joblib.externals.loky.BrokenProcessPool)
        assert x.tobytes() == before
        assert check_gradients(lambda x: float(x @ x), grad, x, workers=2).verdict == "ok"
    finally:
        get_reusable_executor().shutdown(wait=True)


@POSIX
@pytest.mark.parametrize("inplace", [False, True])
def test_ctrl_c_from_another_process_ends_a_check_and_puts_everything_back(inplace: bool) -> None:
    x = np.linspace(1, 2, 5)
    before, calls = x.tobytes(), 0

    def waiting(*_: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 9:
            subprocess.run([sys.executable, "-c", f"import os; os.kill({os.getpid()}, 2)"])
            threading.Event().wait(60)
        return float(x @ x) if inplace else float(_[0] @ _[0])

    with pytest.raises(KeyboardInterrupt):
        check_gradients(waiting, lambda *_: 2 * x, x, inplace=inplace)
    assert x.tobytes() == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


RUN = """
def test_right(gradcheck):
    gradcheck(**RIGHT)

def test_wrong(gradcheck):
    gradcheck(**WRONG)
"""


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize("name", ["run.json", "run.html", "run.md", "summary"])
def test_a_full_disk_takes_no_verdict_with_it(suite: Suite, name: str) -> None:
    suite.file(RUN)
    (suite.pytester.path / name).symlink_to("/dev/full")
    result = suite.run(f"--gradcheck-report={name}")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"--gradcheck-report {name}: No space left on device"])


@pytest.mark.parametrize("name", ["run.json", "run.html", "run.md"])
def test_a_folder_that_takes_no_file_takes_no_verdict_with_it(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    suite.file(RUN)
    opened = Path.open

    def read_only(path: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        if path.parent.name == "locked" and mode != "r":
            raise OSError(30, "Read-only file system", str(path))
        return opened(path, mode, *args, **more)

    monkeypatch.setattr(Path, "open", read_only)
    result = suite.run(f"--gradcheck-report=locked/{name}", f"--gradcheck-report=other/{name}")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"--gradcheck-report locked/{name}: Read-only file system"])
    assert (suite.pytester.path / "other" / name).stat().st_size > 0


@POSIX
def test_a_worker_of_xdist_that_dies_takes_no_other_check_with_it(suite: Suite) -> None:
    suite.file(
        """
import os

def test_right(gradcheck):
    gradcheck(**RIGHT)

def test_dies(gradcheck):
    gradcheck(lambda p: os._exit(3), good, PARAMS)

def test_wrong(gradcheck):
    gradcheck(**WRONG)
"""
    )
    result = suite.run("-n1", "--gradcheck-report=run.json")
    result.stdout.fnmatch_lines(["*2 checks in 2 tests: 1 right, 1 wrong*"])
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running*test_dies*"])


def test_a_run_that_is_ended_in_a_check_reports_what_was_checked(suite: Suite) -> None:
    suite.file(
        """
def interrupted(p):
    raise KeyboardInterrupt

def test_right(gradcheck):
    gradcheck(**RIGHT)

def test_slow(gradcheck):
    gradcheck(interrupted, good, PARAMS)
"""
    )
    result = suite.pytester.runpytest_subprocess("--gradcheck-report=run.json")
    result.stdout.fnmatch_lines(["*1 check in 1 test: 1 right*"])
    assert '"cut_short": true' in (suite.pytester.path / "run.json").read_text()
