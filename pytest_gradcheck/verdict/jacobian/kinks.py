"""Kinks of many outputs: entries of a Jacobian that are limits of right ones at points nearby.

What `subgradients` does for a gradient, for each entry by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.params.theta import FloatArray, Numbers
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.verdict.jacobian.entries import Table
from pytest_gradcheck.verdict.judge import Verdict
from pytest_gradcheck.verdict.kinks.limits import AWAY, CLEAR, CLOSER, NEAR, Mask, nudges, sizes

__all__ = ["with_kinks"]

ENOUGH = 16
"""Nudges that are compared with the entries here."""

LOOKS = 4
"""Nudges after which entries that are the same at all of them are taken for smooth ones."""

COLUMNS = 64
"""Columns with wrong entries beyond which the matrix is wrong, and not at a kink."""

STEP = 1e-3
"""What part of a nudge a difference is taken over."""

KEPT = 0.1
"""By what part of how far it looks off an entry may change on the way."""

ALIKE = 1e-5
"""By what part entries may differ that are the same."""


def with_kinks(table: Table, pair: JacobianPair) -> Table:
    """Return a table in which wrong entries that prove right nearby stand at a kink."""
    wrong = np.isin(table.codes, (Verdict.SUSPECT, Verdict.BUG)) & np.isfinite(table.analytic)
    columns = np.unique(table.numbers[wrong])
    if not columns.size or columns.size > COLUMNS:
        return table
    right = np.zeros(table.codes.size, np.bool_)
    right[wrong] = _Nearby(table.where(wrong), columns, pair).right()
    if not right.any():
        return table
    return replace(
        table,
        codes=np.where(right, np.int8(Verdict.KINK), table.codes),
        values=np.where(right, table.analytic, table.values),
        errors=np.where(right, 0.0, table.errors),
    )


class _Nearby:
    """Entries that look wrong, and what points nearby say of them."""

    def __init__(self, entries: Table, columns: Numbers, pair: JacobianPair) -> None:
        self._pair, self._theta, self._columns = pair, pair.theta, columns
        self._outputs, self._own = entries.outputs, entries.analytic
        self._off = np.abs(entries.values - entries.analytic)
        self._places = np.searchsorted(columns, entries.numbers)
        self._sizes = sizes(pair.theta, np.zeros(pair.theta.base.size))

    def right(self) -> Mask:
        """Return which entries are limits of right ones."""
        right = np.zeros(self._own.size, np.bool_)
        drawn = list(islice(nudges(self._theta, self._sizes), ENOUGH))
        if not any(self._jumps(nudge) for nudge in drawn[:LOOKS]):
            return right  # entries of smooth outputs, and wrong
        for nudge in drawn:
            near = self._analytic(nudge, NEAR)
            if near is None:
                continue
            asked = self._same(near) & ~right
            if asked.any():
                right[asked] = self._proved(nudge)[asked]
            if right.all():
                break
        return right

    def _same(self, near: FloatArray) -> Mask:
        slack = ALIKE * (np.abs(near) + np.abs(self._own)) + ALIKE * self._off
        return np.asarray(np.abs(near - self._own) <= slack)

    def _jumps(self, nudge: FloatArray) -> bool:
        """Return whether an entry is another next to theta, however short the nudge."""
        near, nearer = self._analytic(nudge, NEAR), self._analytic(nudge, NEAR / CLOSER)
        if near is None or nearer is None:
            return False
        far, close = np.abs(near - self._own), np.abs(nearer - self._own)
        return bool(np.any(~self._same(near) & (close > 0.5 * far)))

    @contextmanager
    def _moved(self, nudge: FloatArray, distance: float) -> Iterator[None]:
        base = self._theta.base
        try:
            self._theta.move_base(base + distance * nudge)
            yield
        finally:
            self._theta.move_base(base)

    def _analytic(self, nudge: FloatArray, distance: float) -> FloatArray | None:
        """Return the user's entries nearby, or None where there are none to be had."""
        with self._moved(nudge, distance), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is our doing that theta stands there
            try:
                found = self._pair.matrix().columns(self._columns)
            except ProblemError:
                return None
        return np.asarray(found[self._places, self._outputs])

    def _proved(self, nudge: FloatArray) -> Mask:
        """Return which entries are right a little away, where they are what they are here."""
        analytic = self._analytic(nudge, AWAY)
        if analytic is None:
            return np.zeros(self._own.size, np.bool_)
        with self._moved(nudge, AWAY):
            probe, rows, bars = self._pair.prober(), [], []
            for number in self._columns.tolist():
                step = STEP * AWAY * float(self._sizes[number])
                sides = [self._at(probe, number, sign * step) for sign in (1.0, -1.0)]
                rows.append((sides[0] - sides[1]) / (2 * step))
                bars.append(SAFETY * EPSILON * np.maximum(*map(np.abs, sides)) / step)
        numerical, bar = (np.array(one)[self._places, self._outputs] for one in (rows, bars))
        slack = CLEAR * np.maximum(np.abs(analytic), self._off)
        kept = np.abs(analytic - self._own) <= KEPT * np.maximum(np.abs(self._own), self._off)
        return np.asarray(
            kept & (bar <= slack) & (np.abs(numerical - analytic) <= bar + ALIKE * slack / CLEAR)
        )

    def _at(self, probe: Callable[[], FloatArray], number: int, distance: float) -> FloatArray:
        with self._theta.moved(np.array([number]), np.ones(1), distance):
            return probe()
