"""Faults at ties: which components are called wrong, and which only have more than one slope.

Each tie is settled by the code of the derivative. A fault there leaves the other components of the
gradient, or of the row, as right as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]
Pair = tuple[Function, Function, Array]

FACTORS = [1.01, 1.1, 2.0, -1.0, 0.97, 0.5, 0.1]


def largest(at: Array) -> Pair:
    """Return the largest number, and a smooth output beside it."""

    def jac(x: Array) -> Array:
        return np.array([np.eye(x.size)[x.argmax()], 2 * x + 1])

    return lambda x: np.array([x.max(), x @ x + x.sum()]), jac, at


def ordered() -> Pair:
    at = np.array([1.0, 0.0, 1.0, 1.0, 2.0])
    return np.sort, lambda x: np.eye(5)[np.argsort(x, kind="stable")], at


def pooled() -> Pair:
    """Return the maxima of windows, some of whose numbers are equal."""

    def jac(x: Array) -> Array:
        windows = x.reshape(3, 4)
        result = np.zeros((3, 3, 4))
        result[np.arange(3), np.arange(3), windows.argmax(axis=1)] = 1.0
        return result.reshape(3, 12)

    at = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 2.0, 2.0, 1.0, 0.3, 0.2, 0.1, 0.9])
    return lambda x: x.reshape(3, 4).max(axis=1), jac, at


def opposite() -> Pair:
    """Return kinks of opposite sign in one output: its row lies outside of the one-sided slopes."""

    def f(x: Array) -> Array:
        return np.array([max(x[0], x[1]) + 2 * x[2] - 3 * max(x[1], x[3]), x @ x])

    def jac(x: Array) -> Array:
        first, second = np.eye(4)[0 if x[0] >= x[1] else 1], np.eye(4)[1 if x[1] >= x[3] else 3]
        return np.array([first + 2 * np.eye(4)[2] - 3 * second, 2 * x])

    return f, jac, np.ones(4)


def clipped() -> Pair:
    def jac(x: Array) -> Array:
        return np.diag(((x >= 0) & (x <= 1)).astype(float))

    return lambda x: np.clip(x, 0, 1), jac, np.array([0.0, 1.0, 0.4, 2.0])


TIES = {
    "two equal": largest(np.zeros(2)),
    "three equal": largest(np.array([1.5, 1.5, 0.2, 1.5])),
    "sorted": ordered(),
    "pooled": pooled(),
    "opposite": opposite(),
}


def with_factor(jac: Function, rows: Iterable[int], factor: float) -> Function:
    def wrong(x: Array) -> Array:
        result = np.array(jac(x))
        result[list(rows)] *= factor
        return result

    return wrong


def may_be_right(name: str, factor: float) -> bool:
    """Return whether wrong components lie between slopes beside one that does not."""
    return name == "opposite" and 0 < factor < 1


def called_wrong(report: Report) -> dict[tuple[int, int], float]:
    """Return the entries that are called wrong, and the values that they should have."""
    return {
        component.entry: component.numerical
        for component in report.components
        if component.verdict == "bug" and component.entry is not None
    }


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("every_row", [False, True])
@pytest.mark.parametrize("name", TIES)
def test_no_entry_beside_a_wrong_one_is_called_wrong(
    name: str, every_row: bool, factor: float
) -> None:
    f, jac, at = TIES[name]
    exact = jac(at)
    rows = range(len(exact)) if every_row else [1 if name == "sorted" else 0]
    found = called_wrong(check_gradients.jacobian(f, with_factor(jac, rows, factor), at))
    wrong = {(row, k) for row in rows for k in np.flatnonzero(exact[row]).tolist()}
    assert set(found) <= wrong
    if may_be_right(name, factor):
        assert {row for row, _ in found} == set(rows)
    else:
        assert set(found) == wrong
    assert all(value == pytest.approx(exact[entry]) for entry, value in found.items())


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_wrong_entry_beside_kinks_is_called_wrong_and_no_other(
    place: int, factor: float
) -> None:
    f, jac, at = opposite()
    exact = jac(at)

    def wrong(x: Array) -> Array:
        ahead = [x[0] >= x[1], x[1] >= x[3]]
        shares = np.array([1.0, -3.0, 2.0])
        shares[place] *= factor
        row = np.zeros(4)
        row[0 if ahead[0] else 1] += shares[0]
        row[1 if ahead[1] else 3] += shares[1]
        row[2] += shares[2]
        return np.array([row, 2 * x])

    found = called_wrong(check_gradients.jacobian(f, wrong, at))
    assert found == {(0, place): pytest.approx(exact[0, place])}
    report = check_gradients(lambda x: f(x)[0], lambda x: wrong(x)[0], at)
    called = {c.index: c.numerical for c in report.components if c.verdict == "bug"}
    assert called == {(place,): pytest.approx(exact[0, place])}


@pytest.mark.parametrize("factor", FACTORS)
def test_the_edges_of_a_clip_are_wrong_where_they_are_no_subgradients(factor: float) -> None:
    f, jac, at = clipped()
    found = called_wrong(check_gradients.jacobian(f, with_factor(jac, range(4), factor), at))
    edges = [] if 0 < factor < 1 else [(0, 0), (1, 1)]
    assert sorted(found) == [*edges, (2, 2)]
    assert found[2, 2] == pytest.approx(1.0)
    assert all(min(abs(value), abs(value - 1)) < 1e-6 for value in found.values())


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", TIES)
def test_no_component_beside_a_wrong_one_is_called_wrong(name: str, factor: float) -> None:
    f, jac, at = TIES[name]
    row = 1 if name == "sorted" else 0
    exact = jac(at)[row]
    report = check_gradients(lambda x: f(x)[row], lambda x: factor * jac(x)[row], at)
    wrong = {c.index[0]: c.numerical for c in report.components if c.verdict == "bug"}
    every = {k: pytest.approx(exact[k]) for k in np.flatnonzero(exact).tolist()}
    assert wrong
    assert wrong == {k: every[k] for k in (wrong if may_be_right(name, factor) else every)}


def test_a_row_with_a_wrong_entry_is_no_subgradient_in_the_warnings() -> None:
    f, jac, at = opposite()
    report = check_gradients.jacobian(f, with_factor(jac, [0], 1.1), at)
    said = [finding.message for finding in report.findings if finding.code == "kink"]
    assert len(said) == 1
    assert "the row is no subgradient" in said[0]
