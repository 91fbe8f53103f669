"""Causes in the places of errors: masks, repeated indices, rows, single entries.

A rule here predicts which components are wrong, and not their values. Its bits are the logarithm of
the number of sets of as many components.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.evidence import Evidence, Mask, ParameterEvidence
from pytest_gradcheck.diagnosis.hypotheses import Hypothesis, rule, where_bits
from pytest_gradcheck.diagnosis.rules.factors import fitted_factor, readable
from pytest_gradcheck.diagnosis.rules.places import symmetrized, wrong_axis
from pytest_gradcheck.diagnosis.rules.values import factor, offset, sign
from pytest_gradcheck.diagnosis.words import numbered
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["clipped", "mask", "one_step", "overlapping", "repeated", "run", "some_entries", "zeros"]

FEWEST = 3
"""Components on either side of a mask, at least: one row of two may be wrong by chance."""

FEW = 4
"""At most one component in so many is wrong where single entries are named."""

USUAL = 8.0
"""Prior bits of a usual fault: a missing mask, a repeated index."""

MOST_BITS = 1000.0
"""Bits of which a float holds the power of 2."""

LARGEST_RANKED = 300
"""Rows and columns up to which the span of a gradient is computed."""

FACTORS = (sign, factor)
IN_A_RUN = (offset, wrong_axis)
IN_A_MATRIX = (wrong_axis, symmetrized)
"""Rules that are tried on a run of a vector, as on a parameter of its own."""

MOST_STEPS = 100
"""Slices of an array up to which each is tried."""


def _there(part: ParameterEvidence, observation: str, bits: float, why: str = "") -> Hypothesis:
    """Return the hypothesis that exactly these components are wrong, with any values."""
    return Hypothesis(part.analytic, part.bars, observation, why, bits=bits)


@rule("mask", "right where a unit is active, wrong elsewhere")
def mask(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses that errors are exactly where a unit is off, or theta on one side."""
    off = part.known & (np.abs(part.numerical) <= part.bars)
    bits = where_bits(part.n_wrong, part.n_right)
    if _is_a_run(part):
        yield from _sides_of_a_run(part)
        return
    if part.n_wrong >= 2 and part.n_right >= 2 and np.all(off[part.wrong]):
        yield _there(
            part,
            "wrong where its numerical gradient is 0, right elsewhere "
            f"({part.n_wrong} and {part.n_right} components)",
            bits + 2 * USUAL,
            "a mask is missing, or units that are off pass",
        )
    if _is_inverted(part, off):
        yield _there(
            part,
            "0 where the numerical gradient is not, and not 0 where that is",
            where_bits(int(off.sum()), int((part.known & ~off).sum())) + USUAL,
            "the mask is turned round",
        )
    if min(part.n_wrong, part.n_right) >= FEWEST:
        for said, tried in _sides(part):
            yield _one_side(part, said, float(bits + USUAL - np.log2(tried)))


def _sides_of_a_run(part: ParameterEvidence) -> Iterator[Hypothesis]:
    """Yield that a run of a vector is where theta has the other sign, as in a vector of inputs."""
    if min(part.n_wrong, part.n_right) >= FEWEST:
        for said, _ in _sides(part):
            if said.endswith((" < 0", " > 0")):
                yield _one_side(part, said, part.n_wrong + part.n_right - 2 + USUAL)


def _one_side(part: ParameterEvidence, said: str, bits: float) -> Hypothesis:
    return _there(
        part,
        f"wrong in all {part.n_wrong} components with {said}, right in the other {part.n_right}",
        bits,
        "the derivative of one branch (ReLU, abs, clip, where) is wrong",
    )


def _is_a_run(part: ParameterEvidence) -> bool:
    """Return whether the wrong entries of a vector are contiguous.

    That is more often a parameter within a flat vector than units that are off.
    """
    places = np.flatnonzero(part.wrong)
    inside = part.right[places[0] : places[-1] + 1]
    flat = len(part.parameter.leaf_shape) == 1
    return flat and places.size > 1 and part.n_right > 1 and not inside.any()


def _is_inverted(part: ParameterEvidence, off: Mask) -> bool:
    zero = part.known & (part.analytic == 0)
    on, passed = part.known & ~off, part.known & ~zero
    return bool(
        np.array_equal(on, part.known & ~passed)  # each unit is either on or let through
        and np.count_nonzero(passed) >= FEWEST
        and np.count_nonzero(on & zero) >= FEWEST
    )


