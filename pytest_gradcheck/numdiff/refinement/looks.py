"""Second looks: one more difference at a smaller step settles most components that are open.

The two differences bound the truncation error of the second: it falls as the square of the step.
A kink shows in the gap between the one-sided slopes, half of which goes into the error bar, unless
both gaps are those of a smooth cost, proportional to the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import DECAY, RATIO, SAFETY
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.refinement.groups import CLEAR
from pytest_gradcheck.numdiff.refinement.undecided import Settled, Undecided, storage_unit
from pytest_gradcheck.params.theta import FloatArray, Theta

__all__ = ["LOOSE", "Look", "bars_of", "looked_closer"]

LOOKS = 3
"""Looks at a component before it climbs a ladder of steps."""

SHARP = 3e-7
"""The relative error bar that noise leaves at the step of a look, where it may be that deep."""

DEEPEST = 3000.0
"""How much smaller than the step before that of a look is at most."""

LOOSE = 5.0
"""Error bars of so many times the first difference's settle a clear disagreement: where noise
limits them, those of smaller steps are no narrower."""

EXPLAINED = 0.6
"""How far two differences may lie apart, in the gap of the one at the larger step. A kink within
that step puts a difference off by half of the gap. What jumps about by more has ripples or steps of
its own between the two, and needs the ladder."""

SMOOTH = 0.1
"""Two differences that lie apart by this part of the gap at most have no kink between them."""


class Look(NamedTuple):
    """What one more difference of components shows.

    Attributes
    ----------
    after : Undecided
        All that were looked at, with their new differences.
    settled : Settled
        Those among them that are right, or clearly wrong.
    """

    after: Undecided
    settled: Settled


class _Bars(NamedTuple):
    """Error bars of a look, and whether the differences before and after are those of one slope."""

    error_bars: FloatArray
    consistent: npt.NDArray[np.bool_]


def looked_closer(evaluator: Evaluator, open_: Undecided, noise: Noise) -> Iterator[Look]:
    """Look at components again at smaller steps, up to `LOOKS` times.

    What no look settles needs the ladder.
    """
    least = open_.roundings
    for _ in range(LOOKS):
        target = SAFETY * noise.level / (SHARP * open_.sizes)
        steps = np.clip(target, open_.steps / DEEPEST, open_.steps / RATIO)
        promising = _is_promising(open_, steps, evaluator.theta)
        open_, steps, least = open_.of(promising), steps[promising], least[promising]
        if not open_.numbers.size:
            return
        differences = evaluator.differences(open_.numbers, steps)
        rounding = 2 * SAFETY * noise.at(differences.sizes) / differences.widths
        finer = open_.after(differences, rounding)
        error_bars, consistent = bars_of(open_, finer)
        # The tolerance may rest on a first difference that was far too large.
        narrow = np.minimum(open_.tolerances, np.maximum(least, finer.slack))
        right = (finer.residuals <= error_bars + finer.slack) & (error_bars <= narrow)
        telling = np.minimum(1e-4 * finer.sizes, finer.residuals / 30)
        enough = np.maximum(np.maximum(narrow, telling), LOOSE * least)
        wrong = (finer.residuals > CLEAR * error_bars + finer.slack) & (error_bars <= enough)
        done = consistent & (right | wrong)
        yield Look(finer, Settled(open_.numbers[done], finer.values[done], error_bars[done]))
        again = consistent & ~done & (RATIO * rounding <= enough)
        open_, least = finer.of(again), least[again]


def _is_promising(open_: Undecided, steps: FloatArray, theta: Theta) -> npt.NDArray[np.bool_]:
    """Return where a look at smaller steps can tell: noise and storage leave room for one."""
    roundings = open_.roundings * open_.steps / steps
    clear = open_.residuals > CLEAR * roundings + open_.slack
    units = storage_unit(theta) * np.abs(theta.base[open_.numbers])
    least = 16 * np.maximum(units, 1e-17 * np.minimum(open_.lengths, 1.0))
    known = np.isfinite(open_.values) & np.isfinite(open_.gaps)
    return np.asarray(known & (steps >= least) & (clear | (roundings <= open_.tolerances)))


def bars_of(coarse: Undecided, fine: Undecided) -> _Bars:
    """Return the error bars of differences, from those at larger steps, and whether these agree.

    Of a smooth cost the gap is proportional to the step, and what is left over is a kink's. It is
    only believed to be smooth where the two differences show no kink between their steps.
    """
    apart = np.abs(fine.values - coarse.values)
    ratio = fine.steps / coarse.steps
    rounding = coarse.roundings + fine.roundings
    truncation = apart * np.minimum(1.0, DECAY * ratio * ratio)
    left_over = np.abs(fine.gaps - ratio * coarse.gaps) / (1 - ratio)
    smooth = apart <= np.maximum(SMOOTH * np.abs(coarse.gaps), rounding)
    kink = np.abs(fine.gaps)
    kink = np.where(smooth, np.minimum(left_over, kink), kink)
    moved = (fine.differences.ahead != fine.cost0) | (fine.differences.behind != fine.cost0)
    consistent = moved & (apart <= rounding + EXPLAINED * np.abs(coarse.gaps))
    return _Bars(fine.roundings + truncation + 0.5 * kink, np.asarray(consistent))
