"""Causes with one factor a row, or one a column: signs, weights, scales, chain rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.hypotheses import Hypothesis
from pytest_gradcheck.diagnosis.jacobian.evidence import MatrixPart, Scene
from pytest_gradcheck.diagnosis.rules.factors import Factor, named_factor, readable, unnamed_factor
from pytest_gradcheck.diagnosis.rules.values import CHAIN_RULES, TURNED
from pytest_gradcheck.diagnosis.words import listed, numbered
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta

__all__ = ["by_column", "by_row", "conjugated"]

Bools = npt.NDArray[np.bool_]

SEVERAL = 3
"""Wrong lines from which on their factors are compared with arrays in sight."""

POWERS: tuple[tuple[str, str, Callable[[FloatArray], FloatArray]], ...] = (
    ("1/{}", "{} is left out", lambda w: 1 / w),
    ("{}", "{} stands there twice, or squared", lambda w: w),
    ("1/sqrt({})", "the root of {} is left out", np.reciprocal),
    ("sqrt({})", "{} stands where its root is due", np.sqrt),
    ("1/{}^2", "the square of {} is left out", lambda w: 1 / (w * w)),
    ("{}^2", "the square of {} stands there once too often", lambda w: w * w),
    ("{}/2", "{} is halved", lambda w: w / 2),
)
"""The powers of an array in sight that factors may be, with words."""


@dataclass(frozen=True)
class _Lines:
    """The factors between rows, or columns, of a matrix and its approximation.

    Attributes
    ----------
    of : int array
        The line of each entry, counted from 0 without gaps.
    numbers : int array
        The output or the component of each line.
    wrong : bool array
        Which lines have a wrong entry.
    factors, errors : arrays
        The factor of each line and its error; 1 if no entry is wrong, NaN if none is clear.
    """

    of: Indices
    numbers: Indices
    wrong: Bools
    factors: FloatArray
    errors: FloatArray

    def prediction(self, part: MatrixPart, factors: FloatArray, errors: FloatArray) -> Hypothesis:
        """Return the hypothesis that each line has its factor, without words yet."""
        each, error = factors[self.of], errors[self.of]
        bars = np.abs(each) * part.bars + error * np.abs(part.numerical)
        return Hypothesis(each * part.numerical, bars, "")


def _lines(part: MatrixPart, keys: Indices) -> _Lines | None:
    """Return the factors of lines, or None where some wrong line has none."""
    numbers, of = np.unique(keys, return_inverse=True)
    of, count = of.reshape(-1), numbers.size
    wrong = np.bincount(of, part.wrong, count) > 0
    clear = part.known & (np.abs(part.numerical) > 10 * part.bars)
    mine = of[clear]
    ours, theirs, bars = part.analytic[clear], part.numerical[clear], part.bars[clear]
    with np.errstate(all="ignore"):
        ratios = ours / theirs
        weights = (theirs / (bars + part.precision * (np.abs(theirs) + np.abs(ours)))) ** 2
        total = np.bincount(mine, weights, count)
        factors = np.bincount(mine, weights * ratios, count) / total
        each = np.abs(factors[mine]) * bars / np.abs(theirs) + part.precision * np.abs(ratios)
        errors = np.bincount(mine, weights * each, count) / total
    if np.any(wrong & ~np.isfinite(factors)):
        return None
    factors[~wrong], errors[~wrong] = 1.0, 0.0
    return _Lines(of, numbers, wrong, factors, errors)


def conjugated(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypothesis that the imaginary parts of complex parameters have the other sign."""
    part, parameters = scene.whole, scene.theta.parameters
    owners = scene.theta.owners(part.columns)
    starts = scene.theta.starts[owners]
    pairs = np.array([parameter.is_complex for parameter in parameters])[owners]
    turned = np.where(pairs & ((part.columns - starts) % 2 == 1), -1.0, 1.0)
    if pairs.any():
        yield Hypothesis(
            turned * part.numerical,
            part.bars,
            f"is the complex conjugate of {scene.numerical_name}",
            "the derivative by a complex number is d/dRe + i d/dIm",
            code="conjugated",
        )


def by_row(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypotheses that each wrong row has one factor."""
    lines = _lines(scene.whole, scene.whole.rows)
    if lines is None or not lines.wrong.any():
        return
    names = [scene.output_name(int(i)) for i in lines.numbers[lines.wrong]]
    said = _which("row", lines, names, scene)
    yield from _shared(lines, said, scene)
    yield from _in_sight(lines, scene, scene.n_outputs, "row", "the weight of the residuals: ")
    why = "a weight of the residuals is left out, or stands there twice"
    yield from _each(lines, scene, "row", why)


def by_column(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypotheses that each wrong column has one factor."""
    lines = _lines(scene.whole, scene.whole.columns)
    if lines is None or not lines.wrong.any():
        return
    names = [scene.component_name(int(j)) for j in lines.numbers[lines.wrong]]
    said = _which("column", lines, names, scene)
    yield from _chain_rules(lines, said, scene)
    yield from _shared(lines, said, scene)
    yield from _in_sight(
        lines, scene, scene.theta.base.size, "column", "a scale of the parameters: "
    )
    why = "a scale of the parameters, or a chain rule, is left out or stands there twice"
    yield from _each(lines, scene, "column", why)


def _which(what: str, lines: _Lines, names: list[str], scene: Scene) -> str:
    """Name the wrong lines: ``in row 3 (out[3])``."""
    if lines.wrong.all():
        return ""
    owned = _parameter_of(what, lines, scene)
    if owned:
        return f"in the columns of {owned} "
    numbers = lines.numbers[lines.wrong].tolist()
    if what == "column" and scene.n_outputs == 1:  # a gradient: its columns are components
        return f"{_on_a_diagonal(scene.theta, numbers) or f'in {listed(names)}'} "
    inside = f" ({names[0]})" if len(names) == 1 else ""
    return f"in {what}{'s' * (len(names) > 1)} {numbered(numbers)}{inside} "


def _on_a_diagonal(theta: Theta, numbers: list[int]) -> str | None:
    """Return whether components are those on, or off, the diagonal of the only parameter."""
    shapes = [parameter.shape for parameter in theta.parameters]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][0] != shapes[0][1] or shapes[0][0] < 3:
        return None
    diagonal = np.flatnonzero(np.eye(shapes[0][0]))
    if np.array_equal(numbers, diagonal):
        return "on the diagonal"
    others = np.setdiff1d(np.arange(theta.base.size), diagonal)
    return "off the diagonal" if np.array_equal(numbers, others) else None


