"""Looks outward: one more difference at a larger step, where noise limits the first one.

A smaller step would only widen the error bar there. At a larger one the bar is as much narrower as
the step is longer, and a gradient that agrees with it is decided, as it is by a first difference
that is narrow enough. Where the longest step leaves the bar too wide, it stays undecided: a ladder
would take as many calls again to say so. One that clearly disagreed before is wrong, provided that
the two differences are those of one slope: the larger step bounds the truncation error at the
smaller.

Where the larger step is so long that truncation shows, one more difference is taken between the
two. It tells truncation from a fault, and where truncation and rounding leave every bar too wide,
the component stays undecided, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import RATIO, SAFETY, SAME_STEP, USUAL
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.refinement.groups import CLEAR
from pytest_gradcheck.numdiff.refinement.looks import LOOSE, Look, bars_of
from pytest_gradcheck.numdiff.refinement.undecided import Settled, Undecided
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["Outward", "looked_outward"]

REACH = 0.3
"""The longest step in lengths: beyond, truncation is larger than what is to be decided."""

SURE = 1.5
"""Disagreements of so many times what is clear stay clear with the noise of two differences."""

TELLING = 1e-4
"""Error bars up to this part of a component's size tell by how much it is wrong."""

LOUDEST = 6
"""Of those that agree, one of so many climbs a ladder all the same, which may have an error bar of
a tenth of a tolerance: the loudest, in which a small error everywhere shows most."""

FEW = 4
"""And no fewer than these: the calls of their ladders are no matter."""


class Outward(NamedTuple):
    """What a look outward shows.

    Attributes
    ----------
    after : Undecided
        All that were looked at, with their new differences.
    settled : Settled
        Those among them that are right or clearly wrong, or that no step can decide.
    between : Undecided
        Those that were looked at a second time, with the differences between the two steps.
    held : Settled
        Those that are right, and climb a ladder all the same.
    noise_ends : bool array
        Where finer steps than the first have nothing to tell, of all that were asked about.
    """

    after: Undecided
    settled: Settled
    between: Undecided
    held: Settled
    noise_ends: npt.NDArray[np.bool_]

    @classmethod
    def none(cls, open_: Undecided) -> Outward:
        """Return that of no look at all."""
        nowhere = np.zeros(open_.numbers.size, np.bool_)
        none = open_.of(nowhere)
        nothing = Settled(none.numbers, none.values, none.values)
        return cls(none, nothing, none, nothing, nowhere)


def looked_outward(evaluator: Evaluator, open_: Undecided, noise: Noise) -> Outward:
    """Look once, at larger steps, at components whose first differences noise limits."""
    known = np.isfinite(open_.gaps) & np.isfinite(open_.roundings)  # one value alone may be none
    noisy = known & (RATIO * open_.roundings > open_.tolerances)
    ends = noisy & (np.abs(open_.gaps) <= 4 * open_.roundings)
    rungs = np.where(noisy, _rungs(open_), 0)
    asked = rungs > 0
    if not asked.any():
        return Outward.none(open_)._replace(noise_ends=ends)
    mine = open_.of(asked)
    differences = evaluator.differences(mine.numbers, mine.steps * RATIO ** rungs[asked])
    rounding = 2 * SAFETY * noise.at(differences.sizes) / differences.widths
    after = mine.after(differences, rounding)
    error_bars, consistent = bars_of(after, mine)
    longest = (1 + SAME_STEP) * after.steps > REACH * mine.lengths
    hopeless = longest & (rounding > mine.tolerances)
    right = (after.residuals <= rounding + after.slack) & ((rounding <= mine.tolerances) | hopeless)
    wrong = mine.residuals > CLEAR * error_bars + mine.slack
    enough = np.maximum(mine.tolerances, LOOSE * mine.roundings)
    wrong &= error_bars <= np.maximum(enough, TELLING * mine.sizes)
    right, wrong = right & consistent & ~wrong, wrong & consistent
    held = _loudest(after, right & ~hopeless)
    right[held] = False
    narrower = right & (rounding <= error_bars)  # not where the cost is far larger there
    values = np.where(narrower, after.values, mine.values)
    bars = np.where(narrower, rounding, error_bars)
    ratio = mine.steps / after.steps
    bends = np.abs(mine.gaps - ratio * after.gaps) <= 4 * (mine.roundings + ratio * rounding)
    ends[asked] |= bends
    done = right | wrong
    truncated = consistent & ~done & (rounding <= mine.tolerances) & (rungs[asked] >= 2)
    truncated &= mine.residuals <= mine.roundings + mine.slack
    truncated[held] = False
    between = _looked_between(evaluator, mine.of(truncated), after.of(truncated), noise)
    return Outward(
        after,
        Settled(mine.numbers[done], values[done], bars[done]).with_more(between.settled),
        between.after,
        Settled(mine.numbers[held], after.values[held], rounding[held]),
        ends,
    )


