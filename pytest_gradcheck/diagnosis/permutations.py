"""Causes that put right values into wrong places: transposed, swapped, shifted, a wrong axis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.evidence import Cause, Evidence, Mask, Part, explained

__all__ = ["resummed", "shifted", "swapped", "transposed", "wrong_axis"]

MOST = 100_000
"""Components beyond which no permutations are tried."""

LINES = 64
"""Slices of an axis up to which any order of them is looked for."""

FEWEST = 3
"""Components that must stand in another's place."""

SAME_SUM = 1e-7
"""How well two sums have to agree, as a part of what is summed."""

Numbers = npt.NDArray[np.intp]
Places = tuple[str, Numbers]
"""What was done, in words, and for every component whose value it has."""


def transposed(part: Part, evidence: Evidence) -> Cause | None:
    """Name a gradient whose axes are exchanged, or that was filled in the other order."""
    for said, places in (*_transpositions(part), *_segments(part)):
        if _placed(part, places):
            return _cause(
                part,
                "transposed",
                f"{{wrong}} of {{size}} components are wrong, it is the numerical gradient {said}",
                "a product the wrong way round, or order='F'?",
            )
    return None


def _transpositions(part: Part) -> Iterator[Places]:
    if not 2 <= len(part.shape) <= 4 or not part.whole or part.analytic.size > MOST:
        return
    numbers = np.arange(part.analytic.size)
    grid = part.grid(numbers)
    for axes in itertools.permutations(range(grid.ndim)):
        if axes == tuple(range(grid.ndim)):
            continue
        said = "transposed" if grid.ndim == 2 else f"with its axes in the order {axes}"
        yield said, grid.transpose(axes).reshape(-1)
        shape = tuple(part.shape[axis] for axis in axes)
        yield said, numbers.reshape(shape).transpose(np.argsort(axes)).reshape(-1)