def _parameter_of(what: str, lines: _Lines, scene: Scene) -> str:
    """Return the parameter of several whose columns are the wrong ones, all of them and no more."""
    wrong = lines.numbers[lines.wrong]
    if what == "row" or len(scene.theta.selected) < 2:
        return ""
    parameter = scene.theta.owner(int(wrong[0]))
    whole = np.arange(parameter.start, parameter.stop)
    return parameter.name if np.array_equal(wrong, whole) else ""


def _shared(lines: _Lines, said: str, scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypothesis that all wrong lines have one factor."""
    part = scene.whole
    weights = 1 / np.maximum(lines.errors[lines.wrong], 1e-300) ** 2
    value = float(np.average(lines.factors[lines.wrong], weights=weights))
    error = float(lines.errors[lines.wrong].min())
    if abs(value - 1) < 1e-3:
        return
    factor = Factor(value, error)
    factors = np.where(lines.wrong, value, 1.0)
    found = lines.prediction(part, factors, np.where(lines.wrong, error, 0.0))
    if abs(value) < 1e-9:
        yield found.but(
            observation=f"{said}is 0, and {scene.numerical_name} is not",
            why="never filled in, or overwritten",
            code="zero",
            factor=0.0,
        )
        return
    turned = factor.is_near(1.0) and value < 0
    name = None if turned else named_factor(factor, scene.evidence)
    yield found.but(
        observation=f"{said}is {readable(factor)} x {scene.numerical_name}",
        why=TURNED if turned else (name.said if name else unnamed_factor(factor)),
        code="sign" if turned else "scale",
        factor=-1.0 if turned else value,
        free=0 if turned or name else 1,
        tried=name.tried if name else 1.0,
    )


def _in_sight(lines: _Lines, scene: Scene, size: int, what: str, role: str) -> Iterator[Hypothesis]:
    """Make the hypotheses that the factors are those of an array in sight."""
    if np.count_nonzero(lines.wrong) < SEVERAL:
        return
    arrays = [
        (name, np.asarray(array, np.float64).reshape(-1))
        for name, array in scene.evidence.numbers.arrays.items()
        if array.size == size and array.dtype.kind == "f"
    ]
    for name, array in arrays:
        for words, why, function in POWERS:
            with np.errstate(all="ignore"):
                base = np.sqrt(array) if "1/sqrt" in words else array
                factors = function(base)[lines.numbers]
            if not np.isfinite(factors).all() or np.allclose(factors, factors[0]):
                continue
            yield lines.prediction(scene.whole, factors, np.zeros(factors.size)).but(
                observation=f"is {scene.numerical_name} times {words.format(name)}, "
                f"{what} by {what}",
                why=f"{role}{why.format(name)}",
                code="scale",
                tried=float(len(arrays) * len(POWERS)),
            )


def _each(lines: _Lines, scene: Scene, what: str, why: str) -> Iterator[Hypothesis]:
    """Make the hypothesis that every wrong line has a factor of its own."""
    wrong = lines.factors[lines.wrong]
    if wrong.size < 2:
        return
    low, high = (readable(Factor(float(f), 0.0)) for f in (wrong.min(), wrong.max()))
    some = "" if lines.wrong.all() else f"in {wrong.size} {what}s "
    yield lines.prediction(scene.whole, lines.factors, lines.errors).but(
        observation=f"{some}is {scene.numerical_name} with a factor for each {what}, "
        f"{low} to {high}",
        why=why,
        code="scale",
        free=int(wrong.size),
    )


def _chain_rules(lines: _Lines, said: str, scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypotheses that the chain rule of transformed parameters is missing."""
    theta = scene.theta.base[lines.numbers]
    for words, of_what, function in CHAIN_RULES:
        with np.errstate(all="ignore"):
            factors = np.where(lines.wrong, function(theta), 1.0)
        if not np.isfinite(factors).all():
            continue
        yield lines.prediction(scene.whole, factors, np.zeros(factors.size)).but(
            observation=f"{said}is {scene.numerical_name} times {words}",
            why=f"the chain rule of {of_what} is missing, or stands there twice",
            code="transformed",
            tried=float(len(CHAIN_RULES)) * (1.0 if lines.wrong.all() else 8.0),
        )
