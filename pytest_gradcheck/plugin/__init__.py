"""pytest's hooks that run at each start and for every test.

pytest loads this module at every start, so it imports no NumPy. Checks and marked tests import what
they need; their hooks are in `items` and `session`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.context import use_context
from pytest_gradcheck.plugin import hookspecs, options
from pytest_gradcheck.settings import MARK

if TYPE_CHECKING:
    from pytest_gradcheck.api import GradCheck
    from pytest_gradcheck.context import Context
    from pytest_gradcheck.plugin.session import GradcheckSession

RELEVANT_MARKERS = (MARK, "xdist_group")
"""Markers that are read at collection; xdist's changes the node id."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that others may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare every setting for the command line and ini files."""
    options.declare(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, read the settings of the run, and enter its context."""
    config.addinivalue_line(
        "markers",
        f"{MARK}({options.signature()}): settings of the gradient checks of a test, which may also "
        "return a Problem or a list of them, or name the pair to check in the marker itself",
    )
    state = config.stash[STATE] = PluginState(config)
    context = use_context(state.context).__enter__()
    config.add_cleanup(context.__exit__)
    if options.needs_session(config):
        state.session(collected=False)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Show the settings of the run that are not the defaults."""
    return options.header(config)


class PluginState:
    """The plugin's state: the current test, and the session once a check or marker was seen.

    Hooks for checks cost every test a little, and most suites have none. The first marker or the
    first check registers them.

    Parameters
    ----------
    config : pytest.Config

    Attributes
    ----------
    sources : tuple of (origin, values)
        The settings of the run.
    item : pytest.Item or None
        The current test.
    tests : int
        How many have been set up in this process.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.sources = options.sources(config)
        self.item: pytest.Item | None = None
        self.tests = 0
        self._config = config
        self._session: GradcheckSession | None = None
        self._starting = Lock()  # a test may start its checks in threads

    @property
    def is_active(self) -> bool:
        """Whether a gradient check or a marker has been seen."""
        return self._session is not None

    def session(self, collected: bool = True) -> GradcheckSession:
        """Return the session that records the checks; the first call registers it."""
        with self._starting:
            if self._session is None:
                from pytest_gradcheck.plugin.items import register_session

                self._session = register_session(self._config, self.sources, collected)
            return self._session

    def context(self) -> Context:
        """Return the context of a check: that of the current test, or of the run."""
        if self.item is None:
            from pytest_gradcheck.context import Context

            return Context(sources=self.sources)
        from pytest_gradcheck.plugin.items import context_of

        return context_of(self.item, self.session())


STATE = pytest.StashKey[PluginState]()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Read the markers of tests; a wrong one is a collection error."""
    report = yield
    nodes: Sequence[pytest.Item | pytest.Collector] = report.result or ()
    if nodes and not any(mark.name in RELEVANT_MARKERS for mark in collector.iter_markers()):
        nodes = [node for node in nodes if _is_relevant(node)]
    items = [node for node in nodes if isinstance(node, pytest.Item)]
    if items:
        from pytest_gradcheck.plugin.markers import collect_markers

        found, wrong = collect_markers(items, collector.config.stash[STATE].sources)
        if found:
            collector.config.stash[STATE].session()
        if wrong:
            report.outcome = "failed"
            report.longrepr = "\n".join(wrong)
            report.result = []
    return report


def _is_relevant(node: pytest.Item | pytest.Collector) -> bool:
    """Return whether a test uses the fixture, or has a relevant marker of its own."""
    for mark in node.own_markers:  # a loop: `any` takes longer, and this runs for every test
        if mark.name in RELEVANT_MARKERS:
            return True
    return MARK in getattr(node, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make the test the current one, for the checks of its fixtures as well.

    This is no wrapper of the test protocol: plugins that run tests in processes of their own
    replace that.
    """
    state = item.config.stash[STATE]
    state.item = item
    state.tests += 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Forget the last test, and collect the checks of other processes."""
    state = session.config.stash[STATE]
    try:
        return (yield)
    finally:
        state.item = None
        if not state.is_active and state.tests < session.testscollected:
            from pytest_gradcheck.plugin.items import reports_with_checks

            for report in reports_with_checks(session.config):
                state.session().pytest_runtest_logreport(report)


@pytest.fixture(scope="session")
def gradcheck() -> GradCheck:
    """Check a hand-written gradient against two-sided differences of its cost.

    ``gradcheck(cost, grad, params)`` fails the test where the gradient is wrong, and names the
    component. ``gradcheck.layer(forward, backward, *inputs)`` checks a layer.
    """
    from pytest_gradcheck.api import gradcheck

    return gradcheck
