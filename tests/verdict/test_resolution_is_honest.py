"""The resolution that is stated: no fault beyond it passes, at kinks, in noise, beside others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, Settings, check_gradients
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.verdict.judge import judge

Array = npt.NDArray[np.float64]


def resolution(
    value: float,
    bar: float,
    gradient: float,
    sides: tuple[float, float] | None = None,
    level: float = 1e-16,
    size: float = 1.0,
) -> float:
    """Return the resolution of one component of some size, beside healthy ones."""
    approximation = Approximation(
        np.array([value, 1.0, 1.0]),
        np.array([bar, 0.0, 0.0]),
        np.array([Kind.SMOOTH if sides is None else Kind.KINK, 0, 0], np.int8),
        slice(0, 3),
        {} if sides is None else {0: sides},
        noise=Noise(level, 1.0, 1.0, True),
    )
    theta = Theta(np.full(3, size))
    found = judge(approximation, np.array([gradient, 1.0, 1.0]), theta, Settings())
    return float(found.resolutions[0])


def error(one: float, other: float) -> float:
    return abs(one - other) / (abs(one) + abs(other))


# --- error bars ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.0, -3e-7, 2e9])
@pytest.mark.parametrize("part", [1e-4, 2e-3, 0.1, 0.5, 0.9])
def test_two_slopes_within_an_error_bar_differ_by_the_resolution_at_most(
    value: float, part: float
) -> None:
    bar = part * abs(value)
    ends = value - bar, value + bar
    for gradient in (*ends, value):
        stated = resolution(value, bar, gradient)
        assert error(*ends) <= stated * (1 + 2 * min(part, 1e-3))


@pytest.mark.parametrize("gradient", [1e-3, 0.3, -0.2, 0.0])
@pytest.mark.parametrize("value", [0.0, 0.2, -0.2])
def test_an_error_bar_wider_than_its_slope_hides_any_error(value: float, gradient: float) -> None:
    assert resolution(value, 0.5, gradient) == 1.0


@pytest.mark.parametrize(("value", "bar"), [(math.nan, math.inf), (1.0, math.inf), (math.nan, 0.1)])
def test_nothing_is_resolved_where_nothing_is_known(value: float, bar: float) -> None:
    assert resolution(value, bar, 1.0) == 1.0


def test_two_zeros_without_an_error_bar_are_known_exactly() -> None:
    assert resolution(0.0, 0.0, 0.0) == 1e-5


# --- kinks -----------------------------------------------------------------------------------


def test_a_kink_that_stands_at_the_point_has_the_resolution_of_its_slopes() -> None:
    assert resolution(0.5, 1e-9, 0.5, (0.0, 1.0)) == 1e-5


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e5])
def test_all_slopes_pass_of_a_kink_whose_place_noise_hides(size: float) -> None:
    sides = (2 / size, 3 / size)
    for gradient in sides:
        stated = resolution(gradient, 1e-6 / size, gradient, sides, 1e-7, size)
        assert stated == pytest.approx(0.2, rel=1e-5)
    assert resolution(sides[0], 0.0, sides[0], (-1 / size, 2 / size), 1e-7, size) == 1.0


def test_a_gradient_beyond_both_slopes_of_a_hidden_kink_counts_with_them() -> None:
    assert resolution(6.0, 0.0, 6.0, (2.0, 3.0), 1e-7) == pytest.approx(0.5)


def hinges(grain: float, at: Array, weights: Array) -> Callable[[Array], float]:
    """Return a cost with a kink in each component that moves in steps of `grain`."""

    def cost(x: Array) -> float:
        exact = float(weights @ np.abs(x - at) + 2 * weights @ x)
        return grain * round(exact / grain) + float(np.sum(np.sin(x)))

    return cost


def largest_error(exact: Array, given: Array) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.nanmax(np.abs(exact - given) / (np.abs(exact) + np.abs(given))))


@pytest.mark.parametrize("grain", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_no_mask_that_is_forgotten_beside_a_kink_in_noise_exceeds_the_resolution(
    grain: float, scale: float
) -> None:
    """The nearer the kink, the less noise lets anybody see on which of its sides theta is."""
    passed = 0
    for number, away in enumerate(np.geomspace(1e-9, 1e-1, 17)):
        rng = np.random.default_rng([number, 11])
        x, weights = rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, 4)
        at = x - away * x * np.array([1, -1, 500, -700])
        right = weights * np.sign(x - at) + 2 * weights + np.cos(x)
        wrong = right - 2 * weights * np.sign(x - at) * (np.arange(4) == number % 2)
        cost = hinges(scale * grain, at, scale * weights)
        given = scale * (wrong - np.cos(x)) + np.cos(x)
        exact = scale * (right - np.cos(x)) + np.cos(x)
        report = check_gradients(cost, lambda _, g=given: g, x)
        if report.passed:
            passed += 1
            assert largest_error(exact, given) <= 1.01 * report.parameters[0].resolution
    assert passed > 0


# --- beside others ---------------------------------------------------------------------------


def stairs(grain: float, weights: Array, shift: Array) -> Report:
    """Check a cost that moves in steps, of slopes that spread; its gradient is off by `shift`."""
    x = np.random.default_rng(3).uniform(0.5, 1, weights.size)

    def cost(x: Array) -> float:
        return grain * round(float(weights @ np.sin(x)) / grain)

    return check_gradients(cost, lambda _: weights * np.cos(x) + shift, x)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("grain", [1e-8, 1e-6, 1e-4])
def test_a_small_slope_that_is_not_zero_is_not_resolved_beside_large_ones(
    unit: float, grain: float
) -> None:
    """Noise hides all of it, and it is neither 0 nor wrong beside the others."""
    weights = unit * np.array([3.0, -2.0, 1.5, grain])
    for shift in (0.0, 0.5, -0.9, 2.0):
        report = stairs(unit * grain, weights, shift * weights * np.array([0, 0, 0, 1]))
        assert report.passed
        assert report.parameters[0].resolution == 1.0


def test_a_zero_is_resolved_beside_others() -> None:
    """A unit that is off, say: no error of 0 is relative to anything else."""
    weights = np.array([3.0, -2.0, 1.5, 0.0])
    report = stairs(1e-8, weights, np.zeros(4))
    assert report.passed
    assert report.parameters[0].resolution < 1e-2