def _looked_between(evaluator: Evaluator, fine: Undecided, coarse: Undecided, noise: Noise) -> Look:
    """Look once more at components that agree at the fine step, and no more at the coarse one.

    What a right gradient is off by at the coarse one is truncation, which falls with the square of
    the step. Error bars are narrowest where it is half of rounding, and where 3/2 of that is too
    wide, no step decides. Only what two differences lie apart by, beyond their noise, is taken for
    truncation: a fault is the same at both.
    """
    if not fine.numbers.size:
        return Look(fine, Settled(fine.numbers, fine.values, fine.values))
    most = np.round(np.log(coarse.steps / fine.steps) / np.log(RATIO)) - 1
    wanted = np.log(_balanced(coarse, coarse.residuals) / fine.steps) / np.log(RATIO)
    steps = fine.steps * RATIO ** np.clip(np.round(wanted), 1, most)
    differences = evaluator.differences(fine.numbers, steps)
    rounding = 2 * SAFETY * noise.at(differences.sizes) / differences.widths
    between = fine.after(differences, rounding)
    likely = USUAL * np.hypot(rounding, coarse.roundings)
    truncation = np.maximum(np.abs(coarse.values - between.values) - likely, 0.0)
    narrowest = 1.5 * coarse.roundings * coarse.steps / _balanced(coarse, truncation)
    bars, finer = (
        one.roundings + truncation * (one.steps / coarse.steps) ** 2 for one in (between, fine)
    )
    done = (narrowest > fine.tolerances) & (between.residuals <= bars + between.slack)
    done &= bars_of(coarse, between).consistent
    values, bars = np.where(bars <= finer, (between.values, bars), (fine.values, finer))
    return Look(between, Settled(fine.numbers[done], values[done], bars[done]))


def _balanced(at: Undecided, truncation: FloatArray) -> FloatArray:
    """Return the steps at which truncation, of that size at those of `at`, is half of rounding."""
    with np.errstate(divide="ignore"):
        return np.asarray(at.steps * np.cbrt(at.roundings / (2 * truncation)))


def _rungs(open_: Undecided) -> FloatArray:
    """Return by how many rungs of a ladder the steps are to grow, 0 where it does not help.

    The longest step need not be a rung.

    A difference that agrees needs an error bar within its tolerance, one that disagrees by a few
    error bars a neighbour whose bar is narrow beside that, and one that clearly disagrees no more
    than any neighbour. Where no step is long enough for that, the longest tells that none is.
    """
    beyond = open_.residuals - open_.slack
    clear = beyond > SURE * CLEAR * open_.roundings
    few = open_.residuals / (RATIO * SURE * CLEAR)
    wanted = np.where(beyond <= open_.roundings, open_.tolerances, few)
    with np.errstate(all="ignore"):
        needed: FloatArray = np.ceil(np.log(open_.roundings / wanted) / np.log(RATIO))
        exact: FloatArray = np.log(REACH * open_.lengths / open_.steps) / np.log(RATIO)
        most = np.floor(exact)
    needed = np.where(clear, 1, np.maximum(1, needed))
    most = np.where(needed > most, exact, most)
    known = np.isfinite(needed) & np.isfinite(most) & np.isfinite(open_.gaps)
    helps = known & (most >= 1)
    return np.where(helps, np.minimum(needed, most), 0.0)


def _loudest(open_: Undecided, right: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return those of the components that seem right in which small errors would show most."""
    at = np.flatnonzero(right)
    loud = np.abs(open_.analytic[at]) * open_.lengths[at]
    count = max(FEW, -(-at.size // LOUDEST))
    return at[np.argsort(-loud, kind="stable")[:count]]
