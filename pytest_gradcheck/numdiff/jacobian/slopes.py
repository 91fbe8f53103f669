"""Slopes of many outputs along directions, each with an error bar.

A first pass takes one pair of calls along each direction, which serves all outputs. Entries that
do not agree with the analytic ones get looks at smaller steps, in which all open entries of a
direction share their calls; what is open then climbs the ladder of `numdiff.ladder`, over calls
that are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import KINKED, WIDE
from pytest_gradcheck.numdiff.jacobian.climbing import Climber, Column, Pass, Slopes
from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, Sides, VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.numdiff.jacobian.stairs import stairs_among
from pytest_gradcheck.numdiff.ladder import DECAY, EPSILON, RATIO, SAFETY, Kind, Slope
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = [
    "Open",
    "Slopes",
    "Target",
    "agrees",
    "approximate_slopes",
    "classical_slopes",
    "first_pass",
    "look_closer",
    "tolerances",
]

Bools = npt.NDArray[np.bool_]

LARGEST_SHARE = 1e-3
"""The largest first step, in lengths: beyond it kinks come in reach."""

PASSES = 3
"""Steps at most that are tried along a direction for outputs of different noise."""

BENT = 1.5
"""Safety of the bound of an error that shrinks with the step, and not with its square: that of a
squared ReLU at 0."""

LOOKS = 3
"""Pairs of calls at smaller steps before the ladder."""

FINEST = 1e-12
"""The smallest step at which a gap is looked for, in lengths: beyond rounding of theta itself."""

AIM = 3e-7
"""The rounding error that a look aims at, as a part of the entry."""

CHUNK = 1 << 16
"""Entries that are looked at in one go."""

CLIMBS = 20_000
"""Entries at most that climb a ladder of their own; the rest keep the bars of their last look."""


def classical_slopes(calls: VectorEvaluator, directions: Sequence[Direction], eps: float) -> Slopes:
    """Take the course's differences: one fixed step, divided by ``2 * eps``, and no error bar."""
    values = np.empty((len(directions), calls.outputs0.size))
    for row, direction in zip(values, directions, strict=True):
        sides = calls.sides(direction, eps)
        row[:] = (sides.up - sides.down) / (2 * eps)
    kinds = np.where(np.isfinite(values), 0, Kind.NONFINITE).astype(np.int8)
    none = np.zeros(values.shape)
    return Slopes(values, none, kinds, none.astype(np.float32), {}, [[(eps, None)]] * len(values))


@dataclass(frozen=True)
class Target:
    """What slopes along k directions are compared with.

    Attributes
    ----------
    analytic : array of shape (k, m)
    suspect : float
        The relative error at which a disagreement begins.
    blocks : sequence of int
        Where the directions of each parameter begin.
    asked : bool array of shape (k, m), or None
        Which entries are compared; None where all are.
    usual : array of shape (m,), or None
        How large the slopes of each output are as a rule, where these directions do not tell.
    """

    analytic: FloatArray
    suspect: float
    blocks: Sequence[int] = (0,)
    asked: Bools | None = None
    usual: FloatArray | None = None

    @property
    def parts(self) -> list[slice]:
        """The directions of each parameter."""
        ends = [*self.blocks[1:], len(self.analytic)]
        return [slice(*pair) for pair in zip(self.blocks, ends, strict=True)]


def approximate_slopes(
    calls: VectorEvaluator,
    directions: Sequence[Direction],
    noise: OutputNoise,
    target: Target,
) -> Slopes:
    """Approximate the slopes along directions, each as well as its comparison needs.

    Parameters
    ----------
    calls : VectorEvaluator
    directions : sequence of k Directions
    noise : OutputNoise
    target : Target

    Returns
    -------
    Slopes
        From two calls a direction where all agree.
    """
    result = first_pass(calls, directions, noise, target)
    bent = _bent(result, target)
    open_ = (bent | ~agrees(result, target)) & np.isfinite(target.analytic)
    touched = np.flatnonzero(open_.any(axis=1))
    if not touched.size:
        return replace(result, settled=bool(np.isfinite(target.analytic).all()))
    wide = tolerances(result, target, touched, first=True)
    open_ = open_[touched] & (bent[touched] | ~_decided(result, target, touched, wide))
    if not open_.any():
        return replace(result, settled=bool(np.isfinite(target.analytic).all()))
    left = Open(result, target, touched, open_, wide)
    look_closer(calls, directions, noise, left)
    _look_across_stairs(calls, directions, noise, left)
    return result


