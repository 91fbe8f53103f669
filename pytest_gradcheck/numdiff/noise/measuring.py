"""The noise of a cost, measured: how far two calls at nearby thetas differ for no reason.

No step can be chosen and no error bar drawn without it, and it cannot be read off a dtype: a cost
may compute in float32 inside, subtract large numbers, or iterate to a tolerance. The method is
ECNoise (J. J. Moré and S. M. Wild, Estimating Computational Noise, SIAM J. Sci. Comput. 33 (2011)
1292-1314): in a table of differences of equally spaced values the smooth part of the cost dies out
with the order, and the noise does not.

Noise has a width as well as a level. A cost that rounds theta to float32 is flat, or has the slope
of its float64 part alone, over distances below 6e-8 of theta, and one that rounds to bfloat16 below
4e-3. So the spacing is the other way round from what the word noise suggests: as large as the
smooth part allows. Where values show more than the rounding of float64, a nest of intervals tells
what they are: the rise over a shrinking interval vanishes where a cost bends, and stays where it
jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import frexp, inf, isfinite, ldexp, sqrt

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.numdiff.noise.jumps import (
    PLAIN,
    STAYS_OF_ALL,
    Along,
    Row,
    dense_jump,
    is_even_stair,
    jump_in,
    largest_jump,
    row_of,
    stands_out,
)
from pytest_gradcheck.numdiff.noise.rows import NoiseKind, grid_of, level_of, stairs_of
from pytest_gradcheck.params.rounding import DOUBLE, TYPES, digits_shown
from pytest_gradcheck.params.theta import FloatArray

__all__ = [
    "Mask",
    "Noise",
    "NoiseKind",
    "climbs",
    "given",
    "measure",
    "measure_far",
    "measure_stairs",
    "moves_far",
]

CROOKED = 0.7390851332151607
"""A factor of no particular value: values of a straight line must not fall on a decimal grid."""

FIRST_SPACING = CROOKED * 1e-6
"""Distance of neighbouring values, relative to the parameters: several quanta of float32 wide, and
of a smooth cost the differences of third order leave less than float64's rounding."""

FINER = (1e-2, 1e-4, 1e-6)
"""Factors of that spacing where the cost ends, bends or turns before a row of values does."""

COARSER = (1e2, 1e4)
"""Factors of that spacing where the cost does not move between neighbours."""


STAIR_SPACINGS = (CROOKED * 1e-3, CROOKED * 3e-5, CROOKED * 6e-3)
"""Distances of neighbouring values that come upon several treads, be they narrow or wide: between
those of the first rows and those further off, and these as well."""

AFAR = (3e-2, 1e-2, 3e-3)
"""The distances at which a cost is compared with what two slopes predict before it is asked for a
stair: beyond the widest treads, and beyond many and well before most functions bend."""

NEARER = 0.5
"""How much nearer to one prediction it is than to that by the slope of its treads."""

CLEARLY = 0.1
"""How much nearer it is to the latter where it climbs no stair, as the largest distance shows."""

SLIGHT = 1e-4
"""Relative errors up to this may be the noise of a stair whose few values happened to be even."""

FAR_SPACINGS = (
    (CROOKED * 2e-2, inf),
    (-CROOKED * 2e-2, inf),
    (CROOKED * 1e-1, 0.03),
    (-CROOKED * 1e-1, 3e-3),
    (CROOKED * 3e-1, 3e-3),
)
"""The same for noise that shows over larger distances only: above the quanta of bfloat16, and where
an iteration takes one step more or less. With the part of the cost up to which residuals are worth
the calls: an iteration that stops at a tolerance leaves small ones. The second is asked where the
cost stands still on the first."""

FAR_ROW = 15
"""Values in that row: they have to come upon the places at which an iteration takes a step more."""

FAR_ORDERS = 10
"""Orders of differences there: those of a smooth cost take longer to die out."""

EXPLAINED = 100.0
"""How many of its jumps a residual may be that a tolerance explains: after k iterations the error
grows by the k-th power of a number that itself changes with theta."""

LARGEST_TOLERANCE = 1e-2
"""A single jump beyond this part of the cost is no tolerance."""


NEGLIGIBLE = 1e-12
"""The part of the cost, or of its rise, up to which noise asks for no explanation: a bend would
show more."""


STANDS_FOR = 32.0
"""A row's noise is believed up to so many times the jump that was found in it; the rest may be
bends."""


GRIDS = 4.0
"""Noise up to so many times that of the grid is explained by it."""

LARGER = 4.0
"""How many times larger than the cost its rise over the size of the parameters is near a zero, and
than nearby its noise may be further off, as the same."""

