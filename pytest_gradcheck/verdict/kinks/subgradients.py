"""Kinks in more than one dimension: the pair is evaluated again at points nearby.

The slopes along an axis bound the subgradients of a convex cost only. Where kinks of opposite sign
meet (pooling over equal values, sorting, top-k), a gradient may lie outside of them and be right;
and one that lies between them in every component may be wrong, as where each of several largest
values is credited with the whole of their maximum. What Clarke calls a subgradient is a limit of
gradients at points nearby, or lies between such limits (F. H. Clarke, Optimization and Nonsmooth
Analysis, 1983). So theta is nudged: a gradient that is the same there, and right there, is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain

import numpy as np

from pytest_gradcheck.numdiff.differences import Approximation, Comparand, approximate
from pytest_gradcheck.numdiff.directions import DirectionalProbe, ProbeResult
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, Kind
from pytest_gradcheck.params.scales import finite_or_zero, of_each, rms_of_each
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.verdict.judge import Doubt
from pytest_gradcheck.verdict.kinks.hulls import subgradient_instead
from pytest_gradcheck.verdict.kinks.limits import CLEAR, Differentiated, Limit, Limits, Ways
from pytest_gradcheck.verdict.kinks.refuting import WITHIN, Refuted

__all__ = ["asks_nearby", "corrected_at_kinks"]

LOOKS = 4
"""Nudges after which a gradient that is the same at all of them is taken for that of no kink."""

ENOUGH = 10
"""Nudges that are compared with the gradient here."""

MOST = 24
"""Further nudges that are spent on how many ways the gradients nearby differ."""

SETTLED = 3
"""So many nudges in a row that show no new way are taken for there being none."""

CLOSER = 1e-2
"""What part of the distance is tried where the gradient changes on the way."""

KEPT = 0.1
"""By what part of its size it may change."""

NEXT_TO_ZERO = 0.01
"""A component counts as large as this part of its parameter's root mean square at least: one that
is 0 because its terms cancel changes by any part of itself."""


def asks_nearby(approximation: Approximation, wrong: Indices, suspect: float) -> bool:
    """Return whether points nearby are needed: at kinks, and where components are wrong."""
    if wrong.size or _loud(approximation, suspect):
        return True
    return not approximation.is_smooth and bool(approximation.of_kind(Kind.KINK).any())


def _loud(approximation: Approximation, suspect: float) -> list[str | None]:
    """Return the parameters that look wrong along random directions."""
    return [
        name
        for name, seen in approximation.seen.items()
        if seen.relative_error > suspect and seen.kind != Kind.NONFINITE
    ]


def corrected_at_kinks(pair: Differentiated, doubt: Doubt) -> Approximation:
    """Return the approximation, corrected at kinks from points nearby.

    Parameters
    ----------
    pair : Differentiated
    doubt : Doubt

    Returns
    -------
    Approximation
        Components that looked wrong and prove right nearby stand at a kink, and their value is the
        analytic one. Where the gradient is neither a limit of gradients nearby nor between such
        limits, the components in which it differs from the nearest limit have that one's values.
    """
    return _Nearby(pair, doubt).corrected()


class _Nearby:
    """The limits of the gradient that are known so far, and what they prove."""

    def __init__(self, pair: Differentiated, doubt: Doubt) -> None:
        approximation, gradient = doubt.approximation, doubt.gradient
        noise, suspect = doubt.noise, doubt.suspect
        self._pair, self._theta = pair, pair.theta
        self._approximation, self._gradient, self._noise = approximation, gradient, noise
        self._suspect = suspect
        self._usual = of_each(rms_of_each(finite_or_zero(gradient), self._theta), self._theta)
        self._limits = Limits(pair, gradient, noise, suspect)
        self._kinks = approximation.of_kind(Kind.KINK)
        self._open = np.zeros(gradient.size, np.bool_)
        self._open[doubt.wrong] = True
        self._proved: dict[int, float] = {}
        self._unasked = self._kinks & ~self._open
        self._refuted = Refuted(self._limits.length, noise)
        self._loud = {name: self._place(name) for name in _loud(approximation, suspect)}
        self._quiet: dict[str | None, ProbeResult] = {}

    def _place(self, name: str | None) -> slice:
        """Return where a parameter is, or all that are checked."""
        mine = [p for p in self._theta.selected if name is None or p.name == name]
        return slice(mine[0].start, mine[-1].stop)

    def corrected(self) -> Approximation:
        """Nudge theta until one limit is the gradient here, or enough of them are known."""
        known = self._limits.known
        if not self._kinks.any():
            changes = [self._changes(limit) for limit in self._limits.drawn(LOOKS)]
            if not any(changes):
                return self._approximation  # a smooth cost, and a gradient that is wrong
        for limit in chain(known.copy(), self._limits.drawn(ENOUGH - len(known))):
            self._kinks |= self._open & ~limit.same
            asked = self._open & limit.same
            if len(known) <= LOOKS:
                asked |= self._unasked
            self._close(self._right_at(limit, np.flatnonzero(asked)))
            self._hush(limit)
            settled = not (self._open.any() or self._loud or self._unasked.any())
            if settled and np.all(limit.same[self._kinks]):
                return self._written(self._off_in_sum())
        for limit in self._limits.drawn(MOST if np.any(self._open & self._kinks) else 0):
            self._close(self._right_at(limit, np.flatnonzero(self._open & limit.same)))
            if not np.any(self._open & self._kinks):
                break
        self._close(self._right_between())
        if self._open.any() or self._loud:
            return self._written(self._wrong_itself())  # whatever else is
        return self._written(
            self._wrong_nearby()
            or self._off_in_sum()
            or self._off_in_another_way()
            or self._off_beyond_limits()
        )

    def _changes(self, limit: Limit) -> bool:
        """Return whether the gradient jumps next to theta where components look wrong."""
        places = self._open.copy()
        for place in self._loud.values():
            places[place] = True
        if not np.any(places & ~limit.same):
            return False
        jumps = places & self._limits.jumps(limit)
        self._kinks |= self._open & jumps
        return bool(jumps.any())

    def _hush(self, limit: Limit) -> None:
        """Count residuals along random directions as kinks, where the gradient is a right limit."""
        for name, place in list(self._loud.items()):
            seen = self._approximation.seen[name]
            least = CLEAR * abs(seen.residual)
            if limit.same[place].all() and self._agrees_along(limit, place, least):
                del self._loud[name]
                self._quiet[name] = replace(
                    seen,
                    residual=0.0,
                    kind=Kind.KINK,
                    figure=0.0,
                    relative_error=0.0,
                    crowded=False,
                )

    def _agrees_along(self, limit: Limit, place: slice, least: float) -> bool:
        """Return whether the gradient is right along a direction, a little away along a nudge.

        To within `least`, that is, or a part of its size.
        """
        away = self._limits.away
        with self._moved(limit, away) as there:
            if there is None:
                return False
            gradient, evaluator = there
            cost, cost0 = evaluator.cost, evaluator.cost0
            direction = DirectionalProbe(cost, self._theta, gradient, cost0, self._noise)
            turns = np.cos(np.arange(1.0, place.stop - place.start + 1))
            weights = (turns + np.copysign(0.5, turns)) * self._limits.length[place]
            found = direction.ask(place, weights, WITHIN * away / max(turns.size, 8))
            size = direction.size(place, weights)
        slack = max(CLEAR * size, least)
        return found.error_bar <= slack and abs(found.residual) <= found.error_bar + slack

    def _close(self, right: dict[int, float]) -> None:
        """Take note of components that are right nearby."""
        self._proved |= {n: bar for n, bar in right.items() if self._open[n]}
        self._open[list(right)] = self._unasked[list(right)] = False

    def _right_at(self, limit: Limit, numbers: Indices) -> dict[int, float]:
        """Return the components that are right a little away along a nudge, with error bars.

        No further away than the gradient keeps to its limit: beyond there are other kinks.
        """
        right: dict[int, float] = {}
        for away in (self._limits.away, self._limits.away * CLOSER):
            rest = np.array([n for n in numbers.tolist() if n not in right], np.intp)
            if rest.size and away >= 2 * self._limits.near:
                right |= self._right_away(limit, rest, away)
        return right

    @contextmanager
    def _moved(
        self, limit: Limit, away: float
    ) -> Iterator[tuple[FloatArray, SerialEvaluator] | None]:
        """Hold theta a little away along a nudge; yield the gradient there, and a way to the cost.

        None where either has no value.
        """
        with self._limits.moved(limit.nudge, away):
            gradient, cost = self._limits.gradient(), self._pair.prober()
            evaluator = SerialEvaluator(cost, self._theta, cost())
            if gradient is None or not math.isfinite(evaluator.cost0):
                yield None
            else:
                yield gradient, evaluator

    def _right_away(self, limit: Limit, numbers: Indices, away: float) -> dict[int, float]:
        with self._moved(limit, away) as there:
            if there is None:
                return {}
            gradient, evaluator = there
            off = np.abs(gradient - limit.gradient)[numbers]
            sizes = np.abs(limit.gradient[numbers])
            least = NEXT_TO_ZERO * self._usual[numbers]
            numbers = numbers[off <= KEPT * np.maximum(sizes, least)]
            numbers = self._refuted.others(evaluator, gradient, numbers, away)
            comparand = Comparand.of(gradient, self._suspect, self._theta)
            found = approximate(evaluator, numbers, comparand, self._noise)
        values, bars, analytic = (
            whole[numbers] for whole in (found.values, found.error_bars, gradient)
        )
        size = np.abs(values) + np.abs(analytic)
        right = np.abs(values - analytic) <= bars + self._suspect * size
        narrow = bars <= np.maximum(CLEAR * size, self._bars_here(numbers))
        right &= (
            narrow | self._approximation.of_kind(Kind.KINK)[numbers]
        )  # else undecided, at a kink
        right &= found.kinds[numbers] != Kind.JUMP
        return dict(zip(numbers[right].tolist(), bars[right].tolist(), strict=True))

    def _bars_here(self, numbers: Indices) -> FloatArray:
        """Return the part of how far components look off here that counts as a proof nearby."""
        off = np.abs(self._approximation.values[numbers] - self._gradient[numbers])
        return np.asarray(CLEAR * off)

    def _right_between(self) -> dict[int, float]:
        """Return what lies between limits that are right, as where a maximum is shared out."""
        numbers = np.flatnonzero(self._open & self._kinks)
        if not numbers.size or len(self._limits.known) < 2:
            return {}
        table = np.array([limit.gradient[numbers] for limit in self._limits.known])
        own = self._gradient[numbers]
        inside = (table.min(axis=0) <= own) & (own <= table.max(axis=0))
        found: list[dict[int, float]] = []
        for ends in (table.argmin(axis=0), table.argmax(axis=0)):
            right: dict[int, float] = {}
            for k in np.unique(ends[inside]).tolist():
                right |= self._right_at(self._limits.known[k], numbers[inside & (ends == k)])
            found.append(right)
        return {n: max(bar, found[1][n]) for n, bar in found[0].items() if n in found[1]}

    def _wrong_itself(self) -> dict[int, float]:
        """Return values for components that are wrong at kinks, of a limit that is the same."""
        at = np.flatnonzero(self._open & self._kinks)
        known = [limit for limit in self._limits.known if limit.same[self._kinks].all()]
        return self._wrong_away(known[0], at) if at.size and known else {}

    def _wrong_nearby(self) -> dict[int, float]:
        """Return values for kinks near which the gradient is wrong at all points.

        They have the same errors as there. A gradient that never changes is left out: it is the
        answer at this point alone.
        """
        if all(np.array_equal(one.gradient, self._gradient) for one in self._limits.known):
            return {}
        off = {n: error for n, error in self._refuted.errors.items() if self._unasked[n]}
        return {n: float(self._gradient[n]) + error for n, error in off.items()}

    def _off_in_sum(self) -> dict[int, float]:
        """Return values for the kinks of parameters whose sum is another than the cost has it.

        Where all of a parameter moves by as much, ties stay ties and the cost is smooth.
        """
        off: dict[int, float] = {}
        for parameter in self._theta.selected:
            kinks = parameter.start + np.flatnonzero(self._kinks[parameter.slice])
            whole = self._approximation.checked[parameter.slice].all()
            at = np.arange(parameter.start, parameter.stop) if whole else kinks
            if kinks.size > 1 and self._contradicts(at, np.ones(at.size)):
                off |= self._nearest(kinks)
        return off

    def _off_in_another_way(self) -> dict[int, float]:
        """Return values for kinks where the gradient is no limit, nor anything between limits.

        Every limit adds a way in which the gradients nearby differ until all are known. Along what
        is left of the gradient they are all the same.
        """
        at = np.flatnonzero(self._kinks)
        if at.size < 2 or len(self._limits.known) < LOOKS:
            return {}
        ways = Ways(self._limits.known[0].gradient[at])
        for limit in self._limits.known[1:]:
            ways.add(limit.gradient[at])
        for limit in self._limits.drawn(MOST):
            if ways.settled >= SETTLED:
                break
            ways.add(limit.gradient[at])
        rest = ways.rest(self._gradient[at])
        if ways.settled < SETTLED or not self._contradicts(at, rest):
            return {}
        return self._nearest(at)

    def _off_beyond_limits(self) -> dict[int, float]:
        """Return values for kinks where the gradient exceeds the rise of a convex cost."""
        sides = {n: both for n, both in self._approximation.sides.items() if self._kinks[n]}
        parts = [parameter.slice for parameter in self._theta.selected]
        return subgradient_instead(self._limits, self._gradient, sides, parts, self._rise)

    def _rise(self, at: Indices, weights: FloatArray) -> tuple[float, float]:
        """Return the slope of the cost ahead along a vector, and its slack."""
        reach = float(np.max(np.abs(weights) / self._limits.length[at]))
        (ahead, _), slack = self._slopes(at, weights, WITHIN * self._limits.away / reach)
        return ahead, slack

    def _nearest(self, at: Indices) -> dict[int, float]:
        """Return the values of the nearest limit, or of the sides, where the gradient has others.

        A gradient that is the same nearby is wrong there as well: in the components that
        differences there show to be, and elsewhere the ties are settled as it settles them.
        """
        nearest = max(self._limits.known, key=lambda limit: np.count_nonzero(limit.same[at]))
        if not nearest.same[at].all():
            return {n: float(nearest.gradient[n]) for n in at[~nearest.same[at]].tolist()}
        every = np.arange(self._gradient.size)[self._approximation.evaluated]
        wrong = self._wrong_away(nearest, at) or self._wrong_away(nearest, every)
        if wrong:
            return wrong
        sides, own = self._approximation.sides, self._gradient
        return {
            n: max(sides[n], key=lambda side, own=own[n]: abs(side - own))  # type: ignore[misc]
            for n in at.tolist()
            if n in sides
        }

    def _wrong_away(self, limit: Limit, at: Indices) -> dict[int, float]:
        """Return values for components that are as here at a limit, and wrong a little away.

        They have the same errors as there.
        """
        away = self._limits.away
        at = at[limit.same[at]]
        with self._moved(limit, away) as there:
            if there is None:
                return {}
            gradient, evaluator = there
            steps = WITHIN * away / max(at.size, 8) * self._limits.length[at]
            both = evaluator.differences(at, steps)
        errors = both.slopes - gradient[at]
        bars = 2 * SAFETY * self._noise.at(both.sizes) / both.widths
        size = np.abs(both.slopes) + np.abs(gradient[at])
        off = np.isfinite(errors) & (np.abs(errors) > bars + self._suspect * size)
        return dict(zip(at[off].tolist(), (self._gradient[at] + errors)[off].tolist(), strict=True))

    def _contradicts(self, at: Indices, weights: FloatArray) -> bool:
        """Return whether the cost has one slope along a vector, and the gradient another.

        That makes it wrong where the gradients nearby all have the slope of the cost, and where
        they are wrong themselves.
        """
        reach = float(np.max(np.abs(weights) / self._limits.length[at]))
        step = WITHIN * self._limits.away / reach if reach else 1.0
        said = float(weights @ self._gradient[at])
        slopes = [float(weights @ limit.gradient[at]) for limit in self._limits.known]
        slope, slack = self._slope(at, weights, step)
        slack += CLEAR * float(np.abs(weights) @ np.abs(self._gradient[at]))
        if slope is None or abs(said - slope) <= 4 * slack:
            return False
        if all(abs(slope - other) <= slack for other in slopes):
            return True
        with self._limits.moved(self._limits.known[0].nudge, self._limits.away):
            slope, slack = self._slope(at, weights, step)
            gradient = self._limits.gradient()
        if slope is None or gradient is None:
            return False
        return abs(slope - float(weights @ gradient[at])) > 4 * slack

    def _slope(self, at: Indices, weights: FloatArray, step: float) -> tuple[float | None, float]:
        """Return the slope of the cost along a vector, None where the sides have two, and slack."""
        sides, slack = self._slopes(at, weights, step)
        return (sides[0] if abs(sides[0] - sides[1]) <= slack else None), slack

    def _slopes(
        self, at: Indices, weights: FloatArray, step: float
    ) -> tuple[tuple[float, float], float]:
        """Return the slopes of the cost ahead and behind along a vector, and slack."""
        probe = self._pair.prober()
        cost0, sides = probe(), []
        for distance in (step, -step):
            with self._theta.moved(at, weights, distance):
                sides.append((probe() - cost0) / distance)
        bar = 2 * SAFETY * max(self._noise.level, EPSILON * abs(cost0)) / step
        return (sides[0], sides[1]), bar + CLEAR * max(map(abs, sides))

    def _written(self, beside: dict[int, float]) -> Approximation:
        """Return the approximation with what was proved right, or wrong, at kinks."""
        old = self._approximation
        proved = {n: bar for n, bar in self._proved.items() if n not in beside}
        if not (proved or beside or self._quiet):
            return old
        values, bars, kinds = old.values.copy(), old.error_bars.copy(), old.kinds.copy()
        for number, bar in proved.items():
            values[number], bars[number] = self._gradient[number], bar
        for number, value in beside.items():
            values[number] = value
        sides = dict(old.sides)
        for number in (*proved, *beside):
            kinds[number] = Kind.KINK
            sides.setdefault(number, (float(old.values[number]), float(old.values[number])))
        return replace(
            old,
            values=values,
            error_bars=bars,
            kinds=kinds,
            sides=sides,
            seen={**old.seen, **self._quiet},
            nearby=frozenset((*proved, *beside)),
        )
