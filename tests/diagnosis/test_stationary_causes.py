"""Causes at stationary points, where only how the gradients change nearby tells them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Finding, Report, check_gradients

Array = npt.NDArray[np.float64]

RNG = np.random.default_rng(29)
HERE = RNG.normal(size=(3, 3))


def slope(x: Array) -> Array:
    return np.asarray(np.cos(x) + 0.9 * x**2)


FLAT = slope(HERE)  # a plane with the slopes at HERE, taken off, leaves a stationary point


def spoiled(fault: Callable[[Array], Array], plane: Array = FLAT) -> Report:
    def cost(x: Array) -> float:
        return float(np.sum(np.sin(x) + 0.3 * x**3) - np.sum(FLAT * x))

    return check_gradients(cost, lambda x: fault(slope(x)) - plane, HERE)


def causes(report: Report) -> list[Finding]:
    return [f for f in report.findings if f.severity == "cause" and f.code != "line"]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (lambda g: 3.0 * g, "scale", "3.000 x the numerical gradient"),
        (lambda g: -g, "sign", "-1.000 x the numerical gradient"),
        (lambda g: 0 * g, "zero", "0 throughout"),
        (lambda g: g.T, "transposed", "the numerical gradient transposed"),
        (lambda g: np.roll(g, 1, axis=1), "shifted", "shifted by 1 along axis 1"),
    ],
)
def test_a_fault_shows_in_how_the_gradient_changes(
    fault: Callable[[Array], Array], code: str, said: str
) -> None:
    (found,) = causes(spoiled(fault))
    assert found.code == code
    assert found.message.startswith("theta should be 0 here, and changes nearby by ")
    assert said in found.message


def test_a_term_that_does_not_change_is_reported_as_a_constant() -> None:
    (found,) = causes(spoiled(np.copy, plane=0.9 * FLAT))
    assert found.code == "offset"
    assert "as much as the numerical gradient" in found.message


def test_errors_at_random_have_no_cause_at_a_stationary_point() -> None:
    noise = RNG.uniform(0.3, 3.0, size=(3, 3))
    report = spoiled(lambda g: noise * g)
    assert not report.passed
    assert causes(report) == []


def test_theta_stands_where_it_stood_after_the_look_nearby() -> None:
    x = HERE.copy()

    def cost() -> float:
        return float(np.sum(np.sin(x) + 0.3 * x**3) - np.sum(FLAT * x))

    report = check_gradients(cost, lambda: 3.0 * slope(x) - FLAT, x, inplace=True)
    assert report.findings[0].code == "scale"
    np.testing.assert_array_equal(x, HERE)


def test_a_cost_that_is_even_here_depends_on_its_parameters() -> None:
    """Its two sides are alike at an extremum: that is no sign of a parameter without a use."""
    report = check_gradients(
        lambda x: float(np.sum(np.cosh(x - HERE) - 1)), lambda x: np.sinh(x - HERE) + HERE, HERE
    )
    assert "unused" not in [found.code for found in causes(report)]


@pytest.mark.parametrize("size", [1e7, 1e9])
def test_a_slope_that_a_gross_error_hides_is_no_stationary_point(size: float) -> None:
    report = check_gradients(
        lambda x: float(np.sum(x**2)), lambda x: np.full(x.shape, size), np.array([3.0, 2.0])
    )
    assert "should be 0 here" not in " ".join(found.message for found in causes(report))
