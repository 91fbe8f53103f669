"""What a row of equally spaced values of a cost shows: its noise, steps, a kink, a grid."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import cache
from itertools import pairwise
from math import factorial, frexp, isfinite, ldexp, sqrt, ulp
from operator import mul, sub
from statistics import stdev
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.numdiff.ladder import EPSILON

__all__ = [
    "FINEST_DECIMAL",
    "Level",
    "NoiseKind",
    "grid_of",
    "level_of",
    "order_scales",
    "stairs_of",
]

ORDERS = 5
"""Orders of differences whose noise is estimated."""

EVEN = 0.02
"""By how much steps of one size are no whole multiples of it: the rest of a cost moves, too."""

KINKED = 1 / 32
"""The part of a kink's bend that the lines on both sides of it bend by, at most."""

FINEST_DECIMAL = 12
"""Decimals of the finest grid that costs may have been rounded to."""

APART = 4.0
"""How many of float64's own spacings a decimal is at least: values lie on finer ones by chance."""

RETURNED = (np.float32, np.float16)
"""Types that costs may have been rounded to, the finest first."""

BFLOAT16 = 2.0**8
"""Mantissas of bfloat16, which NumPy lacks, are multiples of its reciprocal."""


class NoiseKind(Enum):
    """What the noise of a cost looks like."""

    ROUNDING = "rounding"
    """That of float64 arithmetic."""
    SPREAD = "spread"
    """Differences that do not die out, at the smallest distances."""
    JUMPS = "jumps"
    """Jumps that are met over larger distances only."""
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    DECIMALS = "decimals"
    """The cost is returned on a grid."""
    GIVEN = "given"
    """The user says how large it is."""


@cache
def order_scales(count: int, orders: int = ORDERS) -> tuple[float, ...]:
    """Return the factors from the sum of squares of differences, by order, to that of noise.

    `count` is the number of values in the row.
    """
    return tuple(factorial(k) ** 2 / factorial(2 * k) / (count - k) for k in range(1, orders + 1))


class Level(NamedTuple):
    """The noise that a table of differences shows, and whether it is surely noise: no bend."""

    value: float
    is_noise: bool


def level_of(values: Sequence[float], orders: int = ORDERS) -> Level:
    """Return the noise that a table of differences shows.

    A row of straight lines with one kink between them shows what its other values do. Else the
    first order counts at which three successive estimates agree within a factor of four while
    the differences still change sign, which noise does and a smooth function does not. Where none
    qualifies the smallest estimates bound the noise from above. The first is the slope's, and the
    last ones rest on two or three differences, so the second smallest of the others is taken.
    """
    largest = max(map(abs, values)) or 1.0  # squares may overflow
    differences = [value / largest for value in values]
    estimates: list[float] = []
    table: list[list[float]] = []
    for order, scale in enumerate(order_scales(len(values), orders), start=1):
        differences = list(map(sub, differences[1:], differences))
        if order == 2 and (straight := _beside_a_kink(differences)) is not None:
            return Level(largest * straight, False)
        estimates.append(sqrt(scale * sum(map(mul, differences, differences))))
        table.append(differences)
    for order in range(len(estimates) - 2):
        three = estimates[order : order + 3]
        if max(three) <= 4 * min(three) and min(table[order]) < 0 < max(table[order]):
            return Level(largest * three[0], True)
    bent = sorted(estimate for estimate in estimates[1:] if estimate)
    return Level(largest * (bent[len(bent) > 2] if bent else 0.0), False)


def _beside_a_kink(bends: Sequence[float]) -> float | None:
    """Return the noise of a row that bends at one place, from its second differences, `bends`.

    A kink between two values bends the row at both, the same way; a jump bends it back, beyond the
    row where it is at an end. None where a row bends otherwise. Noise gives a second difference six
    times its own variance; a smooth cost, about the same everywhere.
    """
    place = max(range(len(bends)), key=lambda k: abs(bends[k]))
    if not 0 < place < len(bends) - 1:
        return None
    after = max((place - 1, place + 1), key=lambda k: bends[k] * bends[place])
    kink = {place, after} if bends[after] * bends[place] > 0 else {place}
    others = [bend for k, bend in enumerate(bends) if k not in kink]
    if len(others) < 2 or max(map(abs, others)) > KINKED * abs(bends[place]):
        return None
    return float(stdev(others)) / sqrt(6)


def stairs_of(values: Sequence[float]) -> float:
    """Return the noise of a row that stands still between steps of one size, or 0 for another.

    Further off such a cost may move by as much at each place, as a smooth one does. A kink has no
    step between two stands, and no stand between two steps.
    """
    steps = [abs(after - before) for before, after in pairwise(values)]
    stands = [not step for step in steps]
    alone = any(
        this != before and this != after
        for before, this, after in zip(stands, stands[1:], stands[2:], strict=False)
    )
    if not alone:
        return 0.0
    quantum = min(filter(None, steps))
    even = all(abs(step / quantum - round(step / quantum)) <= EVEN for step in steps)
    return quantum / sqrt(12) if even else 0.0


def grid_of(seen: set[float]) -> tuple[float, NoiseKind, int | None]:
    """Return the noise of costs that are rounded in the end, to float32 or to some decimals.

    Such values may step by equal quanta, which differences of a high order do not show. Rounding
    to a grid has the standard deviation of its spacing over the square root of 12. Values that lie
    on a coarse grid lie on each finer one too, and large ones on all that float64 has no room for.
    """
    if len(seen) < 3 or not all(map(isfinite, seen)):
        return 0.0, NoiseKind.ROUNDING, None
    largest = max(map(abs, seen))
    spacing, kind, decimals = 0.0, NoiseKind.ROUNDING, None
    for digits in range(FINEST_DECIMAL, -1, -1) if all(map(_may_be_decimal, seen)) else ():
        if any(round(value, digits) != value for value in seen):
            break
        if 10.0**-digits > APART * ulp(largest):
            spacing, kind, decimals = 10.0**-digits, NoiseKind.DECIMALS, digits
    for type_, name in zip(RETURNED, (NoiseKind.FLOAT32, NoiseKind.FLOAT16), strict=True):
        if largest >= float(np.finfo(type_).max) or any(float(type_(v)) != v for v in seen):
            break
        if float(np.spacing(type_(largest))) > spacing:
            spacing, kind, decimals = float(np.spacing(type_(largest))), name, None
    if all((frexp(v)[0] * BFLOAT16).is_integer() for v in seen):
        coarse = ldexp(1 / BFLOAT16, frexp(largest)[1])
        if coarse > spacing:
            spacing, kind, decimals = coarse, NoiseKind.BFLOAT16, None
    return spacing / sqrt(12), kind, decimals


def _may_be_decimal(value: float) -> bool:
    """Return whether a value may be a multiple of the finest decimal; `round` takes longer to say.

    A multiple of it that is stored as a float lies within two rounding units of one.
    """
    multiple = abs(value) * 10.0**FINEST_DECIMAL
    return multiple > 1 / EPSILON or abs(multiple - round(multiple)) <= 4 * EPSILON * multiple
