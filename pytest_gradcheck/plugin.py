"""pytest's side: options, marker, fixture, summary, reports and gate, and nothing else.

Loaded at every start of pytest, so it imports no NumPy; a check imports what it needs.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import warnings
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck import context, settings
from pytest_gradcheck.errors import GradcheckWarning, GradientError, ProblemError

if TYPE_CHECKING:
    from pytest_gradcheck.api import GradCheck
    from pytest_gradcheck.problem import Problem
    from pytest_gradcheck.report import Report

MARK = "gradcheck"
INI_TYPES: dict[str, Any] = {"float": "float", "int": "int", "bool": "bool", "names": "args"}
REPORTS = (".json", ".md")


@dataclass
class Record:
    """The checks of one phase of a test."""

    reports: list[Report] = field(default_factory=list)
    total: int = 0

    def receive(self, report: Report) -> None:
        """Take note of a finished check."""
        self.reports.append(report)
        self.total += 1


@dataclass(frozen=True)
class Marking:
    """What the markers of a test say, and whether there are any that a person wrote."""

    explicit: bool
    values: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings alone."""
        return {k: v for k, v in self.values.items() if k not in settings.PAIR_NAMES}

    @property
    def pair(self) -> dict[str, Any]:
        """The parts of a pair alone."""
        return {k: v for k, v in self.values.items() if k in settings.PAIR_NAMES}


RECORD = pytest.StashKey[Record]()
MARKING = pytest.StashKey[Marking]()
NAME = pytest.StashKey[str]()
RUN = pytest.StashKey["Run"]()


