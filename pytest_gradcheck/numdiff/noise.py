"""The rounding noise of a cost, measured: how far two calls at nearby thetas differ for no reason.

No step can be chosen and no error bar drawn without it, and it cannot be read off a dtype: a cost
may compute in float32 inside, subtract large numbers, or iterate to a tolerance. The method is
ECNoise (J. J. Moré and S. M. Wild, Estimating Computational Noise, SIAM J. Sci. Comput. 33 (2011)
1292-1314): in a table of differences of equally spaced values the smooth part of the cost dies out
with the order, and the noise does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial, isfinite, sqrt
from operator import mul, sub

import numpy as np

from pytest_gradcheck.numdiff.ladder import EPSILON

__all__ = ["EPSILON", "Along", "Noise", "measure", "moves_far"]

POINTS = 7
"""Values in a row; Moré and Wild find 6 to 8 enough for the noise within a factor of two or so."""

CROOKED = 0.7390851332151607
"""A factor of no particular value: values of a straight line must not fall on a decimal grid."""

SPACINGS = tuple(CROOKED * size for size in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2))
"""Distances, relative to the parameters, tried in turn until the cost moves between neighbours."""

FINEST = 12
"""Decimals of the finest grid that costs may have been rounded to."""

SCALES = tuple(
    factorial(order) ** 2 / factorial(2 * order) / (POINTS - order)
    for order in range(1, POINTS - 1)
)
"""What the sum of the squares of a column of the table, for each order, is multiplied by."""

COARSER = tuple((kind, float(np.finfo(kind).max)) for kind in (np.float32, np.float16))
"""Types that costs may have been rounded to, the finest first, and their largest numbers."""

FAR = (1e-2, -1e-2, 1.0, -1.0, 100.0, -100.0)
"""Distances at which a cost that moved nowhere near is looked at before it is called unmoved."""


Along = Callable[[Sequence[float]], Sequence[float]]
"""The costs at distances along a direction."""


@dataclass(frozen=True)
class Noise:
    """The noise of a cost at a point.

    Attributes
    ----------
    level : float
        Standard deviation of the noise of one call, in the units of the cost.
    magnitude : float
        The largest magnitude of the cost that was met.
    rise : float
        What the cost changes by over the size of the parameters, if it goes on as it begins.
    moved : bool
        Whether the cost moved with theta at all, near or far.
    """

    level: float
    magnitude: float
    rise: float
    moved: bool

    @property
    def relative(self) -> float:
        """The noise relative to the cost, or to its rise where that is larger.

        Never below float64's rounding unit.
        """
        size = max(self.magnitude, self.rise)
        return min(max(self.level / size, EPSILON), 1e-3) if size else EPSILON


def measure(along: Along, here: float, far: Along | None = None) -> Noise:
    """Measure the noise of a cost along one direction.

    Parameters
    ----------
    along : callable
        Takes distances along the direction, of which 1 is the size of the parameters, and returns
        the costs there.
    here : float
        The cost at distance 0.
    far : callable, optional
        The same along a direction in which a cost that has not moved is looked at far away.

    Returns
    -------
    Noise
        Its level is never below half a rounding unit of the cost: a linear function of few bits is
        exact along one direction and is not along another.

    Examples
    --------
    >>> measure(lambda row: [np.float32(1 + 0.3 * t) for t in row], 1.0).level > 1e-9
    True
    """
    magnitude = abs(here)
    level, rise = 0.0, 0.0
    seen = {here}
    for spacing in SPACINGS:
        values = _row(along, spacing)
        if not all(map(isfinite, values)):
            values = _row(along, -spacing)
        finite = list(filter(isfinite, values))
        magnitude = max(magnitude, *map(abs, finite)) if finite else magnitude
        if len(finite) < POINTS:
            continue
        steps = list(map(sub, values[1:], values))
        seen.update(values)
        if POINTS - 1 - steps.count(0.0) > POINTS // 2:
            level = _level(values, steps)
            one_way = min(steps) > 0 or max(steps) < 0
            if one_way and abs(values[-1] - here) > 8 * level:  # a rise, and not the noise
                rise = abs(values[-1] - here) / (POINTS * spacing)
            break
    moved = len(seen) > 1 or moves_far(far or along, here)
    level = max(level, 0.5 * EPSILON * magnitude, _quantum(seen))
    return Noise(level, magnitude, rise, moved)


def moves_far(along: Along, here: float) -> bool:
    """Return whether a cost differs from its value `here` at some large distance."""
    return any(along([distance])[0] != here for distance in FAR)


def _row(along: Along, spacing: float) -> list[float]:
    """Return values on one side of theta, lest a kink that lies exactly there pass for noise."""
    return list(map(float, along([i * spacing for i in range(1, POINTS + 1)])))


def _level(values: list[float], steps: list[float]) -> float:
    """Return the noise that a table of differences shows.

    The first order counts at which three successive estimates agree within a factor of four while
    the differences still change sign, which noise does and a smooth function does not. Where none
    qualifies the smallest estimates bound the noise from above. The first is the slope's, and the
    last ones rest on two or three differences, so the second smallest of the others is taken.
    """
    largest = max(map(abs, values)) or 1.0  # squares may overflow
    differences = [step / largest for step in steps]
    estimates: list[float] = []
    changing: list[bool] = []
    for scale in SCALES:
        estimates.append(sqrt(scale * sum(map(mul, differences, differences))))
        changing.append(min(differences) < 0 < max(differences))
        differences = list(map(sub, differences[1:], differences))
    for order in range(len(estimates) - 2):
        three = estimates[order : order + 3]
        if changing[order] and max(three) <= 4 * min(three):
            return largest * three[0]
    bent = sorted(estimate for estimate in estimates[1:] if estimate)
    return largest * (bent[len(bent) > 2] if bent else 0.0)


def _may_be_decimal(value: float) -> bool:
    """Return whether a value may be a multiple of the finest decimal; `round` takes longer to say.

    A multiple of it that is stored as a float lies within two rounding units of one.
    """
    multiple = abs(value) * 10.0**FINEST
    return multiple > 1 / EPSILON or abs(multiple - round(multiple)) <= 4 * EPSILON * multiple


def _quantum(seen: set[float]) -> float:
    """Return the noise of costs that are rounded in the end, to float32 or to some decimals.

    Such values may step by equal quanta, which differences of a high order do not show. Rounding
    to a grid has the standard deviation of its spacing over the square root of 12. Values that lie
    on a coarse grid lie on each finer one too.
    """
    if len(seen) < 3 or not all(map(isfinite, seen)):
        return 0.0
    largest = max(map(abs, seen))
    spacing = 0.0
    for digits in range(FINEST, -1, -1) if all(map(_may_be_decimal, seen)) else ():
        if any(round(value, digits) != value for value in seen):
            break
        spacing = max(spacing, 10.0**-digits)
    for kind, most in COARSER:
        if largest >= most or any(float(kind(value)) != value for value in seen):
            break
        spacing = max(spacing, float(np.spacing(kind(largest))))
    return spacing / sqrt(12)
