"""The diagnosis: findings from the pattern of errors, each in numbers.

A cause is reported only if it explains every component, right and wrong, within its error bar, and
if chance cannot. `rules` has the table of causes, and `engine` tries them.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_gradcheck.diagnosis import caveats
from pytest_gradcheck.diagnosis.engine import causes
from pytest_gradcheck.diagnosis.evidence import Clues, Evidence
from pytest_gradcheck.diagnosis.known_numbers import numbers_in_sight
from pytest_gradcheck.diagnosis.rules import CAUSES, WARNINGS
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.report.report import Finding, PointReport
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.judge import Verdict

__all__ = [
    "CAUSES",
    "WARNINGS",
    "Clues",
    "distinct_findings",
    "findings",
    "numbers_in_sight",
]


def findings(comparison: Comparison, pair: Pair, point: str, clues: Clues) -> tuple[Finding, ...]:
    """Return the causes first, then the warnings, in the order of the parameters.

    Parameters
    ----------
    comparison : Comparison
        The two gradients, and the verdicts on their components.
    pair : Pair
        Evaluates the gradient at other points, if something is wrong.
    point : str
        The name of the point.
    clues : Clues
        Facts beside the gradients; its guard notes errors of the diagnosis itself.
    """
    approximation, gradient = comparison.approximation, comparison.gradient
    judgement, noise, settings = comparison.judgement, comparison.noise, comparison.settings
    if judgement.stationary and noise is not None:
        return tuple(caveats.stationary(pair.theta, approximation, noise, point))
    found: list[Finding] = []
    worst = Verdict.OK if judgement.all_ok else int(judgement.verdicts.max())
    if worst >= Verdict.SUSPECT:
        evidence = Evidence(comparison, pair, point, clues)
        with clues.guard.of("the diagnosis"):
            found += causes(evidence)
    warnings: list[Finding] = []
    if noise is not None:
        warnings += caveats.coarse(approximation, judgement, noise, point)
    plain = _is_plain(comparison)
    if not plain:
        explained = {cause.parameter for cause in found}
        found += caveats.unnamed(approximation, judgement, settings, pair.theta, point, explained)
    if plain and gradient.all():
        return (*found, *warnings)
    for parameter in pair.theta.selected:
        if not plain:
            warnings += caveats.kink(parameter, approximation, gradient, judgement, point)
            warnings += caveats.branch(parameter, approximation, gradient, point)
        if not gradient[parameter.slice].any():
            warnings += caveats.vacuous(parameter, approximation, point)
        if noise is not None and not plain:
            warnings += caveats.precision(parameter, approximation, judgement, noise, point)
    return (*found, *warnings)


def _is_plain(comparison: Comparison) -> bool:
    """Return whether all is ok, smooth and differenced one by one: no warning but `vacuous` fits.

    Skipping the others saves 4 % of a check of 20 numbers.
    """
    approximation = comparison.approximation
    if approximation.seen or approximation.around or not approximation.is_smooth:
        return False
    return comparison.judgement.all_ok


def distinct_findings(points: Iterable[PointReport]) -> tuple[Finding, ...]:
    """Return the findings of all points, causes first; a cause of several points once.

    Its strength or factor may differ between points in the last digits.
    """
    found: dict[tuple[object, ...], Finding] = {}
    for finding in (finding for point in points for finding in point.findings):
        factor = None if finding.factor is None else f"{finding.factor:.3g}"
        words = finding.message if factor is None else factor
        point = "" if finding.severity == "cause" else finding.point
        key = (finding.code, finding.parameter, finding.parameters, words, point)
        found.setdefault(key, finding)
    return tuple(sorted(found.values(), key=lambda finding: finding.severity))
