"""pytest's hooks, and nothing else: what the plugin does at each moment of a run.

Loaded at every start of pytest, so it imports no NumPy; a check imports what it needs.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck import context, hookspecs, options
from pytest_gradcheck.marking import MARK, fault, note, noted
from pytest_gradcheck.run import Run

if TYPE_CHECKING:
    from pytest_gradcheck.api import GradCheck
    from pytest_gradcheck.report import Finding, Report


class Record:
    """What a test has checked so far, whether it tried to, and whether it ended without."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.tried = False
        self.unchecked = False

    def receive(self, report: Report) -> None:
        """Take note of a finished check."""
        self.tried = True
        self.reports.append(report)


RECORD = pytest.StashKey[Record]()
RUN = pytest.StashKey[Run]()
FOLLOWING = Lock()
"""Held while the hooks of checks are registered: a test may start its checks in threads."""


# The run


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that others may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare every setting for the command line and ini files."""
    options.declare(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, read the settings of the run, and make them hold for every check."""
    config.addinivalue_line(
        "markers",
        f"{MARK}({options.signature()}): settings of the gradient checks of a test, which may also "
        "return a Problem or a list of them, or name the pair to check in the marker itself",
    )
    options.refuse_impossible(config)
    run = config.stash[RUN] = Run(config, options.layers(config))
    config.pluginmanager.register(run, "gradcheck-run")
    run.stack.enter_context(context.entered(context.Context(layers=run.layers)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the context of the run."""
    run = config.stash.get(RUN, None)
    if run is not None:
        run.stack.close()


@pytest.fixture(scope="session")
def gradcheck() -> GradCheck:
    """Check a hand-written gradient against two-sided differences of its cost.

    ``gradcheck(cost, grad, params)`` fails the test where the gradient is wrong, and names the
    component. ``gradcheck.layer(forward, backward, *inputs)`` checks a layer.
    """
    from pytest_gradcheck.api import gradcheck

    return gradcheck


# Collection


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Read the markers of tests, and make a wrong one an error of the collection."""
    report = yield
    wrong = []
    for item in report.result or ():
        if isinstance(item, pytest.Item) and note(item).explicit:
            _follow(item.config)
            message = fault(item, item.config.stash[RUN].layers)
            if message:
                wrong.append(f"{item.nodeid}: {message}")
    if wrong:
        report.outcome = "failed"
        report.longrepr = "\n".join(wrong)
        report.result = []
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Let ``-m gradcheck`` select users of the fixture as well."""
    if MARK in getattr(item, "fixturenames", ()) and not noted(item).explicit:
        item.add_marker(MARK)


# A test


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let every check belong to the test, those of the fixtures that it sets up or ends as well."""
    with context.entered(lambda: _context(item)):
        return (yield)


def _context(item: pytest.Item) -> context.Context:
    _follow(item.config)
    run, marking = item.config.stash[RUN], noted(item)
    record = item.stash.setdefault(RECORD, Record())
    off = item.config.option.gradcheck_off

    def begin() -> None:
        __tracebackhide__ = True
        record.tried = True
        if off:
            pytest.skip("gradient checks are off (--gradcheck-off)")

    def receive(report: Report) -> None:
        record.receive(report)
        item.ihook.pytest_gradcheck_report(report=report, nodeid=marking.name)

    return context.Context(
        layers=(*run.layers, ("marker", marking.settings)),
        seed=zlib.crc32(marking.name.encode()),
        style=run.style,
        before=begin,
        receive=receive,
        watcher=run.watcher(marking.name),
        canary=item.config.option.gradcheck_canary,
        extensions=Hooks(item),
    )


class Hooks(context.Extensions):
    """What the hooks add to the checks of a test."""

    def __init__(self, item: pytest.Item) -> None:
        self._hook = item.ihook

    def still(self, value: object) -> AbstractContextManager[object] | None:
        """Ask for what switches off the randomness of a model."""
        found: AbstractContextManager[object] | None = self._hook.pytest_gradcheck_still(
            value=value
        )
        return found

    def diagnose(self, report: Report) -> Sequence[Finding]:
        """Collect the findings of others."""
        answers = self._hook.pytest_gradcheck_diagnose(report=report)
        return [finding for answer in answers for finding in answer or ()]


@pytest.hookimpl(trylast=True)
def pytest_gradcheck_still(value: object) -> AbstractContextManager[object] | None:
    """Put a model with a training mode (``training``, ``train()``, ``eval()``) out of it."""
    training = getattr(value, "training", None)
    if training is not True or not (hasattr(value, "train") and hasattr(value, "eval")):
        return None
    return _evaluating(value)


@contextmanager
def _evaluating(model: Any) -> Generator[None, None, None]:
    model.eval()
    try:
        yield
    finally:
        model.train()


# A test that checks, or is to


class Checks:
    """The hooks of tests that check a gradient, or are marked.

    A hook costs every test a little, and most suites have no such test: these are registered when
    the first marker is read or the first check begins.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Check what a marked test returns or its marker names."""
        __tracebackhide__ = True
        marking = noted(item)
        if not marking.explicit or not isinstance(item, pytest.Function):
            return (yield)
        from pytest_gradcheck.marked import checking

        with checking(item, marking, lambda returned: _demand_a_check(item, returned)):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach what was checked to pytest's report, as builtins: xdist sends nothing else."""
        report = yield
        if RECORD not in item.stash:
            return report
        record = item.stash[RECORD]
        if record.reports:
            from pytest_gradcheck.render.summary import brief

            name, whole = noted(item).name, bool(item.config.option.gradcheck_report)
            checks = [{"test": name, **brief(check, whole)} for check in record.reports]
            report.gradcheck = checks  # type: ignore[attr-defined]
            record.reports.clear()
        if call.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            report.gradcheck_unchecked = record.unchecked  # type: ignore[attr-defined]
        if call.when == "teardown":  # a rerun begins anew
            del item.stash[RECORD]
        return report


def _follow(config: pytest.Config) -> None:
    with FOLLOWING:
        if not config.pluginmanager.has_plugin("gradcheck-checks"):
            config.pluginmanager.register(Checks(), "gradcheck-checks")


def _demand_a_check(item: pytest.Function, returned: object) -> None:
    """Note that a marked test ends without a check, or fail it where the settings are strict."""
    __tracebackhide__ = True
    record, marking = item.stash.setdefault(RECORD, Record()), noted(item)
    if record.tried or item.config.option.gradcheck_off:
        return
    from pytest_gradcheck.settings import resolve

    layers = [*item.config.stash[RUN].layers, ("marker", marking.settings)]
    if resolve(layers)[0].strict:
        pytest.fail(f"{marking.name} is marked gradcheck, but checked no gradient", pytrace=False)
    record.unchecked = returned is None  # pytest has a warning of its own for other values
