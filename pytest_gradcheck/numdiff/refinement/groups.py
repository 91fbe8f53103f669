"""Proof in groups: many differences that contradict the gradient are proven by a few calls.

Where a whole gradient is wrong, each of its components disagrees with a difference that is right.
To look at every one of them again would double the calls. But the slope of the cost along a random
vector over many components is the sum of their slopes: one difference that is off by as much as it
disagrees would show in the sum. So the question here is not whether the gradient is right, but
whether the differences are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.numdiff.directions import random_weights
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, RATIO, SAFETY
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.refinement.undecided import Undecided, storage_unit
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["CLEAR", "proven_bars"]

CLEAR = 4.0
"""A difference that is off by so many error bars clearly disagrees."""

SMALLEST_GROUP = 16
"""From 8 to 16 the least size makes no difference to verdicts, and 3 % at most to the calls."""

GROUP_SPREAD = 100.0
"""The largest residual in a group over the smallest, both in units of the cost, is below this."""

HALVINGS = 3
"""How often a group that is not proven is halved."""

ROOM = 0.25
"""How far the slope along a vector may be off, in the smallest residual of the group. A component
counts for half of its length at least, so one that is off by all of its residual shows twice."""

SUMS = 3
"""Random sums that have to show the same. A group is tried in halves as well, so that two sums out
of many would cancel by chance."""

CHANCE = 5.0
"""How many times what the sums show of truncation one component may be off, in its length. A
component counts for half of that at least."""

KINKED = 1.3
"""A gap of twice the residual, to this factor, is that of a right component beside a kink."""

CURVED = 100.0
"""A gap of so many residuals is no curvature that is worth the calls."""

DEEP = 32.0
"""At the deepest step, the smallest residual of the group is so many error bars."""


def proven_bars(evaluator: Evaluator, open_: Undecided, noise: Noise) -> FloatArray:
    """Return error bars of the differences that can be proven in groups, NaN for the others.

    Left out are those that look as if they were right and a kink within the step put them off: by
    half of the gap between the one-sided slopes.

    Parameters
    ----------
    evaluator : Evaluator
    open_ : Undecided
    noise : Noise
    """
    bars = np.full(open_.numbers.size, math.nan)
    if open_.numbers.size < SMALLEST_GROUP or storage_unit(evaluator.theta) > EPSILON:
        return bars
    loud = open_.residuals * open_.lengths
    clear = open_.residuals - open_.slack > CLEAR * open_.roundings
    gaps = np.abs(open_.gaps) / open_.residuals
    smooth = (gaps < 2 / KINKED) | ((gaps > 2 * KINKED) & (gaps < CURVED))
    candidates = np.flatnonzero(clear & smooth & np.isfinite(loud) & (loud > 0))
    descending = candidates[np.argsort(-loud[candidates], kind="stable")]
    proof = _Proof(evaluator, open_, noise)
    while descending.size >= SMALLEST_GROUP:
        near = -loud[descending] < -loud[descending[0]] / GROUP_SPREAD
        count = int(np.count_nonzero(near))
        if count >= SMALLEST_GROUP:
            proof.prove(descending[:count], bars, HALVINGS)
        descending = descending[count:]
    return bars


class _Answer(NamedTuple):
    """What a vector over a group says of its differences.

    Attributes
    ----------
    off : float
        How far they are off, in the sum.
    bar : float
        How much of that noise and rounding may be, or may hide.
    gap : float
        The slope ahead less the slope behind.
    """

    off: float
    bar: float
    gap: float


class _Proof:
    """Proves groups of differences by slopes along random vectors over all of a group."""

    def __init__(self, evaluator: Evaluator, open_: Undecided, noise: Noise) -> None:
        self._evaluator, self._open, self._noise = evaluator, open_, noise
        self._rng = stream("groups", 0)

    def prove(self, members: Indices, bars: FloatArray, halvings: int) -> None:
        """Note the error bars of those members of a group, the loudest first, that are proven."""
        mine = self._open.of(members)
        weights = random_weights(mine.lengths, self._rng)
        proven = np.zeros(members.size, np.bool_)
        if self._own_bars(mine, 0.0, self._blur(mine, weights)) is not None:
            own = self._proven(mine, weights)
            if own is not None:
                proven = own <= _sharp_enough(mine)
                bars[members[proven]] = own[proven]
        rest = members[~proven]
        if halvings and rest.size >= SMALLEST_GROUP:
            middle = rest.size if proven.any() else rest.size // 2
            for part in (rest[:middle], rest[middle:]):
                if part.size >= SMALLEST_GROUP:
                    self.prove(part, bars, halvings - 1)

    def _proven(self, mine: Undecided, weights: FloatArray) -> FloatArray | None:
        """Return the error bars that sums along several vectors prove, or None.

        Truncation errors of a few components may cancel in one sum. A sum is asked where those
        before it prove anything.
        """
        near, deep = self._steps(mine)
        answers: list[_Answer] = []
        own = None
        for vector in range(SUMS):
            along = random_weights(mine.lengths, self._rng) if vector else weights
            answers.append(self._ask(mine, along, near))
            off = math.hypot(*(answer.off for answer in answers))
            own = self._own_bars(mine, off, max(answer.bar for answer in answers))
            if own is None:
                return None
        again = self._ask(mine, weights, deep)
        fresh = self._ask(mine, random_weights(mine.lengths, self._rng), deep)
        return own if self._is_borne_out(mine, answers[0], again, fresh) else None

    def _blur(self, mine: Undecided, own: FloatArray) -> float:
        """Return what noise leaves an answer with at least."""
        near, _ = self._steps(mine)
        return SAFETY * self._noise.level / near + float(np.linalg.norm(own * mine.roundings))

    @staticmethod
    def _own_bars(mine: Undecided, off: float, bar: float) -> FloatArray | None:
        """Return the error bars of differences that are off by so much in sums, with its bar.

        None where they prove nothing. A component counts for half of its length at least. What sums
        show of truncation hangs on chance, unlike their bars.
        """
        own = mine.roundings + (CHANCE * off + 2 * bar) / mine.lengths
        proves = off + bar <= ROOM * _least(mine) and np.any(own <= _sharp_enough(mine))
        return own if proves else None

    def _steps(self, mine: Undecided) -> tuple[float, float]:
        """Return a step at which truncation is a small part, and the deepest that noise allows."""
        count = mine.numbers.size
        near = float((mine.steps / mine.lengths).min()) / RATIO / count**0.125
        return near, min(near, DEEP * SAFETY * self._noise.level / _least(mine))

    def _is_borne_out(
        self, mine: Undecided, answer: _Answer, again: _Answer, fresh: _Answer
    ) -> bool:
        """Return whether slopes at a smaller step say the same, and no gap stays as at a kink.

        What is proportional to the step in the gap is the curvature of a smooth cost.
        """
        near, deep = self._steps(mine)
        ratio, room = deep / near, ROOM * _least(mine)
        gap = abs(again.gap - ratio * answer.gap) / (1 - ratio) if ratio < 1 else abs(again.gap)
        return gap <= max(4 * again.bar, room) and all(
            one.off + one.bar <= room for one in (again, fresh)
        )

    def _ask(self, mine: Undecided, own: FloatArray, step: float) -> _Answer:
        """Return what a vector says of differences."""
        weights = np.zeros(self._evaluator.theta.base.size)
        weights[mine.numbers] = own
        up, down = self._evaluator.along(weights, (step, -step))
        terms = own * mine.values
        bar = SAFETY * float(self._noise.at(max(abs(up), abs(down)))) / step
        bar += float(np.linalg.norm(own * mine.roundings))
        bar += SAFETY * EPSILON * float(np.linalg.norm(terms)) * math.log2(terms.size)
        off = abs((up - down) / (2 * step) - float(terms.sum()))
        return _Answer(off, bar, (up - 2 * mine.cost0 + down) / step)


def _least(mine: Undecided) -> float:
    """Return the smallest residual of a group, in units of the cost."""
    return float((mine.residuals * mine.lengths).min())


def _sharp_enough(mine: Undecided) -> FloatArray:
    """Return error bars that settle a clear disagreement, and tell by how much it is off."""
    telling = np.minimum(1e-4 * mine.sizes, mine.residuals / 30)
    return np.maximum(np.maximum(mine.tolerances, 4 * mine.roundings), telling)