MUCH_LARGER = 4 * LARGER
"""How many times larger than nearby costs are that tell: noise that grows as they do shows."""

LARGER_SPACINGS = (FAR_SPACINGS[0][0], 1e-3 * CROOKED, 5e-5 * CROOKED)
"""Distances of neighbouring values in rows that show it, the largest costs first: where a cost
bends much, its differences die out at small ones only."""

GROWING = (NoiseKind.SPREAD, NoiseKind.FLOAT32, NoiseKind.FLOAT16, NoiseKind.BFLOAT16)
"""Noise that seems to grow with the cost."""

DISTANCES = (1e-2, -1e-2, 1.0, -1.0, 100.0, -100.0)
"""Distances at which a cost that moved nowhere near is looked at before it is called unmoved."""

LARGEST_RELATIVE = 1e-3
"""Relative noise beyond which steps are chosen no larger."""


Mask = npt.NDArray[np.bool_]

MeasureFar = Callable[[float, Mask | None, FloatArray | None], "Noise"]


@dataclass(frozen=True)
class Noise:
    """The noise of a cost at a point.

    Attributes
    ----------
    level : float
        Standard deviation of the noise of one call, in the units of the cost.
    magnitude : float
        The largest magnitude of the cost that was met near theta.
    rise : float
        What the cost changes by over the size of the parameters, if it goes on as it begins.
    moved : bool
        Whether the cost moved with theta at all, near or far.
    kind : NoiseKind
    digits : int or None
        The decimals that the cost is rounded to, where it is.
    measure_far : callable or None
        Measures the noise over larger distances as well; None where that is done. Takes what the
        noise may have to explain, the components to move, all where None, and the slopes by which
        they move the cost up, or None.
    """

    level: float
    magnitude: float
    rise: float
    moved: bool
    kind: NoiseKind = NoiseKind.ROUNDING
    digits: int | None = None
    measure_far: MeasureFar | None = field(default=None, compare=False, repr=False)

    @property
    def relative(self) -> float:
        """The noise relative to the cost, or to its rise where that is larger.

        Never below float64's rounding unit.
        """
        size = max(self.magnitude, self.rise)
        return min(max(self.level / size, EPSILON), LARGEST_RELATIVE) if size else EPSILON

    def at(self, sizes: npt.ArrayLike) -> FloatArray:
        """Return the level where the cost has other sizes: it rounds with its size."""
        larger = np.divide(sizes, self.grows_from) if self.grows_from else 1.0
        return np.asarray(self.level * np.fmax(1.0, larger))

    @property
    def grows_from(self) -> float:
        """The size of the cost from which the level grows with it: none where it is decimals."""
        return inf if self.kind is NoiseKind.DECIMALS else self.magnitude

    def with_far(
        self, residual: float, among: Mask | None = None, slopes: FloatArray | None = None
    ) -> Noise:
        """Return the noise over larger distances as well, from calls of the cost."""
        return self if self.measure_far is None else self.measure_far(residual, among, slopes)

    @property
    def is_plain(self) -> bool:
        """Whether it is no more than what float64 arithmetic leaves."""
        return self.level <= PLAIN * EPSILON * self.magnitude


def given(relative: float, measured: Noise) -> Noise:
    """Return the noise that the user knows of, and no less than what was measured nearby."""
    level = relative * measured.magnitude
    if level <= measured.level:
        return measured
    return replace(measured, level=level, kind=NoiseKind.GIVEN, digits=None)


