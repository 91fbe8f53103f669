"""Rows of a matrix at kinks: the pair is evaluated again at points nearby.

Where values tie (sorting, pooling, top-k) the slopes along the axes bound no derivative: a row may
lie outside of them and be right, or between them in every entry and be wrong. A row is right at a
kink where it is the limit of right rows at points nearby, or a mean of such limits (F. H. Clarke,
Optimization and Nonsmooth Analysis, 1983). A row that is neither is compared as the gradient of its
output alone.

`verdict.kinks` does the same for one gradient, whose limits it reads off much nearer. Here each
nudge serves all rows, so both have the nudges and the hulls in common and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.jacobians.rows import Bools, subgradients_instead
from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.numdiff.jacobian.columns import all_columns
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, Kind
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.problem.jacobian.matrices import OperatorMatrix
from pytest_gradcheck.verdict.jacobian.entries import Entries, Judged
from pytest_gradcheck.verdict.judge import Verdict
from pytest_gradcheck.verdict.kinks.hulls import nearest_in_hull
from pytest_gradcheck.verdict.kinks.limits import nudges

__all__ = ["corrected_at_kinks"]

AWAY = 1e-4
"""The length of a nudge of theta, in lengths."""

STEP = 1e-2
"""The step of differences there, as a part of the nudge, so that it reaches no kink."""

SAME = 0.02
"""Relative tolerance of an equal row at a nudged point: rows change with theta."""

ROOM = 30.0
"""The least nudge for a proof, in cube roots of the noise."""

KEPT = 0.1
"""Relative change of a row that is allowed on the way there."""

SHOWN = 0.25
"""The part of an error that a proof may miss."""

RIGHT = 1e-5
"""Relative tolerance of a slope there."""

ORDERLY = 8
"""Nudges that settle ties as code does, tried first."""

OWN = 10
"""Rows along which, and against which, theta is nudged as well."""

NUDGES = 60
"""Random nudges that all rows share."""

ENOUGH = 12
"""Random nudges for rows without a wrong entry."""

MEANS = (8, 16, 32, 64, 88)
"""Numbers of nudges after which means of limits are tried."""

COLUMNS = 500
"""Columns up to which an operator is written out at nudged points."""

NUMBERS = 20_000_000
"""Numbers at nudged points in memory at a time."""

Codes = npt.NDArray[np.int8]


def corrected_at_kinks(work: Work, entries: Entries, judged: Judged) -> tuple[Entries, Judged]:
    """Return entries and verdicts, corrected at kinks from points nearby.

    Rows that looked wrong and are proved to be subgradients get the verdict kink. Rows between the
    slopes of kinks that are no subgradients are wrong where they differ from the nearest one.
    """
    kinds, count = entries.slopes.kinds, entries.numbers.size
    written = count <= COLUMNS or not isinstance(work.matrix, OperatorMatrix)
    if work.projection is not None or not written or not kinds.any():
        return entries, judged
    wrong: Bools = np.asarray(np.any(judged.codes >= Verdict.SUSPECT, axis=0))
    kinked: Bools = np.asarray(
        np.any((kinds == Kind.KINK) & (judged.codes == Verdict.KINK), axis=0)
    )
    rows = np.flatnonzero((wrong | kinked) & np.isfinite(entries.analytic).all(axis=0))
    proved: Bools = np.zeros(judged.codes.shape[1], np.bool_)
    jumping: Bools = proved.copy()
    most = max(1, NUMBERS // (count * MEANS[-1]))
    for mine in (rows[k : k + most] for k in range(0, rows.size, most)):
        nearby = _NearbyRows(work, entries, mine, judged)
        proved[mine] = nearby.proved(NUDGES if wrong[mine].any() else ENOUGH)
        jumping[mine] = nearby.jumping()
    judged = _allowed(judged, proved)
    entries = _at_kinks(entries, judged, jumping)
    off = judged.codes >= Verdict.SUSPECT
    tied = wrong & _has_ties(kinds, entries.slopes.kinds)
    left = np.concatenate([np.flatnonzero(some & ~proved) for some in (kinked & ~wrong, tied)])
    if not left.size or work.pair.is_lower:
        return entries, judged
    return _refused(entries, judged, subgradients_instead(work, entries, left, off), work)


def _allowed(judged: Judged, proved: Bools) -> Judged:
    """Return verdicts in which wrong entries of proved rows are kinks."""
    open_ = (judged.codes >= Verdict.SUSPECT) | (judged.codes == Verdict.INCONCLUSIVE)
    open_ &= proved
    if not open_.any():
        return judged
    codes, errors = judged.codes.copy(), judged.errors.copy()
    codes[open_], errors[open_] = Verdict.KINK, 0.0
    return Judged(codes, errors)


def _at_kinks(entries: Entries, judged: Judged, jumping: Bools) -> Entries:
    """Return entries in which wrong entries of jumping rows are of the kind kink."""
    at = jumping & (judged.codes >= Verdict.SUSPECT)
    if not at.any():
        return entries
    kinds = np.where(at, np.int8(Kind.KINK), entries.slopes.kinds)
    return replace(entries, slopes=replace(entries.slopes, kinds=kinds))


def _has_ties(seen: Codes, kinds: Codes) -> Bools:
    """Return which rows may be right outside of their one-sided slopes, from kinds seen and now.

    A single entry at a kink is right between its two slopes alone. Where several meet at one, or
    the row jumps where no slope along an axis shows a kink, it depends on how ties are settled.
    """
    jumps = np.any((kinds == Kind.KINK) & (seen != Kind.KINK), axis=0)
    return np.asarray(jumps | (np.count_nonzero(seen == Kind.KINK, axis=0) > 1))


def _refused(
    entries: Entries, judged: Judged, instead: dict[tuple[int, int], float], work: Work
) -> tuple[Entries, Judged]:
    """Return entries with the values of subgradients for rows that are none, and verdicts.

    A row that was wrong stays so in one entry at least.
    """
    if not instead:
        return entries, judged
    values, codes, errors = (
        array.copy() for array in (entries.slopes.values, judged.codes, judged.errors)
    )
    bug, suspect = work.settings.bug, work.settings.suspect
    for place, value in instead.items():
        analytic = float(entries.analytic[place])
        error = abs(value - analytic) / ((abs(value) + abs(analytic)) or 1.0)
        if error > suspect:
            values[place], errors[place] = value, error
            codes[place] = Verdict.BUG if error > bug else Verdict.SUSPECT
        elif codes[place] >= Verdict.SUSPECT:
            values[place], errors[place], codes[place] = value, 0.0, Verdict.KINK
    wrong = [np.any(each >= Verdict.SUSPECT, axis=0) for each in (judged.codes, codes)]
    kept = np.flatnonzero(wrong[0] & ~wrong[1])
    for new, old in ((values, entries.slopes.values), (codes, judged.codes)):
        new[:, kept] = old[:, kept]
    errors[:, kept] = judged.errors[:, kept]
    return replace(entries, slopes=replace(entries.slopes, values=values)), Judged(codes, errors)


def _loudness(entries: Entries, rows: Indices, judged: Judged) -> FloatArray:
    """Return the residuals of wrong entries, and infinity elsewhere.

    In rows without a wrong entry, those at kinks have half the distance of their slopes.
    """
    slopes = entries.slopes
    off = np.abs(slopes.values[:, rows] - entries.analytic[:, rows])
    wrong = judged.codes[:, rows] >= Verdict.SUSPECT
    loud = np.where(wrong & np.isfinite(off), off, np.inf)
    places = {int(row): place for place, row in enumerate(rows)}
    quiet: Bools = ~np.any(wrong, axis=0, keepdims=True)[0]
    for (k, row), (left, right) in slopes.sides.items():
        if row in places and quiet[places[row]]:
            loud[k, places[row]] = 0.5 * abs(right - left)
    return loud


class _NearbyRows:
    """A matrix and its function at points nearby, for some rows."""

    def __init__(self, work: Work, entries: Entries, rows: Indices, judged: Judged) -> None:
        self._work, self._entries, self._rows = work, entries, rows
        self._here = entries.analytic[:, rows]
        self._length = lengths(work.theta)[entries.numbers]
        self._known: list[_Point] = []
        self._loud = _loudness(entries, rows, judged)
        noise = float(np.median(work.noise.relative[rows]))
        self._away = max(AWAY, ROOM * noise ** (1 / 3))

    def proved(self, few: int) -> Bools:
        """Return which rows are limits of right rows nearby, or means of such limits."""
        proved = np.zeros(self._rows.size, np.bool_)
        for number, nudge in enumerate(self._nudges(few), 1):
            left = np.flatnonzero(~proved)
            if not left.size:
                break
            proved[left] = self._same_and_right(nudge)[left]
            if number in MEANS:
                proved[[k for k in np.flatnonzero(~proved).tolist() if self._is_mean(k)]] = True
        return proved

    def jumping(self) -> Bools:
        """Return which rows differ at more than half of the points nearby."""
        apart = np.zeros(self._rows.size)
        for point in self._known:
            apart += ~self._is_same(point.matrix)
        return np.asarray(apart > 0.5 * len(self._known))

    def _is_same(self, there: FloatArray) -> Bools:
        here = self._here
        usual = np.sqrt(np.mean(np.square(here), axis=0))
        near = np.abs(there - here) <= SAME * np.maximum(usual, np.abs(here))
        return np.asarray(near.all(axis=0))

    def _nudges(self, few: int) -> Iterator[FloatArray]:
        """Yield vectors over theta: those of any gradient, along the rows, and random ones."""
        theta, numbers = self._work.theta, self._entries.numbers
        length = lengths(theta)
        for nudge in islice(nudges(theta, length), ORDERLY):
            yield AWAY * nudge
        for row in self._here.T[:OWN]:
            own = row * self._length
            largest = float(np.abs(own).max(initial=0.0))
            for side in (1.0, -1.0) if largest else ():
                vector = np.zeros(length.size)
                vector[numbers] = side * own / largest * self._length
                yield AWAY * vector
        rng, every = stream("nudges", self._work.seed), all_columns(theta)
        for _ in range(few):
            weights = rng.uniform(-1.0, 1.0, every.size)
            vector = np.zeros(length.size)
            vector[every] = (weights + np.copysign(0.5, weights)) * length[every]
            yield AWAY * vector

    def _same_and_right(self, nudge: FloatArray) -> Bools:
        """Return which rows are the same at a nudged theta as here, and right there."""
        there = self._matrix(nudge)
        if there is None:
            return np.zeros(self._rows.size, np.bool_)  # outside of the domain
        self._known.append(_Point(nudge, there))
        same = self._is_same(there)
        return np.asarray(same & self._right_at(self._known[-1]) if same.any() else same)

    def _matrix(self, nudge: FloatArray) -> FloatArray | None:
        """Return the rows at a nudged theta as columns, or None outside of the domain."""
        theta = self._work.theta
        with theta.at(theta.base + nudge):
            try:
                matrix = self._work.pair.matrix().columns(self._entries.numbers)
            except ProblemError:
                return None
        return np.asarray(matrix[:, self._rows])

    def _right_at(self, at: _Point) -> Bools:
        """Return which rows are right along a nudge, as far away as noise requires; cached."""
        if at.right is None:
            move = self._away / AWAY * at.nudge
            matrix = at.matrix if self._away == AWAY else self._matrix(move)
            if matrix is None:
                at.right = np.zeros(self._rows.size, np.bool_)
                return at.right
            usual = np.sqrt(np.mean(np.square(at.matrix), axis=0))
            kept = np.abs(matrix - at.matrix) <= KEPT * np.maximum(usual, np.abs(at.matrix))
            along = [self._right_along(self._work.theta.base + move, matrix, k) for k in (0, 1)]
            at.right = np.logical_and.reduce([kept.all(axis=0), *along])
        return np.asarray(at.right)

    def _right_along(self, theta: FloatArray, matrix: FloatArray, k: int) -> Bools:
        """Return which rows have the slopes of their outputs at a point, along a random vector.

        A row does not count if the tolerance would hide its error.
        """
        work = self._work
        numbers, rows = self._entries.numbers, self._rows
        step = self._away * STEP * min(1.0, 8 / numbers.size)
        rng = stream(f"slopes nearby {k}", work.seed)
        weights = rng.choice([-1.0, 1.0], numbers.size) * rng.uniform(0.5, 1.5, numbers.size)
        weights *= self._length
        outputs, sides = work.pair.prober(), []
        for distance in (step, -step):
            moved = theta.copy()
            moved[numbers] += distance * weights
            with work.theta.at(moved):
                sides.append(outputs()[rows])
        slopes = (sides[0] - sides[1]) / (2 * step)
        said, size = weights @ matrix, np.abs(weights) @ np.abs(matrix)
        level = np.maximum(work.noise.levels[rows], 0.5 * EPSILON * np.abs(sides[0]))
        slack = SAFETY * level / step + RIGHT * size
        with np.errstate(invalid="ignore"):
            least = np.min(np.abs(weights)[:, None] * self._loud, axis=0)
            right = (np.abs(slopes - said) <= slack) & (slack <= SHOWN * least)
        return np.asarray(right, np.bool_)

    def _is_mean(self, k: int) -> bool:
        """Return whether a row lies in the hull of limits, and in that of those that are right."""
        every = [p.matrix[:, k] for p in self._known if np.isfinite(p.matrix[:, k]).all()]
        if not self._is_in_hull(k, every):
            return False
        return self._is_in_hull(k, [p.matrix[:, k] for p in self._known if self._right_at(p)[k]])

    def _is_in_hull(self, k: int, limits: list[FloatArray]) -> bool:
        """Return whether a row lies in the hull of others, scaled by lengths."""
        if not limits:
            return False
        points, own = np.array(limits) * self._length, self._here[:, k] * self._length
        slack = SAME * float(np.abs(points).max())
        low, high = points.min(axis=0) - slack, points.max(axis=0) + slack
        if not np.all((low <= own) & (own <= high)):
            return False
        return bool(np.linalg.norm(own - nearest_in_hull(points, own)) <= slack)


@dataclass
class _Point:
    """A nudge, the matrix there, and which rows are right; None if not tested."""

    nudge: FloatArray
    matrix: FloatArray
    right: Bools | None = None
