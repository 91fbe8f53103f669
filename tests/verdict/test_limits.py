"""Limits of gradients beside a point: the ways that lead away from it, and how far."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.verdict.kinks.limits import Limits, nudges
from pytest_gradcheck.verdict.kinks.refuting import Refuted

Array = npt.NDArray[np.float64]

QUIET = Noise(level=1e-16, magnitude=1.0, rise=1.0, moved=True)


class Known:
    """A pair whose cost and gradient are known, at a theta in place."""

    def __init__(self, theta: Theta) -> None:
        self.theta = theta

    def prober(self) -> Callable[[], float]:
        return lambda: 0.0

    def gradient_after_cost(self) -> Array:
        return np.ones(self.theta.base.size)


@pytest.mark.parametrize(("size", "units"), [(3, 100), (25, 100), (1000, 4000)])
def test_arrays_of_float32_are_nudged_by_a_few_units_for_each_component(
    size: int, units: int
) -> None:
    theta = Theta(np.ones(size, np.float32), inplace=True)
    limits = Limits(Known(theta), np.ones(size), QUIET, 1e-5)
    unit = float(np.finfo(np.float32).eps)
    assert limits.near == pytest.approx(units * unit)
    assert limits.away == pytest.approx(max(1e-3, 100 * units * unit))


def test_the_first_nudges_take_all_components_down_or_up_the_last_the_furthest() -> None:
    theta = Theta({"W": np.ones((2, 3)), "b": np.ones(2)})
    down, up, _, _, down_biased, up_biased = itertools.islice(nudges(theta, np.full(8, 2.0)), 6)
    np.testing.assert_allclose(down, -1 - 2 * np.arange(8) / 8)
    np.testing.assert_allclose(up, -down)
    light = np.array([1e-3] * 6 + [1.0] * 2)
    np.testing.assert_allclose(down_biased, light * down)
    np.testing.assert_allclose(up_biased, light * up)


def test_the_seventh_and_eighth_nudge_take_the_first_component_the_furthest() -> None:
    falling, rising = itertools.islice(nudges(Theta(np.ones(4)), np.full(4, 2.0)), 6, 8)
    np.testing.assert_allclose(falling, [3.0, 2.5, 2.0, 1.5])
    np.testing.assert_allclose(rising, -falling)


@pytest.mark.parametrize(("change", "is_same"), [(0.9e-5, True), (1.1e-5, False)])
def test_gradients_change_by_a_hundred_of_their_sizes_in_a_length_without_a_kink(
    change: float, is_same: bool
) -> None:
    # The nudge has a ten millionth of the length, which is 4.
    theta = Theta(np.full(3, 4.0))
    limit = Limits(Known(theta), np.full(3, 1 + change), QUIET, 1e-9).along(np.full(3, 4.0))
    assert limit is not None
    assert limit.same.tolist() == [is_same] * 3


# Components that are wrong beside a kink


class Beside:
    """A linear cost with slope 1 everywhere that counts its calls, and what refutes gradients."""

    def __init__(self, count: int) -> None:
        self.theta = Theta(np.zeros(count))
        self.calls = 0
        self.refuted = Refuted(np.ones(count), QUIET)
        self._evaluator = SerialEvaluator(self._cost, self.theta, 0.0)

    def _cost(self) -> float:
        self.calls += 1
        return float(np.sum(self.theta.tree))

    def promising(self, gradient: Array) -> list[int]:
        """Return the components that are not shown to be wrong."""
        numbers = np.arange(gradient.size)
        found: list[int] = self.refuted.others(self._evaluator, gradient, numbers, 1e-3).tolist()
        return found


def test_components_that_were_all_wrong_are_refuted_again_in_two_questions() -> None:
    beside = Beside(20)
    assert beside.promising(np.full(20, 2.0)) == []
    assert beside.calls == 40
    assert beside.promising(np.full(20, 2.0)) == []
    assert beside.calls == 44


@pytest.mark.parametrize("right", [[7], list(range(20))])
def test_a_component_that_turned_right_is_found_in_its_group(right: list[int]) -> None:
    beside = Beside(20)
    beside.promising(np.full(20, 2.0))
    gradient = np.full(20, 2.0)
    gradient[right] = 1.0
    assert beside.promising(gradient) == right
