"""Causes in the values themselves: zero, a factor, a constant, a function of theta."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pytest_gradcheck.diagnosis.evidence import SINGLE, Evidence, Mask, ParameterEvidence
from pytest_gradcheck.diagnosis.hypotheses import Hypothesis, rule
from pytest_gradcheck.diagnosis.known_numbers import named_strength
from pytest_gradcheck.diagnosis.rules.factors import (
    Factor,
    fitted_factor,
    named_factor,
    readable,
    round_alternatives,
    unnamed_factor,
)
from pytest_gradcheck.params.scales import rms
from pytest_gradcheck.params.theta import FloatArray

__all__ = [
    "conjugated",
    "factor",
    "factor_of_data",
    "offset",
    "sign",
    "transformed",
    "unused",
    "zero",
]

NOTHING = 1e-10
"""A gradient below this part of the numerical one is a rounded zero."""

OPPOSITE = 3.0
"""Bits of a component for a sign at least: similar gradients point the same way."""

DIGITS = 40.0
"""Bits of a component at most, if only the digits of a factor tell."""

ALMOST = 1e-6
"""Tolerance within which a slope is a round number."""

ROUND = 256.0
"""The factor of more alternatives where theta has three digits."""

VISIBLE = 0.99e-3
"""The least distance of a factor from 1."""

TURNED = "the sign is turned round: Y - A for A - Y, a minus too many, or a force for a gradient"


@rule("zero", "the gradient was never filled in")
def zero(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis that the gradient is 0 throughout, but for rounding."""
    numerical = np.abs(part.numerical[part.known]).max(initial=0.0)
    if np.all(np.abs(part.analytic[part.known]) <= NOTHING * numerical):
        yield Hypothesis(
            np.zeros(part.size),
            np.full(part.size, NOTHING * numerical),
            "0 throughout, and the numerical gradient is not",
            "never filled in, or a factor of it is 0",
            factor=0.0,
        )


