"""Causes in the places of entries: exchanged rows, triangles, diagonals, blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.hypotheses import Hypothesis
from pytest_gradcheck.diagnosis.jacobian.evidence import MatrixPart, Scene
from pytest_gradcheck.diagnosis.rules.factors import Factor, fitted_factor, named_factor, readable
from pytest_gradcheck.diagnosis.words import numbered
from pytest_gradcheck.params.theta import Indices

__all__ = ["exchanged", "gauss_newton", "off_diagonal", "triangle", "where"]

LINES = 200
"""Wrong rows or columns up to which their order is searched for."""

FEW = 3
"""Wrong entries up to which each is named."""

EIGEN = 300
"""Rows of a Hessian up to which its eigenvalues are computed."""

PAIRS = {
    2.0: "each pair is counted twice, once for either order",
    0.5: "each pair is counted once, where both orders are due",
    -1.0: "the sign is turned round there",
}
"""The usual reason of a factor off the diagonal."""

SQUARES = {
    2.0: "the squares are counted twice, as pairs are in both orders",
    0.5: "the 2 of a square's second derivative is missing",
    -1.0: "the sign is turned round there",
}
"""The usual reason of a factor on the diagonal."""

FLAT = 1e-9
"""An eigenvalue below this part of the largest is zero."""


def exchanged(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypotheses that right rows, or columns, are in each other's places."""
    part = scene.whole
    if len(part.shape) != 2 or not part.is_complete:
        return
    for axis, what in enumerate(("rows", "columns")):
        ours, theirs, bars = (
            np.moveaxis(part.grid(values), axis, 0)
            for values in (part.analytic, part.numerical, part.bars)
        )
        wrong = np.moveaxis(part.grid(part.wrong), axis, 0)
        lines = np.flatnonzero(wrong.any(axis=1))
        if not 2 <= lines.size <= LINES:
            continue
        apart = np.abs(ours[lines][:, None] - theirs[lines][None]).sum(axis=2)
        order = apart.argmin(axis=1)
        if np.unique(order).size != lines.size or np.any(order == np.arange(lines.size)):
            continue
        source = np.arange(len(ours))
        source[lines] = lines[order]
        yield Hypothesis(
            np.moveaxis(theirs[source], 0, axis).reshape(-1),
            np.moveaxis(bars[source] + bars, 0, axis).reshape(-1),
            f"is {scene.numerical_name} with its {what} {_listed(_numbers(part, axis)[lines])} in "
            "another order",
            "a wrong index or order",
            code="swapped" if lines.size == 2 else "shifted",
        )


def _numbers(part: MatrixPart, axis: int) -> Indices:
    """Return the numbers of the rows, or of the columns, that were compared."""
    return np.unique(part.columns if axis else part.rows)


def _listed(numbers: Indices) -> str:
    return numbered(numbers.tolist()) if numbers.size > 2 else " and ".join(map(str, numbers))


