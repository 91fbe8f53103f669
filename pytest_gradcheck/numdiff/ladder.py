"""The slope of a cost along a line, from a ladder of steps, with an error bar that can be trusted.

Each rung takes the cost on both sides at four times the distance of the one below. Three things are
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
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

__all__ = ["EPSILON", "SAFETY", "Line", "Sides", "Slope", "climb"]

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

STEPS = 14
"""Values beside the point in which steps of the cost are looked for."""

STRETCHES = (1.0, 2.7, 7.3)
"""Spacings of those values, in first steps: a spacing that meets steps at the very rate of its own
sees none of them."""

SAME_STEP = 0.01
"""Distances that differ by this part of theirs at most are one step: storage rounds them."""

MARGIN = 4.0
"""A disagreement of this many error bars is taken as one without the rest of the ladder, provided
that the deepest step which noise allows bears it out."""


class Sides(NamedTuple):
    """The costs at one distance ahead of theta and behind it."""

    distance: float
    up: float
    down: float


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
    """

    at: Callable[[float], tuple[float, float]]
    cost0: float
    step: float
    reach: float
    least: float
    known: Sequence[Sides] = ()


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
    kind : str
        ``smooth``, ``kink``, ``edge`` (one-sided, at the edge of the domain), ``jump`` or
        ``nonfinite``.
    sides : (float, float) or None
        At a kink, the slopes on the left and on the right.
    """

    value: float
    error_bar: float
    kind: str = "smooth"
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
        return (self.right * self.behind + self.left * self.ahead) / (self.ahead + self.behind)

    @property
    def right(self) -> float:
        return (self.up - self.cost0) / self.ahead

    @property
    def left(self) -> float:
        return (self.cost0 - self.down) / self.behind

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
    >>> climb(line, 0.5, 1e-17, 1e-3, 1e-5).kind
    'kink'
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
        final = slope if wrong else ladder.conclusion(slope)
        doubtful = final.kind == "smooth" and ladder.differs(final, suspect)
        if not doubtful or not ladder.is_noisier():
            return final


class _Ladder:
    """The rungs taken so far, the finest first."""

    def __init__(self, line: Line, analytic: float, noise: float) -> None:
        self._line, self._analytic, self._noise = line, analytic, noise
        self._deepest: _Rung | None = None
        self._gap_bar = 0.0
        self._clean = True
        self._remeasured = False
        distances = [line.step * RATIO**power for power in range(-SPAN, SPAN + 1)]
        self._rungs = [self._rung(d) for d in distances if line.least <= d <= line.reach]
        if not self._rungs:
            self._rungs = [self._rung(min(max(line.step, line.least), line.reach))]

    def _rung(self, distance: float) -> _Rung:
        for known, up, down in self._line.known:
            if abs(known - distance) <= SAME_STEP * distance:
                return _Rung(known, known, up, down, self._line.cost0)
        ahead, up = self._line.at(distance)
        behind, down = self._line.at(-distance)
        return _Rung(ahead, -behind, up, down, self._line.cost0)

    def _rounding(self, rung: _Rung) -> float:
        """Return the error bar that noise leaves a rung with.

        Far from theta the cost may be larger than where its noise was measured, and rounds with
        its size. One that does not move by a bit may be stuck on the rounding of something inside
        it that is larger than its value: log(1 + exp(-40)) is 0. A number of the order of 1 is
        assumed there.
        """
        stuck = rung.up == rung.down == rung.cost0
        size = 2.0 if stuck else max(abs(v) for v in (rung.up, rung.down, 0.0) if math.isfinite(v))
        return SAFETY * max(self._noise, 0.5 * EPSILON * size) / rung.width

    def is_noisier(self) -> bool:
        """Return whether the cost turns out to be noisier along this line than it is elsewhere.

        One layer that computes in float32, or a table, moves in steps that a random direction does
        not meet; between two steps the cost then has a smooth slope, and a wrong one. Only asked
        of rungs that contradict each other, and do not draw together as the step shrinks.
        """
        if self._clean or self._remeasured or self._converges():
            return False
        self._remeasured = True
        for stretch in STRETCHES:
            spacing = min(stretch * self._line.step, self._line.reach / STEPS)
            moved = (self._line.at(i * spacing)[1] for i in range(1, STEPS + 1))
            level = _step_noise([self._line.cost0, *moved])
            if level > 4 * self._noise:
                self._noise = level
                self._deepest = None
                return True
        return False

    def _converges(self) -> bool:
        """Return whether the finest rungs approach each other as h**2 until noise takes over."""
        finite = [r for r in self._rungs if math.isfinite(r.central)]
        differences = [abs(c.central - f.central) for f, c in pairwise(finite)]
        clear = [d > 2 * self._rounding(r) for d, r in zip(differences, finite, strict=False)]
        first = clear.index(True) if True in clear else len(clear)
        return all(_falls(differences[first : first + 3])) and len(differences) >= first + 3

    def extend(self) -> bool:
        """Add a rung at either end where it can tell something; return whether one was added."""
        self._clean = False
        finest, coarsest = self._rungs[0], self._rungs[-1]
        finer, coarser = finest.width / RATIO, coarsest.width * RATIO
        added = False
        if finer >= self._line.least and self._can_refine(finest):
            self._rungs.insert(0, self._rung(finer))
            added = True
        if coarser <= self._line.reach and self._can_coarsen():
            self._rungs.append(self._rung(coarser))
            added = True
        return added

    def _can_refine(self, finest: _Rung) -> bool:
        """Return whether the next finer rung stands clear of the noise."""
        if not (math.isfinite(finest.up) and math.isfinite(finest.down)):
            return True
        slopes = [s for r in self._rungs for s in (r.central, r.right, r.left) if math.isfinite(s)]
        size = max(map(abs, [*slopes, self._analytic]))
        return RATIO * self._rounding(finest) <= 0.25 * size

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
            value, bar = _best([r.central for r in central], [self._rounding(r) for r in central])
            self._gap_bar = self._apart(central)
            return Slope(value, max(bar, self._gap_bar))
        for side in ("right", "left"):
            finite = [r for r in self._rungs if math.isfinite(getattr(r, side))]
            if len(finite) >= 4 and finite[0] is self._rungs[0]:
                value, bar = self._one_sided(finite, side)
                return Slope(value, bar, "edge")
        if any(math.isfinite(r.right) or math.isfinite(r.left) for r in self._rungs):
            return Slope(math.nan, math.inf)
        return Slope(math.nan, math.inf, "nonfinite")

    def _apart(self, rungs: Sequence[_Rung]) -> float:
        """Return the error bar due to one-sided slopes that have not been seen to meet, or 0.

        The slope of a smooth cost is where they meet. Between the noise and the next kink there may
        be no room to see whether they do.
        """
        gaps = [abs(r.right - r.left) for r in rungs]
        noises = [4 * self._rounding(r) for r in rungs]
        clear = next((k for k, gap in enumerate(gaps) if gap > noises[k]), None)
        if clear is None or any(2 * noise < gaps[clear] for noise in noises[:clear]):
            return 0.0
        shrinks = clear + 1 < len(gaps) and gaps[clear] <= 0.5 * gaps[clear + 1]
        return 0.0 if shrinks else 0.5 * gaps[clear] + self._rounding(rungs[clear])

    def _one_sided(self, rungs: Sequence[_Rung], side: str) -> tuple[float, float]:
        """Return the slope on one side: first differences, extrapolated once to order h**2."""
        slopes = [getattr(r, side) for r in rungs]
        values = [(RATIO * f - c) / (RATIO - 1) for f, c in pairwise(slopes)]
        return _best(values, [3.4 * self._rounding(r) for r in rungs[:-1]])

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
        """Return whether values that agree would drown in noise at the largest step as well."""
        least = SAFETY * self._noise / self._line.reach
        off = abs(slope.value - self._analytic)
        return least > wide and off <= slope.error_bar < math.inf and not self._gap_bar

    def disagrees(self, slope: Slope, wide: float, suspect: float) -> bool:
        """Return whether the values clearly disagree, at every step there is."""
        off = abs(slope.value - self._analytic)
        size = abs(slope.value) + abs(self._analytic)
        if not slope.error_bar <= wide or off <= MARGIN * (suspect * size + slope.error_bar):
            return False
        if self._deepest is None:
            step = 8 * SAFETY * self._noise / off
            self._deepest = self._rung(max(self._line.least, min(step, self._rungs[0].width)))
        return slope.kind == "smooth" and self._bears_out(self._deepest, slope.value, off)

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
        if slope.kind in ("edge", "nonfinite") or len(finite) < 3:
            return slope
        if self._jumps(finite):
            return Slope(slope.value, math.inf, "jump")
        sides = self._kink(finite)
        return slope if sides is None else self._at_kink(*sides)

    def _jumps(self, rungs: Sequence[_Rung]) -> bool:
        """Return whether the cost rises by as much over a 16th of the distance."""
        fine, coarse = rungs[0], rungs[2]
        for fine_rise, coarse_rise in (
            (fine.up - fine.cost0, coarse.up - coarse.cost0),
            (fine.cost0 - fine.down, coarse.cost0 - coarse.down),
        ):
            clear = abs(fine_rise) > 2 * SAFETY * self._noise
            if clear and abs(fine_rise) > 0.5 * abs(coarse_rise):
                return True
        return False

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
        return Slope(value, bar, "kink", (left, right))


def _step_noise(values: Sequence[float]) -> float:
    """Return the noise of equally spaced values that move in steps, or 0 where they do not.

    Steps give second differences of either sign, in several places, and third ones that are no
    smaller once scaled as noise is (see `noise`). A single kink gives second differences of one
    sign, a single jump two of them, and those of a smooth function fall with the order.
    """
    if not all(map(math.isfinite, values)):
        return 0.0
    second = [c - 2 * b + a for a, b, c in zip(values, values[1:], values[2:], strict=False)]
    third = [after - before for before, after in pairwise(second)]
    up, down = max(second), -min(second)
    several = sum(4 * abs(d) > max(up, down) for d in second) > 2
    if not (several and up > 0 and down > 0 and 0.25 <= up / down <= 4):
        return 0.0
    levels = [math.sqrt(statistics.fmean(d * d for d in second) / 6)]
    levels.append(math.sqrt(statistics.fmean(d * d for d in third) / 20))
    return max(levels) if max(levels) <= 4 * min(levels) else 0.0


def _best(values: Sequence[float], rounding: Sequence[float]) -> tuple[float, float]:
    """Return the value with the smallest error bar that no finer one contradicts.

    Besides the values themselves, each pair's extrapolation to step 0 (L. F. Richardson, 1911) is a
    candidate: it allows steps large enough for costs in float32. Where the differences do not fall
    as h**2 does, three times in a row, it may be off by as much as it corrects.
    """
    extrapolated = [(DECAY * f - c) / (DECAY - 1) for f, c in pairwise(values)]
    plain = _truncation(values, rounding)
    steeper = _truncation(extrapolated, rounding)
    candidates = [
        (v, t + r, k) for k, (v, t, r) in enumerate(zip(values, plain, rounding, strict=True))
    ]
    candidates += [
        (v, t + r * (DECAY + 1) / (DECAY - 1), k)
        for k, (v, t, r) in enumerate(
            zip(extrapolated, _unproved(values, extrapolated, steeper), rounding, strict=False)
        )
    ]
    for value, bar, k in sorted(candidates, key=lambda candidate: candidate[1]):
        if all(
            abs(values[j] - value) <= bar + rounding[j] + min(plain[j], bar * DECAY)
            for j in range(k)
        ):
            return value, bar
    return values[0], math.inf


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