@rule("unused", "the cost does not depend on it")
def unused(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis that the cost does not depend on the parameter, and the gradient does."""
    known = part.known
    still = np.abs(part.numerical[known]) <= part.bars[known]
    if still.all() and _is_small(part, part.bars) and not _moves(part, evidence):
        yield Hypothesis(
            part.analytic,
            part.bars,
            "not 0, but the cost does not depend on it here (its numerical gradient is 0)",
            "a mask is missing, its units are dead, or the cost leaves it out",
        )


def _moves(part: ParameterEvidence, evidence: Evidence) -> bool:
    """Return whether the cost moves with the parameter some way off.

    A wrong component is differenced only until it is wrong for sure, and a cost that is partly in
    float32 may be flat nearby.
    """
    theta, probe = evidence.pair.theta, evidence.pair.prober()
    level = evidence.noise.level if evidence.noise is not None else 0.0
    length = np.maximum(np.abs(part.theta), rms(part.theta) or 1.0)
    here = float(probe())
    for step in (1e-3,) if evidence.precision < SINGLE else (1e-3, 1e-2, 1e-1):
        for side in (1.0, -1.0):
            moved = theta.base.copy()
            moved[part.parameter.slice] += side * step * length * np.sign(part.analytic)
            with theta.at(moved), np.errstate(all="ignore"):
                there = float(probe())
            if abs(there - here) > 8 * level:
                return True
    return False


def _is_small(part: ParameterEvidence, values: FloatArray) -> bool:
    """Return whether values are negligible beside the analytic gradient."""
    return bool(np.all(values[part.wrong] <= 1e-4 * np.abs(part.analytic[part.wrong])))


@rule("sign", "it points the other way", TURNED)
def sign(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis that the gradient is minus the numerical one."""
    said = "-1.000 x the numerical gradient"
    yield Hypothesis(-part.numerical, part.bars, said, factor=-1.0, blurred=OPPOSITE)


@rule(
    "conjugated",
    "it is the complex conjugate",
    "the gradient is dJ/dRe + i dJ/dIm, where dJ/dz as mathematicians and JAX have it is half of "
    "its conjugate, or its conjugate",
)
def conjugated(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses that the imaginary parts have the other sign."""
    if not part.parameter.is_complex:
        return
    turned = np.tile([1.0, -1.0], part.size // 2)
    for share, said in ((1.0, ""), (0.5, "half of "), (2.0, "twice ")):
        yield Hypothesis(
            share * turned * part.numerical,
            part.bars,
            f"{said}the complex conjugate of the numerical gradient",
            tried=3,
        )


@rule("scale", "it is a constant factor too large or too small")
def factor(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis that the gradient is a constant times the numerical one."""
    found = fitted_factor(part, part.known)
    if found is None or abs(found.value - 1) < VISIBLE or abs(found.value) < NOTHING:
        return
    if abs(found.value + 1) < VISIBLE:
        yield Hypothesis(
            found.value * part.numerical,
            found.bars(part),
            "-1.000 x the numerical gradient",
            TURNED,
            code="sign",
            factor=-1.0,
            free=1,
        )
        return
    name = named_factor(found, evidence)
    fitted = Hypothesis(
        found.value * part.numerical,
        found.bars(part),
        f"{readable(found)} x the numerical gradient",
        name.said if name else unnamed_factor(found),
        factor=found.value,
        free=0 if name else 1,
        tried=name.tried if name else 1.0,
    )
    yield fitted
    alternatives = None if name else round_alternatives(found)
    if alternatives is not None and not _is_round(part.numerical[part.wrong]):
        alternatives *= min(1.0, abs(found.value - 1)) * _roundness(part.theta[part.wrong])
        yield fitted.but(free=0, tried=max(alternatives, 1.0), cap=DIGITS)


@rule("scale", "it is a constant factor too large or too small")
def factor_of_data(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis of a factor of all but the penalty, which is proportional to theta.

    Two numbers explain more than one, so the factor has to be the sign or a number in sight, or
    one of few digits where the penalty's strength is in sight.
    """
    known = part.known
    if part.n_wrong < 4 or not part.theta[known].any() or not part.numerical[known].any():
        return
    columns = np.stack([part.numerical[known], part.theta[known]], axis=1)
    size = np.max(np.abs(columns), axis=0)
    (value, strength), *_ = np.linalg.lstsq(
        columns / size, part.analytic[known] / size[0], rcond=None
    )
    value, strength = float(value), float(strength * size[0] / size[1])
    if not value or abs(value - 1) < VISIBLE:
        return  # the penalty alone, or all of the data
    found = Factor(value, max(part.precision, 1e-6) * abs(value))
    turned = found.is_near(-1.0)
    name = named_factor(found, evidence)
    own = named_strength(strength / (1 - value), evidence.numbers)
    if not (turned or name or (own and round_alternatives(found))):
        return
    yield Hypothesis(
        value * part.numerical + strength * part.theta,
        max(abs(value), 1.0) * part.bars,
        f"{readable(found)} x the numerical gradient, but for the penalty",
        TURNED if turned else name.said if name else unnamed_factor(found),
        code="sign" if turned else "scale",
        factor=value,
        free=2,
    )


@rule(
    "offset", "a constant is added to it", "a term of the derivative is left out, or one too many"
)
def offset(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis that a constant is added to the gradient."""
    known = np.flatnonzero(part.known)
    if known.size < 2:
        return
    sharp = known[np.argmin((part.bars + part.precision * np.abs(part.analytic))[known])]
    constant = float(part.analytic[sharp] - part.numerical[sharp])
    yield Hypothesis(
        part.numerical + constant,
        part.bars + part.bars[sharp],
        f"the numerical gradient {'+' if constant > 0 else '-'} {abs(constant):.4g} throughout",
        free=1,
    )


Elementwise = Callable[[FloatArray], FloatArray]

CHAIN_RULES: tuple[tuple[str, str, Elementwise], ...] = (
    ("exp(theta)", "a logarithm", np.exp),
    ("exp(-theta)", "a logarithm", lambda t: np.exp(-t)),
    ("exp(2 theta)", "a logarithm", lambda t: np.exp(2 * t)),
    ("exp(-2 theta)", "a logarithm", lambda t: np.exp(-2 * t)),
    ("theta", "a logarithm, an exponential or a power", lambda t: t),
    ("1/theta", "a logarithm, an exponential or a power", lambda t: 1 / t),
    ("2 theta", "a square or a square root", lambda t: 2 * t),
    ("1/(2 theta)", "a square or a square root", lambda t: 0.5 / t),
    ("theta^2", "a reciprocal", lambda t: t * t),
    ("1/theta^2", "a reciprocal", lambda t: 1 / (t * t)),
    ("2 sqrt(theta)", "a square root", lambda t: 2 * np.sqrt(t)),
    ("1/(2 sqrt(theta))", "a square root", lambda t: 0.5 / np.sqrt(t)),
    ("s(1 - s), s = sigmoid(theta)", "a sigmoid", lambda t: 0.25 / np.cosh(t / 2) ** 2),
    ("1/(s(1 - s)), s = sigmoid(theta)", "a logit", lambda t: 4 * np.cosh(t / 2) ** 2),
    ("sigmoid(theta)", "a softplus", lambda t: 1 / (1 + np.exp(-t))),
    ("1/sigmoid(theta)", "a softplus", lambda t: 1 + np.exp(-t)),
    ("1 - tanh(theta)^2", "a tanh", lambda t: 1 / np.cosh(t) ** 2),
    ("1/(1 - tanh(theta)^2)", "an artanh", lambda t: np.cosh(t) ** 2),
)
"""Ratios of the gradients if the chain rule of a transformed parameter is missing."""


@rule("transformed", "the chain rule of a transformed parameter is missing")
def transformed(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses that the ratio is a function of theta, everywhere or where it is wrong.

    A flat vector often holds one parameter that is a logarithm.
    """
    if part.n_wrong > 1 and np.ptp(part.analytic[part.wrong]) <= ALMOST * part.scale:
        return  # for constant theta any function of it is a constant
    everywhere = np.ones(part.size, np.bool_)
    some = part.wrong if len(part.shape) == 1 and part.n_right else None
    for words, of_what, function in CHAIN_RULES:
        with np.errstate(all="ignore"):
            ratio = function(part.theta)
        for where in (everywhere, some):
            if where is not None and np.isfinite(ratio[where]).all():
                yield _transformed(part, ratio, where, words, of_what)


def _transformed(
    part: ParameterEvidence, ratio: FloatArray, where: Mask, words: str, of_what: str
) -> Hypothesis:
    ratio = np.where(where, ratio, 1.0)
    alone = not where.all()
    names = ""
    if alone:
        places = np.flatnonzero(where)
        names = f"at [{places[0]}] " if places.size == 1 else "where it is wrong "
    return Hypothesis(
        ratio * part.numerical,
        np.abs(ratio) * part.bars,
        f"{names}the numerical gradient times {words}",
        f"the chain rule of {of_what} is missing, or stands there twice",
        tried=len(CHAIN_RULES) * (part.size if alone else 1) * _roundness(part.theta[part.wrong]),
    )


def _roundness(theta: FloatArray) -> float:
    """Return the factor by which coincidences are likelier between round numbers."""
    return ROUND if all(value == float(f"{value:.3g}") for value in theta[:8].tolist()) else 1.0


def _is_round(slopes: FloatArray) -> bool:
    """Return whether slopes have three digits, whose multiples are round by chance."""
    digits = np.array([float(f"{slope:.3g}") for slope in slopes[:8].tolist()])
    return bool(np.all(np.abs(slopes[:8] - digits) <= ALMOST * np.abs(digits)))
