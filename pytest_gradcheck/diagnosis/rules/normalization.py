"""Causes in a normalization: its mean and variance depend on its input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, ParameterEvidence
from pytest_gradcheck.diagnosis.hypotheses import Hypothesis, rule
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["normalization"]

FEWEST = 4
"""Entries of a normalized group at least: up to two numbers are fitted to them."""

LEFT = 0.02
"""The part that a constant added to the variance may leave."""

TERMS = (
    ((True, False), "a constant", "term of the mean is"),
    ((False, True), "a multiple of {name} - mean({name})", "term of the variance is"),
    ((True, True), "a constant and a multiple of {name}", "terms of mean and variance are"),
)
"""The term that is left out, the vectors that the gradient then contains, and their names."""


@rule("normalization", "a term of a normalization is missing")
def normalization(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses of a normalization with a constant mean or variance.

    A shift or a stretch of the input changes nothing, so the gradient is orthogonal to a constant
    and to the deviations from the mean. The terms of mean and variance would remove those parts of
    the analytic gradient.
    """
    if not part.is_complete or len(part.shape) < 2:
        return
    if np.all(np.abs(part.numerical) <= part.bars):
        return  # zeros are orthogonal to everything
    ours, theirs, theta, bars = (
        part.grid(v) for v in (part.analytic, part.numerical, part.theta, part.bars)
    )
    for axes in _axes(part.shape):
        count = int(np.prod([part.shape[axis] for axis in axes]))
        if count < FEWEST or part.size < 2 * count:
            continue
        constant, beside = np.ones(part.shape), theta - theta.mean(axis=axes, keepdims=True)
        within = bars + bars.max(axis=axes, keepdims=True)  # errors of all enter a fit
        over = " and ".join(map(str, axes))
        for (mean, variance), more, terms in TERMS:
            still = [constant, beside] if variance else [constant]
            bases = [constant] * mean + [beside] * variance
            if all(_is_orthogonal(theirs, basis, bars, axes) for basis in still):
                taken = sum(_along(ours - theirs, basis, axes) for basis in bases)
                yield Hypothesis(
                    (theirs + taken).reshape(-1),
                    within.reshape(-1),
                    f"the numerical gradient + {more.format(name=part.name)} along axis {over}",
                    f"a normalization's {terms} left out",
                    free=len(bases) * part.size // count,
                    tried=len(TERMS) * len(part.shape),
                )


def _axes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the axes that a normalization may go over: one, or all but one."""
    every = range(len(shape))
    yield from ((axis,) for axis in every)
    if len(shape) > 2:
        yield from (tuple(axis for axis in every if axis != one) for one in every)


def _along(values: FloatArray, basis: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Return the part of values, in each group, that lies along a basis."""
    products = (values * basis).sum(axis=axes, keepdims=True)
    squares = (basis * basis).sum(axis=axes, keepdims=True)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(squares > 0, products / squares, 0.0) * basis)


def _is_orthogonal(
    theirs: FloatArray, basis: FloatArray, bars: FloatArray, axes: tuple[int, ...]
) -> bool:
    """Return whether the numerical gradient is nearly orthogonal to a basis, in each group."""
    left = np.abs((theirs * basis).sum(axis=axes))
    size = (np.abs(theirs) * np.abs(basis)).sum(axis=axes)
    allowed = (bars * np.abs(basis)).sum(axis=axes) + LEFT * size
    return bool(np.all(left <= allowed))