class Open(NamedTuple):
    """Entries that a first pass leaves open.

    Attributes
    ----------
    slopes : Slopes
        Of all directions.
    target : Target
    numbers : int array of shape (r,)
        The directions that have such entries.
    entries : bool array of shape (r, m)
        Which of their outputs are open.
    wide : array of shape (r, m)
        Error bars beyond these leave entries undecided.
    """

    slopes: Slopes
    target: Target
    numbers: Indices
    entries: Bools
    wide: FloatArray


def look_closer(
    calls: VectorEvaluator, directions: Sequence[Direction], noise: OutputNoise, open_: Open
) -> None:
    """Note slopes of open entries from looks at smaller steps, and from ladders of steps."""
    suspect = open_.target.suspect
    climber = Climber(calls, noise, suspect, CLIMBS)
    calls.progress.expect(int(np.count_nonzero(open_.entries.any(axis=1))))
    for row, number in enumerate(open_.numbers.tolist()):
        entries = np.flatnonzero(open_.entries[row])
        if not entries.size:
            continue
        analytic = open_.target.analytic[number]
        column = Column(directions[number], number, open_.slopes, analytic, open_.wide[row])
        left = _looked(calls, column, entries, noise, suspect)
        climber.climb(column, left)
        calls.progress.advance(1)


def _look_across_stairs(
    calls: VectorEvaluator, directions: Sequence[Direction], noise: OutputNoise, open_: Open
) -> None:
    """Note slopes of entries that look wrong anew where their outputs climb stairs."""
    slopes, target, rows = open_.slopes, open_.target, open_.numbers
    values, analytic = slopes.values[rows], target.analytic[rows]
    with np.errstate(invalid="ignore"):
        size = np.abs(values) + np.abs(analytic)
        wrong = np.abs(values - analytic) > slopes.error_bars[rows] + target.suspect * size
    at, outputs = np.nonzero(wrong & open_.entries & (analytic != 0))
    pairs = slopes.values, target.analytic
    for stair in stairs_among(calls, directions, pairs, noise.levels, (rows[at], outputs)):
        levels = noise.levels.copy()
        levels[stair.output] = stair.level
        row = int(np.searchsorted(rows, stair.number))
        column = Column(
            directions[stair.number],
            stair.number,
            slopes,
            target.analytic[stair.number],
            open_.wide[row],
        )
        climber = Climber(calls, replace(noise, levels=levels), target.suspect, 1)
        climber.climb(column, np.array([stair.output]))


def _bent(slopes: Slopes, target: Target) -> Bools:
    """Return where one-sided slopes lie apart by a good part of their size, over the directions.

    The central difference at a kink is the mean of the two, and agrees with an entry that is (see
    `numdiff.differences`).
    """
    bent = np.zeros(target.analytic.shape, np.bool_)
    every = _finite(target.analytic)
    usual = None
    for rows in _chunks(target.analytic.shape):
        size = np.abs(_finite(slopes.values[rows]))
        size += np.abs(every[rows])
        gaps = np.abs(slopes.gaps[rows])
        mine = gaps > KINKED * size
        if not mine.any():
            continue
        if usual is None:
            usual = KINKED * np.sqrt(np.mean(np.square(2 * every), axis=0))
        bent[rows] = mine & (gaps > usual) & (gaps > 4 * slopes.error_bars[rows])
    if target.asked is not None:
        bent &= target.asked
    return bent


