"""The factor between two gradients: its error, its text, and the number that it may be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, Mask, ParameterEvidence
from pytest_gradcheck.diagnosis.known_numbers import KnownNumbers
from pytest_gradcheck.params.theta import FloatArray

__all__ = [
    "Factor",
    "Named",
    "fitted_factor",
    "named_factor",
    "readable",
    "round_alternatives",
    "unnamed_factor",
]

CERTAIN = 1e-2
"""The largest chance with which some number in sight may match."""

ROUND = (1.0, 5.0, 10.0, 0.1, 0.5, 2.0, 0.25, 100.0)
"""Norms to which gradients are clipped."""

FEWEST_CLIPPED = 5
"""Components of a clipped gradient at least: the norm of fewer may be round by chance."""

FEW_DIGITS = 64.0
"""The number of one-digit factors, powers of ten and reciprocals included. Each further digit has
some eight times as many."""

LARGEST = 1_000_000
"""The largest n for which a factor is written 1/n."""


@dataclass(frozen=True)
class Factor:
    """A factor between two gradients, and its error bar."""

    value: float
    error: float

    def is_near(self, number: float) -> bool:
        """Return whether the factor is plus or minus a number, within its error."""
        return abs(abs(self.value) - abs(number)) <= self.error + 1e-12 * abs(number)

    def bars(self, part: ParameterEvidence) -> FloatArray:
        """Return the error bars of the numerical gradient times the factor."""
        bars: FloatArray = abs(self.value) * part.bars + self.error * np.abs(part.numerical)
        return bars


class Named(NamedTuple):
    """A number that a factor may be, and the number of alternatives tried up to it."""

    said: str
    tried: int


def fitted_factor(part: ParameterEvidence, where: Mask) -> Factor | None:
    """Return the factor between the gradients in some components, or None if none are clear."""
    clear = where & (np.abs(part.numerical) > 10 * part.bars)
    if not clear.any() or not part.scale:
        return None
    with np.errstate(all="ignore"):
        ours, theirs = part.analytic[clear] / part.scale, part.numerical[clear] / part.scale
        bars = part.bars[clear] / part.scale
        weights = (theirs / (bars + part.precision * (np.abs(theirs) + np.abs(ours)))) ** 2
        if not 0 < weights.sum() < np.inf:
            return None  # squares that overflow
        ratios = ours / theirs
        value = float(np.average(ratios, weights=weights))
        errors = abs(value) * bars / np.abs(theirs) + part.precision * np.abs(ratios)
        error = float(np.average(errors, weights=weights))
    return Factor(value, error) if np.isfinite([value, error]).all() else None


def readable(factor: Factor) -> str:
    """Return a factor as text.

    Examples
    --------
    >>> [readable(Factor(value, 1e-9)) for value in (8.0, -1 / 365, 1.3, 0.012345)]
    ['8.000', '-1/365', '1.300', '0.01235']
    """
    value = factor.value
    if 0 < abs(value) < 0.4:
        count = round(1 / abs(value))
        if count <= LARGEST and factor.is_near(1 / count) and factor.error * count < 1e-3:
            return f"{'-' if value < 0 else ''}1/{count}"
    if not 0.05 <= abs(value) < 1e5:
        return f"{value:.4g}"
    digits = 3 if factor.error < 2e-3 else max(0, -math.floor(math.log10(factor.error)) - 1)
    return f"{value:.{digits}f}"


def named_factor(factor: Factor, evidence: Evidence) -> Named | None:
    """Return the number in sight that a factor is, and the usual reason, or None.

    A number may match by chance: the narrower the error and the fewer the alternatives, the less
    likely.
    """
    turned = "; the sign is turned round" if factor.value < 0 else ""
    relative = factor.error / abs(factor.value)
    tried = 0
    for tried, (number, said) in enumerate(_candidates(evidence), 1):
        if factor.is_near(number) and tried * relative <= CERTAIN:
            return Named(said + turned, tried)
    return None


def round_alternatives(factor: Factor) -> float | None:
    """Return the number of equally round numbers, or None if a factor is not round.

    Mistaken factors have few digits, or are reciprocals of small integers.

    Examples
    --------
    >>> [round_alternatives(Factor(value, 1e-9)) for value in (10.0, -0.97, 1.01, 1 / 3, 1.2345)]
    [64.0, 512.0, 4096.0, 64.0, None]
    """
    size = abs(factor.value)
    if factor.is_near(1 / round(1 / size)) if size < 0.6 and 1 / size < FEW_DIGITS else False:
        return FEW_DIGITS
    for digits in (1, 2, 3):
        if factor.is_near(float(f"{size:.{digits}g}")):
            return FEW_DIGITS * 8.0 ** (digits - 1)
    return None


def unnamed_factor(factor: Factor) -> str:
    """Return the usual reason of a factor that is no number in sight."""
    turned = "the sign is turned round, and " if factor.value < 0 else ""
    size = abs(factor.value)
    if size > 1:
        return f"{turned}a plain factor is too much: a unit, a weight, a normalization?"
    return f"{turned}a plain factor is missing: clipping, a normalization, a learning rate, a unit?"


def _candidates(evidence: Evidence) -> Iterator[tuple[float, str]]:
    """Yield candidates for a factor, the likeliest first: the number, and its reason."""
    numbers = evidence.numbers
    yield 2.0, "the 2 of a square's derivative too often, or a 1/2 of the cost is left out"
    yield 0.5, "the 2 of a square's derivative is missing, or a 1/2 too many"
    yield from _counts_of_examples(numbers)
    yield from _counts_of_entries(numbers)
    yield from _dimensions(numbers)
    yield from _plain_numbers(numbers)
    norm = float(np.linalg.norm(evidence.gradient))
    for size in (
        ROUND if evidence.gradient.size >= FEWEST_CLIPPED else ()
    ):  # the norm tells, whatever the factor
        if abs(norm - size) <= 1e-7 * size:
            unclipped = float(np.linalg.norm(evidence.approximation.values))
            yield norm / unclipped, f"the norm of the gradient is {size:g}: it is clipped"


def _counts_of_examples(numbers: KnownNumbers) -> Iterator[tuple[float, str]]:
    for m in numbers.examples:
        said = f"{m} is {numbers.said(m)}"
        yield m, f"a mean (1/m) is missing; {said}"
        yield 1 / m, f"a mean (1/m) is taken twice; {said}"
    for m in numbers.examples:
        said = f"{m} is {numbers.said(m)}"
        yield 2 * m, f"a mean (1/m) and a 1/2 are missing; {said}"
        yield m / 2, f"a mean (1/m) is missing, and a 2; {said}"
        yield 0.5 / m, f"a 1/(2m) is taken twice; {said}"
        yield 2 / m, f"a mean (1/m) is taken twice, and a 2 is too much; {said}"
        if m >= 5:
            yield m / (m - 1), f"m - 1 stands for m; {said}"
            yield (m - 1) / m, f"m stands for m - 1; {said}"


def _counts_of_entries(numbers: KnownNumbers) -> Iterator[tuple[float, str]]:
    for count, said in numbers.entries:
        yield count, f"a mean is missing; {count} is {said}"
        yield 1 / count, f"a mean is taken twice; {count} is {said}"


def _dimensions(numbers: KnownNumbers) -> Iterator[tuple[float, str]]:
    for n in numbers.dimensions:
        said = numbers.said(n)
        yield n, f"a mean over an axis is missing; {n} is {said}"
        yield 1 / n, f"a mean over an axis is too much; {n} is {said}"
        yield n**0.5, f"sqrt({n}): a scale is missing or stands there twice; {n} is {said}"
        yield n**-0.5, f"1/sqrt({n}): a scale is missing or stands there twice; {n} is {said}"


def _plain_numbers(numbers: KnownNumbers) -> Iterator[tuple[float, str]]:
    for name, value in numbers.factors:
        yield abs(value), f"it is {name}, once too often, or 1/{name} is missing"
        yield 1 / abs(value), f"it is 1/{name}, once too often, or {name} is missing"
