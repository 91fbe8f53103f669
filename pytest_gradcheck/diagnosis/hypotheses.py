"""Rules, the hypotheses that they make, and how sure a hypothesis is.

A rule looks at one parameter and yields hypotheses: what the analytic gradient would be if this
were the fault. A hypothesis has to come true in *every* component that is known, right or wrong,
within its own error bars. That it does may still be chance. What each wrong component tells is
counted in bits: how much narrower the window is that it was predicted to lie in than the error
that is to be explained. A number that was fitted takes back as much as one component tells, and
alternatives that were tried take back the logarithm of their number.
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
"""Bits that a hypothesis has to have beyond its free numbers: one in 16,000 by chance."""

CAP = 20.0
"""Bits that one component tells at most: structure repeats digits more often than chance does."""

BLURRED = 7.0
"""Bits below which a component tells nothing: a window of a hundredth takes in what is alike."""

FEW = 20
"""One component of so many may be missed by little, and is looked at again."""

LITTLE = 30.0
"""By how many error bars."""

ENOUGH = 4096
"""Components that are counted; more of them make nothing surer."""

DIGITS = 1e5
"""Components count as one where they agree in that many steps of a factor of e."""


@dataclass(frozen=True)
class Hypothesis:
    """What the analytic gradient of a parameter would be, if a fault were this one.

    Attributes
    ----------
    prediction, bars : arrays
        Of the analytic gradient, and the error bars of that.
    observation : str
        What was seen, after "W is".
    why : str
        What usually does that.
    code : str or None
        Of the finding, where a rule has several.
    factor : float or None
    free : int
        How many numbers were fitted.
    tried : float
        How many alternatives the rule had, coincidences with numbers in sight included.
    blurred : float
        Bits below which a component tells nothing.
    cap : float
        Bits that a component tells at most.
    bits : float or None
        What it tells, where that is counted in places and not in digits.
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
    """A cause: its code, what usually does it, its row in the docs, and its hypotheses.

    Attributes
    ----------
    code : str
        Of its findings, unless a hypothesis says otherwise.
    summaries : mapping of str to str
        Its codes, with the fault in a word, for the table of findings.
    why : str
        What usually does it, unless a hypothesis says otherwise.
    hypotheses : callable
        Yields the hypotheses about a parameter, the simplest first.
    """

    code: str
    summaries: Mapping[str, str]
    why: str
    hypotheses: Maker

    @property
    def name(self) -> str:
        """The name of the function that makes the hypotheses."""
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

    Error bars are safe, and not sure: of hundreds of components one may be off by more.
    """
    known = np.flatnonzero(part.known)
    missed = _misses(part, hypothesis, part.known) > 0
    places = known[missed]
    if not 0 < FEW * places.size <= known.size:
        return places[:0]
    wider = hypothesis.but(bars=LITTLE * hypothesis.bars)
    return places if comes_true(part, wider) else places[:0]


def _misses(part: ParameterEvidence, hypothesis: Hypothesis, where: Mask) -> FloatArray:
    """Return by how much predictions miss the analytic gradient, beyond what is allowed."""
    analytic, predicted = part.analytic[where], hypothesis.prediction[where]
    allowed = hypothesis.bars[where] + _rounding(part, analytic, predicted)
    missed = np.abs(analytic - predicted) - allowed
    return np.where(np.isnan(missed), np.inf, missed)


def _rounding(part: ParameterEvidence, analytic: FloatArray, predicted: FloatArray) -> FloatArray:
    """Return how far a gradient may be off by the rounding of its own arithmetic."""
    size = np.maximum(np.abs(analytic), np.abs(predicted))
    rounding: FloatArray = part.precision * (size + 1e-3 * part.scale)
    return rounding


def information(part: ParameterEvidence, hypothesis: Hypothesis) -> float:
    """Return how many bits the wrong components tell in favour of a hypothesis that comes true.

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
    for first, second, told in zip(*(d.tolist() for d in digits), bits.tolist(), strict=True):
        most[first, second] = max(told, most.get((first, second), 0.0))
    told = sorted(most.values(), reverse=True)
    return math.fsum(told[hypothesis.free :])


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