# Options and configuration


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare every setting for the command line and ini files; unset is None everywhere."""
    group = parser.getgroup("gradcheck", "gradient checking")
    kinds: dict[str, Callable[[str], Any]] = {"float": float, "int": int}
    for item in settings.options():
        kind, text = item.metadata["kind"], item.metadata["help"]
        flag = f"--gradcheck-{item.name.replace('_', '-')}"
        how: dict[str, Any] = {"dest": f"gradcheck_{item.name}", "default": None, "help": text}
        if kind == "bool":
            how["action"] = "store_true"
        elif kind == "names":
            how |= {"action": "append", "metavar": "NAME"}
        elif kind == "choice":
            how |= {"choices": item.metadata["choices"]}
        else:
            how |= {"type": kinds[kind], "metavar": "N" if kind == "int" else "X"}
        group.addoption(flag, **how)
        parser.addini(f"gradcheck_{item.name}", text, type=INI_TYPES.get(kind), default=None)
    group.addoption(
        "--gradcheck-canary",
        action="store_true",
        help="plant faults in every analytic gradient and fail the checks that let one pass",
    )
    group.addoption(
        "--gradcheck-report",
        action="append",
        default=[],
        metavar="PATH",
        help="write every check to PATH, a .json or .md file (may be given again)",
    )
    group.addoption(
        "--gradcheck-min",
        type=int,
        default=None,
        metavar="N",
        help="fail the run when fewer than N tests completed a check",
    )
    group.addoption(
        "--gradcheck-off", action="store_true", help="skip tests at their first gradcheck"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, read the settings of the run, and make them hold for every check."""
    signature = ", ".join([*(f"{name}=None" for name in settings.PAIR_NAMES), *_defaults()])
    config.addinivalue_line(
        "markers",
        f"{MARK}({signature}): settings of the gradient checks of a test, which may also return a "
        "Problem or a list of them, or name the pair to check in the marker itself",
    )
    run = Run(config, _run_layers(config))
    for path in config.option.gradcheck_report:
        if Path(path).suffix not in REPORTS:
            raise pytest.UsageError(
                f"--gradcheck-report {path}: the name ends in {' or '.join(REPORTS)}"
            )
    config.stash[RUN] = run
    config.pluginmanager.register(run, "gradcheck-run")
    run.stack.enter_context(context.entered(context.Context(layers=run.layers)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the context of the run."""
    run = config.stash.get(RUN, None)
    if run is not None:
        run.stack.close()


def _defaults() -> Iterable[str]:
    return (f"{item.name}={item.default!r}" for item in dataclasses.fields(settings.Settings))


def _run_layers(config: pytest.Config) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the settings of ini file and command line, each tried on its own for a clear error."""
    from_ini: dict[str, Any] = {}
    from_line: dict[str, Any] = {}
    for item in settings.options():
        key = f"gradcheck_{item.name}"
        try:
            value = config.getini(key)
        except (ValueError, TypeError) as error:
            raise pytest.UsageError(f"ini option {key}: {error}") from error
        from_ini[item.name] = value if value != [] else None
        from_line[item.name] = config.getoption(key)
    layers = (("ini file", from_ini), ("command line", from_line))
    try:
        settings.resolve(layers)
    except ProblemError as error:
        raise pytest.UsageError(f"gradcheck: {error}") from error
    return layers


# Collection


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Make a wrong marker an error of the collection, naming the test."""
    report = yield
    wrong = [
        f"{item.nodeid}: {message}"
        for item in report.result or ()
        if isinstance(item, pytest.Item)
        for message in [_marker_fault(item)]
        if message
    ]
    if wrong:
        report.outcome = "failed"
        report.longrepr = "\n".join(wrong)
        report.result = []
    return report


def _marker_fault(item: pytest.Item) -> str | None:
    """Return what is wrong with the markers of a test, or None."""
    for mark in item.iter_markers(MARK):
        if mark.args:
            return f"@pytest.mark.{MARK} takes keywords only, not {mark.args[0]!r}"
        message = settings.unknown_name(mark.kwargs, also=settings.PAIR_NAMES)
        if message:
            return f"@pytest.mark.{MARK}: bad-setting: {message}"
    marking = _marking(item)
    missing = [name for name in ("cost", "grad", "params") if name not in marking.pair]
    if marking.pair and missing:
        return (
            f"@pytest.mark.{MARK}: bad-setting: a marker that names the pair has cost, grad and "
            f"params; {', '.join(missing)} is missing"
        )
    try:
        settings.resolve([*item.config.stash[RUN].layers, ("marker", marking.settings)])
    except ProblemError as error:
        return f"@pytest.mark.{MARK}: {error}"
    return None


def _marking(item: pytest.Item) -> Marking:
    marks = list(item.iter_markers(MARK))  # the closest first
    return Marking(bool(marks), settings.merge(mark.kwargs for mark in reversed(marks)))


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Note a test's name and markers, and let ``-m gradcheck`` select users of the fixture."""
    item.stash[NAME] = item.nodeid  # xdist may append its group to it later
    item.stash[MARKING] = _marking(item)
    if not item.stash[MARKING].explicit and MARK in getattr(item, "fixturenames", ()):
        item.add_marker(MARK)


# The phases of a test


def _context(item: pytest.Item, record: Record) -> context.Context:
    run = item.config.stash[RUN]
    marking = item.stash.get(MARKING, None) or _marking(item)
    return context.Context(
        layers=(*run.layers, ("marker", marking.settings)),
        seed=zlib.crc32(item.stash.get(NAME, item.nodeid).encode()),
        style=run.style(),
        before=_skip if item.config.option.gradcheck_off else None,
        receive=record.receive,
        canary=item.config.option.gradcheck_canary,
    )


def _skip() -> None:
    __tracebackhide__ = True
    pytest.skip("gradient checks are off (--gradcheck-off)")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Let checks of fixtures belong to the test that set them up."""
    item.stash[RECORD] = Record()
    with context.entered(_context(item, item.stash[RECORD])):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Let checks at the end of fixtures belong to the test that ends them."""
    record = item.stash.setdefault(RECORD, Record())
    with context.entered(_context(item, record)):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run the test with its settings in force, and check what it returns or its marker names."""
    __tracebackhide__ = True
    record = item.stash.setdefault(RECORD, Record())
    marking = item.stash.get(MARKING, None) or _marking(item)
    restore = _consume_returned(item) if marking.explicit else None
    try:
        with context.entered(_context(item, record)):
            result = yield
            if marking.pair:
                from pytest_gradcheck.problem import Problem

                _check(item, [Problem(**marking.pair)])
            if not record.total:
                _nothing_checked(item, marking)
            return result
    finally:
        if restore is not None:
            restore()


def _consume_returned(item: pytest.Item) -> Callable[[], None] | None:
    """Wrap a test function so that the problems it returns are checked and swallowed.

    Around `item.obj` and not in ``pytest_pyfunc_call``, because pytest-asyncio drops what a
    coroutine returns before that. Hypothesis refuses returned values itself.
    """
    original = getattr(item, "obj", None)
    if not callable(original) or getattr(original, "is_hypothesis_test", False):
        return None

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return _swallow(item, await original(*args, **kwargs))

    else:

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return _swallow(item, original(*args, **kwargs))

    def restore() -> None:
        item.obj = original  # type: ignore[attr-defined]

    item.obj = wrapper  # type: ignore[attr-defined]
    return restore


def _swallow(item: pytest.Item, returned: Any) -> Any:
    """Check returned problems; hand anything else on to pytest's own warning."""
    __tracebackhide__ = True
    if returned is None:
        return None
    from pytest_gradcheck.problem import Problem

    problems = returned if isinstance(returned, (list, tuple)) else [returned]
    if not problems or not all(isinstance(problem, Problem) for problem in problems):
        return returned
    _check(item, problems)
    return None


def _check(item: pytest.Item, problems: Iterable[Problem]) -> None:
    """Check every problem, then raise the first error with the headlines of the others."""
    __tracebackhide__ = True
    from pytest_gradcheck.api import check_problem

    failed: list[GradientError | ProblemError] = []
    problems = list(problems)
    for number, problem in enumerate(problems, 1):
        try:
            check_problem(problem, raising=True)
        except (GradientError, ProblemError) as error:
            if failed:
                first = str(error).splitlines()[0]
                failed[0].args = (f"{failed[0]}\nproblem {number} of {len(problems)}: {first}",)
            failed.append(error)
    if failed:
        _raise_at_definition(item, failed[0])


def _raise_at_definition(item: pytest.Item, error: Exception) -> None:
    """Raise an error as if from the line that defines the test.

    The test has returned, so no frame of the user's is left, and pytest would have none to show.
    Code compiled under the test's file and line gives it one.
    """
    __tracebackhide__ = True
    test = getattr(inspect.unwrap(getattr(item, "function", _check)), "__code__", _check.__code__)
    code = compile("raise error", test.co_filename, "exec")
    exec(code.replace(co_firstlineno=test.co_firstlineno, co_name=test.co_name), {"error": error})


def _nothing_checked(item: pytest.Item, marking: Marking) -> None:
    """Say that a marked test checked nothing: an error where strict, else a warning, once a run."""
    __tracebackhide__ = True
    uses_fixture = MARK in getattr(item, "fixturenames", ())
    if not marking.explicit and not uses_fixture:
        return
    run = item.config.stash[RUN]
    found, _ = settings.resolve([*run.layers, ("marker", marking.settings)])
    message = f"{item.nodeid} is a gradcheck test, but no gradient was checked in it"
    if found.strict and marking.explicit:
        pytest.fail(message, pytrace=False)
    if not run.warned:
        run.warned = True
        warnings.warn(
            f"{message}: call gradcheck(cost, grad, params) or return a Problem "
            "(said once a run; --gradcheck-strict makes it a failure)",
            GradcheckWarning,
            stacklevel=2,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what was checked to pytest's report, as builtins: xdist sends nothing else."""
    report = yield
    record = item.stash.get(RECORD, None)
    if record is not None and record.reports:
        from pytest_gradcheck.render.summary import brief

        whole = bool(item.config.option.gradcheck_report)
        report.gradcheck = [  # type: ignore[attr-defined]
            brief(check, whole) for check in record.reports
        ]
        record.reports.clear()
    return report


@pytest.fixture(scope="session")
def gradcheck() -> GradCheck:
    """Check a hand-written gradient against two-sided differences of its cost.

    ``gradcheck(cost, grad, params)`` fails the test where the gradient is wrong, and names the
    component. ``gradcheck.layer(forward, backward, *inputs)`` checks a layer.
    """
    from pytest_gradcheck.api import gradcheck

    return gradcheck


# The run


class Run:
    """What is known of the whole run, on the controller where xdist spreads it."""

    def __init__(
        self, config: pytest.Config, layers: tuple[tuple[str, Mapping[str, Any]], ...]
    ) -> None:
        self.layers = layers
        self.stack = ExitStack()
        self.warned = False
        self._config = config
        self._checks: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._style: context.Style | None = None

    @property
    def _is_worker(self) -> bool:
        return hasattr(self._config, "workerinput")

    def style(self) -> context.Style:
        """Return how reports are drawn on the terminal of this run."""
        if self._style is None:
            sent = getattr(self._config, "workerinput", {}).get("gradcheck_style")
            self._style = context.Style(*sent) if sent else _terminal_style(self._config)
        return self._style

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist about the terminal, which it does not have."""
        style = self.style()
        node.workerinput["gradcheck_style"] = [style.width, style.ascii]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the checks; those of a rerun replace the first run's."""
        checks = getattr(report, "gradcheck", None)
        if checks:
            self._checks[report.nodeid, report.when] = checks

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Fail the run where fewer tests than asked for completed a check."""
        result = yield
        if self._too_few() is not None and not self._is_worker:
            session.testsfailed += 1
        return result

    def _too_few(self) -> str | None:
        least = self._config.option.gradcheck_min
        if least is None or self._config.option.collectonly:
            return None
        tests = len({nodeid for nodeid, _ in self._checks})
        if tests >= least:
            return None
        return f"{tests} tests completed a gradient check, --gradcheck-min asks for {least}"

    def pytest_sessionfinish(self) -> None:
        """Write the reports that were asked for."""
        if self._is_worker or self._config.option.collectonly:
            return
        for path in self._config.option.gradcheck_report:
            from pytest_gradcheck.render.files import write

            write(Path(path), self._by_test())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Sum the checks up, where any ran or the gate has something to say."""
        too_few = self._too_few()
        if not self._checks and too_few is None:
            return
        from pytest_gradcheck.render.summary import lines

        verbosity = terminalreporter.verbosity
        drawn = list(lines(self._by_test(), verbosity, self.style().ascii))
        if verbosity >= 0:
            terminalreporter.section("gradient checks")
        for text, colour in drawn:
            terminalreporter.write_line(text, **({colour: True} if colour else {}))
        if too_few is not None:
            terminalreporter.write_line(too_few, red=True)

    def _by_test(self) -> dict[str, list[dict[str, Any]]]:
        tests: dict[str, list[dict[str, Any]]] = {}
        for (nodeid, _), checks in sorted(self._checks.items()):
            tests.setdefault(nodeid, []).extend(checks)
        return tests


MARGIN = 8
"""Columns that pytest puts before the lines of a failure."""


def _terminal_style(config: pytest.Config) -> context.Style:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    width = 80 if terminal is None else int(config.get_terminal_writer().fullwidth)
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    try:
        "×…".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return context.Style(_inner(width), ascii=True)
    return context.Style(_inner(width))


def _inner(width: int) -> int:
    return max(40, min(width, 100) - MARGIN)
