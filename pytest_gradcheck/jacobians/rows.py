"""One row of a matrix at a kink, compared as the gradient of its output alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.jacobian.columns import all_columns
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.verdict.jacobian.entries import Entries
from pytest_gradcheck.verdict.judge import Doubt
from pytest_gradcheck.verdict.kinks.subgradients import corrected_at_kinks

__all__ = ["Bools", "subgradients_instead"]

Bools = npt.NDArray[np.bool_]


def subgradients_instead(
    work: Work, entries: Entries, rows: Indices, wrong: Bools
) -> dict[tuple[int, int], float]:
    """Return the values of the nearest subgradients for rows that are none.

    Parameters
    ----------
    work : Work
    entries : Entries
        The columns that were compared.
    rows : int array
        Outputs with kinks whose rows were not proved.
    wrong : bool array
        The entries that look wrong by themselves, shaped like those that were compared.

    Returns
    -------
    dict
        (direction, output) of an entry to its value in a subgradient.
    """
    calls = _Calls(work, rows)
    most = work.pair.evaluations + work.settings.search_calls
    instead: dict[tuple[int, int], float] = {}
    places = {int(number): k for k, number in enumerate(entries.numbers)}
    for place, row in enumerate(rows.tolist()):
        if work.pair.evaluations > most:
            break
        doubt = Doubt(
            _approximation(work, entries, row),
            calls.row(place),
            entries.numbers[wrong[:, row]],
            _noise(work, row, calls.row(place)),
            work.settings.suspect,
        )
        found = corrected_at_kinks(_Row(calls, place), doubt)
        instead |= {(places[n], row): float(found.values[n]) for n in found.nearby if n in places}
    return instead


class _Calls:
    """The function and its matrix at any theta, for some rows; cached by point."""

    def __init__(self, work: Work, rows: Indices) -> None:
        self._work, self._rows = work, rows
        self._outputs = work.pair.prober()
        self._columns = all_columns(work.theta)
        self._known: dict[bytes, FloatArray] = {}
        self._written: dict[bytes, FloatArray] = {}
        self.theta = work.theta

    def value(self, place: int) -> float:
        """Return an output at the present theta."""
        there = self._here()
        if there not in self._known:
            self._known[there] = self._outputs()[self._rows]
        return float(self._known[there][place])

    def row(self, place: int) -> FloatArray:
        """Return a row of the matrix at the present theta, laid out like theta."""
        there = self._here()
        if there not in self._written:
            matrix = self._work.pair.matrix().columns(self._columns)
            self._written[there] = matrix[:, self._rows]
        result = np.zeros(self.theta.base.size)
        result[self._columns] = self._written[there][:, place]
        return result

    def _here(self) -> bytes:
        theta = self.theta
        return b"".join(np.ascontiguousarray(theta.cells(p)[:]).tobytes() for p in theta.parameters)


class _Row:
    """One output, and its row of the matrix, as a cost and its gradient."""

    def __init__(self, calls: _Calls, place: int) -> None:
        self._calls, self._place = calls, place
        self.theta = calls.theta

    def prober(self) -> Callable[[], float]:
        """Return a function that returns the output at a perturbed theta."""
        return lambda: self._calls.value(self._place)

    def gradient_after_cost(self) -> FloatArray:
        """Return the row at the present theta."""
        return self._calls.row(self._place)


def _approximation(work: Work, entries: Entries, row: int) -> Approximation:
    """Return the known slopes of an output as the numerical gradient of a cost."""
    slopes, numbers, size = entries.slopes, entries.numbers, work.theta.base.size
    values, bars = np.full(size, np.nan), np.zeros(size)
    kinds = np.full(size, Kind.SMOOTH, np.int8)
    values[numbers], bars[numbers] = slopes.values[:, row], slopes.error_bars[:, row]
    kinds[numbers] = slopes.kinds[:, row]
    sides = {int(numbers[k]): both for (k, i), both in slopes.sides.items() if i == row}
    return Approximation(values, bars, kinds, numbers, sides)


def _noise(work: Work, row: int, gradient: FloatArray) -> Noise:
    rise = float(np.linalg.norm(gradient * lengths(work.theta)))
    levels, magnitudes = work.noise.levels, work.noise.magnitudes
    return Noise(float(levels[row]), float(magnitudes[row]), rise, bool(work.noise.moved[row]))
