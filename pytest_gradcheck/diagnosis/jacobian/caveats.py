"""Warnings about a matrix: what could not be decided, kinks, and what tested nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.verdict.entries import Table
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["matrix_caveats"]

SINGLE = 1e-9
"""Relative noise of an output from which on it is not that of float64."""

Name = Callable[[int], str]


def matrix_caveats(
    table: Table, theta: Theta, noise: OutputNoise | None, output_name: Name, point: str
) -> tuple[Finding, ...]:
    """Return the warnings about a matrix that was compared entry by entry."""
    return (
        *_undecided(table, noise, output_name, point),
        *_kinks(table, output_name, point),
        *_vacuous(table, theta, point),
    )


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
    return (Finding("precision", "warning", None, message, None, point),)


def _kinks(table: Table, output_name: Name, point: str) -> tuple[Finding, ...]:
    kinked = np.flatnonzero(table.codes == Verdict.KINK)
    if not kinked.size:
        return ()
    first = output_name(int(table.outputs[kinked[0]]))
    message = (
        f"{kinked.size} entries stand at a kink, those of {first} among them: the output has two "
        "one-sided slopes there, and the entry lies between them"
    )
    return (Finding("kink", "warning", None, message, None, point),)


def _vacuous(table: Table, theta: Theta, point: str) -> tuple[Finding, ...]:
    owners = theta.owners(table.numbers)
    moved = np.bincount(
        owners, (table.analytic != 0) | (np.abs(table.values) > table.bars), len(theta.parameters)
    )
    looked = np.bincount(owners, minlength=len(theta.parameters))
    found = []
    for number in np.flatnonzero((looked > 0) & (moved == 0)).tolist():
        name = theta.parameters[number].name
        message = (
            f"{name}: no output moves with it, and the matrix is 0 there, so nothing was tested: "
            "check where it has an effect, or leave it out with exclude="
        )
        found.append(Finding("vacuous", "warning", name, message, None, point))
    return tuple(found)
