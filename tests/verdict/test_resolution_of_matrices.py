"""What a probed Jacobian states as its resolution: faults of twice that are seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]

SEEDS = 60


class Case(NamedTuple):
    """Some outputs, their Jacobian, and the point of the check."""

    outputs: Callable[[Array], Array]
    jacobian: Callable[[Array], Array]
    x: Array


def curved(rng: np.random.Generator) -> Case:
    """Return outputs of sizes over three decades beside an offset that rounds them."""
    m, n = int(rng.integers(2, 12)), int(rng.integers(20, 120))
    A, B, C = rng.normal(size=(3, m, n))
    sizes, offset = 10 ** rng.uniform(-3, 0, m), 10 ** rng.uniform(0, 5)
    return Case(
        lambda x: sizes * (A @ np.sin(x) + C @ x**3 + 0.3 * (B @ x) ** 2) + offset,
        lambda x: sizes[:, None] * (A * np.cos(x) + 3 * C * x**2 + 0.6 * (B @ x)[:, None] * B),
        rng.normal(size=n),
    )


def layer(rng: np.random.Generator, offset: float = 0.0, kind: type = float) -> Case:
    """Return outputs of a layer of ReLUs, whose kinks are near."""
    h, d, m, count = (
        int(rng.integers(low, high)) for low, high in ((5, 60), (3, 12), (2, 8), (1, 20))
    )
    X, V = rng.normal(size=(d, count)), rng.normal(size=(m, h)) / h

    def outputs(w: Array) -> Array:
        A = np.maximum(w.reshape(h, d).astype(kind) @ X.astype(kind), 0)
        return np.asarray((V.astype(kind) @ A).mean(axis=1) + kind(offset), np.float64)

    def jacobian(w: Array) -> Array:
        on = w.reshape(h, d) @ X > 0
        return np.asarray(np.einsum("mh,hn,dn->mhd", V, on, X) / count).reshape(m, h * d)

    return Case(outputs, jacobian, rng.normal(size=h * d))


CASES: dict[str, Callable[[np.random.Generator], Case]] = {
    "curved": curved,
    "ReLU": layer,
    "ReLU beside an offset": lambda rng: layer(rng, 1e3),
}


def probed(case: Case, matrix: Array) -> Report:
    return check_gradients.jacobian(case.outputs, lambda x: matrix, case.x, mode="probe", seed=0)


@pytest.mark.parametrize("name", CASES)
def test_no_fault_of_twice_the_resolution_passes_in_an_entry_of_usual_size(name: str) -> None:
    passed, calls = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, 7])
        case = CASES[name](rng)
        right = case.jacobian(case.x)
        report = probed(case, right)
        assert report.passed
        calls.append(report.evaluations)
        row = int(rng.integers(len(right)))
        resolution = report.points[0].outputs[row].resolution
        usual = np.sqrt(np.mean(right[row] ** 2))
        column = int(np.argmin(np.abs(np.abs(right[row]) - usual)))
        wrong = right.copy()
        if resolution < 0.4:
            wrong[row, column] *= (1 + 2 * resolution) / (1 - 2 * resolution)
            passed += [seed] if probed(case, wrong).passed else []
    assert not passed
    assert np.median(calls) <= 36


@pytest.mark.parametrize("grain", [1e-8, 1e-7, 1e-6, 1e-5])
def test_no_entry_that_passes_is_off_by_more_than_the_resolution(grain: float) -> None:
    """Outputs that move in steps, with entries over six decades: noise hides the small ones."""
    passed = 0
    for seed in range(20):
        rng = np.random.default_rng([seed, 5])
        A = rng.normal(size=(3, 4)) * 10 ** rng.uniform(-6, 0, (3, 4))
        x, (row, column) = rng.normal(size=4), (int(rng.integers(3)), int(rng.integers(4)))
        right = np.cos(A @ x)[:, None] * A
        wrong = right.copy()
        wrong[row, column] *= rng.choice([1.2, 3.0, -1.0, 0.1])

        def outputs(y: Array, A: Array = A) -> Array:
            return np.asarray(grain * np.round(np.sin(A @ y) / grain))

        report = check_gradients.jacobian(outputs, lambda _, J=wrong: J, x)
        if report.passed:
            passed += 1
            exact, given = right[row, column], wrong[row, column]
            stated = report.points[0].outputs[row].resolution
            assert abs(exact - given) / (abs(exact) + abs(given)) <= 1.01 * stated
        assert all(output.resolution <= 1 for output in report.points[0].outputs)
    assert passed > 0
