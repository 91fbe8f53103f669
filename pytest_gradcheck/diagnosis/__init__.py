"""What the pattern of errors gives away: findings, each said in numbers.

A finding that is not sure is not made: a cause has to explain every component that differs, within
its error bar. Causes are tried from the simplest on, one number before a pattern of places, and a
parameter has one; what explains all that is wrong at once is one finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_gradcheck.diagnosis import caveats
from pytest_gradcheck.diagnosis.codes import CAUSES, WARNINGS
from pytest_gradcheck.diagnosis.evidence import Cause, Clues, Evidence, Part
from pytest_gradcheck.diagnosis.factors import multiple, multiple_of_data, zero
from pytest_gradcheck.diagnosis.known_numbers import in_sight
from pytest_gradcheck.diagnosis.penalties import penalty, penalty_alone
from pytest_gradcheck.diagnosis.permutations import (
    resummed,
    shifted,
    swapped,
    transposed,
    wrong_axis,
)
from pytest_gradcheck.diagnosis.propagation import stale, upstream
from pytest_gradcheck.diagnosis.regions import mask, partial
from pytest_gradcheck.diagnosis.words import listed
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.theta import FloatArray
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.judge import OK, SUSPECT, Judgement

__all__ = ["CAUSES", "WARNINGS", "Clues", "findings", "in_sight"]

Test = Callable[[Part, Evidence], Cause | None]

EXACT: tuple[Test, ...] = (
    zero,
    multiple,
    transposed,
    swapped,
    wrong_axis,
    shifted,
    penalty,
    penalty_alone,
    multiple_of_data,
    resummed,
    mask,
)
"""Each tells what the wrong gradient is, and not only where it is wrong."""


def findings(
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
    pair: Pair,
    noise: Noise | None,
    point: str,
    clues: Clues,
    settings: Settings,
) -> tuple[Finding, ...]:
    """Return the causes first, then the warnings, in the order of the parameters.

    Parameters
    ----------
    approximation, gradient, judgement
        The two gradients and their comparison, over theta.
    pair : Pair
        To ask for the gradient at other points, where something is wrong.
    noise : Noise or None
        Of the cost; None in the classical check, which measures none.
    point : str
        The name of the point.
    clues : Clues
    settings : Settings
        For the thresholds.
    """
    causes: list[Finding] = []
    worst = int(judgement.verdicts.max())
    if worst >= SUSPECT:
        evidence = Evidence(approximation, gradient, judgement, pair, noise, point, clues)
        causes = _causes(evidence)
    warnings: list[Finding] = []
    if noise is not None:
        warnings += caveats.coarse(approximation, judgement, noise, point)
    plain = worst == OK and not (approximation.seen or approximation.kinds.any())
    if not plain:
        explained = {cause.parameter for cause in causes}
        causes += caveats.unnamed(approximation, judgement, settings, pair.theta, point, explained)
    if plain and gradient.all():
        return (*causes, *warnings)
    for parameter in pair.theta.selected:
        if not plain:
            warnings += caveats.kink(parameter, approximation, gradient, judgement, point)
        if not gradient[parameter.slice].any():
            warnings += caveats.vacuous(parameter, approximation, point)
        if noise is not None and not plain:
            warnings += caveats.precision(parameter, approximation, judgement, noise, point)
    return (*causes, *warnings)


def _causes(evidence: Evidence) -> list[Finding]:
    """Return one cause for each parameter that has one, or one for all of them."""
    wrong = [part for part in evidence.parts if part.wrong.any()]
    whole = [part for part in wrong if part.fits and not (part.sparse or part.where)]
    tried = {part.name: _first(EXACT, part, evidence) for part in whole}
    found = _sure({name: cause for name, cause in tried.items() if cause is not None})
    if not found:
        chained = upstream(evidence.parts, evidence) or stale(evidence.parts, evidence)
        if chained is not None:
            return [chained]
    rest = [part for part in wrong if part.name not in found]
    patches = {
        part.name: partial(part, evidence)
        for part in rest
        if part.fits and (part.where or not part.open)
    }
    told = {name: cause for name, cause in patches.items() if cause is not None}
    if len(told) == len(rest):  # else they are but where an error shows that comes from elsewhere
        found |= told
    return _told(found, wrong, evidence.point)


def _first(tests: Sequence[Test], part: Part, evidence: Evidence) -> Cause | None:
    return next((cause for test in tests if (cause := test(part, evidence)) is not None), None)


def _sure(found: dict[str, Cause]) -> dict[str, Cause]:
    """Return causes without those of a single number that no other parameter shares."""
    return {
        name: cause
        for name, cause in found.items()
        if cause.sure or any(cause.like(other) for n, other in found.items() if n != name)
    }


def _told(found: dict[str, Cause], wrong: Sequence[Part], point: str) -> list[Finding]:
    causes = list(found.values())
    whole = len(causes) == len(wrong) > 1 and all(cause.like(causes[0]) for cause in causes)
    if whole:
        return [_finding(list(found), causes, None, point)]
    return [_finding([name], [cause], name, point) for name, cause in found.items()]


def _finding(
    names: list[str], causes: Sequence[Cause], parameter: str | None, point: str
) -> Finding:
    first = causes[0]
    seen = first.seen.format(
        wrong=sum(cause.wrong for cause in causes), size=sum(cause.size for cause in causes)
    )
    message = f"{listed(names)}: {seen}: {first.why}"
    if first.code == "scale":
        message = f"{listed(names)}: {seen}; {first.why}"
    return Finding(first.code, "cause", parameter, message, first.factor, point)
