"""The numerical gradient of a whole cost: two calls a component, and error bars that hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck import check_gradients
from pytest_gradcheck.numdiff.differences import (
    Approximation,
    Comparand,
    approximate,
    classical,
    stirred,
    tolerances,
)
from pytest_gradcheck.numdiff.directions import line_along
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.ladder import climb
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.noise.further_off import is_off_course
from pytest_gradcheck.numdiff.noise.lines import cost_noise, moves
from pytest_gradcheck.params.scales import lengths, rms
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]

FIXED = tried(120)


@dataclass
class Cost:
    """A cost of theta that counts its calls."""

    function: Callable[[Any], float]
    theta: Theta
    calls: int = 0

    def __call__(self) -> float:
        self.calls += 1
        return self.function(self.theta.tree)


def everything(theta: Theta) -> npt.NDArray[np.intp]:
    return np.arange(theta.base.size)


def approximated(
    function: Callable[[Any], float], params: Any, gradient: Array
) -> tuple[Approximation, int]:
    """Return the approximation, and the calls it took beyond those that measured the noise."""
    theta = Theta(params)
    cost = Cost(function, theta)
    with np.errstate(all="ignore"):
        here = cost()
        noise = cost_noise(SerialEvaluator(cost, theta, here), 0)
        before = cost.calls
        result = approximate(
            SerialEvaluator(cost, theta, here),
            everything(theta),
            Comparand.of(gradient, 1e-5, theta),
            noise,
        )
    assert theta.changed() is None
    return result, cost.calls - before


@pytest.mark.parametrize(("sizes", "lines"), [([40, 5, 0.3, 0.04], 2), ([1, 10.5, 200], 3)])
def test_parameters_that_move_the_cost_alike_share_a_line_some_way_off(
    sizes: list[float], lines: int
) -> None:
    params = {f"w{k}": np.full(6, 1.0) for k in range(len(sizes))}
    weights = np.repeat(sizes, 6)
    theta = Theta(params)

    def linear(tree: dict[str, Array]) -> float:
        return float(weights @ np.concatenate(list(tree.values())))

    cost = Cost(linear, theta)
    evaluator = SerialEvaluator(cost, theta, cost())
    noise = cost_noise(evaluator, 0)
    before = cost.calls
    assert not is_off_course(evaluator, weights, np.ones(weights.size), noise)
    assert cost.calls - before == 2 * lines
    forgotten = np.where(weights == sizes[-1], 1.2 * weights, weights)
    assert is_off_course(evaluator, forgotten, np.ones(weights.size), noise)


def test_kinks_a_few_units_off_in_numbers_of_few_digits_are_no_noise_on_any_seed() -> None:
    x = np.random.default_rng(7).uniform(0.5, 1, 12).astype(np.float16)
    x[1:8:2] = x[0:8:2] + 6 * np.spacing(x[0:8:2])
    theta = Theta({"x": x}, inplace=True)

    def cost() -> float:
        values = x.astype(float)
        return float(np.maximum(values[0:8:2], values[1:8:2]).sum() + np.sin(values).sum())

    evaluator = SerialEvaluator(cost, theta, cost())
    assert max(cost_noise(evaluator, seed).relative for seed in range(100)) < 1e-8


def test_a_right_gradient_takes_two_calls_a_component_and_two_some_way_off() -> None:
    x = np.linspace(0.5, 2, 40)
    result, calls = approximated(lambda x: float(np.sin(x).sum()), x, np.cos(x))
    assert calls == 82
    np.testing.assert_allclose(result.values, np.cos(x), rtol=1e-8, atol=1e-9)
    assert result.checked.all()


@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_a_check_that_passes_takes_two_calls_a_component_and_forty(n: int) -> None:
    x = np.random.default_rng(n).normal(size=n)
    counted = []

    def cost(x: Array) -> float:
        counted.append(0)
        return float(np.sum(x**2) + np.sin(x).sum())

    report = check_gradients(cost, lambda x: 2 * x + np.cos(x), x)
    assert report.passed
    assert report.evaluations == len(counted) <= 2 * n + 40


@pytest.mark.parametrize("factor", [-1.0, 2.0, 0.5, 1.01])
def test_a_gradient_that_is_wrong_throughout_takes_fifteen_calls_a_component(
    factor: float,
) -> None:
    x = np.random.default_rng(1).normal(size=30)
    _, calls = approximated(lambda x: float(np.exp(np.sin(x)).sum()), x, factor * np.ones(30))
    assert calls <= 15 * 30


def test_only_the_component_that_disagrees_is_looked_at_again() -> None:
    x = np.linspace(0.5, 1.2, 50)
    gradient = np.cos(x)
    gradient[17] *= 2
    result, calls = approximated(lambda x: float(np.sin(x).sum()), x, gradient)
    assert calls <= 2 * 50 + 30
    assert result.values[17] == pytest.approx(math.cos(x[17]), rel=1e-7)


def test_what_is_not_asked_for_is_not_looked_at() -> None:
    theta = Theta({"a": np.ones(3), "b": np.ones(2)})
    cost = Cost(lambda p: float(p["a"].sum() * p["b"].sum()), theta)
    here = cost()
    noise = cost_noise(SerialEvaluator(cost, theta, here), 0)
    asked = np.array([0, 2])
    result = approximate(
        SerialEvaluator(cost, theta, here), asked, Comparand.of(np.full(5, 2.0), 1e-5, theta), noise
    )
    np.testing.assert_array_equal(result.checked, [True, False, True, False, False])
    assert np.isnan(result.values[~result.checked]).all()
    np.testing.assert_allclose(result.values[result.checked], 2)


def test_scales_of_parameters_and_of_components_set_the_steps() -> None:
    theta = Theta({"a": np.array([1e-8, 3e-8]), "b": np.array([0.0, 1e8]), "c": np.zeros(2)})
    a, b, c = (lengths(theta)[p.slice] for p in theta.parameters)
    np.testing.assert_allclose(a, [math.sqrt(5) * 1e-8, 3e-8])
    assert b[1] == 1e8
    assert b[0] == rms(np.array([0.0, 1e8]))
    np.testing.assert_array_equal(c, 1.0)


def test_zeros_alone_have_the_length_of_one() -> None:
    np.testing.assert_array_equal(lengths(Theta(np.zeros(3))), 1.0)


@pytest.mark.parametrize(
    "values",
    [[3.0, 4.0], [3e200, 4e200], [3e-200, 4e-200], [3.0, np.nan, 4.0], [3.0, 4.0, np.inf]],
)
@np.errstate(over="ignore")  # as it is in a check
def test_root_mean_square_neither_overflows_nor_underflows(values: list[float]) -> None:
    unit = values[0] / 3
    assert rms(np.array(values)) == pytest.approx(math.sqrt(12.5) * unit)


def test_root_mean_square_of_nothing_is_zero() -> None:
    assert rms(np.array([])) == rms(np.array([np.nan])) == rms(np.zeros(3)) == 0.0


# The classical check


@pytest.mark.parametrize("eps", [1e-7, 1e-4])
def test_the_classical_check_is_the_course_to_the_last_bit(eps: float) -> None:
    x = np.array([0.3, -1.7, 2.2])
    theta = Theta(x)
    result = classical(
        SerialEvaluator(Cost(lambda x: float(np.sin(x).sum()), theta), theta, 0.0),
        everything(theta),
        eps,
    )
    for number in range(3):
        plus, minus = x.copy(), x.copy()
        plus[number] += eps
        minus[number] -= eps
        expected = (float(np.sin(plus).sum()) - float(np.sin(minus).sum())) / (2 * eps)
        assert result.values[number] == expected
    np.testing.assert_array_equal(result.error_bars, 0.0)


def test_the_classical_check_neither_refines_nor_knows_kinks() -> None:
    report = check_gradients(
        lambda x: float(np.maximum(x, 0).sum()), lambda x: 0.0 * x, np.zeros(3), eps=1e-7
    )
    assert not report.passed
    (component, *_) = report.components
    assert (component.verdict, component.numerical, component.error_bar) == ("bug", 0.5, 0.0)
    assert report.evaluations <= 2 * 3 + 10


# What may pass for decided


def test_error_bars_are_held_against_the_component_or_its_parameter() -> None:
    theta = Theta({"a": np.ones(2), "b": np.ones(2), "c": np.ones(1)})
    values = np.array([3.0, 4.0, 0.0, 1e-6, 0.0])
    result, _ = approximated(
        lambda p: float(p["a"] @ [3.0, 4.0] + 1e-6 * p["b"][1] + 0 * p["c"].sum()),
        {"a": np.ones(2), "b": np.ones(2), "c": np.ones(1)},
        values,
    )
    bars = tolerances(result, values, theta.parameters)
    np.testing.assert_allclose(bars[:2], [6e-3, 8e-3], rtol=1e-3)
    np.testing.assert_allclose(bars[3], 2e-9, rtol=1e-2)


def test_a_cost_moves_or_it_does_not() -> None:
    theta = Theta(np.ones(2))
    assert moves(SerialEvaluator(Cost(lambda x: float(x.sum()), theta), theta, 2.0), 0)
    assert not moves(SerialEvaluator(Cost(lambda x: 2.0, theta), theta, 2.0), 0)


# Random functions

KINDS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda u: 1 / u),
    "square": (np.square, lambda u: 2 * u),
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "cube": (lambda u: u**3, lambda u: 3 * u**2),
}


@dataclass
class Drawn:
    """A random smooth function with its gradient: terms of u = x / unit, and a product."""

    kinds: list[str]
    weights: Array
    unit: float
    size: float
    x: Array

    def cost(self, x: Array) -> float:
        u = x / self.unit
        terms = sum(w * KINDS[k][0](v) for k, w, v in zip(self.kinds, self.weights, u, strict=True))
        return float(self.size * (terms + 0.5 * u.mean() ** 2))

    def grad(self, x: Array) -> Array:
        u = x / self.unit
        slopes = [w * KINDS[k][1](v) for k, w, v in zip(self.kinds, self.weights, u, strict=True)]
        return np.asarray(self.size / self.unit * (np.array(slopes) + u.mean() / u.size))


@st.composite
def functions(draw: st.DrawFn) -> Drawn:
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=6))
    n = len(kinds)
    numbers = st.floats(0.3, 2.5)
    weights = np.array(draw(st.lists(numbers, min_size=n, max_size=n)))
    u = np.array(draw(st.lists(numbers, min_size=n, max_size=n)))
    unit, size = 10.0 ** draw(st.floats(-6, 6)), 10.0 ** draw(st.floats(-6, 6))
    return Drawn(kinds, weights, unit, size, unit * u)


@FIXED
@given(functions())
def test_right_gradients_of_random_functions_pass(drawn: Drawn) -> None:
    report = check_gradients(drawn.cost, drawn.grad, drawn.x)
    assert report.passed
    assert report.verdict == "ok"
    assert report.evaluations <= 2 * drawn.x.size + 40


@FIXED
@given(functions(), st.integers(0, 5), st.floats(-3, 1), st.sampled_from([-1.0, 1.0]))
def test_one_wrong_component_of_a_random_function_is_the_one_that_fails(
    drawn: Drawn, number: int, magnitude: float, sign: float
) -> None:
    number %= drawn.x.size
    true = drawn.grad(drawn.x)
    assume(abs(true[number]) > 1e-2 * rms(true))

    def wrong(x: Array) -> Array:
        gradient = drawn.grad(x)
        gradient[number] *= 1 + 2 * sign * 10.0**magnitude
        return gradient

    report = check_gradients(drawn.cost, wrong, drawn.x)
    assert [c.index for c in report.components] == [(number,)]
    assert report.components[0].verdict in ("suspect", "bug")


@FIXED
@given(functions(), st.sampled_from([0.0, -1.0, 1.1, 2.0]))
def test_error_bars_of_random_functions_hold_the_true_slope(drawn: Drawn, factor: float) -> None:
    true = drawn.grad(drawn.x)
    result, _ = approximated(drawn.cost, drawn.x, factor * true)
    off = np.abs(result.values - true)
    assert np.all(off <= result.error_bars + 1e-14 * rms(true))


@FIXED
@given(
    st.lists(st.floats(-3, 3), min_size=3, max_size=7),
    st.lists(st.integers(-200, 200).map(lambda hundredths: hundredths / 100), min_size=2),
)
def test_random_polynomials_never_fail(coefficients: list[float], place: list[float]) -> None:
    polynomial = np.polynomial.Polynomial(coefficients)
    slope = polynomial.deriv()
    report = check_gradients(
        lambda x: float(polynomial(x).sum() + x.sum()),
        lambda x: np.asarray(slope(x) + 1),
        np.array(place),
    )
    assert not any(c.verdict in ("suspect", "bug", "nonfinite") for c in report.components)


# Storage


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_float32_parameters_in_place_move_by_what_they_can_store(factor: float) -> None:
    params = {"w": np.array([0.3, -1.7, 2.2], np.float32)}
    report = check_gradients(
        lambda: float(np.sum(np.exp(params["w"].astype(np.float64)))),
        lambda: {"w": factor * np.exp(params["w"].astype(np.float64))},
        params,
        inplace=True,
    )
    assert report.passed is (factor == 1.0)
    np.testing.assert_array_equal(params["w"], np.array([0.3, -1.7, 2.2], np.float32))


def test_the_slope_along_any_vector_is_that_of_the_gradient() -> None:
    rng = np.random.default_rng(5)
    x, y, z = rng.normal(size=(3, 4)), rng.normal(size=5), 0.7
    theta = Theta({"a": x, "b": y, "c": z})

    def cost() -> float:
        p = theta.tree
        return float(np.sin(p["a"]).sum() * p["c"] + np.exp(p["b"]).sum())

    gradient = np.concatenate([(z * np.cos(x)).ravel(), np.exp(y), [np.sin(x).sum()]])
    here, noise = cost(), 1e-15
    for size in (1, 2, 9, 18):
        numbers = np.sort(rng.permutation(18)[:size])
        weights = rng.normal(size=size)
        line = line_along(cost, theta, (numbers, weights), here, 1e-6, 1.0)
        analytic = float(weights @ gradient[numbers])
        for claimed in (analytic, 1.01 * analytic):
            slope = climb(line, claimed, noise, 1e-6, 1e-5)
            assert abs(slope.value - analytic) <= slope.error_bar <= 1e-6
        assert theta.changed() is None


@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 24), (np.float16, 11)])
def test_a_line_through_coarse_numbers_begins_at_eight_units_of_their_last_digit(
    dtype: type, digits: int
) -> None:
    theta = Theta(np.ones(3, dtype), inplace=True)
    line = line_along(lambda: 0.0, theta, (slice(0, 3), np.ones(3)), 0.0, 1e-6, 1.0)
    assert line.least == 8 * 2.0 ** (1 - digits)


def test_all_of_a_parameter_is_stirred_by_its_length_unless_a_part_is_said() -> None:
    theta = Theta(np.ones(3))
    evaluator = SerialEvaluator(lambda: float(np.sum(theta.tree)), theta, 3.0)
    noise = Noise(level=1e-16, magnitude=1.0, rise=1.0, moved=True)
    whole = stirred(evaluator, theta.parameters, np.ones(3), noise)
    assert whole > 0
    half = stirred(evaluator, theta.parameters, np.ones(3), noise, 0.5)
    assert half == pytest.approx(whole / 2)
