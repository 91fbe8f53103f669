"""What directions have seen of each parameter."""

from __future__ import annotations

import math

import numpy as np

from pytest_gradcheck.numdiff.differences import WIDE
from pytest_gradcheck.numdiff.directions import ProbeResult, Residual, random_weights
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.numdiff.probing.locating import Located, Locator
from pytest_gradcheck.numdiff.probing.screen import Screen
from pytest_gradcheck.params.scales import rms
from pytest_gradcheck.params.theta import Parameter

__all__ = ["results"]


def results(screen: Screen, locator: Locator) -> dict[str | None, ProbeResult]:
    """Return what is known of parameters that are not differenced in full.

    Under None stands what is seen of all together, where that could not be located.
    """
    summary = _Summary(screen, locator)
    left = [p for p in screen.arrays if len(locator.asked.get(p.start, ())) < p.size]
    found: dict[str | None, ProbeResult] = {p.name: summary.parameter(p) for p in left}
    kinked = locator.last.kind != Kind.SMOOTH and not locator.alone
    if left and (locator.is_open or kinked):
        found[None] = summary.whole()
    return found


class _Summary:
    """What directions over all parameters say of each."""

    def __init__(self, screen: Screen, locator: Locator) -> None:
        self._screen, self._locator = screen, locator
        self._usual = rms(screen.right[screen.whole])
        self._size = float(np.linalg.norm(screen.scale * screen.right))
        self._zeros = {p.start for p in screen.arrays if not screen.gradient[p.slice].any()}
        self._unmoved = self._zeros_are_unmoved()

    def _zeros_are_unmoved(self) -> bool:
        """Return whether the cost does not move by a bit with all arrays whose gradient is zero."""
        screen = self._screen
        if not self._zeros or self._locator.is_open:
            return False
        weights = np.zeros(screen.whole.stop - screen.whole.start)
        for parameter in screen.arrays:
            if parameter.start in self._zeros:
                start = parameter.start - screen.whole.start
                mine = random_weights(screen.reach[parameter.slice], screen.rng)
                weights[start : start + parameter.size] = mine
        return screen.ask(screen.whole, weights, screen.shrink).residual == 0

    def whole(self) -> ProbeResult:
        """Return what the last direction over all parameters says."""
        last, place = self._locator.last, self._screen.whole
        return self._result(place, Located(last.answer), last.kind, last.crowded)

    def parameter(self, parameter: Parameter) -> ProbeResult:
        """Return what is known of one parameter."""
        dense = self._locator.dense.get(parameter.start)
        if dense is not None:
            return self._result(parameter.slice, dense, Kind.SMOOTH, True)
        seen = self._locator.alone.get(parameter.start)
        if seen is not None:
            return self._result(parameter.slice, Located(seen.answer), seen.kind, False)
        answer = self._locator.last.answer
        if self._unmoved and parameter.start in self._zeros:
            answer = Residual(0.0, answer.error_bar)
        elif self._locator.is_open and len(self._screen.arrays) > 1 and answer.is_finite:
            answer = Residual(0.0, abs(answer.residual) + answer.error_bar)  # it may be another's
        return self._result(parameter.slice, Located(answer), Kind.SMOOTH, False)

    def _result(self, place: slice, located: Located, kind: Kind, crowded: bool) -> ProbeResult:
        screen, answer = self._screen, located.answer
        scale, right = screen.scale[place], screen.right[place]
        spread = screen.size(place)
        unit = spread if crowded else spread / math.sqrt(scale.size)
        beyond = max(0.0, abs(answer.residual) - answer.error_bar) if answer.is_finite else 0.0
        hidden = abs(answer.residual) + answer.error_bar if answer.is_finite else math.inf
        # Where a gradient is all zero, a fault is as large as the others' components.
        usual = rms(right) or self._usual
        least = 0.5 * usual * float(scale[scale > 0].min(initial=math.inf))
        return ProbeResult(
            residual=answer.residual,
            error_bar=answer.error_bar,
            kind=kind,
            figure=self._figure(place, answer, crowded),
            relative_error=beyond / (beyond + 2 * unit) if beyond else 0.0,
            resolution=hidden / least if least else 0.0,
            wide=bool(spread) and not answer.error_bar <= WIDE * spread,
            crowded=crowded,
            where=located.where,
        )

    def _figure(self, place: slice, answer: Residual, crowded: bool) -> float:
        """Estimate the course's figure, ``||D - g|| / (||D|| + ||g||)``, in units of the cost."""
        screen = self._screen
        scale, right = screen.scale[place], screen.right[place]
        named = float(np.linalg.norm(scale * (right - screen.gradient[place])))
        size = float(np.linalg.norm(scale * right))
        if not answer.is_finite or not np.all(np.isfinite(screen.gradient[place])):
            return math.inf
        if crowded or place == screen.whole:
            named = math.hypot(named, answer.residual)
        elif not named:
            named, size = abs(answer.residual), self._size
        return named / (2 * size) if size else float(named != 0)
