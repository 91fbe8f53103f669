"""Items that check a gradient or are marked: the context of their checks, and their hooks.

A hook costs every test a little, and most suites have no such test: the first marker or the first
check registers these.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck.context import Context, Extensions, evaluating
from pytest_gradcheck.plugin.markers import marker_options
from pytest_gradcheck.plugin.options import Sources, draws
from pytest_gradcheck.plugin.session import GradcheckSession

if TYPE_CHECKING:
    from pytest_gradcheck.params.tree import Flattener
    from pytest_gradcheck.report.report import Finding, Report

__all__ = ["context_of", "register_session", "reports_with_checks"]


class ItemChecks:
    """The checks of an item: their reports, whether one began, whether the item ended without.

    Attributes
    ----------
    reports : list of Report
        Of the checks since pytest's last report of the item.
    tried, unchecked : bool
    """

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.tried = False
        self.unchecked = False

    def receive(self, report: Report) -> None:
        """Add the report of a finished check."""
        self.tried = True
        self.reports.append(report)


ITEM_CHECKS = pytest.StashKey[ItemChecks]()


def register_session(config: pytest.Config, sources: Sources, collected: bool) -> GradcheckSession:
    """Return a new session, registered with pytest, and with the hooks of items."""
    session = GradcheckSession(config, sources, collected)
    config.pluginmanager.register(session, "gradcheck-run")
    config.pluginmanager.register(ItemHooks(session), "gradcheck-checks")
    return session


def reports_with_checks(config: pytest.Config) -> list[pytest.TestReport]:
    """Return the test reports from xdist workers that carry gradient checks."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    every = () if reporter is None else reporter.stats.values()
    return [report for reports in every for report in reports if _carries_checks(report)]


def _carries_checks(report: object) -> bool:
    known = getattr(report, "__dict__", {})  # an attribute that is missing takes long to look for
    return "gradcheck" in known


def context_of(item: pytest.Item, session: GradcheckSession) -> Context:
    """Return the context of an item's checks."""
    marker = marker_options(item)
    record = item.stash.setdefault(ITEM_CHECKS, ItemChecks())
    off = item.config.option.gradcheck_off

    def begin() -> None:
        __tracebackhide__ = True
        record.tried = True
        if off:
            pytest.skip("gradient checks are off (--gradcheck-off)")

    def receive(report: Report) -> None:
        record.receive(report)
        item.ihook.pytest_gradcheck_report(report=report, nodeid=marker.name)

    return Context(
        sources=(*session.sources, ("marker", marker.settings)),
        seed=zlib.crc32(marker.name.encode()),
        style=session.style,
        on_start=begin,
        on_report=receive,
        listener=session.listener(marker.name),
        canary=item.config.option.gradcheck_canary,
        draws=draws(item.config),
        extensions=HookExtensions(item),
    )


class HookExtensions(Extensions):
    """Extensions of an item's checks: pytest's hooks."""

    def __init__(self, item: pytest.Item) -> None:
        self._hook = item.ihook

    def still(self, value: object) -> AbstractContextManager[object] | None:
        """Return what `pytest_gradcheck_still` returns for a model."""
        found: AbstractContextManager[object] | None = self._hook.pytest_gradcheck_still(
            value=value
        )
        return found

    @property
    def flatten(self) -> Flattener | None:
        """The hook `pytest_gradcheck_flatten`, or None if nobody implements it."""
        hook = self._hook.pytest_gradcheck_flatten
        return (lambda value: hook(value=value)) if hook.get_hookimpls() else None

    def diagnose(self, report: Report) -> Sequence[Finding]:
        """Return the findings of `pytest_gradcheck_diagnose`."""
        answers = self._hook.pytest_gradcheck_diagnose(report=report)
        return [finding for answer in answers for finding in answer or ()]