def measure(along: Along, cost0: float, far: Along | None = None) -> Noise:
    """Measure the noise of a cost along one direction, near theta.

    Parameters
    ----------
    along : callable
        Takes distances along the direction, of which 1 is the size of the parameters, and returns
        the costs there.
    cost0 : float
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
    row = _row_within_reach(along, cost0)
    if row is None:
        level = 0.5 * EPSILON * abs(cost0)
        if moves_far(far or along, cost0):
            return Noise(level, abs(cost0), 0.0, True)
        return _still(cost0)
    seen, quanta = {cost0, *row.values}, stairs_of(row.values)
    for factor in COARSER:
        if row.moves:
            break
        coarser = row_of(along, cost0, factor * FIRST_SPACING)
        if coarser is not None:
            row = coarser
            seen.update(row.values)
    if not row.moves and len(seen) < 3:
        return _unmoved(far or along, cost0, seen)
    found = _moved(along, cost0, row, seen)
    if quanta > found.level:
        found = replace(found, level=quanta, kind=NoiseKind.SPREAD, digits=None)
    return _beside_larger_costs(along, cost0, found)


def measure_far(
    along: Along, cost0: float, near: Noise, residual: float, grain: float = 0.0
) -> Noise:
    """Measure the noise of a cost over distances of some tenths of the parameters.

    Parameters
    ----------
    along : callable
        As for `measure`.
    cost0 : float
    near : Noise
        What was measured near theta.
    residual : float
        What the noise may have to explain: by how much the cost's rises over the size of a
        parameter disagree with the gradient.
    grain : float
        The rounding unit of coarse arrays: by as much of its rise a cost jumps as theta does.

    Returns
    -------
    Noise
        `near`, unless the cost jumps by more: many times, as where it is quantized, or now and then
        by so little as an iteration does that takes one step more. A single jump that is large, or
        too small to explain anything, is another branch of the cost, and no noise.
    """
    near = replace(near, measure_far=None)
    size = max(near.magnitude, near.rise)
    least = 4 * max(near.level, SAFETY * grain * size)  # terms of either sign cancel in a rise
    along = _remembered(along)
    row = None
    for spacing, most in FAR_SPACINGS:
        if most < inf and not 0 < residual < most * size:
            break
        if row is not None and row.moves and most == inf:
            continue
        row = row_of(along, cost0, spacing, FAR_ROW)
        if row is None:
            continue
        level, is_noise = level_of(row.values, FAR_ORDERS)
        both_ways = is_noise and residual == inf
        plain = PLAIN * EPSILON * max(map(abs, row.values))
        asks = level > max(4 * near.level, plain) and (most == inf or stands_out(row))
        usual = 0.0
        if residual == inf and (asks or is_even_stair(along, row, near.level)):
            # No jump explains that, and a dense one is small.
            usual = dense_jump(along, row, least, both_ways)
            asks = usual > 0
        jump = largest_jump(along, row, least, both_ways) if asks else 0.0
        if jump > 2 * max(map(abs, row.values)):
            continue  # a pole
        explains = residual < EXPLAINED * jump < EXPLAINED * LARGEST_TOLERANCE * size
        if jump > least and (residual == inf or explains or dense_jump(along, row, least)):
            level = max(near.level, usual / sqrt(12), min(level, STANDS_FOR * jump))
            kind, digits = _kind_of_jumps({cost0, *row.values})
            magnitude = max(near.magnitude, *map(abs, row.values))
            return replace(near, level=level, magnitude=magnitude, kind=kind, digits=digits)
    return near


def climbs(
    rise: Callable[[float], FloatArray], nearby: FloatArray, claimed: FloatArray
) -> npt.NDArray[np.bool_]:
    """Return which costs rise as is claimed, some way off, and not as differences nearby say.

    Parameters
    ----------
    rise : callable
        Takes a distance; returns the central differences of the costs there.
    nearby, claimed : arrays
        Their two slopes.
    """
    found = np.zeros(nearby.size, np.bool_)
    for distance in AFAR:
        with np.errstate(all="ignore"):
            rises = rise(distance)
            off, apart = np.abs(rises - nearby), np.abs(rises - claimed)
            found |= apart < NEARER * off
            if np.all(found | (off <= CLEARLY * apart)):
                break
    return found


def measure_stairs(along: Along, cost0: float, level: float) -> float:
    """Return the noise of a cost that climbs a stair with a slope on its treads, or 0 for another.

    What rounds inside may be a factor: 1 + tanh(x) is a multiple of 1.1e-16, and x times that has,
    over short distances, the slope of the factor alone, without any noise.

    Parameters
    ----------
    along : callable
        As for `measure`.
    cost0 : float
    level : float
        The noise on a tread.

    Examples
    --------
    >>> measure_stairs(lambda row: [round((1 + t) * 1e4) * (1 + t) for t in row], 1e4, 1e-12) > 0.1
    True
    """
    for spacing in STAIR_SPACINGS:
        row = row_of(along, cost0, spacing)
        if row is None:
            continue
        found, is_noise = level_of(row.values)
        least = max(4 * level, PLAIN * EPSILON * max(map(abs, row.values)))
        if found > least or is_even_stair(along, row, level):
            jump = dense_jump(along, row, least, is_noise)
            if jump > 0:
                return max(jump / sqrt(12), min(found, STANDS_FOR * jump))
    return 0.0


def _remembered(along: Along) -> Along:
    """Return costs along a direction that are not asked twice: rows have places in common."""
    known: dict[float, float] = {}

    def costs(distances: Sequence[float]) -> list[float]:
        keys = [float(f"{distance:.12g}") for distance in distances]
        new = [i for i, key in enumerate(keys) if key not in known]
        values = along([distances[i] for i in new]) if new else ()
        known.update(zip([keys[i] for i in new], map(float, values), strict=True))
        return [known[key] for key in keys]

    return costs


def moves_far(along: Along, cost0: float) -> bool:
    """Return whether a cost differs from its value `cost0` at some large distance."""
    return any(along([distance])[0] != cost0 for distance in DISTANCES)


def _row_within_reach(along: Along, cost0: float) -> Row | None:
    for factor in (1.0, *FINER):
        row = row_of(along, cost0, factor * FIRST_SPACING)
        if row is not None:
            return row
    return None


def _moved(along: Along, cost0: float, row: Row, seen: set[float]) -> Noise:
    """Return the noise that a row of values shows, one that moves as a rule."""
    magnitude = max(map(abs, seen))
    plain = 0.5 * EPSILON * magnitude
    quantum, kind, digits = grid_of(seen)
    level = level_of(row.values).value if row.moves else 0.0
    for factor in FINER:
        rise = abs(row.values[-1] - row.values[0]) / (len(row.values) * abs(row.spacing))
        size = max(magnitude, rise)
        if level <= max(NEGLIGIBLE * size, GRIDS * quantum) or jump_in(along, row):
            break
        finer = row_of(along, cost0, factor * FIRST_SPACING)  # there is no bend or turn closer by
        if finer is None or not abs(finer.spacing) < abs(row.spacing):
            continue
        row = finer
        level = level_of(row.values).value if row.moves else 0.0
    rise, steps = 0.0, row.steps
    whole = abs(row.values[-1] - row.values[0])
    if (min(steps) > 0 or max(steps) < 0) and whole > 8 * level:  # a rise, and not the noise
        rise = whole / (len(steps) * abs(row.spacing))
    if GRIDS * quantum < level:
        kind = NoiseKind.SPREAD if level > PLAIN * EPSILON * magnitude else NoiseKind.ROUNDING
        digits = None
    return Noise(max(level, plain, quantum), magnitude, rise, True, kind, digits)


def _beside_larger_costs(along: Along, cost0: float, noise: Noise) -> Noise:
    """Return noise that is told to be no larger where the cost is, if a row of values shows that.

    A cost in float32 rounds with its size. One that jumps inside does not: near a zero of it, all
    costs some way off are larger. Nor does one whose terms cancel, and the few last bits that are
    left of it look like those of a coarse type.
    """
    if noise.kind not in GROWING or noise.rise <= LARGER * noise.magnitude:
        return noise
    if noise.level <= NEGLIGIBLE * noise.rise:
        return noise
    for spacing in LARGER_SPACINGS:
        row = row_of(along, cost0, spacing)
        if row is None:
            continue
        level, magnitude = level_of(row.values).value, max(map(abs, row.values))
        if level <= LARGER * noise.level and magnitude > MUCH_LARGER * noise.magnitude:
            level, kind = max(noise.level, level), NoiseKind.SPREAD
            return replace(noise, level=level, magnitude=magnitude, kind=kind)
    return noise


def _unmoved(along: Along, cost0: float, seen: set[float]) -> Noise:
    """Return the noise of a cost that does not move nearby: the quantum by which it moves afar."""
    magnitude, quantum = abs(cost0), 0.0
    moved = False
    for distance in DISTANCES:
        value = float(along([distance])[0])
        if value == cost0:
            continue
        moved = True
        if isfinite(value):
            quantum = jump_in(along, Row(distance, [cost0, value]), 0.0, STAYS_OF_ALL)
            others = along([part * max(abs(distance), 1.0) for part in (-0.8, 0.4, 0.6, 0.8)])
            seen = {*seen, value, *map(float, others)}
            break
    if not moved:
        return _still(cost0)
    level = 0.5 * EPSILON * magnitude
    if not quantum:  # rounding of float64 is none
        return Noise(level, magnitude, 0.0, moved)
    kind, digits = _kind_of_jumps(seen)
    return Noise(max(level, quantum / sqrt(12)), magnitude, 0.0, moved, kind, digits)


def _still(cost: float) -> Noise:
    """Return the noise of a cost that moves nowhere: what its digits show of its precision."""
    digits, size = digits_shown(cost), abs(cost)
    if digits == DOUBLE:
        return Noise(0.5 * EPSILON * size, size, 0.0, False)
    spacing = ldexp(1.0, frexp(size)[1] - digits)
    return Noise(spacing / sqrt(12), size, 0.0, False, NoiseKind(TYPES[digits]))


def _kind_of_jumps(seen: set[float]) -> tuple[NoiseKind, int | None]:
    """Return what costs that jump are rounded to, or that they jump inside."""
    _, kind, digits = grid_of(seen)
    return (NoiseKind.JUMPS, None) if kind is NoiseKind.ROUNDING else (kind, digits)