def _decided(
    slopes: Slopes, target: Target, rows: Indices, wide: FloatArray
) -> npt.NDArray[np.bool_]:
    """Return where the first pass shows entries of some directions to be right.

    An output that does not move by a bit, where its analytic slope is 0, is not asked again.
    """
    values, bars, analytic = slopes.values[rows], slopes.error_bars[rows], target.analytic[rows]
    with np.errstate(invalid="ignore"):
        size = np.abs(values) + np.abs(analytic)
        right = np.abs(values - analytic) <= bars + target.suspect * size
    return np.asarray(right & ((bars <= wide) | (size == 0)), np.bool_)


def first_pass(
    calls: VectorEvaluator,
    directions: Sequence[Direction],
    noise: OutputNoise,
    target: Target,
) -> Slopes:
    """Take one central difference of all outputs a direction; more where their noises differ."""
    shape = target.analytic.shape
    result = Slopes(
        np.empty(shape),
        np.empty(shape),
        np.zeros(shape, np.int8),
        np.empty(shape, np.float32),
        sides={},
        steps=[[] for _ in directions],
    )
    calls.progress.expect(len(directions))
    for part in target.parts:
        mine = directions[part]
        reach = float(np.mean([direction.reach for direction in mine])) if mine else 1.0
        passes = _passes(target.analytic[part], noise, reach)
        for number, direction in enumerate(mine, part.start):
            for share, outputs in passes:
                sides = calls.sides(direction, share * direction.reach)
                _take(result, number, sides, noise, calls.outputs0, outputs)
            calls.progress.advance(1)
    return result


def _take(
    result: Slopes,
    number: int,
    sides: Sides,
    noise: OutputNoise,
    outputs0: FloatArray,
    outputs: Indices | None,
) -> None:
    """Note the slopes of outputs, all of them where None, with the bars that noise leaves."""
    width = sides.ahead + sides.behind
    if outputs is None:
        np.subtract(sides.up, sides.down, out=result.values[number])
        result.values[number] /= width
        np.multiply(noise.levels, 2 * SAFETY / width, out=result.error_bars[number])
        result.gaps[number] = sides.gaps(outputs0)
    else:
        result.values[number, outputs] = sides.slopes[outputs]
        result.error_bars[number, outputs] = 2 * SAFETY / width * noise.levels[outputs]
        result.gaps[number, outputs] = sides.gaps(outputs0)[outputs]
    result.steps[number].append((0.5 * width, outputs))


def _passes(analytic: FloatArray, noise: OutputNoise, reach: float) -> list[Pass]:
    """Return the steps at which truncation and rounding balance, in reaches, and their outputs.

    As `numdiff.differences` has it for one cost: h**3 is three times the noise over the third
    derivative, which is of the order of the slope over the length squared. One step, the median
    one, does for all outputs that it does not leave undecided.
    """
    least = np.cbrt(noise.relative)
    slopes = _finite(analytic)
    rises = np.sqrt(np.einsum("ki,ki->i", slopes, slopes) / max(len(slopes), 1)) * reach
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.cbrt(3 * noise.levels / rises)
    shares = np.where(rises > 0, np.clip(shares, least, np.maximum(least, LARGEST_SHARE)), least)
    left = np.arange(rises.size)
    passes: list[Pass] = []
    while left.size and len(passes) < PASSES:
        moving = left[rises[left] > 0] if np.any(rises[left] > 0) else left
        share = float(np.exp(np.median(np.log(shares[moving]))))
        bars = SAFETY * noise.levels[left] / share
        unfit = (bars > 0.3 * WIDE * rises[left]) & (shares[left] > 2 * share) & (rises[left] > 0)
        if len(passes) == PASSES - 1:
            unfit[:] = False
        passes.append((share, left[~unfit] if passes or unfit.any() else None))
        left = left[unfit]
    return passes


def agrees(slopes: Slopes, target: Target) -> Bools:
    """Return where entries are right, and decided beside their own sizes, of shape (k, m)."""
    right = np.empty(target.analytic.shape, np.bool_)
    for rows in _chunks(target.analytic.shape):
        values, bars, analytic = slopes.values[rows], slopes.error_bars[rows], target.analytic[rows]
        size = np.abs(values)
        size += np.abs(analytic)
        off = np.abs(values - analytic)
        off -= bars
        right[rows] = off <= target.suspect * size
        size *= WIDE
        right[rows] &= bars <= size
    if target.asked is not None:
        right |= ~target.asked
    return right