def triangle(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypotheses that one triangle of a Hessian was left out, or added to the other."""
    part = scene.whole
    if not scene.is_symmetric:
        return
    for said, other, kept in (
        ("lower", "upper", part.columns <= part.rows),
        ("upper", "lower", part.columns >= part.rows),
    ):
        hint = "say lower=True, or " if said == "lower" else ""
        yield Hypothesis(
            np.where(kept, part.numerical, 0.0),
            part.bars,
            f"is {scene.numerical_name} in the {said} triangle, and 0 in the {other} one",
            f"{hint}fill in the {other} triangle as well",
            code="zero",
        )


def off_diagonal(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypotheses of a factor off the diagonal of a square matrix, or on it."""
    part = scene.whole
    diagonal = part.rows == part.columns
    if not diagonal.any() or diagonal.all():
        return
    for said, where_, reasons in (
        ("off the diagonal", ~diagonal, PAIRS),
        ("on the diagonal", diagonal, SQUARES),
    ):
        if np.any(part.wrong & ~where_) or not np.any(part.wrong):
            continue
        found = fitted_factor(part, part.known & where_)
        if found is None or abs(found.value - 1) < 1e-3:
            continue
        usual = next((c for c in (2.0, 0.5, -1.0) if abs(found.value - c) <= found.error), None)
        factors = np.where(where_, found.value, 1.0)
        yield Hypothesis(
            factors * part.numerical,
            np.abs(factors) * part.bars + found.error * np.abs(part.numerical),
            f"is {said} {readable(found)} x {scene.numerical_name}, and right elsewhere",
            reasons.get(usual or 0.0, ""),
            code="sign" if usual == -1.0 else "scale",
            factor=found.value,
            free=0 if usual else 1,
            tried=6.0,
        )


def gauss_newton(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypothesis of a Hessian without the second derivatives of the residuals.

    A product J'J has no negative eigenvalue, and a zero one where there are fewer residuals than
    parameters. The rest of the Hessian is symmetric, and fills it.
    """
    part = scene.whole
    if not scene.is_symmetric or len(part.shape) != 2 or not part.is_complete:
        return
    if part.shape[0] != part.shape[1] or not 2 <= part.shape[0] <= EIGEN:
        return
    ours, theirs = part.grid(part.analytic), part.grid(part.numerical)
    bars = part.grid(part.bars)
    allowed = 1e-9 * part.scale + bars + bars.T
    if np.any(np.abs(ours - ours.T) > allowed) or np.any(np.abs(theirs - theirs.T) > allowed):
        return
    mine, true = np.linalg.eigvalsh(ours), np.linalg.eigvalsh((theirs + theirs.T) / 2)
    largest = max(abs(mine).max(), abs(true).max())
    clear = max(FLAT * largest, 2 * float(np.linalg.norm(bars)))
    negative = int(np.count_nonzero(true < -clear))
    zero = int(np.count_nonzero(np.abs(mine) <= FLAT * largest))
    if mine.min() < -FLAT * largest or int(np.count_nonzero(np.abs(true) <= clear)):
        return
    if part.n_wrong < 0.5 * part.size or not (negative or zero):
        return
    words = f"{zero} of its eigenvalues are 0" if zero else "none of its eigenvalues is negative"
    yield Hypothesis(
        part.analytic,
        part.bars,
        f"is symmetric, and {words}, where {scene.numerical_name} has "
        + (f"{negative} that are negative" if negative else "none that is 0"),
        "the Gauss-Newton term J'J without the second derivatives of the residuals",
        code="gauss-newton",
        bits=20.0 * zero + 6.0 * negative,
    )


def where(scene: Scene) -> Iterator[Hypothesis]:
    """Make the hypothesis of errors that fill rows, columns or a block, or are a few entries."""
    part = scene.whole
    said = _filled(scene) or (None if scene.is_asymmetric else _entries(scene))
    if said is None:
        return
    found = fitted_factor(part, part.wrong)
    is_one = found is not None and _is_factor(part, part.wrong, found)
    wrong = part.wrong
    if np.abs(part.analytic[wrong]).max() <= 1e-10 * np.abs(part.numerical[wrong]).max():
        factor, why = 0.0, "0 there: never filled in, or overwritten"
    elif np.all(np.abs(part.numerical[wrong]) <= part.bars[wrong]):
        factor, why = None, "the output does not depend on it"
    elif found is not None and is_one:
        name = named_factor(found, scene.evidence)
        factor = found.value
        why = f"{readable(found)} x {scene.numerical_name} there" + (
            f"; {name.said}" if name else ""
        )
    else:
        factor, why = None, "a term is left out there, or one too many"
    yield Hypothesis(
        part.analytic, part.bars, f"is wrong {said}", why, code="partial", factor=factor, bits=32.0
    )


def _is_factor(part: MatrixPart, mine: npt.NDArray[np.bool_], found: Factor) -> bool:
    off = np.abs(part.analytic - found.value * part.numerical)[mine]
    allowed = 2 * abs(found.value) * part.bars[mine] + 10 * part.precision * np.abs(
        part.analytic[mine]
    )
    several = np.count_nonzero(mine) > 1
    return bool(np.all(off <= allowed) and (several or found.is_near(1.0)))


def _filled(scene: Scene) -> str | None:
    """Return the rows, the columns or the block that is wrong, if all else is right."""
    part = scene.whole
    rows, columns = np.unique(part.rows[part.wrong]), np.unique(part.columns[part.wrong])
    inside = {
        "row": (np.isin(part.rows, rows), rows),
        "column": (np.isin(part.columns, columns), columns),
    }
    for what, (mine, numbers) in inside.items():
        if np.any(part.right & mine) or not np.any(part.right & ~mine):
            continue
        if np.count_nonzero(part.wrong) < 2 * numbers.size:
            continue
        name = scene.output_name if what == "row" else scene.component_name
        component = f" ({name(int(numbers[0]))})" if numbers.size == 1 else ""
        return f"in {what}{'s' * (numbers.size > 1)} {numbered(numbers.tolist())}{component}"
    block = inside["row"][0] & inside["column"][0]
    diagonal = part.rows == part.columns
    for on, said in ((diagonal, "on the diagonal"), (~diagonal, "off the diagonal")):
        if rows.size > 2 and not np.any(part.wrong & ~on) and not np.any(part.right & on):
            return said
    several = rows.size > 1 and columns.size > 1
    if several and not np.any(part.right & block) and np.any(part.right & ~block):
        return f"in rows {numbered(rows.tolist())} of columns {numbered(columns.tolist())}"
    return None


def _entries(scene: Scene) -> str | None:
    """Return the single wrong entries, if they are a few among many."""
    part = scene.whole
    bad = np.flatnonzero(part.wrong)
    if bad.size > FEW or 4 * bad.size > part.n_right + bad.size:
        return None
    places = [
        f"the derivative of {scene.output_name(int(part.rows[i]))} by "
        f"{scene.component_name(int(part.columns[i]))}"
        for i in bad
    ]
    return f"only in {', '.join(places)}"
