"""Planted faults in a matrix: proof that a check which passes would have failed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_gradcheck.params.theta import FloatArray, Theta
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.verdict.jacobian.entries import Table

__all__ = ["unnoticed_in_matrix"]

VISIBLE = 1e-3
"""A fault that changes no entry by more than this part of the largest of its row is none."""


def unnoticed_in_matrix(
    table: Table, theta: Theta, suspect: float, point: str
) -> tuple[Finding, ...]:
    """Return a finding for every planted fault that the comparison lets pass.

    Faults are planted in the columns of each parameter among the entries that were differenced, and
    compared with the approximations at hand: a canary costs no call.
    """
    owners = theta.owners(table.numbers)
    found = []
    for number in np.unique(owners).tolist():
        mine = table.where((owners == number) & np.isfinite(table.values))
        name = theta.parameters[number].name
        for fault, planted in _faults(mine):
            if _shows(mine, planted, suspect):
                continue
            message = (
                f"{name}: a planted fault ({fault}) went unnoticed: the error bars are too wide to "
                "prove this part of the matrix right"
            )
            found.append(Finding.cause("canary", message, parameter=name, point=point))
    return tuple(found)


def _shows(table: Table, planted: FloatArray, suspect: float) -> bool:
    """Return whether a fault changes any entry beyond its error bar and the threshold."""
    with np.errstate(all="ignore"):
        beyond = np.abs(table.values - planted) - table.bars
        size = np.abs(table.values) + np.abs(planted)
    return bool(np.any((planted != table.analytic) & (beyond > suspect * size)))


def _faults(table: Table) -> Iterator[tuple[str, FloatArray]]:
    """Yield faulty entries: all signs changed, one entry 1 % too large, the smallest row."""
    own = table.analytic
    if not own.any():
        return
    scaled = own.copy()
    scaled[np.argmax(np.abs(own))] *= 1.01
    yield "the sign", -own
    yield "the largest entry x 1.01", scaled
    yield "zero", np.zeros_like(own)
    outputs, rows = np.unique(table.outputs, return_inverse=True)
    sizes = np.zeros(outputs.size)
    np.maximum.at(sizes, rows.reshape(-1), np.abs(own))
    least = int(np.argmin(np.where(sizes > 0, sizes, np.inf)))
    yield "the sign of the smallest row", np.where(rows.reshape(-1) == least, -own, own)
