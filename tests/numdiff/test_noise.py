"""The noise of a cost: measured within a factor, and never mistaken for what it is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.jacobian import noise as noise_of_outputs
from pytest_gradcheck.numdiff.jacobian.noise import _grid, _jump
from pytest_gradcheck.numdiff.ladder import EPSILON
from pytest_gradcheck.numdiff.noise.further_off import (
    COARSEST,
    Disagreement,
    _part,
    further_off,
    is_off_course,
)
from pytest_gradcheck.numdiff.noise.jumps import Along
from pytest_gradcheck.numdiff.noise.measuring import (
    FIRST_SPACING,
    Noise,
    NoiseKind,
    measure,
    measure_far,
    moves_far,
)
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]

FIXED = tried(200)

SPACING = 0.7390851332151607 * 2e-2
"""Of the values far off."""


def each(cost: Callable[[float], float]) -> Along:
    """Return the costs of many distances."""
    return lambda distances: [cost(t) for t in distances]


def measured_at(cost: Callable[[float], float], here: float) -> Noise:
    return measure(each(cost), here)


def far_at(cost: Callable[[float], float]) -> Noise:
    """Measure nearby, and some way off as where a gradient is grossly wrong."""
    near = measured_at(cost, cost(0))
    return measure_far(each(cost), cost(0), near, math.inf)


def noisy(level: float, seed: int = 0) -> Callable[[float], float]:
    rng = np.random.default_rng(seed)
    return lambda t: float(math.sin(1 + t) + level * rng.normal())


def single(t: float) -> float:
    """Compute a mean of squares in float32."""
    inputs = np.linspace(-1, 1, 50, dtype=np.float32)
    return float(np.mean(np.tanh(inputs * np.float32(1 + t)) ** 2))


@pytest.mark.parametrize("level", [1e-14, 1e-12, 1e-9, 1e-6, 1e-3])
def test_known_noise_is_measured_within_a_factor_of_five(level: float) -> None:
    measured = [measured_at(noisy(level, seed), math.sin(1)).level for seed in range(40)]
    assert level / 5 <= np.median(measured) <= 2 * level
    assert min(measured) >= level / 10
    assert max(measured) <= 5 * level


@FIXED
@given(scale=st.floats(-30, 30), slope=st.floats(-3, 3))
def test_a_plain_cost_has_the_noise_of_its_last_bit(scale: float, slope: float) -> None:
    unit = math.pow(10, scale)

    def cost(t: float) -> float:
        return unit * (1.5 + math.sin(slope * (1 + t)))

    noise = measured_at(cost, cost(0))
    assert 0.25 * EPSILON <= noise.level / noise.magnitude <= 16 * EPSILON


def test_a_cost_in_float32_is_recognized_by_its_noise() -> None:
    assert 1e-9 < measured_at(single, single(0)).relative < 1e-6


@FIXED
@given(st.integers(0, 10**6))
def test_rounding_to_float32_in_the_end_is_seen_whatever_the_direction(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, direction = rng.normal(size=3), rng.uniform(0.5, 1.5, 3) * rng.choice([-1, 1], 3)

    def cost(t: float) -> float:
        return float(np.float32(np.sin(x * (1 + t * direction)).sum()))

    quantum = float(np.spacing(np.float32(abs(cost(0)))))
    assert measured_at(cost, cost(0)).level >= 0.2 * quantum


@pytest.mark.parametrize("digits", [3, 5, 8, 11])
def test_rounding_to_decimals_is_seen(digits: int) -> None:
    def cost(t: float) -> float:
        return float(round(math.sin(1 + t), digits))

    assert 0.1 <= measured_at(cost, cost(0)).level * 10**digits <= 5


@pytest.mark.parametrize("slope", [1.0, -1.0, 1e6])
def test_a_kink_where_one_stands_is_no_noise(slope: float) -> None:
    noise = measured_at(lambda t: 1 + slope * abs(t), 1.0)
    assert noise.relative <= 10 * EPSILON


def test_noise_is_half_a_unit_in_the_last_place_at_least() -> None:
    # A linear function of few bits is exact along one direction and is not along another.
    assert measured_at(lambda t: 1 + 2.0**-20 * round(t * 2**20), 1.0).level >= 0.5 * EPSILON


@pytest.mark.parametrize("lost", [math.nan, math.inf])
@pytest.mark.parametrize("side", [1, -1])
def test_noise_is_measured_on_the_side_that_exists(side: int, lost: float) -> None:
    noise = measured_at(lambda t: math.exp(t) if side * t >= 0 else lost, 1.0)
    assert EPSILON / 4 <= noise.level <= 8 * EPSILON


def test_a_cost_that_exists_nowhere_else_has_the_noise_of_its_last_bit() -> None:
    noise = measured_at(lambda t: math.nan, 2.0)
    assert noise.level == EPSILON


def test_a_constant_cost_does_not_move() -> None:
    assert not measured_at(lambda t: 3.0, 3.0).moved


@pytest.mark.parametrize(
    "cost",
    [
        lambda t: 1 + 1e-14 * t,
        lambda t: float(t > 0.5),
        lambda t: float(t < -0.5),
        lambda t: math.tanh(20 + 20 * t),
        lambda t: round(t),
    ],
)
def test_a_cost_that_moves_far_away_or_to_one_side_moves(cost: Callable[[float], float]) -> None:
    assert measured_at(cost, cost(0)).moved


def test_far_away_is_looked_at_on_both_sides() -> None:
    assert moves_far(each(lambda t: max(t, 0.0)), 0.0)
    assert moves_far(each(lambda t: min(t, 0.0)), 0.0)
    assert not moves_far(each(lambda t: 0.0), 0.0)


def test_relative_noise_stays_within_what_a_step_can_use() -> None:
    assert measured_at(lambda t: 0.0, 0.0).relative == EPSILON
    rng = np.random.default_rng(7)
    assert measured_at(lambda t: rng.normal(), 0.5).relative == 1e-3


@pytest.mark.parametrize("cost", [math.exp, lambda t: 1 + 1e-3 * t, lambda t: math.sin(50 * t)])
def test_a_plain_cost_takes_one_or_two_rows(cost: Callable[[float], float]) -> None:
    calls = []

    def counted(t: float) -> float:
        calls.append(t)
        return cost(t)

    measured_at(counted, cost(0))
    assert len(calls) <= 15


def test_a_cost_that_never_moves_takes_a_bounded_number_of_calls() -> None:
    calls = []

    def counted(t: float) -> float:
        calls.append(t)
        return 1.0

    measured_at(counted, 1.0)
    assert len(calls) <= 50


def test_values_at_the_end_of_the_range_do_not_overflow() -> None:
    noise = measured_at(lambda t: 1e308 * math.cos(t), 1e308)
    assert 0 < noise.level < 1e294


@pytest.mark.parametrize("height", [2e-3, 5e-3, 2e-2])
def test_jumps_of_several_sizes_are_noise_all_the_same(height: float) -> None:
    """One of a dozen rounded terms jumps by more than the others, and less often."""
    for seed in range(30):
        rng = np.random.default_rng([seed, 71])
        starts, rates = rng.uniform(1, 2, 12), rng.uniform(0.5, 1.5, 12)

        def cost(t: float, starts: Array = starts, rates: Array = rates) -> float:
            terms = np.round(256 * (starts + rates * t)) / 256
            return float(t + terms.mean() + height * np.round(8 * (starts[0] + t)))

        noise = far_at(cost)
        assert noise.level > 1e-5
        assert noise.kind is NoiseKind.JUMPS


@pytest.mark.parametrize("width", [0.004, 0.01, SPACING, 1.01 * SPACING, 0.02, 0.04])
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_stairs_are_noise_however_their_steps_meet_the_values(width: float, slope: float) -> None:
    """Between two values there are several steps, just one, or hardly any."""
    for seed in range(30):
        phase = np.random.default_rng([seed, 79]).random()

        def cost(t: float, phase: float = phase) -> float:
            return 1 + slope * t + 1e-3 * math.floor(t / width + phase)

        assert far_at(cost).level >= 0.99e-3 / math.sqrt(12)


def test_stairs_by_a_step_a_value_are_noise_in_float32_too() -> None:
    for seed in range(30):
        phase = np.random.default_rng([seed, 83]).random()

        def cost(t: float, phase: float = phase) -> float:
            return float(np.float32(1 + 0.3 * t + 1e-3 * math.floor(t / SPACING + phase)))

        assert far_at(cost).level >= 0.99e-3 / math.sqrt(12)


def test_noise_and_bends_between_two_values_are_no_stair() -> None:
    calls: list[float] = []
    taken = []
    for seed in range(40):
        a, b = np.random.default_rng([seed, 89]).uniform(0.5, 2, 2)

        def counted(t: float, a: float = a, b: float = b) -> float:
            calls.append(t)
            return float(np.float32(30 + a * math.sin(b * t - 1)))

        near = measured_at(counted, counted(0))
        calls.clear()
        assert measure_far(each(counted), counted(0), near, math.inf).level < 1e-5
        taken.append(len(calls))
    assert np.median(taken) <= 20  # a row, and two costs between two of its values


@pytest.mark.parametrize("edge", [0.0, 0.01, 0.03])
def test_stairs_that_end_on_one_side_are_noise(edge: float) -> None:
    noise = far_at(lambda t: 1 + np.round(min(t, edge) / 0.004) / 1000)
    assert noise.level >= 0.99e-3 / math.sqrt(12)


def test_costs_in_bfloat16_are_told_from_those_in_float16() -> None:
    costs: dict[NoiseKind, Callable[[float], float]] = {
        NoiseKind.FLOAT16: lambda t: float(np.float16(3 + math.sin(t))),
        NoiseKind.BFLOAT16: lambda t: round(64 * (3 + math.sin(t))) / 64,
    }
    for kind, cost in costs.items():
        assert measured_at(cost, cost(0)).kind is kind


def test_jumps_inside_of_a_cost_near_zero_are_no_larger_where_the_cost_is() -> None:
    for seed in range(20):
        starts = np.random.default_rng([seed, 113]).uniform(1, 2, 12)

        def inside(t: float, starts: Array = starts) -> float:
            return float(np.mean(np.round(1e4 * (starts + t)) / 1e4 - starts))

        def outside(t: float, starts: Array = starts) -> float:
            return float(np.float32(t + 1e-3))

        assert measured_at(inside, inside(0)).at(0.2) < 4e-4
        single = measured_at(outside, outside(0))
        assert single.at(0.2) > 50 * single.level


def test_a_smooth_cost_near_zero_is_looked_at_no_further() -> None:
    calls: list[float] = []

    def cost(t: float) -> float:
        calls.append(t)
        return float(np.sin(np.linspace(-1, 1, 7) + t).sum()) + 1e-4

    assert measured_at(cost, 1e-4).relative < 1e-12
    assert len(calls) <= 7


def test_decimals_do_not_grow_with_the_cost() -> None:
    noise = measured_at(lambda t: round(0.1 + 5 * t, 9), 0.1)
    assert noise.kind is NoiseKind.DECIMALS
    assert noise.at(100.0) == noise.level


def test_noise_far_off_is_that_of_the_costs_there() -> None:
    """Where it was measured they are ten times as large as here, and it grows from there."""
    noise = far_at(lambda t: 0.1 + round(5 * t, 3))
    assert noise.magnitude > 1
    assert noise.at(1.0) == noise.level


@pytest.mark.parametrize("at", [0.21, 0.47, 1.03])
def test_a_bend_some_way_off_takes_few_calls(at: float) -> None:
    calls: list[float] = []

    def counted(t: float) -> float:
        calls.append(t)
        return math.exp(t) + 3 * max(t - at, 0.0)

    near = measured_at(counted, 1.0)
    calls.clear()
    assert measure_far(each(counted), 1.0, near, 1e-4).level == near.level
    assert len(calls) <= 100
    assert len(set(calls)) == len(calls)


@pytest.mark.parametrize("residual", [1e-3, math.inf])
def test_poles_some_way_off_are_no_noise(residual: float) -> None:
    for seed in range(30):
        places = np.random.default_rng([seed, 127]).uniform(0.05, 0.5, 3)

        def cost(t: float, places: Array = places) -> float:
            return 10 + float(np.sum(0.1 / (t - places)))

        near = measured_at(cost, cost(0))
        assert measure_far(each(cost), cost(0), near, residual).level == near.level


@pytest.mark.parametrize("height", [1e-2, 1.0, 30.0])
def test_another_branch_some_way_off_is_no_noise(height: float) -> None:
    for seed in range(30):
        edge = np.random.default_rng([seed, 73]).uniform(0.02, 0.2)

        def cost(t: float, edge: float = edge) -> float:
            return math.exp(0.3 * t) + height * (t > edge)

        noise = far_at(cost)
        assert noise.relative <= 10 * EPSILON


@pytest.mark.parametrize("share", np.linspace(0.4, 0.8, 9).tolist())
def test_steps_of_one_size_are_noise_wherever_they_fall_in_a_row(share: float) -> None:
    """The cost rises by a part of its quantum from one value of the first row to the next."""
    quantum, spacing = 2.0**-22, FIRST_SPACING
    for phase in np.linspace(0, 1, 20, endpoint=False):

        def along(row: Sequence[float], phase: float = phase) -> list[float]:
            return [0.1 + quantum * math.floor(share * t / spacing + phase + 12e6) for t in row]

        assert measure(along, along([0.0])[0]).level > quantum / 20


def test_noise_is_read_off_the_first_order_of_differences_that_agrees_with_the_next() -> None:
    """Of values that alternate, differences of the k-th order grow as 2**k: later ones say more."""

    def cost(t: float) -> float:
        return 1 + 1e-13 * (-1.0) ** round(t / FIRST_SPACING)

    assert measured_at(cost, 1.0).level == pytest.approx(math.sqrt(2) * 1e-13, rel=0.02, abs=0)


def test_the_grid_of_a_cost_that_moves_far_off_alone_is_read_within_that_distance() -> None:
    def cost(t: float) -> float:
        return round(50 + round(t)) / 10 if abs(t) <= 1 else math.nan

    noise = measured_at(cost, 5.0)
    assert (noise.kind, noise.digits) == (NoiseKind.DECIMALS, 1)


@pytest.mark.parametrize(("units", "jumps"), [(16, False), (32, False), (64, True)])
def test_steps_far_off_are_noise_beyond_32_rounding_units(units: int, jumps: bool) -> None:
    """A sum of some hundred terms is off by as much."""

    def cost(t: float) -> float:
        return 1 + units * EPSILON * round(3 * t) if abs(t) >= 1e-3 else 1.0

    noise = measured_at(cost, 1.0)
    assert noise.moved
    assert (noise.kind is NoiseKind.JUMPS, noise.level > EPSILON) == (jumps, jumps)


def test_a_cost_of_zero_that_moves_smoothly_far_off_does_not_jump() -> None:
    noise = measured_at(lambda t: max(abs(t) - 0.5, 0.0) ** 2, 0.0)
    assert (noise.moved, noise.kind, noise.level) == (True, NoiseKind.ROUNDING, 0.0)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_cost_is_off_course_where_it_leaves_its_gradient_at_every_distance(unit: float) -> None:
    """A curve leaves it by less at smaller distances, whatever the unit of the cost is."""
    costs: dict[bool, Callable[[float], float]] = {
        True: lambda x: x + 3 * round(1e5 * x) / 1e5,
        False: lambda x: x + 1e6 * x**3,
    }
    for is_off, cost in costs.items():
        theta = Theta(np.zeros(1))

        def value(cost: Callable[[float], float] = cost, theta: Theta = theta) -> float:
            return unit * cost(float(theta.tree[0]))

        evaluator = SerialEvaluator(value, theta, 0.0)
        noise = Noise(1e-16 * unit, unit, unit, moved=True)
        assert is_off_course(evaluator, np.full(1, unit), np.ones(1), noise) is is_off


@pytest.mark.parametrize(("third", "quantum"), [(3.02, 1.0), (3.1, 0.0)])
def test_outputs_jump_by_whole_multiples_of_a_quantum_to_a_hundredth(
    third: float, quantum: float
) -> None:
    column = np.array([0.0, 1.0, 1.0, 1.0 + third])
    assert _jump(column[:, None]) == pytest.approx(quantum / math.sqrt(12))


def test_a_number_that_a_cost_stands_still_with_is_rounded_to_a_part_of_its_rise() -> None:
    noise = Noise(level=1e-9, magnitude=1.0, rise=1.0, moved=True)
    slopes, length, where = (
        np.array([5.0, -0.5, 0.1]),
        np.full(3, 2.0),
        np.array([False, True, True]),
    )
    assert _part(noise, slopes, where, length) == pytest.approx(math.sqrt(12) * 1e-9)
    assert _part(noise, 1e-9 * slopes, where, length) == COARSEST
    assert _part(noise, 0 * slopes, where, length) == COARSEST


def test_a_cost_that_ripples_and_ends_closer_by_is_measured_where_it_does_not_end() -> None:
    def cost(t: float) -> float:
        closer = 0 < abs(t) < FIRST_SPACING / 2
        return math.nan if closer else 1 + math.sin(t / FIRST_SPACING)

    assert 0.1 < measured_at(cost, 1.0).level < 1.0


def test_rows_are_a_hundred_times_finer_each_where_a_cost_ends_before_them() -> None:
    asked: list[float] = []

    def along(row: Sequence[float]) -> list[float]:
        asked.append(row[0])
        return [math.nan] * len(row)

    measure(along, 1.0)
    rows = [FIRST_SPACING * factor for factor in (1.0, 1e-2, 1e-4, 1e-6)]
    assert asked[:8] == pytest.approx([side * one for one in rows for side in (1, -1)], abs=0)


def test_what_a_cost_stands_still_with_rounds_the_slopes_of_what_it_is_a_factor_of() -> None:
    far = Noise(level=1e-6, magnitude=1.0, rise=1.0, moved=True)
    near = Noise(level=1e-16, magnitude=1.0, rise=1.0, moved=True, measure_far=lambda *_: far)
    still, slopes = np.array([False, True, False]), np.array([7.0, 0.5, -3.0])
    evaluator = SerialEvaluator(lambda: 1.0, Theta(np.ones(3)), 1.0)
    found = [Disagreement(still, math.inf, slopes), Disagreement(np.ones(3, bool), math.inf)]
    said = further_off(evaluator, slopes, ~still, found, np.full(3, 2.0), near)
    part = math.sqrt(12) * 1e-6  # over the rise, which is 1
    assert said.bars == pytest.approx(part * np.array([7.0, 0.0, 3.0]))
    assert said.noise.level == far.level


def test_outputs_on_a_grid_have_the_noise_of_rounding_to_their_smallest_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noise_of_outputs, "_row", lambda *_: np.zeros((2, 3)))
    seen = [np.array([0.0, 9.0, 4.0]), np.array([0.5, 8.0, 4.0]), np.array([2.0, 7.0, 4.0])]
    calls: Any = None
    level = _grid(calls, np.ones(1), seen, np.array([True, False, True]))
    assert level == pytest.approx([0.5 / math.sqrt(12), 0.0])
