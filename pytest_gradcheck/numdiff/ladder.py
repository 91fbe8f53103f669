"""The slope of a cost along a line, from a ladder of steps, with an error bar that can be trusted.

Each rung takes the cost on both sides at 3.7 times the distance of the one below. Three things are
read off the rungs together:

* truncation: how far neighbouring rungs differ, handed down to finer ones at the rate of h**2 and
  no faster, so that two wrong rungs that happen to agree are not taken for a plateau;
* rounding: the measured noise of the cost over the step, times a safety factor;
* the two one-sided slopes: they meet as the step shrinks where the cost is smooth, stay apart at a
  kink, and run away at a jump.

The rung with the smallest error bar wins, but only among those that no finer rung contradicts: the
derivative is the limit of small steps, so of two plateaus the finer one that stands clear of the
noise is right.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

__all__ = ["EPSILON", "READABLE", "SAFETY", "Kind", "Line", "Sides", "Slope", "climb", "is_guard"]

SAFETY = 8.0
"""Error bars are this many times the noise over the step.

The difference of two calls with noise of standard deviation s, over 2 h, has one of 0.71 s/h. The
measured noise may be low by a factor of two, and among a million components the largest of normal
errors lies at 4.9 standard deviations: 0.71 * 2 * 4.9 = 7."""

RATIO = 3.7
"""Of neighbouring rungs. The error of a central difference, of order h**2, falls by its square. No
whole number: the steps of a ladder of whole ratios can all be multiples of one period."""

DECAY = RATIO**2

EPSILON = sys.float_info.epsilon

SPAN = 1
"""Rungs on either side of the first step that are looked at before anything is concluded."""

UNSEEN = 0.35
"""The part of a rounding bar that noise is likely to fill; what else fills it may be kinks."""

USUAL = 0.2
"""The part of a rounding bar that noise usually fills."""

SAME_STEP = 0.01
"""Distances that differ by this part of theirs at most are one step: storage rounds them."""

CLOSE = 0.25
"""What part of a disagreement is left where a slope comes close to the analytic value."""

HAIR = 1e-3
"""How much nearer than the finest rung a jump at theta is looked at once more."""

READABLE = 8 * SAFETY
"""The gap of a kink, in units of noise over distance, where it is read at all: four error bars fill
half of it. How far from theta a kink is does not show nearer by."""

MARGIN = 4.0
"""A disagreement of this many error bars is taken as one without the rest of the ladder, provided
that the deepest step which noise allows bears it out."""


class Sides(NamedTuple):
    """The costs at one distance ahead of theta and behind it."""

    distance: float
    up: float
    down: float

    def is_at(self, distance: float) -> bool:
        """Return whether these are the costs at that step, but for how storage rounds it."""
        return abs(self.distance - distance) <= SAME_STEP * distance


@dataclass(frozen=True)
class Line:
    """The cost along a line through theta.

    Attributes
    ----------
    at : callable
        Takes a distance; returns the distance that was really moved, after rounding, and the cost.
    cost0 : float
        The cost at distance 0.
    step : float
        Where the ladder begins.
    reach : float
        The largest distance that makes sense: the size of the parameter.
    least : float
        The smallest: a few units in the last place.
    known : sequence of Sides
        What has been asked before.
    useful : float
        The smallest that can tell more than noise does, where that is known.
    magnitude : float
        The size of the cost at which its noise was measured: larger costs round with their size.
    unit : float
        The rounding unit of the coarsest array, in whose type a cost may compute.
    """

    at: Callable[[float], tuple[float, float]]
    cost0: float
    step: float
    reach: float
    least: float
    known: Sequence[Sides] = ()
    useful: float = 0.0
    magnitude: float = math.inf
    unit: float = EPSILON

    @property
    def finest(self) -> float:
        """The smallest distance of a rung."""
        return max(self.least, self.useful)


class Kind(IntEnum):
    """What the cost is like along a line, next to theta."""

    SMOOTH = 0
    KINK = 1
    EDGE = 2
    """One side lies outside of the domain."""
    JUMP = 3
    NONFINITE = 4


@dataclass(frozen=True)
class Slope:
    """An approximate derivative along a line.

    Attributes
    ----------
    value : float
        The approximation. At a kink the one-sided slope that is nearest to the analytic value, or
        that value itself where it lies between the two.
    error_bar : float
        Bound of its error, safety factor included; infinite where nothing can be said.
    kind : Kind
    sides : (float, float) or None
        At a kink, the slopes on the left and on the right.
    """

    value: float
    error_bar: float
    kind: Kind = Kind.SMOOTH
    sides: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Rung:
    """The cost at one distance on both sides."""

    ahead: float
    behind: float
    up: float
    down: float
    cost0: float

    @property
    def central(self) -> float:
        """The slope of the parabola through all three points, though the sides may be unequal."""
        sides = self.right * self.behind + self.left * self.ahead
        return sides / (self.ahead + self.behind) if math.isfinite(sides) else math.nan

    @property
    def right(self) -> float:
        return (self.up - self.cost0) / self.ahead if self.ahead else math.nan

    @property
    def left(self) -> float:
        return (self.cost0 - self.down) / self.behind if self.behind else math.nan

    @property
    def width(self) -> float:
        return 0.5 * (self.ahead + self.behind)


def climb(line: Line, analytic: float, noise: float, wide: float, suspect: float) -> Slope:
    """Approximate the slope along a line as well as the analytic value needs it to be.

    Parameters
    ----------
    line : Line
    analytic : float
        What the slope is to be compared with.
    noise : float
        Standard deviation of the noise of one call of the cost.
    wide : float
        An error bar beyond this would leave the comparison open.
    suspect : float
        The relative error at which a disagreement begins.

    Returns
    -------
    Slope

    Examples
    --------
    >>> line = Line(lambda t: (t, abs(t)), 0.0, 1e-6, 1.0, 1e-15)
    >>> climb(line, 0.5, 1e-17, 1e-3, 1e-5).kind.name
    'KINK'
    """
    ladder = _Ladder(line, analytic, noise)
    last = math.inf
    while True:
        slope = ladder.smooth()
        if ladder.agrees(slope, wide, suspect, last) or ladder.is_hopeless(slope, wide):
            return slope
        wrong = ladder.disagrees(slope, wide, suspect)
        last = slope.error_bar
        if not wrong and ladder.extend():
            continue
        return slope if wrong else ladder.doubted(ladder.conclusion(slope), wide, suspect)


def is_guard(value: float, cost0: float) -> bool:
    """Return whether a value lies as far from the cost at theta as what stands for no value."""
    return abs(value - cost0) > 0.5 * max(abs(value), abs(cost0))


class _Ladder:
    """The rungs taken so far, the finest first."""

    def __init__(self, line: Line, analytic: float, noise: float) -> None:
        self._line, self._analytic, self._noise = line, analytic, noise
        self._deepest: _Rung | None = None
        self._gap_bar = 0.0
        distances = [line.step * RATIO**power for power in range(-SPAN, SPAN + 1)]
        self._rungs = [self._rung(d) for d in distances if line.finest <= d <= line.reach]
        if not self._rungs:
            self._rungs = [self._rung(min(max(line.step, line.finest), line.reach))]
        self._leave_out_guards()

    def _rung(self, distance: float) -> _Rung:
        for sides in self._line.known:
            if sides.is_at(distance):
                return _Rung(sides.distance, *sides, self._line.cost0)
        ahead, up = self._line.at(distance)
        behind, down = self._line.at(-distance)
        return _Rung(ahead, -behind, up, down, self._line.cost0)

    def _leave_out_guards(self) -> None:
        """Take constants that a cost returns outside of its domain for no value.

        On one side it then has the same value at several steps, far from that at theta.
        """
        for side in ("up", "down"):
            values = [getattr(rung, side) for rung in self._rungs]
            for k, value in enumerate(values):
                if values.count(value) > 1 and is_guard(value, self._line.cost0):
                    self._rungs[k] = replace(self._rungs[k], **{side: math.nan})

    def _rounding(self, rung: _Rung, sides: Sequence[str] = ("up", "down")) -> float:
        """Return the error bar that noise leaves a rung with.

        Far from theta the cost may be larger than where its noise was measured, and rounds with
        its size. One that does not move by a bit may be stuck on the rounding of something inside
        it that is larger than its value: log(1 + exp(-40)) is 0. A number of the order of 1 is
        assumed there.
        """
        stuck = rung.up == rung.down == rung.cost0
        costs = [abs(getattr(rung, side)) for side in sides]
        size = 2.0 if stuck else max(filter(math.isfinite, costs), default=0.0)
        larger = max(1.0, size / self._line.magnitude) if self._line.magnitude else 1.0
        unit = self._line.unit if stuck else EPSILON
        return SAFETY * max(self._noise * larger, 0.5 * unit * size) / rung.width

    def extend(self) -> bool:
        """Add a rung at either end where it can tell something; return whether one was added."""
        finest, coarsest = self._rungs[0], self._rungs[-1]
        finer, coarser = finest.width / RATIO, coarsest.width * RATIO
        added = False
        if finer >= self._line.finest and self._can_refine(finest):
            self._rungs.insert(0, self._rung(finer))
            added = True
        if coarser <= self._line.reach and self._can_coarsen():
            self._rungs.append(self._rung(coarser))
            added = True
        self._leave_out_guards()
        return added

    def _can_refine(self, finest: _Rung) -> bool:
        """Return whether the next finer rung can refute others: noise fills a part of its bar."""
        if not (math.isfinite(finest.up) and math.isfinite(finest.down)):
            return True
        slopes = [s for r in self._rungs for s in (r.central, r.right, r.left) if math.isfinite(s)]
        size = max(map(abs, [*slopes, self._analytic]))
        return RATIO * self._rounding(finest) <= size

    def _can_coarsen(self) -> bool:
        """Return whether coarser rungs may help: the coarsest differs by no more than noise."""
        two = [r for r in self._rungs if math.isfinite(r.central)][-2:]
        if len(two) < 2:
            return any(math.isfinite(r.right) or math.isfinite(r.left) for r in self._rungs)
        truncation = abs(two[1].central - two[0].central)
        return truncation <= DECAY * self._rounding(two[0])

    def smooth(self) -> Slope:
        """Return the best slope of a function taken to be smooth, on one side where it must be."""
        central = [r for r in self._rungs if math.isfinite(r.central)]
        if len(central) >= 3 and central[0] is self._rungs[0]:
            rounding = [self._rounding(r) for r in central]
            value, bar = _best([r.central for r in central], rounding, _hidden_kinks(central))
            self._gap_bar = self._apart(central)
            return Slope(value, max(bar, self._gap_bar))
        for side in ("right", "left"):
            finite = [r for r in self._rungs if math.isfinite(getattr(r, side))]
            if len(finite) >= 4 and finite[0] is self._rungs[0]:
                value, bar = self._one_sided(finite, side)
                return Slope(value, bar, Kind.EDGE)
        if any(math.isfinite(r.right) or math.isfinite(r.left) for r in self._rungs):
            return Slope(math.nan, math.inf)
        return Slope(math.nan, math.inf, Kind.NONFINITE)

    def _of_two(self, fine: _Rung, coarse: _Rung) -> Slope:
        """Return the slope where there is room for two rungs, between the noise and the reach.

        Whatever they differ by is taken for truncation, and the gap of the slopes for a kink.
        """
        apart = abs(coarse.central - fine.central)
        return Slope(fine.central, self._rounding(fine) + apart + abs(fine.right - fine.left))

    def _apart(self, rungs: Sequence[_Rung]) -> float:
        """Return the error bar due to one-sided slopes that have not been seen to meet, or 0.

        The slope of a smooth cost is where they meet. Between the noise and the next kink there may
        be no room to see whether they do. And where there are kinks on both sides, the slope
        between them need not lie between those beyond.
        """
        gaps = [abs(r.right - r.left) for r in rungs]
        noises = [4 * self._rounding(r) for r in rungs]
        clear = next((k for k, gap in enumerate(gaps) if gap > noises[k]), None)
        if clear is None or any(2 * noise < gaps[clear] for noise in noises[:clear]):
            return 0.0
        shrinks = clear + 1 < len(gaps) and gaps[clear] <= 0.5 * gaps[clear + 1]
        return 0.0 if shrinks else gaps[clear] + self._rounding(rungs[clear])

    def _one_sided(self, rungs: Sequence[_Rung], side: str) -> tuple[float, float]:
        """Return the slope on one side: first differences, extrapolated once to order h**2."""
        slopes = [getattr(r, side) for r in rungs]
        values = [(RATIO * f - c) / (RATIO - 1) for f, c in pairwise(slopes)]
        cost = "up" if side == "right" else "down"
        return _best(values, [3.4 * self._rounding(r, (cost,)) for r in rungs[:-1]])

    def agrees(self, slope: Slope, wide: float, suspect: float, last: float) -> bool:
        """Return whether the values agree, and another rung would not tell it better."""
        size = abs(slope.value) + abs(self._analytic)
        if not slope.error_bar <= wide or self.differs(slope, suspect):
            return False
        if self._gap_bar:  # whether it is a kink shows only on finer rungs
            return False
        return slope.error_bar <= suspect * size or slope.error_bar > 0.5 * last

    def differs(self, slope: Slope, suspect: float) -> bool:
        """Return whether the values lie further apart than the error bar and the threshold."""
        size = abs(slope.value) + abs(self._analytic)
        return not abs(slope.value - self._analytic) <= suspect * size + slope.error_bar

    def is_hopeless(self, slope: Slope, wide: float) -> bool:
        """Return whether values that agree would drown in noise at the largest step as well.

        Not where the error bar is a matter of truncation, or of a cost that is larger further off:
        a finer rung may have a narrower one.
        """
        noise, off = SAFETY * self._noise, abs(slope.value - self._analytic)
        drowns = noise / self._line.reach > wide and off <= slope.error_bar
        finer = RATIO * noise / self._rungs[0].width
        return drowns and slope.error_bar <= finer and not self._gap_bar

    def disagrees(self, slope: Slope, wide: float, suspect: float) -> bool:
        """Return whether the values clearly disagree, at every step there is."""
        off = abs(slope.value - self._analytic)
        size = abs(slope.value) + abs(self._analytic)
        if not slope.error_bar <= wide or off <= MARGIN * (suspect * size + slope.error_bar):
            return False
        if self._deepest is None:
            step = 8 * SAFETY * self._noise / off
            self._deepest = self._rung(max(self._line.finest, min(step, self._rungs[0].width)))
        return slope.kind == Kind.SMOOTH and self._bears_out(self._deepest, slope.value, off)

    def _bears_out(self, rung: _Rung, value: float, off: float) -> bool:
        """Return whether a rung shows a smooth cost with a slope as far off on the same side."""
        sign = math.copysign(1.0, value - self._analytic)
        gap, allowed = abs(rung.right - rung.left), 4 * self._rounding(rung)
        coarser = next((r for r in self._rungs if r.width > (RATIO - 1) * rung.width), None)
        if coarser is not None:  # the curvature's part in the gap is proportional to the step
            share = rung.width / coarser.width
            allowed += 1.5 * share * abs(coarser.right - coarser.left)
        smooth = gap <= allowed
        far = sign * (rung.central - self._analytic) > 0.5 * off
        return smooth and far

    def conclusion(self, slope: Slope) -> Slope:
        """Return what the whole ladder says."""
        finite = [r for r in self._rungs if math.isfinite(r.left) and math.isfinite(r.right)]
        if len(finite) == len(self._rungs) == 2:
            return self._of_two(*finite)
        if slope.kind in (Kind.EDGE, Kind.NONFINITE) or len(finite) < 3:
            return slope
        jumping = [side for side in ("right", "left") if self._jumps(finite, side)]
        if len(jumping) == 2:
            return Slope(slope.value, math.inf, Kind.JUMP)
        if jumping:
            continuous = "left" if jumping == ["right"] else "right"
            return Slope(*self._one_sided(finite, continuous), Kind.EDGE)
        sides = self._kink(finite)
        return slope if sides is None else self._at_kink(*sides)

    def doubted(self, slope: Slope, wide: float, suspect: float) -> Slope:
        """Return a slope with an error bar up to the analytic value where that may be right.

        Where noise leaves error bars wide, kinks hide between theta and the finest rung: on one
        side the slope may still be the analytic value, or steps that are finer yet come close to
        it. A value that is wrong keeps as far from them as noise does.
        """
        if not wide < slope.error_bar < math.inf or not self.differs(slope, suspect):
            return slope
        off = abs(slope.value - self._analytic)
        if self._is_one_side(off) or self._is_limit(off):
            return replace(slope, error_bar=off)
        return slope

    def _is_one_side(self, off: float) -> bool:
        """Return whether the slope on one side is the analytic value, but for noise."""
        bars = [self._rounding(rung) for rung in self._rungs]
        clear = next((k for k, bar in enumerate(bars) if bar <= off), None)
        if clear is None:
            return False
        allowed = [0.5 * bar for bar in bars[:clear]] + [CLOSE * off]
        return any(
            all(
                abs(getattr(rung, side) - self._analytic) <= most
                for rung, most in zip(self._rungs, allowed, strict=False)
            )
            for side in ("left", "right")
        )

    def _is_limit(self, off: float) -> bool:
        """Return whether central slopes at finer steps are the analytic value, two in a row.

        Of three steps, so that the middle one is asked first.
        """

        def is_close(power: int) -> bool:
            distance = self._rungs[0].width / RATIO**power
            return distance >= self._line.least and (
                abs(self._rung(distance).central - self._analytic) <= CLOSE * off
            )

        return is_close(2) and (is_close(1) or is_close(3))

    def _jumps(self, rungs: Sequence[_Rung], side: str) -> bool:
        """Return whether the cost rises by as much over a 14th of the distance, on one side.

        And by half of it right beside theta: further off, a ripple may rise as far.
        """
        cost = "up" if side == "right" else "down"
        fine, coarse = (abs(getattr(rungs[k], cost) - self._line.cost0) for k in (0, 2))
        if not (fine > 2 * SAFETY * self._noise and fine > 0.5 * coarse):
            return False
        distance = max(self._line.least, HAIR * rungs[0].width)
        _, near = self._line.at(distance if side == "right" else -distance)
        return not abs(near - self._line.cost0) <= 0.5 * fine

    def _kink(self, rungs: Sequence[_Rung]) -> tuple[float, float, float] | None:
        """Return the slopes on both sides and their error bar where they stay apart, or None.

        The gap between the slopes of a smooth function shrinks with the step. At a kink it is the
        same on three rungs, and on every finer one within what noise leaves of it.
        """
        gaps = [r.right - r.left for r in rungs]
        noises = [4 * self._rounding(r) for r in rungs]
        for k in range(len(rungs) - 2):
            if noises[k] > 0.5 * abs(gaps[k]):
                continue
            if gaps[k] / gaps[k + 2] < 0.5 if gaps[k + 2] else True:
                return None
            if any(abs(gaps[j] - gaps[k]) > noises[j] + 0.25 * abs(gaps[k]) for j in range(k)):
                return None
            near = rungs[k:]
            left, left_bar = self._one_sided(near, "left")
            right, right_bar = self._one_sided(near, "right")
            bar = max(left_bar, right_bar)
            return (left, right, bar) if math.isfinite(bar) else None
        return None

    def _at_kink(self, left: float, right: float, bar: float) -> Slope:
        low, high = min(left, right), max(left, right)
        value = min(max(self._analytic, low), high)
        if abs(value - self._analytic) <= bar:
            value = self._analytic
        return Slope(value, bar, Kind.KINK, (left, right))


def _hidden_kinks(rungs: Sequence[_Rung]) -> list[float]:
    """Return by how much kinks within reach of each rung may turn its slope.

    The gap of the one-sided slopes of a smooth cost grows as the step. What is left of it at step
    0, by extrapolation from the next coarser rung, is due to kinks, and half of that is what they
    can do to the central slope. A coarse rung also knows of the fourth derivative and of further
    kinks: so it is no more than what the next finer rung does not explain. Most of it may be noise,
    but noise is no reason to think that there is no kink.
    """
    gaps = [r.right - r.left for r in rungs]
    left = [abs(RATIO * fine - coarse) / (RATIO - 1) for fine, coarse in pairwise(gaps)]
    finer = [math.inf, *(abs(coarse - RATIO * fine) for fine, coarse in pairwise(gaps))]
    return [0.5 * min(both) for both in zip([*left, left[-1]], finer, strict=True)]


def _best(
    values: Sequence[float], rounding: Sequence[float], hidden: Sequence[float] = ()
) -> tuple[float, float]:
    """Return the value with the smallest error bar that no finer one contradicts.

    Besides the values themselves, each pair's extrapolation to step 0 (L. F. Richardson, 1911) is a
    candidate: it allows steps large enough for costs in float32. Where the differences do not fall
    as h**2 does, three times in a row, it may be off by as much as it corrects.

    A value counts only where it lies within the rounding bars of all finer ones, give or take its
    own truncation. Kinks within its reach are no excuse: finer rungs do not reach them. And by
    what it lies apart from a finer rung beyond what noise is likely to do, its bar is wider: a cost
    with kinks at many distances drifts from rung to rung, each time by less than a bar.

    Parameters
    ----------
    values, rounding : sequence of float
        Of the rungs, the finest first: the slopes, and the error bars that noise leaves them with.
    hidden : sequence of float, optional
        By how much kinks within reach of a rung may turn its slope.
    """
    kinks = [
        max(0.0, kink - UNSEEN * bar)
        for kink, bar in zip(hidden or [0.0] * len(values), rounding, strict=True)
    ]
    extrapolated = [(DECAY * f - c) / (DECAY - 1) for f, c in pairwise(values)]
    plain = _truncation(values, rounding)
    steeper = _unproved(values, extrapolated, _truncation(extrapolated, rounding))
    candidates = [
        (t + r + kink, t, v, k)
        for k, (v, t, r, kink) in enumerate(zip(values, plain, rounding, kinks, strict=True))
    ]
    gain = (DECAY + 1) / (DECAY - 1)
    candidates += [
        (t + gain * (r + max(kinks[k : k + 2])), t, v, k)
        for k, (v, t, r) in enumerate(zip(extrapolated, steeper, rounding, strict=False))
    ]
    best = (values[0], math.inf)
    for bar, truncation, value, k in candidates:
        corrected = abs(value - values[k])
        apart = [abs(values[j] - value) - corrected * DECAY ** (j - k) for j in range(k)]
        if all(d <= r + truncation for d, r in zip(apart, rounding, strict=False)):
            drift = [d - UNSEEN * r for d, r in zip(apart, rounding, strict=False)]
            if k:
                drift.append(apart[-1] - USUAL * rounding[k - 1])
            bar += 2 * max([0.0, *drift])  # of which as much again may not be seen
            if bar < best[1]:
                best = (value, bar)
    return best


def _unproved(
    values: Sequence[float], extrapolated: Sequence[float], bounds: Sequence[float]
) -> list[float]:
    """Return the bounds of extrapolations, no less than what each corrects unless h**2 is shown."""
    falls = _falls([abs(coarse - fine) for fine, coarse in pairwise(values)])
    proved = [k + 1 < len(falls) and falls[k] and falls[k + 1] for k in range(len(extrapolated))]
    return [
        bound if shown else max(bound, abs(extrapolation - value))
        for bound, shown, extrapolation, value in zip(
            bounds, proved, extrapolated, values, strict=False
        )
    ]


def _falls(differences: Sequence[float]) -> list[bool]:
    """Return whether each difference is to the next coarser one as h**2 makes it."""
    return [
        0.5 * DECAY * fine <= coarse <= 2 * DECAY * fine for fine, coarse in pairwise(differences)
    ]


def _truncation(values: Sequence[float], rounding: Sequence[float]) -> list[float]:
    """Bound the truncation error of each value, the finest first, by how coarser ones differ.

    Let d be the difference to the next coarser value, and q what it is of the difference above. The
    errors of ever finer values then sum to d q / (1 - q): less than d while q is below a half, and
    there is no bound at all where q reaches 1, for the values do not converge. A bound is handed
    down to finer values at the rate of h**2 and no faster, so that one small difference by chance
    does not make a plateau. Only where two differences in a row drown in rounding, three rungs
    agree as well as they can and nothing is handed down.
    """
    bounds = [math.inf] * len(values)
    differences = [abs(coarse - fine) for fine, coarse in pairwise(values)]
    drowned = [d <= 2 * r for d, r in zip(differences, rounding, strict=False)]
    for k in range(len(differences) - 1, -1, -1):
        above = differences[k + 1] if k + 1 < len(differences) else 0.0
        if drowned[k]:
            settled = k + 1 == len(differences) or drowned[k + 1]
            bounds[k] = max(differences[k], 0.0 if settled else bounds[k + 1] / DECAY)
        elif differences[k] < above:
            rest = differences[k] * max(1.0, differences[k] / (above - differences[k]))
            inherited = bounds[k + 1] / DECAY if math.isfinite(bounds[k + 1]) else 0.0
            bounds[k] = max(rest, inherited)
    return bounds