def _sides(part: ParameterEvidence) -> Iterator[tuple[str, float]]:
    """Yield the range of theta of all wrong components and of no right one, and the tries."""
    name = part.name
    for said, theta in ((name, part.theta), (f"|{name}|", np.abs(part.theta))):
        wrong, right = theta[part.wrong], theta[part.right]
        above, below = (right.max(), wrong.min()), (wrong.max(), right.min())
        for side, (low, high) in ((">", above), ("<", below)):
            if said != name and side == ">":
                continue  # where theta is small, any smooth error is
            if low < 0 < high:
                yield f"{said} {side} 0", 2.0
            elif low < high:
                yield f"{said} {side} {_between(float(low), float(high))}", 8.0 * part.size


def _between(low: float, high: float) -> str:
    """Return the roundest number between two."""
    for digits in range(1, 6):
        said = f"{(low + high) / 2:.{digits}g}"
        if low <= float(said) <= high:
            return said
    return f"{low:.6g}"


@rule("accumulated", "= stands for += where something is used more than once")
def repeated(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses that exactly the slices are wrong that an index in sight repeats."""
    if not part.n_right or not part.shape:
        return
    for axis, n in enumerate(part.shape):
        wrong, right = (_along(part, marks, axis) > 0 for marks in (part.wrong, part.right))
        if n < 2 or np.any(wrong & right):
            continue
        for name, index in evidence.numbers.indices.items():
            if not index.size or index.min() < 0 or index.max() >= n:
                continue
            counts = np.bincount(index.reshape(-1), minlength=n)
            several = counts > 1
            if np.all(several[wrong]) and not np.any(several & right):
                yield _there(
                    part,
                    f"wrong in the slices of axis {axis} that {name} repeats "
                    f"({numbered(np.flatnonzero(wrong).tolist())})",
                    where_bits(int(wrong.sum()), int(right.sum())) + 2 * USUAL,
                    "= for += (grads[rows] += d counts a row once: np.add.at)",
                )


@rule("accumulated", "= stands for += where something is used more than once")
def overlapping(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses that exactly those components are wrong that several windows cover."""
    axes = [axis for axis, n in enumerate(part.shape) if n > 2]
    zeros = np.count_nonzero(part.analytic[part.wrong] == 0)
    if not zeros < part.n_wrong > part.n_right > 0 or not part.is_complete:
        return
    for some in ((axis,) for axis in axes), itertools.combinations(axes, 2):
        for chosen in some:
            yield from _covered(part, chosen)


def _covered(part: ParameterEvidence, axes: tuple[int, ...]) -> Iterator[Hypothesis]:
    n = min(part.shape[axis] for axis in axes)
    tried = n * n
    bits = where_bits(part.n_wrong, part.n_right)
    for width in range(2, min(n, 12)):
        for stride in range(1, width):
            several = np.ones(part.shape, np.intp)
            for axis in axes:
                size = part.shape[axis]
                starts = np.arange(0, size - width + 1, stride)
                covers = np.zeros(size, np.intp)
                np.add.at(covers, (starts[:, None] + np.arange(width)).reshape(-1), 1)
                several *= covers.reshape([-1 if a == axis else 1 for a in range(len(part.shape))])
            flat = several.reshape(-1) > 1
            if np.all(flat[part.wrong]) and not np.any(flat & part.right):
                yield _there(
                    part,
                    "wrong where several windows overlap, right where one alone reaches",
                    bits - float(np.log2(tried)) + USUAL,
                    "= for += where windows overlap",
                )
                return


@rule("accumulated", "= stands for += where something is used more than once")
def one_step(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses of a product with one slice of the data, where a sum over all is due.

    The gradient of weights is a sum of products with the inputs, one for each step or example. If
    the sum was overwritten, its rows lie in the span of one slice of the data; if a step was left
    out, those of the error do.
    """
    if len(part.shape) != 2 or not part.is_complete or max(part.shape) > LARGEST_RANKED:
        return
    ours, theirs = part.grid(part.analytic), part.grid(part.numerical)
    allowed = float(np.linalg.norm(part.bars)) + part.precision * float(np.linalg.norm(ours))
    for name, number, count, span in _slices_in_sight(part, evidence):
        matrices = (ours, ours - theirs, theirs)
        ours_left, error_left, left = (_outside(matrix, span) for matrix in matrices)
        if left <= 1e3 * allowed:
            continue  # all of it lies there
        if ours_left <= allowed:
            yield _there(
                part,
                f"a product with {name}[{number}] alone, where a sum over {count} is due",
                float(np.log2(left / allowed)),
                "= for += in the loop over steps",
            )
        elif error_left <= allowed and number in (0, count - 1):
            end = "first" if number == 0 else "last"
            yield _there(
                part,
                f"right but for a product with {name}[{number}]",
                float(np.log2(left / allowed)),
                f"the {end} of {count} steps is left out, or counted twice",
            ).but(code="partial")


def _slices_in_sight(
    part: ParameterEvidence, evidence: Evidence
) -> Iterator[tuple[str, int, int, FloatArray]]:
    """Yield slices of arrays in sight: the array, which slice of how many, and its span."""
    for name, array in evidence.numbers.arrays.items():
        gradient = name.rsplit(".", 1)[-1].startswith(("d", "grad", "g_"))
        own = array.size == part.size and np.array_equal(array.reshape(-1), part.theta)
        plain = array.ndim > 1 and array.dtype.kind == "f" and np.isfinite(array).all()
        if own or gradient or not plain:
            continue
        for size in set(part.shape):
            for axis in (axis for axis, n in enumerate(array.shape) if n == size and axis):
                steps = np.moveaxis(array, axis, -1).reshape(array.shape[0], -1, size)
                if not 2 < len(steps) <= MOST_STEPS or steps.shape[1] >= size:
                    continue
                for number, step in enumerate(steps):
                    yield name, number, len(steps), np.linalg.qr(step.T)[0]


def _outside(matrix: FloatArray, span: FloatArray) -> float:
    """Return the norm of a matrix outside of a span, along the axis that fits best."""
    sides = [side for side in (matrix, matrix.T) if side.shape[1] == span.shape[0]]
    return min(float(np.linalg.norm(side - (side @ span) @ span.T)) for side in sides)


@rule("partial", "some rows, columns or entries are wrong")
def run(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypotheses of one parameter in a flat vector of several, the others right."""
    wrong = np.flatnonzero(part.wrong)
    if len(part.shape) != 1 or wrong.size < FEWEST or not part.sound.any():
        return
    place = slice(int(wrong[0]), int(wrong[-1]) + 1)
    if part.sound[place].any():
        return
    n = place.stop - place.start
    mostly = wrong.size > np.count_nonzero(part.sound)
    plain = (*FACTORS, *IN_A_RUN) if mostly else IN_A_RUN  # else its place says the same
    shapes = [(n,), *((rows, n // rows) for rows in range(2, n // 2 + 1) if n % rows == 0)]
    for shape in shapes if n <= LARGEST_RANKED else shapes[:1]:
        inside = _within(part, place, shape)
        matrix = f", as {shape[0]} x {shape[1]}" if len(shape) > 1 else ""
        where = f" in [{place.start}:{place.stop}] alone{matrix}"
        for one in IN_A_MATRIX if len(shape) > 1 else plain:
            for found in one.hypotheses(inside, evidence):
                prediction, bars = part.numerical.copy(), part.bars.copy()
                prediction[place], bars[place] = found.prediction, found.bars
                yield found.but(
                    prediction=prediction,
                    bars=bars,
                    observation=found.observation + where,
                    why=found.why or one.why,
                    code=found.code or one.code,
                    tried=found.tried * part.size * len(shapes),
                )


def _within(part: ParameterEvidence, place: slice, shape: tuple[int, ...]) -> ParameterEvidence:
    """Return the evidence on a run of the components of a vector."""
    first = part.parameter.start
    alone = replace(part.parameter, shape=shape, start=first + place.start, stop=first + place.stop)
    arrays = ("theta", "analytic", "numerical", "bars", "known", "wrong", "right")
    return replace(part, parameter=alone, **{name: getattr(part, name)[place] for name in arrays})


@rule("partial", "some rows, columns or entries are wrong")
def clipped(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis of a gradient that is cut off at a number, entry by entry."""
    bound = float(np.abs(part.analytic[part.known]).max(initial=0.0))
    cut = np.clip(part.numerical, -bound, bound)
    if (
        bound
        and part.n_right
        and 2 <= np.count_nonzero(np.abs(part.analytic[part.wrong]) == bound) == part.n_wrong
    ):
        yield Hypothesis(
            cut,
            part.bars,
            f"cut off at {bound:.4g} in {part.n_wrong} of {part.size} components",
            "the gradient is clipped",
            free=1 if bound != float(f"{bound:.2g}") else 0,
        )


@rule("mask", "right where a unit is active, wrong elsewhere")
def zeros(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis of zeros here and there, all other entries being right."""
    if min(part.n_wrong, part.n_right) < 2:
        return
    places = min(where_bits(part.n_wrong, part.n_right), MOST_BITS)
    yield Hypothesis(
        np.where(part.wrong, 0.0, part.numerical),
        part.bars,
        f"0 in {part.n_wrong} of {part.n_wrong + part.n_right} components, and right in the others",
        "a mask that the cost has not, or entries that a loop skips",
        tried=2.0**places,
        code=None if part.is_complete else "partial",  # rows are not seen in samples
    )


@rule("partial", "some rows, columns or entries are wrong")
def some_entries(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis of errors that fill rows, columns or borders, or are a few entries."""
    where = _where(part)
    if where is None:
        return
    found = fitted_factor(part, part.wrong)
    is_factor = found is not None and _is_factor(part, found.value)
    ours, theirs = np.abs(part.analytic[part.wrong]), np.abs(part.numerical[part.wrong])
    if ours.max() <= 1e-10 * theirs.max():
        factor, there = 0.0, "it is 0 there, never filled in or overwritten; a loop too short?"
    elif found is not None and is_factor:
        factor = found.value
        there = f"{readable(found)} x the numerical gradient there, counted too often or too seldom"
    else:
        single = "an index that is off, or an entry that is written twice"
        several = "a range that is off, or = for += where indices repeat"
        factor, there = None, single if part.n_wrong == 1 else several
    yield _there(part, f"wrong {where}", 2 * USUAL, there).but(factor=factor)


def _is_factor(part: ParameterEvidence, value: float) -> bool:
    """Return whether the wrong components are a factor times the numerical ones."""
    mine = part.wrong
    off = np.abs(part.analytic - value * part.numerical)[mine]
    allowed = 2 * abs(value) * part.bars[mine] + 10 * part.precision * np.abs(part.analytic[mine])
    return bool(np.all(off <= allowed)) and (part.n_wrong > 1 or abs(value + 1) < 1e-6)


def _where(part: ParameterEvidence) -> str | None:
    if part.where is not None:
        return f"in {part.where}, and right elsewhere"
    if part.size < 2 or not part.sound.any():
        return None
    return _slices(part) or _border(part) or _run(part) or _entries(part)


def _slices(part: ParameterEvidence) -> str | None:
    """Return the slices of an axis that are wrong as a whole, if all others are right."""
    if len(part.shape) < 2:
        return None
    for axis, n in enumerate(part.shape):
        wrong, right = (_along(part, marks, axis) for marks in (part.wrong, part.sound))
        if np.any((wrong > 0) & (right > 0)) or min(wrong.max(), right.max()) < 2:
            continue
        bad = np.flatnonzero(wrong > 0)
        if wrong[bad].min() < 2 and bad.size > 1:
            continue
        what = ("row", "column")[axis] if len(part.shape) == 2 else "slice"
        on = "" if len(part.shape) == 2 else f" of axis {axis}"
        ends = {(0,): "the first ", (n - 1,): "the last "}.get(tuple(bad.tolist()), "")
        return f"in {ends}{what}{'s' * (bad.size > 1)} {numbered(bad.tolist())}{on} of {n}"
    return None


def _along(part: ParameterEvidence, marks: Mask, axis: int) -> npt.NDArray[np.intp]:
    """Return how many components of each slice of an axis are marked."""
    others = tuple(other for other in range(len(part.shape)) if other != axis)
    return np.asarray(np.count_nonzero(marks.reshape(part.shape), axis=others), np.intp)


def _border(part: ParameterEvidence) -> str | None:
    """Return the words for wrong outermost and right inner entries, if that is so."""
    if sum(n > 2 for n in part.shape) < 2:
        return None
    inner = np.zeros(part.shape, np.bool_)
    inner[tuple(slice(1, -1) if n > 2 else slice(None) for n in part.shape)] = True
    flat = inner.reshape(-1)
    if np.any(part.wrong & flat) or np.any(part.sound & ~flat):
        return None
    return "on its border, and right inside" if part.n_wrong >= FEWEST else None


def _run(part: ParameterEvidence) -> str | None:
    """Return the run of wrong entries of a vector, if all others are right."""
    if sum(n > 1 for n in part.shape) != 1:
        return None
    bad = np.flatnonzero(part.wrong)
    first, last = int(bad[0]), int(bad[-1])
    good = np.flatnonzero(part.sound)
    if bad.size < 2 or np.any((good > first) & (good < last)):
        return None
    filled = part.analytic[part.wrong].any()
    if good.size < (2 if filled else 1) or (filled and bad.size > good.size):
        return None
    if np.count_nonzero(part.known[first : last + 1]) != bad.size:
        return None
    return f"in entries {first}-{last} of {part.size}"


def _entries(part: ParameterEvidence) -> str | None:
    """Return the wrong entries, if they are a few among many, or one among others."""
    bad = np.flatnonzero(part.wrong)
    few = FEW * bad.size <= np.count_nonzero(part.sound) + bad.size
    if bad.size > FEWEST or not (few or bad.size == 1):
        return None
    parameter = part.parameter
    indices = [parameter.index(parameter.start + int(number)) for number in bad]
    return f"only in {', '.join(map(parameter.component_name, indices))}"
