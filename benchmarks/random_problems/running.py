"""Checking one problem, and how what the check says compares with the truth."""

from __future__ import annotations

import time
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_gradcheck import Component, ProblemError, Report, check_gradients

from .faults import KINDS, patterns
from .labels import SAME, Label, can_be_decided, labelled, may_be_blamed
from .problems import Problem
from .shapes import call

__all__ = ["FAILING", "FAILURES", "Outcome", "checked", "misnamed", "outcome", "place_in"]

FAILURES = ("false alarm", "missed", "wrong name", "crashed", "refused")
"""Results that no check should have."""

NAMELESS = ("output", "line", "unnamed")
"""Codes of causes that tell where, or how much, and not what."""

FAILING = ("suspect", "bug", "nonfinite")


@dataclass(frozen=True)
class Outcome:
    """What became of a problem.

    Attributes
    ----------
    seed, condition, shape, fault
        As of the problem.
    label : str
        As of `Label.kind`.
    result : str
        ``agreed``; ``unseen``: a visible fault passed within the resolution that the report
        states; ``blind``: a right gradient is inconclusive throughout, and no difference can decide
        it; ``open``: nobody can say; or one of `FAILURES`.
    named : str
        Whether the cause was named ``right`` or ``wrong``; ``due`` where none is named though a
        parameter shows what the fault is called, ``not`` where none does; empty where it passed.
    components, judged, undecided, calls : int
        Components of theta, and those that got a verdict: entries, where a matrix is checked.
    seconds : float
    detail : str
        The first line of the report, or of the exception.
    """

    seed: int
    condition: str
    shape: str
    fault: str
    label: str
    result: str
    named: str
    components: int
    judged: int
    undecided: int
    calls: int
    seconds: float
    detail: str


def checked(one: Problem, mode: str, **settings: Any) -> tuple[Label, Report | Exception, float]:
    """Return the truth, the report or what was raised instead, and the time that it took."""
    made = call(one)
    label = labelled(one, made)
    method: Any = getattr(check_gradients, made.method)
    chosen = made.keywords | settings
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            report: Report | Exception = method(*made.arguments, mode=mode, **chosen)
    except Exception as error:
        report = error
    return label, report, time.perf_counter() - begin


def outcome(one: Problem, mode: str) -> Outcome:
    """Check a problem, and compare."""
    label, report, seconds = checked(one, mode)
    size = sum(value.size for value in one.values)
    about = (one.seed, one.condition, one.shape, one.fault, label.kind)
    if isinstance(report, Exception):
        result = "refused" if isinstance(report, ProblemError) else "crashed"
        if _is_due(one, report):
            result = "agreed"
        return Outcome(*about, result, "", size, 0, 0, 0, seconds, _raised(report))
    parameters = report.points[0].parameters
    return Outcome(
        *about,
        _result(one, label, report),
        _named(one.fault, label, report),
        size,
        sum(parameter.size for parameter in parameters),
        sum(parameter.counts["inconclusive"] for parameter in parameters),
        report.evaluations,
        seconds,
        str(report).splitlines()[0],
    )


def _is_due(one: Problem, error: Exception) -> bool:
    """Return whether a problem was refused with reason.

    A cost that does not move with theta has a slope of rounding at most, and nothing to compare a
    wrong gradient with. One that float16 makes infinite has no slope.
    """
    code = error.code if isinstance(error, ProblemError) else ""
    return code == "nonfinite-cost" or (code == "unreached-params" and one.fault != "none")


def _raised(error: Exception) -> str:
    code = f"{error.code}: " if isinstance(error, ProblemError) else ""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rsplit('/', 2)[-1]}:{last.lineno}"
    return f"{type(error).__name__} at {where}: {code}{error}".splitlines()[0]


def _result(one: Problem, label: Label, report: Report) -> str:
    if label.kind == "unsure":
        return "open"
    if label.kind in ("right", "invisible"):
        if report.passed:
            return "agreed"
        blind = report.verdict == "inconclusive" and not can_be_decided(one)
        return "blind" if blind else "false alarm"
    if misnamed(one, label, report):
        return "wrong name"
    if not report.passed:
        return "agreed"
    if label.kind == "grey":
        return "open"
    return "missed" if _exceeded(label, report) else "unseen"


def misnamed(one: Problem, label: Label, report: Report) -> list[str]:
    """Return the components that are called wrong and are right, whichever way ties are decided."""
    called = [
        component
        for component in report.components
        if component.verdict in FAILING
        and label.errors[component.parameter][place_in(component, label)] <= SAME
    ]
    if not called:
        return []
    made = call(one)
    return [
        component.name
        for component in called
        if not may_be_blamed(one, made, *_counted(component, label))
    ]


def _counted(component: Component, label: Label) -> tuple[int, int]:
    """Return the numbers of a component's output and of its place over all parameters."""
    if component.entry is not None:
        return component.entry
    names = list(label.exact)
    before = names[: names.index(component.parameter)]
    shape = label.exact[component.parameter].shape
    place = int(np.ravel_multi_index(component.index, shape)) if shape else 0
    return 0, sum(label.exact[name].size for name in before) + place


def place_in(component: Component, label: Label) -> tuple[int, ...]:
    """Return where a component stands in the arrays of a label."""
    if component.entry is None:
        return component.index
    first = 0
    for name, found in label.exact.items():
        if name == component.parameter:
            return component.entry[0], component.entry[1] - first
        first += found.shape[1]
    raise KeyError(component.parameter)


def _exceeded(label: Label, report: Report) -> bool:
    """Return whether a component is further off than the report says could go unseen.

    Where parameters are probed, the resolution is of a fault as large as their RMS gradient.
    """
    for point in report.points[:1]:
        for parameter in point.parameters:
            exact, given = label.exact[parameter.name], label.given[parameter.name]
            off, both = np.abs(exact - given), np.abs(exact) + np.abs(given)
            if parameter.checked < parameter.size:
                both = np.maximum(both, 2 * np.sqrt(np.mean(exact * exact)))
            bound = 1.1 * parameter.resolution + 1e-6
            if np.any((off > bound * both) & (off > 1e-4 * both)):
                return True
    return False


def _named(fault: str, label: Label, report: Report) -> str:
    """Return how the causes fit what was done, and how the gradients differ."""
    if label.kind not in ("visible", "right") or report.passed:
        return ""
    wrong = [name for name, error in label.wrong().items() if error > SAME]
    seen = {name: _seen(name, label) for name in wrong}
    causes = [f for f in report.findings if f.severity == "cause" and f.code not in NAMELESS]
    if not causes:
        usual = set(KINDS.get(fault, ()))
        return "due" if any(usual & found for found in seen.values()) else "not"
    for cause in causes:
        about = wrong if cause.parameter is None else [cause.parameter]
        right = set(KINDS.get(fault, ())).union(*(seen.get(name, set()) for name in about))
        if cause.code == "upstream" and len(wrong) > 1:
            continue
        if cause.code not in right or not wrong:
            return "wrong"
    return "right"


def _seen(name: str, label: Label) -> frozenset[str]:
    """Return the codes that describe how the gradient of a parameter differs."""
    exact, given = label.exact[name], label.given[name]
    others = (
        other
        for key, other in label.exact.items()
        if key != name and other.size == exact.size and np.allclose(other.ravel(), given.ravel())
    )
    found = patterns(exact, given)
    reordered = "shifted" in found or next(others, None) is not None
    return found | {"swapped"} if reordered else found