class ItemHooks:
    """The hooks of items that check a gradient or are marked.

    Parameters
    ----------
    session : GradcheckSession
    """

    def __init__(self, session: GradcheckSession) -> None:
        self._session = session

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Check what a marked test returns or its marker names."""
        __tracebackhide__ = True
        marker = marker_options(item)
        if not marker.explicit or not isinstance(item, pytest.Function):
            return (yield)
        from pytest_gradcheck.plugin.returned import checking_return_value

        with checking_return_value(
            item, marker, lambda returned: self._demand_a_check(item, returned)
        ):
            return (yield)

    def _demand_a_check(self, item: pytest.Function, returned: object) -> None:
        """Record that a marked test ended without a check; under strict settings fail it."""
        __tracebackhide__ = True
        record, marker = item.stash.setdefault(ITEM_CHECKS, ItemChecks()), marker_options(item)
        if record.tried or item.config.option.gradcheck_off:
            return
        from pytest_gradcheck.settings import resolve

        sources = [*self._session.sources, ("marker", marker.settings)]
        if resolve(sources)[0].strict:
            pytest.fail(
                f"{marker.name} is marked gradcheck, but checked no gradient", pytrace=False
            )
        record.unchecked = returned is None  # pytest warns of other values itself

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the checks to pytest's report, as builtins: xdist sends nothing else."""
        record, marker = item.stash.get(ITEM_CHECKS, None), marker_options(item)
        if record is None and not (marker.explicit or marker.fixture):
            return (yield)
        checks = _taken(record, item)
        if checks and item.config.option.xmlpath:
            _add_properties(item, checks)
        report = yield
        if checks:
            from pytest_gradcheck.plugin.display.failures import set_crash_message

            set_crash_message(report, call.excinfo, self._session.style.ascii)
        clean = call.when == "call" and report.passed and not hasattr(report, "wasxfail")
        report.gradcheck = {  # type: ignore[attr-defined]
            "name": marker.name,
            "checks": checks,
            "refusals": _refusals(call),
            "unchecked": clean and record is not None and record.unchecked,
        }
        if call.when == "teardown" and record is not None:  # a rerun begins anew
            del item.stash[ITEM_CHECKS]
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_gradcheck_still(self, value: object) -> AbstractContextManager[object] | None:
        """Put a model with ``training``, ``train()`` and ``eval()`` into evaluation mode."""
        return evaluating(value)


def _taken(record: ItemChecks | None, item: pytest.Item) -> list[dict[str, Any]]:
    """Return and clear the checks since the last report of an item, in brief."""
    if record is None or not record.reports:
        return []
    from pytest_gradcheck.report import summary

    plain = summary.brief
    if item.config.option.gradcheck_report:
        plain = summary.drawn if draws(item.config) else summary.complete
    examples = bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))
    checks = [{**plain(report), "hypothesis": examples} for report in record.reports]
    record.reports.clear()
    return checks


def _refusals(call: pytest.CallInfo[None]) -> list[list[str]]:
    """Return the code and the message of the ProblemError that ended a test, if one did."""
    if call.excinfo is None:
        return []
    from pytest_gradcheck.errors import ProblemError

    error = call.excinfo.value
    return [[error.code, str(error)]] if isinstance(error, ProblemError) else []


def _add_properties(item: pytest.Item, checks: Sequence[dict[str, Any]]) -> None:
    """Add the figures of a test's worst check to its properties in the JUnit file.

    As ``record_property`` does, and only if that file is written: strict readers of the xunit2
    family refuse properties of a test.
    """
    from pytest_gradcheck.report.record import TestRecord

    worst = TestRecord("", checks=tuple(checks)).worst
    assert worst is not None
    item.user_properties += [
        ("gradcheck_verdict", worst["verdict"]),
        ("gradcheck_relative_error", f"{worst['relative_error']:.3g}"),
        ("gradcheck_resolution", f"{worst['resolution']:.3g}"),
        ("gradcheck_calls", sum(check["evaluations"] for check in checks)),
    ]
