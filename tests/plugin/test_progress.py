"""How far a check has come: told to whoever waits, and shown on a terminal only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Suite

from pytest_gradcheck import context, gradcheck
from pytest_gradcheck.api import check_gradients
from pytest_gradcheck.context import Context
from pytest_gradcheck.plugin.display import progress_line
from pytest_gradcheck.progress import Progress

pty = pytest.importorskip("pty")

IMPATIENT = """
from pytest_gradcheck.plugin.display import progress_line
progress_line.PATIENCE = progress_line.PAUSE = 0.0
"""

LONG = """
def cost(x):
    return float(np.sum(x ** 2))

def test_long(gradcheck):
    print("said by the test")
    gradcheck(cost, lambda x: 2 * x, np.ones(300))
"""


class ProgressListener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.found: list[tuple[int, int]] = []
        self.ended = 0

    def update(self, done: int, total: int, seconds: float) -> None:
        assert seconds >= 0
        self.told.append((done, total))

    def find(self, wrong: int, checked: int) -> None:
        self.found.append((wrong, checked))

    def close(self) -> None:
        self.ended += 1


def watched(**settings: Any) -> ProgressListener:
    listener = ProgressListener()
    with context.use_context(Context(listener=listener)):
        check_gradients(lambda x: np.sum(x**2, axis=-1), lambda x: 2 * x, np.ones(300), **settings)
    return listener


@pytest.mark.parametrize("settings", [{}, {"batched": True}, {"workers": 2}, {"mode": "probe"}])
def test_a_listener_gets_the_work_to_do_and_the_end(
    settings: dict[str, Any],
) -> None:
    listener = watched(**settings)
    done = [count for count, _ in listener.told]
    assert done == sorted(done)
    assert listener.told[-1] == ((4, 4) if "mode" in settings else (300, 300))
    assert listener.ended == 1


@pytest.mark.parametrize("settings", [{}, {"batched": True}, {"workers": 2}])
def test_a_listener_gets_how_many_components_are_wrong_so_far(settings: dict[str, Any]) -> None:
    listener = ProgressListener()

    def wrong(x: Any) -> Any:
        gradient = 2 * x
        gradient[:40] *= 3
        return gradient

    with context.use_context(Context(listener=listener)):
        check_gradients(lambda x: np.sum(x**2, axis=-1), wrong, np.ones(300), **settings)
    assert (40, 300) in listener.found
    assert listener.told[-1][0] == listener.told[-1][1]


def test_a_listener_gets_the_end_of_an_interrupted_check() -> None:
    listener = ProgressListener()

    def broken(x: Any) -> float:
        if x[2] != 1.0:
            raise KeyboardInterrupt
        return float(x @ x)

    with context.use_context(Context(listener=listener)), pytest.raises(KeyboardInterrupt):
        gradcheck(broken, lambda x: 2 * x, np.ones(5))
    assert listener.ended == 1


def test_pieces_are_all_of_the_items_in_order() -> None:
    progress = Progress(ProgressListener())
    parts = list(progress.chunks(1000))
    assert [item for part in parts for item in range(1000)[part]] == list(range(1000))
    assert list(Progress().chunks(3)) == [slice(0, 3)]


def screen(output: str) -> str:
    """Return what a terminal shows in the end: backspaces go back, and the rest overwrites."""
    lines = []
    for line in output.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        place = 0
        for sign in line:
            if sign == "\b":
                place -= 1
            else:
                cells[place : place + 1] = [sign]
                place += 1
        lines.append("".join(cells).rstrip())
    return "\n".join(lines)


def on_a_terminal(suite: Suite, *args: str, env: Mapping[str, str] | None = None) -> str:
    """Return what pytest writes to a terminal 80 columns wide."""
    suite.file(LONG)
    suite.pytester.makeconftest(IMPATIENT)
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in progress_line.CI}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *args]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=suite.pytester.path,
        env={**environment, "COLUMNS": "80", **(env or {})},
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


@pytest.mark.parametrize("args", [(), ("-s",), ("-n0",), ("-v",)])
def test_a_long_check_shows_a_line_on_a_terminal_that_is_gone_afterwards(
    suite: Suite, args: tuple[str, ...]
) -> None:
    written = on_a_terminal(suite, *args)
    assert " of 300, " in written
    assert " left" in written
    assert ("test_it.py::test_long: " in written) or "-v" in args
    shown = screen(written)
    assert " left" not in shown
    assert " of 300" not in shown
    assert ("said by the test" in written) == ("-s" in args)
    if not args:
        assert f"test_it.py .{'[100%]':>67}" in shown


@pytest.mark.parametrize(
    ("args", "env"),
    [(("-q",), {}), (("-n2",), {}), ((), {"CI": "true"})],
    ids=["quiet", "xdist", "CI"],
)
def test_no_line_is_shown_where_nobody_waits(
    suite: Suite, args: tuple[str, ...], env: dict[str, str]
) -> None:
    assert " left" not in on_a_terminal(suite, *args, env=env)


def test_no_line_is_shown_where_there_is_no_terminal(suite: Suite) -> None:
    suite.file(LONG)
    suite.pytester.makeconftest(IMPATIENT)
    result = suite.pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("* left*")


def test_a_check_is_given_a_second_before_its_line_is_shown() -> None:
    assert progress_line.PATIENCE == 1.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (59, "60 s"), (91, "2 min"), (5399, "90 min"), (5400, "2 h")],
)
def test_times_are_said_in_the_unit_that_tells_something(seconds: float, said: str) -> None:
    assert progress_line._duration(seconds) == said


class Terminal:
    """A terminal whose line is written up to the tenth column: all that a progress line needs."""

    width_of_current_line = 10

    def __init__(self, fullwidth: int) -> None:
        self.fullwidth, self.cells, self.at = fullwidth, [" "] * 200, 0
        self.pluginmanager = self

    def get_plugin(self, name: str) -> None:
        return None

    def get_terminal_writer(self) -> Terminal:
        return self

    def write_raw(self, text: str, flush: bool) -> None:
        for character in text:
            if character == "\b":
                self.at -= 1
            else:
                self.cells[self.at] = character
                self.at += 1

    @property
    def shown(self) -> str:
        return "".join(self.cells).rstrip()


def line_on(terminal: Terminal) -> progress_line.ProgressLine:
    config: Any = terminal
    return progress_line.ProgressLine(config, "tests/test_it.py::test_of_a_name")


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, " tests/test_it.py::test_of_a_name: 50 of 100, 2 s left"),
        (52, "::test_of_a_name: 50 of 100, 2 s left"),
        (40, " 50 of 100, 2 s left"),
        (24, ""),
    ],
)
def test_a_narrow_terminal_shows_the_figures_before_the_name(width: int, shown: str) -> None:
    terminal = Terminal(width)
    line = line_on(terminal)
    line.update(50, 100, 1.5)
    assert terminal.shown.endswith(shown)
    assert bool(terminal.shown) == bool(shown)
    assert terminal.at < width - Terminal.width_of_current_line
    line.close()
    assert (terminal.shown, terminal.at) == ("", 0)


def test_a_line_is_written_again_after_a_pause_and_has_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal(120)
    line = line_on(terminal)
    times = iter([100 + progress_line.PAUSE * share for share in (0, 0.5, 2, 4)])
    monkeypatch.setattr(progress_line, "monotonic", lambda: next(times))
    line.update(10, 100, 1.5)
    first = terminal.shown
    line.find(1234, 5678)
    line.update(11, 100, 1.5)
    assert terminal.shown == first
    line.update(12, 100, 1.5)
    assert terminal.shown.endswith(": 12 of 100, 12 s left; 1,234 of 5,678 wrong so far")
    line.find(0, 5678)
    line.update(12, 100, 1.5)
    assert terminal.shown.endswith(": 12 of 100, 12 s left")


@pytest.mark.parametrize(
    ("isatty", "verbosity", "shown"), [(True, 0, True), (True, -1, False), (False, 1, False)]
)
def test_a_line_is_shown_on_a_terminal_unless_it_is_to_be_quiet(
    isatty: bool, verbosity: int, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in progress_line.CI:
        monkeypatch.delenv(name, raising=False)
    reporter = SimpleNamespace(isatty=isatty, verbosity=verbosity)
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda _: reporter))
    assert progress_line.is_interactive(config) == shown
