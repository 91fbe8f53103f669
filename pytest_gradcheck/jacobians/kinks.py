"""Rows of a matrix at kinks: the pair is asked again at points nearby.

Where values tie (sorting, pooling, top-k) the slopes along the axes bound no derivative: a row may
lie outside of them and be right. A row is right at a kink where it is the limit of rows at points
nearby (F. H. Clarke, Optimization and Nonsmooth Analysis, 1983): the same there as here, and right
there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.verdict.jacobian.entries import Entries, Judged
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["allowed_at_kinks"]

AWAY = 1e-4
"""How far theta is nudged, in lengths."""

STEP = 1e-2
"""The step of differences there, as a part of the nudge: no kink may come in reach."""

SAME = 0.02
"""By what part of its size a row may differ at a nudged point: it changes with the nudge."""

RIGHT = 1e-3
"""By what part of its size a slope may differ from the row's there."""

NUDGES = 60
"""Random nudges that all rows share."""

OWN = 10
"""Rows that are also nudged along themselves, and against."""

COLUMNS = 500
"""Columns up to which a matrix is written out at nudged points."""

Bools = npt.NDArray[np.bool_]


def allowed_at_kinks(work: Work, entries: Entries, judged: Judged) -> Judged:
    """Return verdicts in which rows that are limits of right rows nearby stand at a kink."""
    wrong = judged.codes >= Verdict.SUSPECT
    rows = np.flatnonzero(wrong.any(axis=0) & np.isfinite(entries.analytic).all(axis=0))
    kinked = rows.size and entries.slopes.kinds.any()
    if not kinked or entries.numbers.size > COLUMNS or work.projection is not None:
        return judged
    proved = np.zeros(rows.size, np.bool_)
    for nudge in _nudges(work, entries, rows):
        left = np.flatnonzero(~proved)
        if not left.size:
            break
        proved[left] = _proved(work, entries, rows[left], nudge)
    if not proved.any():
        return judged
    codes, errors = judged.codes.copy(), judged.errors.copy()
    mine = np.zeros(codes.shape, np.bool_)
    mine[:, rows[proved]] = True
    mine &= wrong | (codes == Verdict.INCONCLUSIVE)
    codes[mine], errors[mine] = Verdict.KINK, 0.0
    return Judged(codes, errors)


def _nudges(work: Work, entries: Entries, rows: Indices) -> Iterator[FloatArray]:
    """Yield vectors over theta: random ones, and along the rows that are asked about."""
    rng, length = stream("nudges", work.seed), lengths(work.theta)
    numbers, size = entries.numbers, work.theta.base.size
    for row in rows[:OWN].tolist():
        own = entries.analytic[:, row] * length[numbers]
        largest = float(np.abs(own).max(initial=0.0))
        for side in (1.0, -1.0) if largest else ():
            nudge = np.zeros(size)
            nudge[numbers] = side * own / largest * length[numbers]
            yield AWAY * nudge
    for _ in range(NUDGES):
        nudge = np.zeros(size)
        weights = rng.uniform(-1.0, 1.0, numbers.size)
        nudge[numbers] = (weights + np.copysign(0.5, weights)) * length[numbers]
        yield AWAY * nudge


def _proved(work: Work, entries: Entries, rows: Indices, nudge: FloatArray) -> Bools:
    """Return which rows are the same at a nudged theta as here, and right there."""
    theta, base = work.theta, work.theta.base.copy()
    with theta.at(base + nudge):
        try:
            there = work.pair.matrix().columns(entries.numbers)[:, rows]
        except ProblemError:
            return np.zeros(rows.size, np.bool_)  # outside of the domain, which says nothing
    here = entries.analytic[:, rows]
    usual = np.sqrt(np.mean(np.square(here), axis=0))
    same = np.all(np.abs(there - here) <= SAME * np.maximum(usual, np.abs(here)), axis=0)
    for k in range(2) if same.any() else ():
        same &= _right_there(work, entries.numbers, there, rows, (base + nudge, k))
    return np.asarray(same, np.bool_)


def _right_there(
    work: Work, numbers: Indices, there: FloatArray, rows: Indices, at: tuple[FloatArray, int]
) -> Bools:
    """Return which rows have the slopes of their outputs at a point, along a random vector."""
    theta, (point, k) = work.theta, at
    rng, step = stream(f"slopes nearby {k}", work.seed), AWAY * STEP
    weights = rng.choice([-1.0, 1.0], numbers.size) * rng.uniform(0.5, 1.5, numbers.size)
    weights *= lengths(theta)[numbers]
    outputs, sides = work.pair.prober(), []
    for distance in (step, -step):
        moved = point.copy()
        moved[numbers] += distance * weights
        with theta.at(moved):
            sides.append(outputs()[rows])
    slopes = (sides[0] - sides[1]) / (2 * step)
    said, size = weights @ there, np.abs(weights) @ np.abs(there)
    level = np.maximum(work.noise.levels[rows], 0.5 * EPSILON * np.abs(sides[0]))
    with np.errstate(invalid="ignore"):
        right = np.abs(slopes - said) <= SAFETY * level / step + RIGHT * size
    return np.asarray(right, np.bool_)
