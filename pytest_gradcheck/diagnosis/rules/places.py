"""Causes that put right values into wrong places: transposed, swapped, shifted, a wrong axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, ParameterEvidence
from pytest_gradcheck.diagnosis.hypotheses import Hypothesis, rule
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["shifted", "summed_over_units", "swapped", "symmetrized", "transposed", "wrong_axis"]

MOST = 100_000
"""Components up to which permutations are tried."""

LINES = 64
"""Slices of an axis up to which any order is searched for."""

AT_AN_END = 6
"""Shifted components at least, if other values enter at the end."""

DIGITS = 1e4
"""Entries are equal within this part of the largest."""

MANY = 500.0
"""The largest logarithm of a number of orders."""

SAME_SUM = 1e-7
"""Tolerance of two equal sums, as a part of the sum of sizes."""

Move = tuple[str, Indices]
"""The change in words, and for every component the one whose value it has."""


def _moved(part: ParameterEvidence, said: str, places: Indices, tried: float) -> Hypothesis:
    """Return the hypothesis that every component has the value of another one."""
    return Hypothesis(
        part.numerical[places],
        part.bars[places] + part.bars,
        f"the numerical gradient {said}",
        tried=tried,
    )


def _may_be_moved(part: ParameterEvidence) -> bool:
    """Return whether both gradients may hold the same values in any order: a quick test."""
    if not part.is_complete or not 1 < part.size <= MOST or part.n_wrong < 2:
        return False
    ours, theirs = np.sort(part.analytic), np.sort(part.numerical)
    allowed = 4 * part.bars.max() + 10 * part.precision * part.scale
    return bool(np.all(np.abs(ours - theirs) <= allowed))


@rule("transposed", "rows and columns are exchanged", "a product the wrong way round, or order='F'")
def transposed(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses of exchanged axes, or of filling in the other order."""
    if _may_be_moved(part):
        moves = [*_transpositions(part), *_segments(part)]
        for said, places in moves:
            yield _moved(part, said, places, len(moves))


def _transpositions(part: ParameterEvidence) -> Iterator[Move]:
    if not 2 <= len(part.shape) <= 4:
        return
    numbers = np.arange(part.size)
    grid = part.grid(numbers)
    for axes in itertools.permutations(range(grid.ndim)):
        if axes == tuple(range(grid.ndim)):
            continue
        said = "transposed" if grid.ndim == 2 else f"with its axes in the order {axes}"
        yield said, grid.transpose(axes).reshape(-1)
        shape = tuple(part.shape[axis] for axis in axes)
        yield said, numbers.reshape(shape).transpose(np.argsort(axes)).reshape(-1)


