"""Kinks of many outputs: which entries of a Jacobian are limits of right ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import check_gradients

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]


def maxima(last: bool, factor: float = 1.0) -> tuple[Function, Function, Array]:
    """Return maxima of either sign at equal numbers, and a smooth output beside them."""

    def f(x: Array) -> Array:
        return np.array([max(x[0], x[1]) - 3 * max(x[1], x[2]), x @ x + x[0]])

    def jac(x: Array) -> Array:
        result = np.zeros((2, 3))
        for weight, i in ((1.0, 0), (-3.0, 1)):
            first = x[i] > x[i + 1] if last else x[i] >= x[i + 1]
            result[0, i if first else i + 1] += weight
        result[1] = 2 * x + np.array([1.0, 0.0, 0.0])
        return factor * result

    return f, jac, np.zeros(3)


def units(at_zero: float, factor: float = 1.0) -> tuple[Function, Function, Array]:
    """Return differences of units, some of which stand at 0."""
    W = np.round(np.random.default_rng(0).normal(size=(5, 4)))

    def f(x: Array) -> Array:
        return np.asarray(np.maximum(W @ x, 0) - 0.5 * np.maximum(W[::-1] @ x, 0))

    def slope(z: Array) -> Array:
        return np.where(z == 0, at_zero, z > 0)[:, None]

    def jac(x: Array) -> Array:
        return np.asarray(factor * (W * slope(W @ x) - 0.5 * W[::-1] * slope(W[::-1] @ x)))

    return f, jac, np.array([1.0, -1.0, 1.0, 0.0])


def ordered(factor: float = 1.0) -> tuple[Function, Function, Array]:
    """Return differences of sorted numbers, some of them equal."""

    def f(x: Array) -> Array:
        return np.diff(np.sort(x)) * [1.0, -2.0, 3.0, -1.0]

    def jac(x: Array) -> Array:
        rows = np.eye(5)[np.argsort(x, kind="stable")]
        return np.asarray(
            factor * np.diff(rows, axis=0) * np.array([1.0, -2.0, 3.0, -1.0])[:, None]
        )

    return f, jac, np.array([1.0, 0.0, 1.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "pair", [maxima(False), maxima(True), units(0.0), units(1.0), ordered()], ids=range(5)
)
def test_entries_that_are_limits_of_right_ones_pass(
    pair: tuple[Function, Function, Array],
) -> None:
    report = check_gradients.jacobian(*pair)
    assert (report.passed, report.verdict) == (True, "kink")


@pytest.mark.parametrize(
    "pair",
    [maxima(False, 1.1), maxima(True, -1.0), units(0.0, 1.2), units(2.0), ordered(0.9)],
    ids=range(5),
)
def test_wrong_entries_are_found_at_kinks(pair: tuple[Function, Function, Array]) -> None:
    assert check_gradients.jacobian(*pair).verdict == "bug"


def test_wrong_entries_of_smooth_outputs_cost_no_further_calls_of_the_function() -> None:
    x = np.linspace(0.3, 0.7, 6)
    calls: list[int] = []

    def f(x: Array) -> Array:
        calls.append(1)
        return np.sin(np.outer(x, x)).ravel()

    def jac(x: Array) -> Array:
        slopes, n = np.cos(np.outer(x, x)), x.size
        result = np.zeros((n, n, n))
        for i in range(n):
            for j in range(n):
                result[i, j, i] += slopes[i, j] * x[j]
                result[i, j, j] += slopes[i, j] * x[i]
        return result.reshape(n * n, n)

    assert check_gradients.jacobian(f, jac, x).passed
    passing = len(calls)
    assert not check_gradients.jacobian(f, lambda x: 1.01 * jac(x), x).passed
    assert len(calls) - passing < 40 * x.size
