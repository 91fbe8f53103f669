"""Causes that hang on digits: single numbers, rounded and float32 costs, small parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.diagnosis.sharper import Slopes, at_some_reach, extrapolated
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.noise.lines import cost_noise
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]

RNG = np.random.default_rng(73)
VECTOR = RNG.normal(size=6)


def slope(x: Array) -> Array:
    return np.asarray(np.cos(x) + 0.9 * x**2)


def spoiled(
    x: Any, fault: Callable[[Any], Any], rounded: Callable[[float], float] = float
) -> Report:
    """Check a smooth cost, its value rounded somehow, with its gradient changed by something."""

    def cost(x: Array) -> float:
        return rounded(float(np.sum(np.sin(x) + 0.3 * x**3)))

    return check_gradients(cost, lambda x: fault(slope(x)), x)


def causes(report: Report) -> list[tuple[Any, ...]]:
    return [(f.code, f.factor) for f in report.findings if f.severity == "cause"]


@pytest.mark.parametrize("factor", [1.01, 0.97, 2.0, 10.0, 0.25, 1 / 3])
def test_a_single_number_tells_a_factor_of_few_digits(factor: float) -> None:
    (found,) = causes(spoiled(np.array([0.7391204]), lambda g: factor * g))
    assert found == ("scale", pytest.approx(factor, rel=1e-7))


@pytest.mark.parametrize("factor", [1.0123, 0.97001, 2.0001, 0.3331])
def test_a_single_number_tells_no_factor_of_more_digits(factor: float) -> None:
    assert causes(spoiled(np.array([0.7391204]), lambda g: factor * g)) == []


def test_between_round_numbers_a_round_factor_is_chance() -> None:
    def cost(x: Array) -> float:
        return float(np.sum(x**2))

    assert causes(check_gradients(cost, lambda x: 3.0 * x, np.array([2.0]))) == []
    assert causes(check_gradients(cost, lambda x: 3.0 * x, np.array([1.25]))) == []


def test_in_a_cost_of_few_decimals_a_turned_sign_is_reported() -> None:
    report = spoiled(VECTOR, np.negative, lambda value: round(value, 4))
    assert causes(report) == [("sign", -1.0)]


def test_in_float32_a_factor_of_single_numbers_is_reported() -> None:
    report = spoiled(VECTOR[:2], lambda g: 8 * g, lambda value: float(np.float32(value)))
    assert causes(report) == [("scale", pytest.approx(8.0, rel=1e-3))]


def test_entries_in_an_order_without_a_name_are_reported() -> None:
    x = np.repeat(RNG.normal(size=(4, 4)), 2, axis=1)  # pairs, exchanged as a square of pairs
    pairs = np.arange(32).reshape(4, 4, 2).transpose(1, 0, 2).reshape(-1)
    report = spoiled(x, lambda g: g.reshape(-1)[pairs].reshape(4, 8))
    (found,) = (f for f in report.findings if f.severity == "cause")
    assert found.code == "shifted"
    assert "with its entries in another order" in found.message


def test_a_sign_among_values_of_both_signs_is_no_other_order() -> None:
    x = np.concatenate([VECTOR[:6], [1.0, -1.0, 0.7, -0.7, 0.4, -0.4]])
    report = spoiled(x, lambda g: g * np.where(np.arange(12) < 6, 1.0, -1.0))
    assert "in another order" not in " ".join(f.message for f in report.findings)


def test_slices_that_are_alike_do_not_hide_their_order() -> None:
    x = np.repeat(RNG.normal(size=(2, 2)), 2, axis=1)
    report = spoiled(x, lambda g: g[:, [2, 3, 0, 1]])
    (found,) = (f for f in report.findings if f.severity == "cause")
    assert found.code == "shifted"


def test_the_one_wrong_entry_of_three_is_reported() -> None:
    report = spoiled(VECTOR[:3], lambda g: g + np.array([0.0, 0.2317, 0.0]))
    (found,) = (f for f in report.findings if f.severity == "cause")
    assert (found.code, "only in theta[1]" in found.message) == ("partial", True)


def test_what_is_sound_beside_a_gross_error_counts_as_right() -> None:
    wrong = np.array([1.0, 1.0, 2.9137, 1.0, 1.0, 1.0])
    report = spoiled(VECTOR, lambda g: wrong * g, lambda value: round(value, 4))
    assert {c.name for c in report.components if c.verdict == "bug"} == {"theta[2]"}
    assert {c.verdict for c in report.components} == {"bug", "inconclusive"}
    assert causes(report)[0][0] == "partial"


def test_extrapolated_slopes_are_within_their_narrow_bars() -> None:
    theta = Theta(VECTOR.copy())

    def cost() -> float:
        (parameter,) = theta.parameters
        x = np.asarray(theta.cells(parameter)[:], np.float64)
        return float(np.sum(np.sin(x) + 0.3 * x**3))

    evaluator = SerialEvaluator(cost, theta, cost())
    places = np.arange(6)
    found = extrapolated(evaluator, places, np.ones(6), cost_noise(evaluator, 0))
    assert np.all(np.abs(found.values - slope(VECTOR)) <= found.bars)
    assert found.bars.max() <= 1e-8


def test_where_a_cost_bends_soon_slopes_come_from_shorter_steps() -> None:
    """A component may be large beside the length at which the cost bends."""
    theta = Theta(VECTOR.copy())
    bends = np.array([1.0, 0.3, 0.03, 0.01, 3e-3, 1e-3])

    def cost() -> float:
        (parameter,) = theta.parameters
        x = np.asarray(theta.cells(parameter)[:], np.float64)
        return float(np.sum(np.sin(x[:6] / bends)))

    evaluator = SerialEvaluator(cost, theta, cost())
    noise = cost_noise(evaluator, 0)
    exact = np.cos(VECTOR[:6] / bends) / bends
    known = Slopes(exact * (1 + 1e-5), 1e-4 / bends)
    found = at_some_reach(evaluator, np.arange(6), np.ones(6), noise, known)
    assert np.all(np.abs(found.values - exact) <= found.bars)
    assert np.all(found.bars < known.bars)