def _segments(part: ParameterEvidence) -> Iterator[Move]:
    """Yield transpositions of a matrix that lies somewhere in a vector.

    Its first and last entry stay in place and all others move, which locates it.
    """
    moved = np.flatnonzero(part.wrong)
    if len(part.shape) != 1 or moved.size < 3:
        return
    start, stop = int(moved[0]) - 1, int(moved[-1]) + 2
    if start < 0 or stop > part.size:
        return
    size = stop - start
    for rows in range(2, size // 2 + 1):
        if size % rows == 0:
            places = np.arange(part.size)
            places[start:stop] = places[start:stop].reshape(rows, -1).T.reshape(-1)
            yield f"with [{start}:{stop}] transposed, as {rows} x {size // rows}", places


@rule("symmetrized", "it is right with its transpose added")
def symmetrized(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses of a gradient by the free entries of a symmetric matrix, or of all."""
    if len(part.shape) != 2 or part.shape[0] != part.shape[1] or not part.is_complete:
        return
    if np.all(np.abs(part.numerical) <= part.bars):
        return  # zeros are the sum of anything and its opposite
    ours, theirs, bars = (part.grid(v) for v in (part.analytic, part.numerical, part.bars))
    both, bar = theirs + theirs.T, bars + bars.T
    once = both - np.diag(np.diag(theirs))
    folded = "the numerical gradient with its transpose added"
    why = "it is the derivative by the free entries of a symmetric matrix, or the reverse"
    for said, prediction in (
        (folded, both),
        (f"{folded}, the diagonal once", once),
        (f"{folded}, and halved", both / 2),
        (f"{folded}, in the lower triangle", np.tril(once)),
        (f"{folded}, in the upper triangle", np.triu(once)),
    ):
        yield Hypothesis(prediction.reshape(-1), bar.reshape(-1), said, why, tried=6)
    missing = theirs - ours.T  # the numerical gradient is the sum, which predicts the analytic one
    yield Hypothesis(
        missing.reshape(-1),
        bars.reshape(-1),
        "half of the numerical gradient: with its transpose added it is right",
        "a matrix that the cost uses twice, as it is and transposed",
        tried=6,
    )


@rule("swapped", "it is the gradient of another parameter", "two names were mixed up")
def swapped(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses that a parameter has the gradient of another one of its size."""
    if not part.is_complete:
        return
    for other in evidence.alike(part):
        if other is part:
            continue
        mutual = any(np.allclose(part.numerical, v) for v, _ in _orientations(other, True))
        said = "and the other way round" if mutual else f"which {other.name} has as well"
        for values, bars in _orientations(other):
            if sorted(part.shape) == sorted(other.shape):
                yield Hypothesis(
                    values,
                    bars,
                    f"the numerical gradient of {other.name}, {said}",
                    tried=len(evidence.parts),
                )


def _orientations(
    part: ParameterEvidence, analytic: bool = False
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield a gradient of another parameter and its error bars as they are, and transposed."""
    values = part.analytic if analytic else part.numerical
    yield values, part.bars
    if len(part.shape) == 2 and min(part.shape) > 1:
        yield part.grid(values).T.reshape(-1), part.grid(part.bars).T.reshape(-1)


@rule("shifted", "right values in other places", "a wrong index or order")
def shifted(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses that entries are shifted, flipped or reordered along an axis."""
    if _may_be_moved(part):
        moves = [*_flipped(part), *_exchanged(part), *_rolled(part), *_reordered(part)]
        for said, places in moves:
            yield _moved(part, said, places, len(moves)).but(why=_why_moved(said))
        yield from _anyhow(part)
    yield from _shifted_out(part)


def _why_moved(said: str) -> str:
    if said.startswith("reversed along"):
        return "a kernel that is not flipped, or a wrong order"
    if "blocks" in said:
        return "gates or heads in another order"
    return ""


def _flipped(part: ParameterEvidence) -> Iterator[Move]:
    grid = part.grid(np.arange(part.size))
    axes = [axis for axis, n in enumerate(part.shape) if n > 1]
    for count in range(1, len(axes) + 1):
        for some in itertools.combinations(axes, count):
            said = "reversed" if len(axes) == 1 else f"reversed along axis {_axes(some)}"
            yield said, np.flip(grid, some).reshape(-1)


def _exchanged(part: ParameterEvidence) -> Iterator[Move]:
    """Yield exchanges of two of three or four equal blocks of an axis, as of gates in a cell."""
    grid = part.grid(np.arange(part.size))
    for axis, n in enumerate(part.shape):
        for count in (2, 3, 4):
            if n % count or n // count < 2:
                continue
            for one, other in itertools.combinations(range(count), 2):
                blocks = np.split(grid, count, axis)
                blocks[one], blocks[other] = blocks[other], blocks[one]
                said = f"with blocks {one} and {other} of {count} of axis {axis} exchanged"
                yield said, np.concatenate(blocks, axis).reshape(-1)


def _rolled(part: ParameterEvidence) -> Iterator[Move]:
    grid = part.grid(np.arange(part.size))
    for axis, n in enumerate(part.shape):
        for distance in range(1, n if n * grid.size <= 10 * MOST else 3):
            by = distance if distance <= n // 2 else distance - n
            said = f"shifted by {by} along axis {axis}" if grid.ndim > 1 else f"shifted by {by}"
            yield said, np.roll(grid, by, axis).reshape(-1)


def _reordered(part: ParameterEvidence) -> Iterator[Move]:
    """Yield the order of slices that would explain the gradient, if there is one."""
    grid = part.grid(np.arange(part.size))
    for axis, n in enumerate(part.shape):
        if not 2 <= n <= LINES:
            continue
        ours = np.moveaxis(part.grid(part.analytic), axis, 0).reshape(n, -1)
        theirs = np.moveaxis(part.grid(part.numerical), axis, 0).reshape(n, -1)
        apart = np.abs(ours[:, None] - theirs[None]).max(axis=2)
        order = _assigned(apart)
        moved = np.flatnonzero(order != np.arange(n)).tolist()
        what = {0: "rows", 1: "columns"}.get(axis, f"slices of axis {axis}")
        what = "entries" if grid.ndim == 1 else what
        said = f"with its {what} {_some(moved)} in another order"
        yield said, np.take(grid, order, axis).reshape(-1)


def _assigned(apart: FloatArray) -> Indices:
    """Return for every slice the nearest one that is not yet taken: some are alike."""
    order = np.zeros(len(apart), np.intp)
    left = apart.copy()
    for number in range(len(apart)):
        order[number] = left[number].argmin()
        left[:, order[number]] = np.inf
    return order


def _anyhow(part: ParameterEvidence) -> Iterator[Hypothesis]:
    """Yield that the wrong entries have each other's values, in any other order.

    Pairs of opposite values, as in a skew matrix, are left to the sign, which says more.
    """
    wrong = np.flatnonzero(part.wrong)
    turned = np.abs(part.analytic + part.numerical)[wrong] <= 2 * part.bars[wrong]
    if turned.all():
        return
    places = np.arange(part.size)
    ours, theirs = part.analytic[wrong].argsort(), part.numerical[wrong].argsort()
    places[wrong[ours]] = wrong[theirs]
    n = np.unique(np.rint(DIGITS * part.numerical[wrong] / part.scale)).size
    said = "with its entries in another order"
    why = "a reshape, a transposition or an index that is not that of the forward pass"
    yield _moved(part, said, places, math.exp(min(math.lgamma(n + 1), MANY))).but(why=why)


def _shifted_out(part: ParameterEvidence) -> Iterator[Hypothesis]:
    """Yield shifts by one with another value at the end, mostly 0."""
    if not part.is_complete or not AT_AN_END <= part.n_wrong <= MOST:
        return
    grid = part.grid(np.arange(part.size))
    for axis, n in enumerate(part.shape):
        for by in (1, -1) if n > 2 else ():
            places = np.roll(grid, by, axis).reshape(-1)
            inner = np.ones(part.shape, np.bool_)
            inner[(slice(None),) * axis + (0 if by == 1 else n - 1,)] = False
            flat = inner.reshape(-1)
            if np.count_nonzero(flat & part.wrong) >= AT_AN_END:
                along = f" along axis {axis}" if grid.ndim > 1 else ""
                said = f"shifted by {by}{along}, but for its end"
                found = _moved(part, said, places, 2 * grid.ndim)
                end = np.where(flat, found.prediction, part.analytic)  # any value
                yield found.but(prediction=end, free=part.size - int(flat.sum()))


@rule("wrong-axis", "it is summed over the wrong axis")
def wrong_axis(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses of a sum or a mean over axes of its own, spread out again."""
    if not part.is_complete or part.size < 2 or not part.scale:
        return
    ours, theirs, bars = (part.grid(v) for v in (part.analytic, part.numerical, part.bars))
    axes = [axis for axis, n in enumerate(part.shape) if n > 1]
    for count in range(1, len(axes) + 1):
        for some in itertools.combinations(axes, count):
            if np.ptp(ours, axis=some).max() > 1e-5 * np.abs(ours).max():
                continue
            n = int(np.prod([part.shape[axis] for axis in some]))
            over = "all" if count == len(axes) else f"axis {_axes(some)}"
            for what, share in (("sum", 1), ("mean", n)):
                total = theirs.sum(axis=some, keepdims=True) / share
                bar = bars.sum(axis=some, keepdims=True) / share
                yield Hypothesis(
                    np.broadcast_to(total, part.shape).reshape(-1),
                    np.broadcast_to(bar, part.shape).reshape(-1),
                    f"the {what} of the numerical gradient over {over}",
                    "summed over too many axes, and broadcast",
                    tried=4,
                )


@rule("wrong-axis", "it is summed over the wrong axis")
def summed_over_units(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis of a bias whose sum alone is right.

    The errors of a layer, summed over units and not over examples, are other numbers with the same
    sum. A shape shows it, unless there are as many of either.
    """
    n = part.size
    if not part.is_complete or n < 3 or max(part.shape) != n or not np.all(part.wrong):
        return
    if not evidence.numbers.may_be_examples(n) or not _goes_with_right_weights(part, evidence):
        return
    ours, theirs = float(part.analytic.sum()), float(part.numerical.sum())
    size = float(np.abs(part.numerical).sum())
    allowed = float(part.bars.sum()) + SAME_SUM * size
    if abs(ours - theirs) > allowed or abs(theirs) < size / n**2:
        return
    yield Hypothesis(
        part.analytic,
        part.bars,
        f"wrong in each entry, but its sum is right ({theirs:.4g})",
        f"summed over the {n} units, and not over the {n} examples",
        bits=float(np.log2(abs(theirs) / allowed)),
        tried=4,
    )


def _goes_with_right_weights(part: ParameterEvidence, evidence: Evidence) -> bool:
    """Return whether a matrix that a bias fits is right: it is made of the same errors."""
    others = [other for other in evidence.parts if other.n_right and not other.n_wrong]
    return any(part.size in other.shape and other.size > part.size for other in others)


def _axes(axes: tuple[int, ...]) -> str:
    return " and ".join(map(str, axes))


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:4])) + (", …" if len(numbers) > 4 else "")
