"""The slope along a line: its value, its error bar, and what is no slope."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck.numdiff.ladder import (
    DECAY,
    EPSILON,
    Kind,
    Line,
    Slope,
    _falls,
    _Ladder,
    climb,
)

SUSPECT = 1e-5
FIXED = tried(200)


@dataclass
class Walk:
    """A function of one number, the place to stand, and the distances that a ladder asks for."""

    function: Callable[[float], float]
    x: float = 1.0
    length: float = 1.0
    noise: float = 0.0
    asked: list[float] = field(default_factory=list)

    def at(self, distance: float) -> tuple[float, float]:
        self.asked.append(distance)
        moved = (self.x + distance) - self.x
        return moved, self.function(self.x + distance)

    def slope(self, analytic: float) -> Slope:
        """Climb from the step that the first pass takes."""
        here = self.function(self.x)
        noise = self.noise or EPSILON * max(abs(here), 1.0)
        relative = min(noise / max(abs(here), 1.0), 1e-3)
        least = 8 * (float(np.spacing(abs(self.x))) if self.x else 1e-17)
        step = float(np.cbrt(relative)) * self.length
        line = Line(self.at, here, step, self.length, least)
        return climb(line, analytic, noise, 1e-3 * 2 * abs(analytic), SUSPECT)


SMOOTH: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "exp": (math.exp, math.exp),
    "sin": (math.sin, math.cos),
    "log": (math.log, lambda x: 1 / x),
    "sqrt": (math.sqrt, lambda x: 0.5 / math.sqrt(x)),
    "tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "x**3": (lambda x: x**3, lambda x: 3 * x**2),
    "x": (lambda x: x, lambda x: 1.0),
}


@pytest.mark.parametrize("fault", [0.0, 0.01, 2.0, -1.0])
@pytest.mark.parametrize("x", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("name", SMOOTH)
def test_slope_of_a_smooth_function_lies_within_its_error_bar(
    name: str, x: float, fault: float
) -> None:
    function, derivative = SMOOTH[name]
    true = derivative(x)
    slope = Walk(function, x, x).slope(true * (1 + fault))
    assert slope.kind == Kind.SMOOTH
    assert abs(slope.value - true) <= slope.error_bar + EPSILON * abs(true)
    assert slope.error_bar <= 1e-3 * abs(true)


@FIXED
@given(
    name=st.sampled_from(sorted(SMOOTH)),
    scale=st.floats(-6, 6),
    x=st.floats(0.1, 3),
    rate=st.floats(-1, 1),
)
def test_error_bar_holds_the_true_slope_at_every_scale(
    name: str, scale: float, x: float, rate: float
) -> None:
    function, derivative = SMOOTH[name]
    unit, k = 10.0**scale, 10.0**rate
    place = x * unit
    true = k / unit * derivative(k * (place / unit))
    noise = EPSILON * max(1.0, abs(function(k * x)), abs(derivative(k * x)) * k * x)
    slope = Walk(lambda t: function(k * (t / unit)), place, place, noise).slope(1.5 * true)
    assert abs(slope.value - true) <= slope.error_bar + 1e-14 * abs(true)


@FIXED
@given(seed=st.integers(0, 10**6), level=st.sampled_from([1e-12, 1e-9, 1e-6]))
def test_error_bar_holds_the_true_slope_through_noise(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 2)
    slope = Walk(lambda t: math.exp(t) + level * rng.normal(), x, x, level).slope(math.exp(x))
    assert abs(slope.value - math.exp(x)) <= slope.error_bar


def test_the_distance_that_was_really_moved_counts() -> None:
    # A storage in float32 moves by something else than it is asked to.
    def at(distance: float) -> tuple[float, float]:
        moved = float(np.float32(1 + distance)) - 1.0
        return moved, math.exp(1 + moved)

    line = Line(at, math.e, 6e-6, 1.0, 8 * float(np.spacing(np.float32(1))))
    slope = climb(line, 1.001 * math.e, EPSILON * math.e, 5e-3, SUSPECT)
    assert abs(slope.value - math.e) <= slope.error_bar < 1e-3


@pytest.mark.parametrize("fault", [1.0, 1.5, -1.0, 0.0])
def test_no_step_leaves_the_bounds_of_the_line(fault: float) -> None:
    walk = Walk(lambda x: math.sin(1e3 * x), 2.0, 2.0)
    walk.slope(fault * 1e3 * math.cos(2e3))
    smallest = min(abs(distance) for distance in walk.asked)
    assert 8 * np.spacing(2.0) <= smallest
    assert max(abs(distance) for distance in walk.asked) <= 2.0


@pytest.mark.parametrize("fault", [2.0, -1.0, 0.5, 1.01])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_wrong_gradient_of_a_smooth_function_costs_a_dozen_calls(name: str, fault: float) -> None:
    function, derivative = SMOOTH[name]
    walk = Walk(function)
    walk.slope(fault * derivative(1.0))
    assert len(walk.asked) <= 12


@pytest.mark.parametrize(
    "function",
    [
        abs,
        lambda x: max(x, 0.0),
        lambda x: math.sqrt(abs(x)),
        lambda x: abs(x) ** 1.5,
        lambda x: float(x > 0),
        lambda x: x * math.sin(1 / x) if x else 0.0,
    ],
    ids=["abs", "relu", "root", "power", "step", "wiggle"],
)
def test_the_hardest_place_costs_a_hundred_calls_at_most(
    function: Callable[[float], float],
) -> None:
    for analytic in (0.0, 0.3, 5.0):
        walk = Walk(lambda x: function(x) + x, 0.0)
        walk.slope(analytic)
        assert len(walk.asked) <= 100


# Kinks


@pytest.mark.parametrize(("left", "right"), [(0.0, 1.0), (-1.0, 1.0), (3.0, -2.0), (1.0, 1.001)])
def test_a_kink_has_two_slopes(left: float, right: float) -> None:
    def function(x: float) -> float:
        return (right if x > 0 else left) * x

    between = left + 0.3 * (right - left)
    slope = Walk(function, 0.0).slope(between)
    assert (slope.kind, slope.value) == (Kind.KINK, between)
    assert slope.sides == pytest.approx((left, right))


def test_a_gradient_between_the_slopes_of_a_kink_is_taken_as_it_is() -> None:
    slope = Walk(abs, 0.0).slope(0.3)
    assert (slope.kind, slope.value) == (Kind.KINK, 0.3)


@pytest.mark.parametrize(("analytic", "nearest"), [(7.0, 1.0), (-7.0, -1.0), (1.5, 1.0)])
def test_a_gradient_outside_the_slopes_of_a_kink_is_compared_with_the_nearest(
    analytic: float, nearest: float
) -> None:
    slope = Walk(abs, 0.0).slope(analytic)
    assert slope.kind == Kind.KINK
    assert slope.value == pytest.approx(nearest)


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("analytic", [1.0, 3.0, 7.0])
def test_a_kink_nearby_is_no_kink(distance: float, analytic: float) -> None:
    slope = Walk(lambda x: x + 2 * max(x - 1 - distance, 0.0)).slope(analytic)
    assert slope.kind == Kind.SMOOTH
    assert slope.value == pytest.approx(1.0, abs=max(slope.error_bar, 1e-12))
    assert slope.error_bar <= 2e-3 * analytic


def test_a_curve_is_no_kink() -> None:
    assert Walk(lambda x: 1e6 * x * x + x, 0.0).slope(3.0).kind == Kind.SMOOTH


# Edges, jumps, and what is lost


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", [1, -1])
def test_at_an_edge_of_the_domain_the_other_side_tells_the_slope(side: int, lost: float) -> None:
    slope = Walk(lambda x: math.exp(x) if side * x >= 0 else lost, 0.0).slope(1.01)
    assert slope.kind == Kind.EDGE
    assert abs(slope.value - 1) <= slope.error_bar < 1e-3


@pytest.mark.parametrize("height", [1.0, -1.0, 1e-3])
def test_where_both_sides_jump_there_is_no_slope(height: float) -> None:
    slope = Walk(lambda x: height * (x == 1) + math.sin(x)).slope(math.cos(1))
    assert slope.kind == Kind.JUMP
    assert slope.error_bar == math.inf


@pytest.mark.parametrize("fault", [1.0, -1.0, 1.1, 0.0])
@pytest.mark.parametrize("height", [1.0, -1.0, 1e-3])
@pytest.mark.parametrize("side", [operator.ge, operator.gt, operator.le, operator.lt])
def test_where_one_side_jumps_the_other_tells_the_slope(
    side: Callable[[float, float], bool], height: float, fault: float
) -> None:
    slope = Walk(lambda x: height * side(x, 1) + math.sin(x)).slope(fault * math.cos(1))
    assert slope.kind == Kind.EDGE
    assert abs(slope.value - math.cos(1)) <= slope.error_bar < 1e-5


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("width", [2e-3, 5e-3, 1e-2])
def test_a_ripple_that_levels_off_on_one_side_is_no_jump(width: float, side: float) -> None:
    def function(x: float) -> float:
        t = side * (x - 1)
        return 0.5 * (1 - math.exp(-t / width)) if t > 0 else 0.5 * math.sin(t / width)

    exact = side * 0.5 / width
    slope = Walk(function, noise=1e-3).slope(exact)
    assert abs(slope.value - exact) <= slope.error_bar


def bent(t: float, slopes: tuple[float, float, float], ends: tuple[float, float]) -> float:
    """Return a piecewise linear function with a slope in the middle, one on the left, the right."""
    left, middle, right = slopes
    low, high = ends
    inside = min(max(t, low), high)
    return middle * inside + right * max(t - high, 0.0) + left * min(t - low, 0.0)


@pytest.mark.parametrize("slopes", [(-0.04, -0.013, -0.042), (0.5, 1.0, 0.4), (3.0, 1.0, 2.8)])
@pytest.mark.parametrize("ends", [(-4e-3, 5e-3), (-7e-3, 3e-3), (-5e-3, 6e-3)])
def test_kinks_that_noise_hides_on_both_sides_leave_the_slope_between_them_open(
    slopes: tuple[float, float, float], ends: tuple[float, float]
) -> None:
    noise = 2e-3 * abs(slopes[0] - slopes[1])
    slope = Walk(lambda x: bent(x - 1, slopes, ends), noise=noise).slope(slopes[1])
    assert abs(slope.value - slopes[1]) <= slope.error_bar + 1e-5 * abs(slopes[1])


@pytest.mark.parametrize("change", [0.5, -0.5, 2.0])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_slope_on_one_side_of_a_kink_that_noise_hides_is_not_wrong(
    side: float, change: float
) -> None:
    def function(x: float) -> float:
        t = x - 1
        return t + change * max(side * t, 0.0) + 0.4 * change * max(abs(t) - 0.15, 0.0)

    for power in range(10, 25):
        slope = Walk(function, noise=abs(change) * 2.0**-power).slope(1.0)
        assert slope.kind == Kind.KINK or abs(slope.value - 1.0) <= slope.error_bar + 1e-5


@pytest.mark.parametrize("guard", [1e10, -1.0, 1e6, 0.0])
@pytest.mark.parametrize("room", [0.0, 1e-7])
def test_a_constant_outside_of_the_domain_is_no_value(guard: float, room: float) -> None:
    slope = Walk(lambda x: math.sin(x) if x <= 1 + room else guard).slope(math.cos(1))
    assert abs(slope.value - math.cos(1)) <= slope.error_bar < 1e-5


def test_a_function_that_is_lost_on_both_sides_has_no_slope() -> None:
    slope = Walk(lambda x: 1.0 if x == 1 else math.nan).slope(1.0)
    assert slope.kind == Kind.NONFINITE
    assert slope.error_bar == math.inf


def test_what_lies_below_the_noise_is_left_open() -> None:
    rng = np.random.default_rng(6)
    slope = Walk(lambda x: 1e-9 * x + rng.normal(), noise=1.0).slope(1e-9)
    assert slope.error_bar > 1e-12


@pytest.mark.parametrize("noise", [1e-6, 1e-4, 3e-3])
@pytest.mark.parametrize("curve", [0.0, 0.5, 2.0])
def test_two_steps_between_the_noise_and_the_reach_are_enough_for_an_error_bar(
    noise: float, curve: float
) -> None:
    for seed in range(20):
        rng = np.random.default_rng([seed, 103])

        def at(t: float, rng: np.random.Generator = rng) -> tuple[float, float]:
            return t, t + curve * (t * t + t**3) + noise * float(rng.normal())

        line = Line(at, 0.0, step=0.37, reach=1.0, least=1e-15, useful=0.09)
        right = climb(line, 1.0, noise, 1e-6, SUSPECT)
        wrong = climb(line, 30.0, noise, 1e-6, SUSPECT)

        assert abs(right.value - 1) <= right.error_bar
        assert abs(wrong.value - 30) > 10 * wrong.error_bar


# What it asks


def test_steps_of_a_ladder_stand_at_3_7_times_each_other() -> None:
    """A whole ratio would let all steps be multiples of one period."""
    walk = Walk(lambda x: x, 0.0)
    walk.slope(2.0)
    steps = sorted({abs(distance) for distance in walk.asked})[-3:]
    assert np.divide(steps[1:], steps[:-1]) == pytest.approx(3.7)


@pytest.mark.parametrize("least", [1e-15, 1e-8])
def test_a_jump_is_looked_for_at_a_thousandth_of_the_finest_step(least: float) -> None:
    asked = []

    def at(distance: float) -> tuple[float, float]:
        asked.append(distance)
        return distance, distance + (distance >= 0)

    line = Line(at, 1.0, step=1e-6, reach=1.0, least=least)
    assert climb(line, 1.0, EPSILON, 1e-3, SUSPECT).kind == Kind.EDGE
    nearest, finest = sorted({abs(distance) for distance in asked})[:2]
    assert nearest == pytest.approx(max(least, 1e-3 * finest), abs=0)


def test_the_error_bar_of_a_line_without_noise_is_eight_halves_of_a_last_bit() -> None:
    """Over the middle one of three steps: differences are exact, a cost rounds by half a bit."""

    def at(distance: float) -> tuple[float, float]:
        moved = (1 + distance) - 1.0
        return moved, 1 + moved

    slope = climb(Line(at, 1.0, 1e-3, 1.0, 1e-15), 1.0, 0.0, 1e-6, SUSPECT)
    assert slope.value == 1.0
    assert slope.error_bar == pytest.approx(8 * 0.5 * EPSILON / 1e-3, rel=0.02, abs=0)


@pytest.mark.parametrize(("share", "falls"), [(0.4, False), (0.6, True), (1.9, True), (2.1, False)])
def test_differences_that_fall_within_twice_the_square_of_the_step_are_truncation(
    share: float, falls: bool
) -> None:
    assert _falls([1.0, share * DECAY]) == [falls]


@pytest.mark.parametrize(("power", "smooth"), [(1.5, False), (1.9, True)])
def test_a_disagreement_counts_where_the_gap_of_the_sides_falls_nearly_as_the_step(
    power: float, smooth: bool
) -> None:
    line = Line(lambda distance: (distance, distance + abs(distance) ** power), 0.0, 1e-3, 1.0, 0.0)
    ladder = _Ladder(line, 0.0, 1e-16)
    assert ladder._bears_out(ladder._rungs[0], 1.0, 1.0) == smooth


@pytest.mark.parametrize("bend", [0.01, 1.0, 30.0])
def test_a_slope_that_noise_cannot_show_has_an_error_bar_of_noise_and_not_of_truncation(
    bend: float,
) -> None:
    """The cost bends from the first steps on; finer ones, where it does not, are still taken."""
    noise, step = 1e-15, 0.08

    def at(distance: float) -> tuple[float, float]:
        return distance, bend * (distance**2 + distance**3)

    slope = climb(Line(at, 0.0, step, 1.0, 1e-16), 0.0, noise, 1e-3 * noise, SUSPECT)
    assert abs(slope.value) <= slope.error_bar <= 1e-10 * max(bend, 1.0)


def test_a_slope_that_drowns_in_noise_costs_three_rungs() -> None:
    asked = []
    rng = np.random.default_rng(0)

    def at(distance: float) -> tuple[float, float]:
        asked.append(distance)
        return distance, 1e-2 * float(rng.normal())

    climb(Line(at, 0.0, 0.2, 1.0, 1e-16), 0.0, 1e-2, 1e-15, SUSPECT)
    assert len(asked) == 6


@pytest.mark.parametrize("unit", [EPSILON, 2.0**-23, 2.0**-10])
def test_a_cost_that_stands_still_may_round_to_the_digits_of_its_arrays_inside(
    unit: float,
) -> None:
    """At the largest distance a slope of one such step between numbers of the order of 1 shows."""
    line = Line(lambda t: (t, 0.3), 0.3, 1e-5, 1.0, 1e-15, unit=unit)
    slope = climb(line, 0.01 * unit, 1e-17, 1e-3, 1e-5)
    assert slope.value == 0.0
    assert 0.01 * unit < slope.error_bar
    assert climb(line, 1e6 * unit, 1e-17, 1e3, 1e-5).error_bar < 1e6 * unit
