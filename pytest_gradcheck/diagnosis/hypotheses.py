"""Rules, their hypotheses, and the certainty of a hypothesis in bits.

A rule takes one parameter and yields hypotheses: the analytic gradient that a fault would give. A
hypothesis has to hold in *every* known component, right or wrong, within its own error bars. It may
still do so by chance. Each wrong component counts in bits: the logarithm of its error over the
window in which it was predicted. A fitted number costs the bits of one component, and alternatives
cost the logarithm of their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, Mask, ParameterEvidence
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = [
    "BLURRED",
    "LITTLE",
    "NEEDED",
    "Hypothesis",
    "Rule",
    "comes_true",
    "information",
    "is_sure",
    "near_misses",
    "rule",
    "where_bits",
]

NEEDED = 14.0
"""Bits that a hypothesis needs beyond its free numbers: a chance of one in 16,000."""

CAP = 20.0
"""Bits of one component at most: structure repeats digits more often than chance does."""

BLURRED = 7.0
"""Bits below which a component does not count: a window of a hundredth holds similar numbers."""

FEW = 20
"""One component in this many may be missed by little, and is differenced again."""

LITTLE = 30.0
"""The most by which it may be missed, in error bars."""

ENOUGH = 4096
"""Components that are counted at most."""

DIGITS = 1e5
"""Components count as one if they agree in this many steps of a factor of e."""


@dataclass(frozen=True)
class Hypothesis:
    """The analytic gradient that a fault would give, with its error bars and words.

    Attributes
    ----------
    prediction, bars : arrays
        The predicted analytic gradient, and its error bars.
    observation : str
        The observation, after "W is".
    why : str
        Its usual reason.
    code : str or None
        The code of the finding, if its rule has several.
    factor : float or None
    free : int
        The number of fitted numbers.
    tried : float
        The number of alternatives of the rule, coincidences with numbers in sight included.
    blurred : float
        Bits below which a component does not count.
    cap : float
        Bits of a component at most.
    bits : float or None
        Its bits, if they count places and not digits.
    """

    prediction: FloatArray
    bars: FloatArray
    observation: str
    why: str = ""
    code: str | None = None
    factor: float | None = None
    free: int = 0
    tried: float = 1.0
    blurred: float = BLURRED
    cap: float = CAP
    bits: float | None = None

    def but(self, **changes: Any) -> Hypothesis:
        """Return the hypothesis with some fields changed."""
        return replace(self, **changes)


NO_MORE: Mapping[str, str] = {}

Maker = Callable[[ParameterEvidence, Evidence], Iterator[Hypothesis]]


@dataclass(frozen=True)
class Rule:
    """A cause: its code, its usual reason, its row in the docs, and its hypotheses.

    Attributes
    ----------
    code : str
        The code of its findings, unless a hypothesis has another.
    summaries : mapping of str to str
        Its codes with their faults in a word, for the table of findings.
    why : str
        Its usual reason, unless a hypothesis has another.
    hypotheses : callable
        Yields the hypotheses about a parameter, the simplest first.
    """

    code: str
    summaries: Mapping[str, str]
    why: str
    hypotheses: Maker

    @property
    def name(self) -> str:
        """The name of the generator function."""
        return self.hypotheses.__name__


def rule(
    code: str, summary: str, why: str = "", also: Mapping[str, str] = NO_MORE
) -> Callable[[Maker], Rule]:
    """Make a rule of a generator of hypotheses.

    Examples
    --------
    >>> @rule("sign", "it points the other way", why="Y - A for A - Y?")
    ... def sign(part, evidence):
    ...     yield Hypothesis(-part.numerical, part.bars, "-1 x the numerical gradient")
    >>> sign.code, sign.name
    ('sign', 'sign')
    """
    return lambda hypotheses: Rule(code, {code: summary, **also}, why, hypotheses)


def comes_true(part: ParameterEvidence, hypothesis: Hypothesis) -> bool:
    """Return whether a hypothesis predicts every known component, right and wrong."""
    return bool(np.all(_misses(part, hypothesis, part.known) <= 0))


def near_misses(part: ParameterEvidence, hypothesis: Hypothesis) -> Indices:
    """Return the few components that a hypothesis misses by little, where it predicts all others.

    Error bars are safe, not certain: one component in hundreds may exceed its own.
    """
    known = np.flatnonzero(part.known)
    missed = _misses(part, hypothesis, part.known) > 0
    places = known[missed]
    if not 0 < FEW * places.size <= known.size:
        return places[:0]
    wider = hypothesis.but(bars=LITTLE * hypothesis.bars)
    return places if comes_true(part, wider) else places[:0]


def _misses(part: ParameterEvidence, hypothesis: Hypothesis, where: Mask) -> FloatArray:
    """Return the error of predictions beyond what is allowed."""
    analytic, predicted = part.analytic[where], hypothesis.prediction[where]
    allowed = hypothesis.bars[where] + _rounding(part, analytic, predicted)
    missed = np.abs(analytic - predicted) - allowed
    return np.where(np.isnan(missed), np.inf, missed)


def _rounding(part: ParameterEvidence, analytic: FloatArray, predicted: FloatArray) -> FloatArray:
    """Return the rounding error of a gradient's own arithmetic."""
    size = np.maximum(np.abs(analytic), np.abs(predicted))
    rounding: FloatArray = part.precision * (size + 1e-3 * part.scale)
    return rounding


def information(part: ParameterEvidence, hypothesis: Hypothesis) -> float:
    """Return the bits of the wrong components in favour of a hypothesis that holds.

    Components that repeat each other count once.
    """
    if hypothesis.bits is not None:
        return hypothesis.bits
    mine = np.flatnonzero(part.known & part.wrong)[:ENOUGH]
    analytic, predicted = part.analytic[mine], hypothesis.prediction[mine]
    numerical = part.numerical[mine]
    window = hypothesis.bars[mine] + _rounding(part, analytic, predicted)
    size = np.abs(analytic - numerical)
    with np.errstate(all="ignore"):
        bits = np.clip(np.log2(size / window), 0.0, hypothesis.cap)
        bits = np.where(bits >= hypothesis.blurred, bits, 0.0)  # NaN is none, too
        digits = [np.rint(DIGITS * np.log(np.abs(v))) for v in (predicted, numerical)]
    most: dict[tuple[float, float], float] = {}
    for first, second, value in zip(*(d.tolist() for d in digits), bits.tolist(), strict=True):
        most[first, second] = max(value, most.get((first, second), 0.0))
    counted = sorted(most.values(), reverse=True)
    return math.fsum(counted[hypothesis.free :])


def is_sure(bits: float, hypothesis: Hypothesis, more: float = 0.0) -> bool:
    """Return whether so many bits are more than chance may give."""
    return bits - math.log2(hypothesis.tried) >= NEEDED + more


def where_bits(wrong: int, right: int) -> float:
    """Return what it tells that of so many components exactly these are wrong.

    Examples
    --------
    >>> round(where_bits(2, 2), 2), round(where_bits(1, 7), 2)
    (2.58, 3.0)
    """
    return math.log2(math.comb(wrong + right, wrong)) if wrong + right < 5000 else 99.0
