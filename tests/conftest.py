"""What tests of the plugin share: a small suite to run pytest on, and its outcomes by name."""

from __future__ import annotations

import os
import signal
import warnings
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import hypothesis  # noqa: F401 - slow to import, and inner runs forget what they import
import joblib.externals.loky  # noqa: F401 - the same, and at its end joblib looks for itself
import numpy as np  # the same, and it bears no second import
import properties  # noqa: F401 - how often properties are tried
import pytest
import still_clock  # noqa: F401 - the search for a line does not end by time
from documents import ADDOPTS, OF_CI
from joblib.externals.loky import reusable_executor

import pytest_gradcheck.api  # noqa: F401 - slow as well
from pytest_gradcheck.errors import Guard

pytest_plugins = ["pytester"]

SINCE_PYTEST_9 = pytest.mark.skipif(
    pytest.version_tuple < (9,), reason="pytest 9 has subtests, and ini files in TOML's own types"
)

MEASURED = "COVERAGE_PROCESS_START" in os.environ
"""Whether coverage measures the tests, and all processes that they start."""

INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"

PAIR = """
import numpy as np
from pytest_gradcheck import GradientError, Problem, ProblemError, check_gradients
from pytest_gradcheck import gradcheck as imported

def cost(params):
    return float(np.sum(params["W1"] ** 2) + np.sum(params["b1"] ** 3))

def good(params):
    return {"W1": 2 * params["W1"], "b1": 3 * params["b1"] ** 2}

def bad(params):
    return {"W1": 2 * params["W1"], "b1": 12 * params["b1"] ** 2}

def slightly(params):
    return {"W1": 2 * params["W1"], "b1": 3.001 * params["b1"] ** 2}

def broken(params):
    raise RuntimeError("boom")

PARAMS = {"W1": np.arange(1.0, 7.0).reshape(2, 3), "b1": np.array([1.0, 2.0, 3.0])}
RIGHT = dict(cost=cost, grad=good, params=PARAMS)
WRONG = dict(cost=cost, grad=bad, params=PARAMS)
"""


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder to run pytest in, whose runs have the same order and output everywhere."""
    monkeypatch.setenv("PYTEST_ADDOPTS", ADDOPTS)
    return pytester


def _raise(error: Exception) -> None:
    raise error


@pytest.fixture(autouse=True)
def faults_in_reports_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what users see as a note of a report fail our own tests."""
    monkeypatch.setattr(Guard, "on_fault", staticmethod(_raise))


@pytest.fixture(autouse=True)
def draws_do_not_hang_on_the_order_of_tests(request: pytest.FixtureRequest) -> None:
    """Let every test draw the same numbers from the generators of its module in any order."""
    bits = np.random.PCG64(zlib.crc32(request.node.name.encode()))
    for value in vars(request.module).values():
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = bits.state


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """Let signals of tests do what they do at a terminal: a shell's background jobs ignore them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def trace_functions_are_measured() -> Iterator[None]:
    """Let coverage see what our trace functions do: Python traces nothing inside of one.

    Where it measures, they do their work in a thread of their own, and wait for that. A process
    that was forked has none of the threads, and works as where nothing is measured.
    """
    if not MEASURED:
        yield
        return
    from pytest_gradcheck.diagnosis.line.recording.tracing import Tracer

    with ThreadPoolExecutor(8) as pool, pytest.MonkeyPatch.context() as patch:
        pool.submit(int).result()  # there from the start: tests count threads
        for name in ("_on_call", "_on_event"):
            patch.setattr(Tracer, name, _in_a_thread(getattr(Tracer, name), pool))
        yield


@pytest.fixture(autouse=True)
def workers_are_measured() -> Iterator[None]:
    """End joblib's processes after every test, where coverage measures: then they write theirs.

    Joblib kills them all once one has raised, those of earlier tests as well.
    """
    yield
    executor = reusable_executor._executor
    if MEASURED and executor is not None:
        executor.shutdown(wait=True)


def _in_a_thread(method: Callable[..., Any], pool: ThreadPoolExecutor) -> Callable[..., Any]:
    process = os.getpid()

    def traced(*args: Any) -> Any:
        if os.getpid() != process:
            return method(*args)
        return pool.submit(method, *args).result()

    return traced


@pytest.fixture(params=[(), ("-n0",), ("-n2",)], ids=["plain", "n0", "n2"])
def plugin_args(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The ways to run a suite: without xdist's part, with it idle, and on two workers."""
    args: tuple[str, ...] = request.param
    return args


@dataclass
class Suite:
    """A directory with a pair of functions in ``pair.py``, in which tests are run."""

    pytester: pytest.Pytester

    def file(self, source: str, name: str = "test_it") -> None:
        """Write a test module that has everything of the pair."""
        self.pytester.makepyfile(**{name: "import pytest\nfrom pair import *\n" + source})

    def run(self, *args: str) -> pytest.RunResult:
        """Run the tests in this process, without the filters of the outer run."""
        with warnings.catch_warnings():
            warnings.resetwarnings()
            return self.pytester.runpytest_inprocess(*args)

    def outcomes(self, *args: str) -> dict[str, str]:
        """Run the tests, and return each one's outcome by its name, parametrization included."""
        self.run("--junitxml=junit.xml", *args)
        return self.last_outcomes()

    def last_outcomes(self) -> dict[str, str]:
        """Return the outcomes of the last run that wrote ``junit.xml``."""
        found = {}
        for case in ET.parse(self.pytester.path / "junit.xml").iter("testcase"):
            words = [OUTCOMES.get((child.tag, child.get("type"))) for child in case]
            words += [OUTCOMES.get((child.tag, None)) for child in case]
            known = [word for word in words if word]
            found[case.attrib["name"]] = known[0] if known else "passes"
        return found


OUTCOMES = {
    ("skipped", "pytest.xfail"): "xfails",
    ("skipped", "pytest.skip"): "skips",
    ("failure", None): "fails",
    ("error", None): "errors",
}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A suite to fill with tests and to run."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in OF_CI:
        monkeypatch.delenv(name, raising=False)
    pytester.makeini(INI)
    pytester.makepyfile(pair=PAIR)
    return Suite(pytester)


def surprises(outcomes: dict[str, str]) -> dict[str, str]:
    """Return the outcomes that are not as the names of the tests begin: ``test_fails_…`` fails."""
    return {
        name: outcome
        for name, outcome in outcomes.items()
        if not name.startswith(f"test_{outcome}_")
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let frameworks warn of themselves: that is no concern of the tests with them."""
    for item in items:
        if "frameworks" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("default"))
