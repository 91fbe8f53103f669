"""Warnings about a matrix: undecided entries, kinks, and untested parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.verdict.jacobian.entries import Table
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["matrix_caveats"]

SINGLE = 1e-9
"""Relative noise of an output above that of float64."""

CHUNK = 1 << 16
"""Entries in one chunk."""

Name = Callable[[int], str]


def matrix_caveats(
    table: Table, theta: Theta, noise: OutputNoise | None, output_name: Name, point: str
) -> tuple[Finding, ...]:
    """Return the warnings about a matrix that was compared entry by entry."""
    found = _stationary(table, point) or _vacuous(table, theta, point)
    if table.codes.any():
        found += _undecided(table, noise, output_name, point)
        found += _kinks(table, output_name, point)
    return found


def _undecided(
    table: Table, noise: OutputNoise | None, output_name: Name, point: str
) -> tuple[Finding, ...]:
    outputs, counts = np.unique(
        table.outputs[table.codes == Verdict.INCONCLUSIVE], return_counts=True
    )
    if not outputs.size or noise is None:
        return ()
    worst = int(outputs[np.argmax(counts)])
    relative = float(noise.relative[worst])
    why = (
        f"two calls at nearby parameters differ by {relative:.1e} of it, as float32 or an inner "
        "iteration makes them: compute it in float64, tighten its tolerance, or say noise="
        if relative > SINGLE
        else "it is large beside its slopes there: leave an offset out, or scale the parameters"
    )
    message = (
        f"{counts.sum()} entries of {outputs.size} outputs cannot be decided, most of them of "
        f"{output_name(worst)}: {why}"
    )
    return (Finding.warning("precision", message, point=point),)


def _kinks(table: Table, output_name: Name, point: str) -> tuple[Finding, ...]:
    """Warn of kinks: entries of rows that are valid subgradients, and of others."""
    found = []
    off = table.codes >= Verdict.SUSPECT
    kinks = np.flatnonzero((table.codes == Verdict.KINK) | (off & (table.kinds == Kind.KINK)))
    wrong = np.isin(table.outputs[kinks], np.unique(table.outputs[off]))
    for at, where in (
        (kinks[~wrong], "a valid subgradient"),
        (
            kinks[wrong],
            "no subgradient: outside of the one-sided slopes, or of what the rows nearby allow",
        ),
    ):
        if at.size:
            first = output_name(int(table.outputs[at[0]]))
            others = " and others" if np.unique(table.outputs[at]).size > 1 else ""
            stand = f"{at.size} entries stand" if at.size > 1 else "one entry stands"
            message = (
                f"{stand} at a kink, in the row of {first}{others}: "
                f"the output has no single slope there; the row is {where}"
            )
            found.append(Finding.warning("kink", message, point=point))
    return tuple(found)


def _stationary(table: Table, point: str) -> tuple[Finding, ...]:
    """Warn of a matrix that is zero beside rounding, and not exactly zero."""
    if not table.analytic.any():
        return ()
    for start in range(0, table.bars.size, CHUNK):  # the first one tells, as a rule
        part = slice(start, start + CHUNK)
        bars = table.bars[part]
        if np.any(np.abs(table.analytic[part]) > bars) or np.any(np.abs(table.values[part]) > bars):
            return ()
    message = (
        "all derivatives are 0 here beside rounding, as those of any multiple are: little is "
        "proved. Check at another point, 0.9 x theta say"
    )
    return (Finding.warning("stationary", message, point=point),)


def _vacuous(table: Table, theta: Theta, point: str) -> tuple[Finding, ...]:
    still: npt.NDArray[np.bool_]
    if table.grid is None:
        owners = theta.owners(table.numbers)
        still = (table.analytic == 0) & (np.abs(table.values) <= table.bars)
    else:  # a whole column at a time
        numbers, m = table.grid
        owners, k = theta.owners(numbers), numbers.size
        still = np.asarray(~table.analytic.reshape(k, m).any(axis=1), np.bool_)
        for column in np.flatnonzero(still).tolist():
            row = slice(column * m, (column + 1) * m)
            still[column] = np.all(np.abs(table.values[row]) <= table.bars[row])
    looked = np.bincount(owners, minlength=len(theta.parameters))
    moved = np.bincount(owners, ~still, len(theta.parameters))
    found = []
    for number in np.flatnonzero((looked > 0) & (moved == 0)).tolist():
        name = theta.parameters[number].name
        message = (
            f"{name}: no output moves with it, and the matrix is 0 there, so nothing was tested: "
            "check where it has an effect, or leave it out with exclude="
        )
        found.append(Finding.warning("vacuous", message, parameter=name, point=point))
    return tuple(found)
