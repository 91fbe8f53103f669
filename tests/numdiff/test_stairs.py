"""Costs whose slope nearby is that of a tread: a factor of them rounds, and is multiplied."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.numdiff.jacobian import slopes
from pytest_gradcheck.numdiff.noise.measuring import measure_stairs
from pytest_gradcheck.verdict import comparison

Array = npt.NDArray[np.float64]


class Unit(NamedTuple):
    """A function of each number, and its derivative, which does not cancel."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


ROOT = math.sqrt(2 / math.pi)
erf, erfc = (np.vectorize(function, otypes=[float]) for function in (math.erf, math.erfc))


def inner(x: Array) -> Array:
    return np.asarray(ROOT * (x + 0.044715 * x**3))


UNITS = {
    "x (1 + tanh x)": Unit(
        lambda x: x * (1 + np.tanh(x)),
        lambda x: 2 / (1 + np.exp(-2 * x)) + x / np.cosh(x) ** 2,
    ),
    "GELU": Unit(
        lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
        lambda x: 0.5 * erfc(-x / math.sqrt(2)) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "GELU by tanh": Unit(
        lambda x: 0.5 * x * (1 + np.tanh(inner(x))),
        lambda x: (
            1 / (1 + np.exp(-2 * inner(x)))
            + 0.5 * x / np.cosh(inner(x)) ** 2 * ROOT * (1 + 3 * 0.044715 * x * x)
        ),
    ),
    "1 - a logistic": Unit(
        lambda x: x**2 * (1 - 1 / (1 + np.exp(x))),
        lambda x: 2 * x / (1 + np.exp(-x)) + x**2 * np.exp(-x) / (1 + np.exp(-x)) ** 2,
    ),
}


def drawn(seed: int) -> tuple[Array, Array]:
    """Return numbers at which the units are saturated, and weights."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-12, -2, 6), 10 * rng.normal(size=6)


def matrix(unit: Unit, seed: int, factor: float = 1.0) -> Report:
    x, weights = drawn(seed)
    return check_gradients.jacobian(
        lambda x: weights * unit.value(x),
        lambda x: np.diag(factor * weights * unit.slope(x)),
        x,
        seed=seed,
    )


def single(unit: Unit, seed: int, factor: float = 1.0) -> Report:
    x, weights = drawn(seed)
    return check_gradients(
        lambda x: float(weights[0] * unit.value(x)[0]),
        lambda x: factor * weights[0] * unit.slope(x),
        x[:1],
        seed=seed,
    )


def added(unit: Unit, seed: int, factor: float = 1.0) -> Report:
    x, weights = drawn(seed)
    return check_gradients(
        lambda x: float(weights @ unit.value(x)),
        lambda x: factor * weights * unit.slope(x),
        x,
        seed=seed,
    )


@pytest.mark.parametrize("check", [matrix, single, added])
@pytest.mark.parametrize("name", UNITS)
def test_slopes_of_treads_are_not_taken_for_derivatives(
    name: str, check: Callable[[Unit, int], Report]
) -> None:
    reports = [check(UNITS[name], seed) for seed in range(40)]
    worst = {c.verdict for report in reports for c in report.components}
    assert worst <= {"inconclusive"}


@pytest.mark.parametrize("check", [matrix, single, added])
@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("factor", [1.5, -1.0])
def test_a_fault_on_a_stair_passes_within_the_resolution_alone(
    name: str, factor: float, check: Callable[[Unit, int, float], Report]
) -> None:
    error = min(1.0, abs(factor - 1) / (1 + abs(factor)))
    failed = 0
    for seed in range(12):
        report = check(UNITS[name], seed, factor)
        failed += not report.passed
        if report.passed:
            assert report.parameters[0].resolution >= 0.99 * error
    assert failed > 6


@pytest.mark.parametrize("width", [1e-6, 1e-4, 5e-3])
def test_a_stair_of_sloping_treads_has_the_noise_of_its_steps(width: float) -> None:
    def cost(t: float) -> float:
        return (3 + t) * round((1 + t) / width)

    level = measure_stairs(lambda row: [cost(t) for t in row], cost(0.0), 0.0)
    assert 0.3 < level < 3  # steps are 3


@pytest.mark.parametrize(
    "cost",
    [
        lambda t: math.exp(3 * t),
        lambda t: abs(t - 1e-3) + t,
        lambda t: t + (t > 2e-3),
        lambda t: t + 1e-9 * math.sin(1e4 * t),
    ],
    ids=["smooth", "a kink", "one jump", "a ripple"],
)
def test_what_is_no_stair_has_none_of_its_noise(cost: Callable[[float], float]) -> None:
    assert measure_stairs(lambda row: [cost(t) for t in row], cost(0.0), 1e-16) == 0


@pytest.mark.parametrize(("bend", "most"), [(0.0, 2), (1.0, 6)])
def test_a_wrong_jacobian_that_climbs_no_stair_takes_a_pair_of_calls_more_or_three(
    bend: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one distance for all wrong entries together where it is a line, else at three."""
    weights = np.random.default_rng(0).normal(size=(30, 40))

    def check() -> Report:
        return check_gradients.jacobian(
            lambda x: weights @ x + bend * np.sin(9 * weights @ x),
            lambda x: 3 * (1 + 9 * bend * np.cos(9 * weights @ x)[:, None]) * weights,
            np.linspace(-1, 1, 40) / 9,
            locate=False,
        )

    report = check()
    monkeypatch.setattr(slopes, "stairs_among", lambda *_: ())
    assert report.verdict == "bug"
    assert 2 <= report.evaluations - check().evaluations <= most


def test_a_wrong_gradient_that_climbs_no_stair_takes_six_calls_more_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check() -> Report:
        x = np.linspace(0.1, 1.0, 40)
        return check_gradients(
            lambda x: float(np.sum(np.sin(3 * x))), lambda x: 6 * np.cos(3 * x), x, locate=False
        )

    report = check()
    monkeypatch.setattr(comparison, "approximated_on_stairs", lambda _, same, *rest: same)
    assert report.verdict == "bug"
    assert 2 <= report.evaluations - check().evaluations <= 6