def _segments(part: Part) -> Iterator[Places]:
    """Yield transpositions of a matrix that lies somewhere in a vector.

    Its first and its last entry stay where they are, all others move: that tells where it lies.
    """
    moved = np.flatnonzero(part.wrong)
    if len(part.shape) != 1 or not part.whole or moved.size < FEWEST or moved.size > MOST:
        return
    start, stop = int(moved[0]) - 1, int(moved[-1]) + 2
    if start < 0 or stop > part.analytic.size:
        return
    size = stop - start
    for rows in range(2, size // 2 + 1):
        if size % rows == 0:
            places = np.arange(part.analytic.size)
            places[start:stop] = places[start:stop].reshape(rows, -1).T.reshape(-1)
            yield f"with [{start}:{stop}] transposed, as {rows} x {size // rows}", places


def swapped(part: Part, evidence: Evidence) -> Cause | None:
    """Name a parameter that has the gradient of another one."""
    if not part.whole:
        return None
    for other in evidence.parts:
        if other.parameter is part.parameter or not other.whole:
            continue
        if sorted(other.shape) != sorted(part.shape) or other.analytic.size != part.analytic.size:
            continue
        mutual = other.wrong.any() and _has(other, part)
        if _has(part, other) and (mutual or part.analytic.size >= FEWEST):
            both = "and the other way round" if mutual else f"which {other.name} has as well"
            return _cause(
                part,
                "swapped",
                f"all {{size}} components are the numerical gradient of {other.name}, {both}",
                "two names were mixed up",
            )
    return None


def _has(part: Part, other: Part) -> bool:
    """Return whether a parameter has the gradient of another one, as it is or transposed."""
    if part.shape == other.shape and explained(part, other.numerical, other.bars):
        return True
    turned, bars = (other.grid(values).T.reshape(-1) for values in (other.numerical, other.bars))
    return part.shape == other.shape[::-1] and explained(part, turned, bars)


def shifted(part: Part, evidence: Evidence) -> Cause | None:
    """Name a gradient whose entries stand in other places along an axis."""
    if not part.whole or part.analytic.size > MOST or np.count_nonzero(part.wrong) < 2:
        return None
    for said, places in (*_flipped(part), *_rolled(part), *_reordered(part)):
        if _placed(part, places):
            return _cause(
                part,
                "shifted",
                f"{{wrong}} of {{size}} components are wrong, it is the numerical gradient {said}",
                "a wrong index or order?",
            )
    return _shifted_out(part)


def _flipped(part: Part) -> Iterator[Places]:
    grid = part.grid(np.arange(part.analytic.size))
    axes = [axis for axis, n in enumerate(part.shape) if n > 1]
    for count in range(1, len(axes) + 1):
        for some in itertools.combinations(axes, count):
            said = "reversed" if len(axes) == 1 else f"reversed along axis {_axes(some)}"
            yield said, np.flip(grid, some).reshape(-1)


def _rolled(part: Part) -> Iterator[Places]:
    grid = part.grid(np.arange(part.analytic.size))
    for axis, n in enumerate(part.shape):
        for distance in range(1, n if n * grid.size <= 10 * MOST else 3):
            by = distance if distance <= n // 2 else distance - n
            said = f"shifted by {by} along axis {axis}" if grid.ndim > 1 else f"shifted by {by}"
            yield said, np.roll(grid, by, axis).reshape(-1)


def _reordered(part: Part) -> Iterator[Places]:
    """Yield the order of slices that would explain the gradient, if there is one."""
    grid = part.grid(np.arange(part.analytic.size))
    for axis, n in enumerate(part.shape):
        if not 2 < n <= LINES:
            continue
        ours = np.moveaxis(part.grid(part.analytic), axis, 0).reshape(n, -1)
        theirs = np.moveaxis(part.grid(part.numerical), axis, 0).reshape(n, -1)
        apart = np.abs(ours[:, None] - theirs[None]).max(axis=2)
        order = apart.argmin(axis=1)
        if sorted(order.tolist()) != list(range(n)):
            continue
        moved = np.flatnonzero(order != np.arange(n)).tolist()
        what = {0: "rows", 1: "columns"}.get(axis, f"slices of axis {axis}")
        what = "entries" if grid.ndim == 1 else what
        yield (
            f"with its {what} {_some(moved)} in another order",
            np.take(grid, order, axis).reshape(-1),
        )


def _shifted_out(part: Part) -> Cause | None:
    """Name a shift by one at whose end something else stands, mostly 0."""
    grid = part.grid(np.arange(part.analytic.size))
    for axis, n in enumerate(part.shape):
        for by in (1, -1):
            places = np.roll(grid, by, axis)
            inner = np.ones(part.shape, np.bool_)
            edge = 0 if by == 1 else n - 1
            inner[(slice(None),) * axis + (edge,)] = False
            flat = inner.reshape(-1)
            if np.count_nonzero(flat & part.wrong) >= 2 * FEWEST and _placed(
                part, places.reshape(-1), flat
            ):
                along = f" along axis {axis}" if grid.ndim > 1 else ""
                return _cause(
                    part,
                    "shifted",
                    "{wrong} of {size} components are wrong, it is the numerical gradient shifted "
                    f"by {by}{along}, but for its end",
                    "an index that is off by one?",
                )
    return None


def wrong_axis(part: Part, evidence: Evidence) -> Cause | None:
    """Name a gradient that was summed over an axis of its own, and spread out again."""
    if not part.whole or part.analytic.size < 2:
        return None
    ours, theirs = part.grid(part.analytic), part.grid(part.numerical)
    bars = part.grid(part.bars)
    axes = [axis for axis, n in enumerate(part.shape) if n > 1]
    for count in range(1, len(axes) + 1):
        for some in itertools.combinations(axes, count):
            if np.ptp(ours, axis=some).max() > 1e-9 * np.abs(ours).max():
                continue
            n = int(np.prod([part.shape[axis] for axis in some]))
            total = np.broadcast_to(theirs.sum(axis=some, keepdims=True), part.shape)
            bar = np.broadcast_to(bars.sum(axis=some, keepdims=True), part.shape)
            for what, share in (("sum", 1), ("mean", n)):
                prediction = (total / share).reshape(-1)
                if prediction.any() and explained(part, prediction, (bar / share).reshape(-1)):
                    over = "all" if count == len(axes) else f"axis {_axes(some)}"
                    return _cause(
                        part,
                        "wrong-axis",
                        f"all {{size}} components are the {what} of the numerical ones over {over}",
                        "summed over the wrong axis or all, and broadcast?",
                    )
    return None


def resummed(part: Part, evidence: Evidence) -> Cause | None:
    """Name a bias whose sum alone is right, where there are as many examples as entries.

    Summed over the units and not over the examples, the errors of a layer are other numbers of the
    same sum; a shape gives that away unless there are as many of either.
    """
    n = part.analytic.size
    if not part.whole or n < FEWEST or max(part.shape) != n or not np.all(part.wrong):
        return None
    if not _as_many_examples(n, evidence):
        return None
    sums = part.analytic.sum(), part.numerical.sum()
    size = np.abs(part.numerical).sum()
    if abs(sums[0] - sums[1]) > part.bars.sum() + SAME_SUM * size or abs(sums[1]) < size / n**2:
        return None
    return _cause(
        part,
        "wrong-axis",
        f"{{wrong}} of {{size}} components are wrong, but their sum is right ({sums[1]:.4g})",
        f"summed over the {n} units, and not over the {n} examples?",
    )


def _as_many_examples(n: int, evidence: Evidence) -> bool:
    """Return whether so many examples are likely: two arrays of the data have such an axis."""
    data = [d for d in evidence.clues.sizes().dimensions if not d.of_params]
    arrays = {d.array for d in data}
    return bool(arrays) and len({d.array for d in data if d.size == n}) >= min(2, len(arrays))


def _placed(part: Part, places: Numbers, where: Mask | None = None) -> bool:
    """Return whether every component has the value of another one, and that explains it."""
    return explained(part, part.numerical[places], part.bars[places] + part.bars, where)


def _cause(part: Part, code: str, seen: str, why: str) -> Cause:
    return Cause(code, seen, why, None, int(part.wrong.sum()), part.checked)


def _axes(axes: tuple[int, ...]) -> str:
    return " and ".join(map(str, axes))


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:4])) + (", …" if len(numbers) > 4 else "")