def _chunks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield the rows of an array in runs that fit a processor's cache."""
    rows = max(1, CHUNK // max(1, shape[1]))
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def tolerances(
    slopes: Slopes, target: Target, kept: Sequence[int] | Indices, first: bool = False
) -> FloatArray:
    """Return the error bars beyond which entries of some directions are undecided.

    A part of the entry's size, or of the root mean square of its output's slopes by its parameter,
    whichever is larger; of all the output's slopes where both values are 0. What drowns in its
    error bar does not count towards it, and values of a `first` pass by no more than analytic ones.
    """
    m = target.analytic.shape[1]
    least = np.zeros(m) if target.usual is None else target.usual
    squares = np.stack([_squares(slopes, target, part, first) for part in target.parts])
    counts = np.array([[part.stop - part.start] for part in target.parts])
    whole = np.maximum(np.sqrt(squares.sum(axis=0) / counts.sum()), least)
    whole[whole == 0] = np.inf
    usual = np.maximum(np.sqrt(squares / counts), least)
    owners = np.searchsorted(target.blocks, kept, "right") - 1
    size = np.abs(_finite(slopes.values[kept])) + np.abs(_finite(target.analytic[kept]))
    places = {int(k): row for row, k in enumerate(kept)}
    for (k, i), (left, right) in slopes.sides.items():
        if k in places:
            size[places[k], i] = max(size[places[k], i], abs(left) + abs(right))
    return np.asarray(WIDE * np.where(size == 0, whole, np.maximum(size, usual[owners])))


def _squares(slopes: Slopes, target: Target, part: slice, first: bool) -> FloatArray:
    """Return the sum of the squares of each output's slopes over the directions of a parameter."""
    total = np.zeros(target.analytic.shape[1])
    for rows in _chunks((part.stop - part.start, total.size)):
        mine = slice(part.start + rows.start, part.start + rows.stop)
        values = np.abs(_finite(slopes.values[mine]))
        values[slopes.error_bars[mine] > values] = 0.0
        if first:
            np.minimum(values, np.abs(_finite(target.analytic[mine])), out=values)
        total += np.einsum("ki,ki->i", values, values)
    return total


def _finite(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    return values if known.all() else np.where(known, values, 0.0)


def _looked(
    calls: VectorEvaluator,
    column: Column,
    entries: Indices,
    noise: OutputNoise,
    suspect: float,
) -> Indices:
    """Look at open entries at smaller steps; return those that stay open.

    A difference between two steps bounds the truncation error of the finer one by its share
    q**2 / (1 - q**2), and by q / (1 - q) where the curvature jumps. Half the gap between the
    one-sided slopes is what a kink may hide, but for the part of it that shrinks with the step.
    """
    levels, outputs0 = noise.levels, calls.outputs0
    steps = _steps_of(column)
    coarse = column.values.copy()
    coarse_gaps = column.slopes.gaps[column.number].astype(np.float64)
    for _ in range(LOOKS):
        ready = entries[
            np.isfinite(coarse[entries]) & (column.bars[entries] <= column.wide[entries])
        ]
        if not ready.size:
            break
        sizes = np.abs(coarse[ready]) + np.abs(column.analytic[ready])
        with np.errstate(divide="ignore"):
            aims = SAFETY * levels[ready] / (AIM * sizes)
        aims = np.clip(aims, steps[ready] / 3000, steps[ready] / RATIO)
        finer = float(np.exp(np.median(np.log(aims))))
        sides = calls.sides(column.direction, finer)
        fine, gaps = sides.slopes, sides.gaps(outputs0)
        level = np.maximum(levels, 0.5 * EPSILON * sides.largest())
        rounding = SAFETY * level / finer
        apart = np.abs(fine - coarse)
        ratios = finer / steps
        shrunk = np.minimum(1.0, np.maximum(DECAY * ratios**2, BENT * ratios / (1 - ratios)))
        kinks = np.abs(gaps - ratios * coarse_gaps) / (1 - ratios)
        hidden = 0.5 * np.minimum(np.abs(gaps), kinks)
        bars = np.minimum(apart + rounding, rounding + apart * shrunk) + hidden
        # An output that stands still may round inside; see `ladder`.
        stuck = (sides.up == outputs0) & (sides.down == outputs0)
        settled = _settled(fine, bars, column, suspect) & ~stuck
        look = _Look(coarse, coarse_gaps, fine, gaps, rounding)
        settled &= np.isin(np.arange(outputs0.size), ready) & ~look.stays()
        column.values[settled], column.bars[settled] = fine[settled], bars[settled]
        settled[_kinks(calls, column, entries[~settled[entries]], look, levels)] = True
        entries = entries[~settled[entries]]
        coarse, coarse_gaps, steps = fine, gaps, np.full(outputs0.size, finer)
        if not entries.size:
            break
    return entries


class _Look(NamedTuple):
    """Slopes of all outputs at two steps, the gaps of both, and the rounding error of the finer."""

    coarse: FloatArray
    coarse_gaps: FloatArray
    fine: FloatArray
    gaps: FloatArray
    rounding: FloatArray

    def stays(self) -> Bools:
        """Return where the gap is the same at both steps, and no matter of rounding."""
        size = np.abs(self.gaps)
        same = np.abs(self.gaps - self.coarse_gaps) <= 0.25 * size
        return np.asarray(same & (size > 8 * self.rounding))

    def sides(self, output: int) -> tuple[float, float, float]:
        """Return the slopes of one output on the left and on the right, and their error bar."""
        half, slope = 0.5 * float(self.gaps[output]), float(self.fine[output])
        apart = abs(slope - float(self.coarse[output]))
        apart += 0.5 * abs(float(self.gaps[output] - self.coarse_gaps[output]))
        return slope - half, slope + half, apart + 2 * float(self.rounding[output])


def _kinks(
    calls: VectorEvaluator, column: Column, entries: Indices, look: _Look, levels: FloatArray
) -> Indices:
    """Record kinks where entries lie between two slopes; return which.

    The gap of a kink is the same at two steps, and at the finest that rounding leaves.
    """
    with np.errstate(invalid="ignore"):
        asked = entries[look.stays()[entries]]
    kinked = []
    for output in asked.tolist():
        left, right, bar = look.sides(output)
        if min(left, right) - bar <= column.analytic[output] <= max(left, right) + bar:
            kinked.append(output)
    if not kinked:
        return np.array(kinked, np.intp)
    needed = 16 * SAFETY * np.maximum(levels[kinked], EPSILON * np.abs(calls.outputs0[kinked]))
    finest = float(np.median(needed / np.abs(look.gaps[kinked])))
    finest = max(finest, FINEST * column.direction.reach)
    gaps = calls.sides(column.direction, finest).gaps(calls.outputs0)
    found = [n for n in kinked if abs(gaps[n] - look.gaps[n]) <= 0.5 * abs(look.gaps[n])]
    for output in found:
        left, right, bar = look.sides(output)
        column.record(output, Slope(float(column.analytic[output]), bar, Kind.KINK, (left, right)))
    return np.array(found, np.intp)


def _steps_of(column: Column) -> FloatArray:
    """Return the step of the first pass for each output."""
    steps = np.empty(column.values.size)
    for step, outputs in column.slopes.steps[column.number]:
        steps[slice(None) if outputs is None else outputs] = step
    return steps


def _settled(fine: FloatArray, bars: FloatArray, column: Column, suspect: float) -> Bools:
    """Return where a look shows an entry to be right, or clearly to be wrong."""
    size = np.abs(fine) + np.abs(column.analytic)
    with np.errstate(invalid="ignore"):
        off = np.abs(fine - column.analytic)
        narrow = bars <= column.wide
        right = (off <= bars + suspect * size) & (
            bars <= np.maximum(suspect * size, column.wide / 20)
        )
        wrong = (off > 4 * (bars + suspect * size)) & (bars <= np.maximum(1e-4 * size, off / 30))
    return narrow & (right | wrong)
