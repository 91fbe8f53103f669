"""Two gradients, compared: the bundle that judging, diagnosing and reporting work on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pytest_gradcheck.numdiff.differences import Approximation, Comparand
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.stairs import approximated_on_stairs
from pytest_gradcheck.params.theta import FloatArray, Theta
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.branches import corrected_at_branches
from pytest_gradcheck.verdict.judge import Doubt, Judgement, Verdict, judge
from pytest_gradcheck.verdict.kinks.subgradients import asks_nearby, corrected_at_kinks
from pytest_gradcheck.verdict.tolerances import widened_by_a_tolerance
from pytest_gradcheck.verdict.zeros import (
    Scale,
    is_hidden,
    is_nothing,
    is_stationary,
    usual_scale,
    zeros,
)

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """An analytic gradient beside its approximation, and the verdicts on its components.

    Attributes
    ----------
    approximation : Approximation
    gradient : array
        The analytic gradient, laid out like theta.
    judgement : Judgement
    theta : Theta
    settings : Settings
    noise : Noise or None
        Of the cost; None in the classical check, which measures none.
    """

    approximation: Approximation
    gradient: FloatArray
    judgement: Judgement
    theta: Theta
    settings: Settings
    noise: Noise | None = None


def compare(
    pair: Pair,
    evaluator: Evaluator,
    approximation: Approximation,
    gradient: FloatArray,
    noise: Noise | None,
    settings: Settings,
) -> Comparison:
    """Compare the two gradients, and look again where that alone does not decide.

    Zeros are told from undecided components, stationary points from costs that are too noisy, and
    kinks are tested at points nearby.
    """
    theta = pair.theta
    judgement = judge(approximation, gradient, theta, settings)
    if noise is None:
        return Comparison(approximation, gradient, judgement, theta, settings)
    if judgement.wrong.size:
        comparand = Comparand.of(gradient, settings.suspect, theta)
        climbed = approximated_on_stairs(evaluator, approximation, comparand, judgement.wrong)
        if climbed is not approximation:
            approximation, noise = climbed, climbed.noise or noise
            judgement = judge(approximation, gradient, theta, settings)
    doubt = Doubt(approximation, gradient, judgement.wrong, noise, settings.suspect)
    branched = corrected_at_branches(evaluator, doubt)
    if branched is not approximation:
        approximation = branched
        judgement = judge(approximation, gradient, theta, settings)
    first = _with_zeros(Comparison(approximation, gradient, judgement, theta, settings, noise))
    if _may_be_stationary(first) and (
        is_nothing(approximation, gradient, noise, theta)
        or is_stationary(approximation, gradient, noise, evaluator)
    ):
        return _stationary(first)
    if not asks_nearby(approximation, first.judgement.wrong, settings.suspect):
        return first
    wrong = np.setdiff1d(first.judgement.wrong, list(approximation.around))
    corrected = corrected_at_kinks(pair, replace(doubt, approximation=approximation, wrong=wrong))
    judgement = judge(corrected, gradient, theta, settings)
    second = _with_zeros(replace(first, approximation=corrected, judgement=judgement))
    doubt = replace(doubt, approximation=corrected, wrong=second.judgement.wrong)
    wide = widened_by_a_tolerance(pair, evaluator, doubt)
    if wide is corrected:
        return second
    judgement = judge(wide, gradient, theta, settings)
    return _with_zeros(replace(second, approximation=wide, judgement=judgement, noise=wide.noise))


def _with_zeros(comparison: Comparison) -> Comparison:
    """Return a comparison in which components that are 0 beside rounding agree."""
    approximation, gradient, judgement = (
        comparison.approximation,
        comparison.gradient,
        comparison.judgement,
    )
    if comparison.noise is None or (judgement.all_ok and gradient.all()):
        return comparison
    scale = usual_scale(approximation, gradient, comparison.noise, comparison.theta)
    zero, still = zeros(approximation, gradient, scale), scale.stands_still(approximation)
    verdicts, errors = judgement.verdicts.copy(), judgement.errors.copy()
    verdicts[zero], errors[zero] = Verdict.OK, 0.0
    nothing = still & (scale.share(gradient) <= scale.beside) & (verdicts == Verdict.OK)
    beside = _beside_others(comparison, scale)
    resolutions = np.where(nothing, beside, judgement.resolutions)
    lost = still & is_hidden(gradient, scale, comparison.theta)
    hidden = judgement.wrong[lost[judgement.wrong]]
    verdicts[hidden], errors[hidden], resolutions[hidden] = Verdict.INCONCLUSIVE, 0.0, 1.0
    return replace(
        comparison,
        approximation=approximation.without_kinks(zero),
        judgement=Judgement(verdicts, errors, resolutions, zero),
    )


def _beside_others(comparison: Comparison, scale: Scale) -> FloatArray:
    """Return the resolutions of components that are 0: beside others of their parameter, or 1.

    There is nothing else that an error of 0 could be relative to. Where all of a parameter is 0,
    nothing of it was tested.
    """
    approximation, theta = comparison.approximation, comparison.theta
    moves = ~scale.stands_still(approximation) & approximation.checked
    tested = np.repeat(np.add.reduceat(moves, theta.starts) > 0, theta.sizes)
    beside = np.maximum(scale.resolutions(approximation), comparison.settings.suspect)
    return np.where(tested, beside, 1.0)


def _may_be_stationary(comparison: Comparison) -> bool:
    """Return whether nothing is wrong, and nothing is seen to differ from 0."""
    approximation, judgement = comparison.approximation, comparison.judgement
    at = approximation.evaluated
    verdicts = judgement.verdicts[at]
    decided = np.True_ if judgement.all_ok else verdicts == Verdict.OK
    differs = np.abs(approximation.values[at]) > approximation.error_bars[at]
    if (decided & differs).any() or (verdicts > Verdict.INCONCLUSIVE).any():
        return False
    return bool(verdicts.size) or any(seen.wide for seen in approximation.seen.values())


def _stationary(comparison: Comparison) -> Comparison:
    """Return a comparison in which all components agree, for all are 0."""
    approximation, judgement = comparison.approximation, comparison.judgement
    seen = {name: replace(one, wide=False, figure=0.0) for name, one in approximation.seen.items()}
    agreed = Judgement(
        verdicts=np.zeros_like(judgement.verdicts),
        errors=np.zeros_like(judgement.errors),
        resolutions=np.ones_like(judgement.resolutions),
        zeros=np.ones(judgement.verdicts.shape, np.bool_),
        stationary=True,
    )
    return replace(comparison, approximation=replace(approximation, seen=seen), judgement=agreed)
