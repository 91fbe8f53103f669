"""Cases at which one gradient checker or another fails: right ones must pass, wrong ones must not.

The objective is a differentiable one whose gradient is known in closed form, with variations; the
fault is put into the gradient only.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import GradientError, ProblemError, Report, check_gradients, gradcheck

Array = npt.NDArray[np.float64]


class Case(NamedTuple):
    """A cost, its right gradient, and a point."""

    cost: Callable[[Array], float]
    grad: Callable[[Array], Array]
    x: Array


def objective(n: int = 10) -> Case:
    """Return sum w_i sin x_i + (sum x_i)^2 / 2n at a random point."""
    rng = np.random.default_rng(n)
    w, x = rng.uniform(1, 2, n), rng.normal(size=n)
    return Case(
        lambda x: float(w @ np.sin(x) + x.sum() ** 2 / (2 * n)),
        lambda x: w * np.cos(x) + x.sum() / n,
        x,
    )


def jitter(x: Array) -> float:
    """Return a number between -1 and 1 that is fixed, but random, for every x."""
    return zlib.crc32(x.tobytes()) / 2**31 - 1


def scaled(case: Case, unit: float) -> Case:
    """Return the same cost of parameters that are `unit` times as large."""
    return Case(lambda x: case.cost(x / unit), lambda x: case.grad(x / unit) / unit, case.x * unit)


def times(case: Case, factor: float) -> Case:
    return Case(lambda x: factor * case.cost(x), lambda x: factor * case.grad(x), case.x)


def offset(case: Case, constant: float) -> Case:
    return Case(lambda x: case.cost(x) + constant, case.grad, case.x)


def noisy(case: Case, relative: float) -> Case:
    return Case(lambda x: case.cost(x) * (1 + relative * jitter(x)), case.grad, case.x)


def fast_sine() -> Case:
    x = np.random.default_rng(1).normal(size=10)
    return Case(lambda x: float(np.sin(1e4 * x).sum()), lambda x: 1e4 * np.cos(1e4 * x), x)


def linear() -> Case:
    rng = np.random.default_rng(2)
    a, x = rng.normal(size=10), rng.normal(size=10)
    return Case(lambda x: float(a @ x), lambda x: a.copy(), x)


def single_precision() -> Case:
    """Return a network layer that computes in float32, and its gradient in float64."""
    rng = np.random.default_rng(3)
    inputs, target = rng.normal(size=(20, 10)), rng.normal(size=20)
    inputs32, target32 = inputs.astype(np.float32), target.astype(np.float32)

    def cost(x: Array) -> float:
        error = np.tanh(inputs32 @ x.astype(np.float32)) - target32
        return float(np.mean(error**2))

    def grad(x: Array) -> Array:
        out = np.tanh(inputs @ x)
        return np.asarray(2 / 20 * inputs.T @ ((out - target) * (1 - out**2)))

    return Case(cost, grad, rng.normal(size=10) / 3)


HEALTHY = {
    "the objective itself": objective(),
    "parameters of 1e-8": scaled(objective(), 1e-8),
    "parameters of 1e6": scaled(objective(), 1e6),
    "a linear cost": linear(),
    "a cost of 1e8": times(objective(), 1e8),
    "a cost of 1e-7": times(objective(), 1e-7),
}
DIFFICULT = {
    "an offset of 1e8": offset(objective(), 1e8),
    "noise of 1e-9": noisy(objective(), 1e-9),
    "a cost in float32": single_precision(),
    "a sine that turns within 1e-4": fast_sine(),
}
ALL = {**HEALTHY, **DIFFICULT}


def check_with(case: Case, component: int, change: Callable[[float], float]) -> Report:
    """Check a gradient with one component changed."""

    def wrong(x: Array) -> Array:
        gradient = case.grad(x)
        gradient[component] = change(gradient[component])
        return gradient

    return check_gradients(case.cost, wrong, case.x)


def names_of_wrong(report: Report) -> list[str]:
    return [c.name for c in report.components if c.verdict in ("suspect", "bug", "nonfinite")]


@pytest.mark.parametrize("name", ALL)
def test_right_gradient_passes(name: str) -> None:
    report = check_gradients(*ALL[name])
    assert report.passed
    assert report.verdict == "ok"


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_case_takes_two_calls_a_component_and_a_small_constant(name: str) -> None:
    case = HEALTHY[name]
    assert check_gradients(*case).evaluations <= 2 * case.x.size + 40


@pytest.mark.parametrize("component", [0, 4, 9])
@pytest.mark.parametrize("name", ALL)
def test_one_component_that_is_one_percent_too_large_is_the_one_that_fails(
    name: str, component: int
) -> None:
    report = check_with(ALL[name], component, lambda g: 1.01 * g)
    assert not report.passed
    assert names_of_wrong(report) == [f"theta[{component}]"]


@pytest.mark.parametrize("change", [lambda g: 0.0, lambda g: -g, lambda g: 2 * g])
@pytest.mark.parametrize("name", ALL)
def test_one_component_that_is_grossly_wrong_is_a_bug(
    name: str, change: Callable[[float], float]
) -> None:
    report = check_with(ALL[name], 3, change)
    assert [(c.name, c.verdict) for c in report.components if c.verdict == "bug"] == [
        ("theta[3]", "bug")
    ]


@pytest.mark.parametrize(
    ("change", "component"), [(lambda g: 1.01 * g, 998), (lambda g: 0.0, 500), (lambda g: -g, 0)]
)
def test_one_wrong_component_among_a_thousand_is_named(
    change: Callable[[float], float], component: int
) -> None:
    report = check_with(objective(1000), component, change)
    assert [(c.name, c.verdict) for c in report.components] == [(f"theta[{component}]", "bug")]


def test_a_thousand_right_components_take_two_calls_each() -> None:
    assert check_gradients(*objective(1000)).evaluations <= 2 * 1000 + 40


@pytest.mark.parametrize(("n", "factor"), [(100_000, 2.0), (1_000_000, 100.0), (1_000_000, 1.01)])
def test_one_wrong_component_among_very_many_is_named(n: int, factor: float) -> None:
    report = check_with(objective(n), n // 3, lambda g: factor * g)
    assert [(c.name, c.verdict) for c in report.components] == [(f"theta[{n // 3}]", "bug")]
    assert report.evaluations <= 120


def test_a_million_right_components_pass_in_some_calls() -> None:
    report = check_gradients(*objective(1_000_000))
    assert report.verdict == "ok"
    assert report.evaluations <= 40 + 2 * 20  # random directions, and samples one by one


@pytest.mark.parametrize("name", ALL)
def test_right_gradient_passes_in_probe_mode(name: str) -> None:
    report = check_gradients(*ALL[name], mode="probe", seed=0)
    assert report.passed
    assert report.verdict == "ok"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("component", [0, 4, 9])
def test_one_component_that_is_one_percent_too_large_is_named_in_probe_mode(
    name: str, component: int
) -> None:
    case = ALL[name]

    def wrong(x: Array) -> Array:
        gradient = case.grad(x)
        gradient[component] *= 1.01
        return gradient

    report = check_gradients(case.cost, wrong, case.x, mode="probe", seed=0)
    assert names_of_wrong(report) == [f"theta[{component}]"]


@pytest.mark.parametrize("unit", [1e-8, 1e-4, 1.0, 1e4, 1e8])
def test_a_fault_is_found_whatever_the_unit_of_the_parameters(unit: float) -> None:
    case = scaled(objective(), unit)
    assert check_gradients(*case).verdict == "ok"
    assert names_of_wrong(check_with(case, 7, lambda g: 1.001 * g)) == ["theta[7]"]


@pytest.mark.parametrize("factor", [1e-100, 1e-20, 1e-7, 1e8, 1e100])
def test_a_fault_is_found_whatever_the_unit_of_the_cost(factor: float) -> None:
    case = times(objective(), factor)
    assert check_gradients(*case).verdict == "ok"
    assert names_of_wrong(check_with(case, 7, lambda g: 1.001 * g)) == ["theta[7]"]


def test_a_tiny_gradient_that_was_never_filled_fails_and_is_named_as_zero() -> None:
    case = times(objective(), 1e-7)
    with pytest.raises(GradientError) as caught:
        gradcheck(case.cost, np.zeros_like, case.x)
    report = caught.value.report
    assert report.parameters[0].counts["bug"] == 10
    assert [f.code for f in report.findings if f.severity == "cause"] == ["zero"]


def test_a_tiny_gradient_of_the_wrong_sign_fails_and_is_named_as_sign() -> None:
    case = times(objective(), 1e-7)
    report = check_gradients(case.cost, lambda x: -case.grad(x), case.x)
    assert report.parameters[0].counts["bug"] == 10
    assert [(f.code, round(f.factor or 0, 3)) for f in report.findings] == [("sign", -1.0)]


# Kinks


def relu(x: Array) -> float:
    return float(np.maximum(x, 0).sum())


@pytest.mark.parametrize("slope", [0.0, 1.0, 0.3])
def test_any_slope_between_the_two_sides_of_a_relu_passes_as_a_kink(slope: float) -> None:
    report = check_gradients(relu, lambda x: np.array([slope]), np.zeros(1))
    assert report.passed
    assert report.verdict == "kink"
    assert "a valid subgradient" in report.findings[0].message


@pytest.mark.parametrize("slope", [2.0, -1.0, 1.01, -0.01])
def test_a_slope_beyond_the_two_sides_of_a_relu_is_a_bug_that_mentions_the_kink(
    slope: float,
) -> None:
    report = check_gradients(relu, lambda x: np.array([slope]), np.zeros(1))
    assert report.verdict == "bug"
    (found,) = (f for f in report.findings if f.code == "kink")
    assert "kink" in found.message
    assert "slope 0 on the left and 1 on the right" in found.message


def test_the_middle_of_the_two_slopes_passes() -> None:
    assert check_gradients(relu, lambda x: np.array([0.5]), np.zeros(1)).passed


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.4, 1.0])
@pytest.mark.parametrize("curvature", [0.0, 1.0, 1e3, 1e6])
def test_a_kink_is_seen_through_curvature(slope: float, curvature: float) -> None:
    def cost(x: Array) -> float:
        return float(np.sum(np.abs(x - 1) + curvature * (x - 1) ** 2))

    right = check_gradients(cost, lambda x: np.array([slope]), np.ones(1))
    assert right.passed
    assert not check_gradients(cost, lambda x: np.array([slope + 2.6]), np.ones(1)).passed


def test_each_of_two_tied_entries_of_a_maximum_may_take_the_gradient() -> None:
    for gradient in ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5]):
        answer = np.array(gradient)
        assert check_gradients(lambda x: float(x.max()), lambda x, a=answer: a, np.ones(2)).passed
    for gradient in ([2.0, 0.0], [0.0, -1.0]):
        answer = np.array(gradient)
        report = check_gradients(lambda x: float(x.max()), lambda x, a=answer: a, np.ones(2))
        assert report.verdict == "bug"


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("distance", [1e-3, 1e-4, 1e-5, 1e-6, 3e-7, 1e-7, 1e-8, 1e-9])
@pytest.mark.parametrize("at", [0.0, 1.0])
def test_a_kink_nearby_is_stepped_inside_of(at: float, distance: float, side: float) -> None:
    here = at + side * distance

    def cost(x: Array) -> float:
        return relu(x - at) + float(np.sum((x + 1) ** 2)) / 2

    def grad(x: Array) -> Array:
        return np.asarray((x > at) + x + 1)

    def of_the_other_side(x: Array) -> Array:
        return np.asarray((x <= at) + x + 1)

    right = check_gradients(cost, grad, np.array([here]))
    assert (right.passed, right.verdict) == (True, "ok")
    assert check_gradients(cost, of_the_other_side, np.array([here])).verdict == "bug"
    assert names_of_wrong(check_with(Case(cost, grad, np.array([here])), 0, lambda g: 1.01 * g))


@pytest.mark.parametrize("kinks", [5, 50, 500, 5000])
def test_a_line_with_many_kinks_has_one_slope_between_two_of_them(kinks: int) -> None:
    places = 0.1 + 1e-5 * np.random.default_rng(kinks).normal(size=kinks)
    case = Case(
        lambda x: float(np.abs(x[0] - places).mean() + x[0]),
        lambda x: np.array([np.sign(x[0] - places).mean() + 1]),
        np.array([0.1]),
    )
    assert check_gradients(*case).passed
    assert names_of_wrong(check_with(case, 0, lambda g: 1.05 * g)) == ["theta[0]"]


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
def test_a_power_that_is_flat_at_zero_has_the_slope_zero_there(power: float) -> None:
    case = Case(
        lambda x: float(np.sum(np.abs(x) ** power)),
        lambda x: power * np.abs(x) ** (power - 1),
        np.array([0.0, 1.0]),
    )
    assert check_gradients(*case).passed
    assert names_of_wrong(check_with(case, 0, lambda g: 0.5)) == ["theta[0]"]


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-8])
@pytest.mark.parametrize("distance", [1e-3, 1e-4, 1e-5, 1e-6, 1e-7])
def test_a_jump_nearby_is_stepped_inside_of(distance: float, size: float) -> None:
    case = Case(
        lambda x: float(size * (x[0] >= 1 + distance) + np.sin(x).sum()),
        np.cos,
        np.array([1.0, 2.0]),
    )
    assert check_gradients(*case).passed
    assert names_of_wrong(check_with(case, 0, lambda g: 1.01 * g)) == ["theta[0]"]


@pytest.mark.parametrize("factor", [1.0, -1.0, 1.1, 0.0])
def test_where_one_side_jumps_the_slope_of_the_other_decides(factor: float) -> None:
    def cost(x: Array) -> float:
        return float((x[0] >= 1) + np.sin(x).sum())

    report = check_gradients(cost, lambda x: np.cos(x) * [factor, 1], np.array([1.0, 2.0]))
    assert report.passed is (factor == 1)
    assert [c.name for c in report.components] == ([] if report.passed else ["theta[0]"])


def test_where_both_sides_jump_the_component_is_left_undecided() -> None:
    case = Case(lambda x: float(np.sign(x[0] - 1) + np.sin(x).sum()), np.cos, np.array([1.0, 2.0]))
    report = check_gradients(*case)
    assert report.passed
    assert [(c.name, c.verdict) for c in report.components] == [("theta[0]", "inconclusive")]
    assert "jumps" in report.findings[0].message


# Edges of the domain


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("beyond", [np.nan, np.inf, -np.inf, None])
def test_at_the_edge_of_the_domain_one_side_decides(beyond: float | None) -> None:
    def cost(x: Array) -> float:
        if x[0] >= 0:
            return float(np.exp(x).sum())
        return math.log(x[0]) if beyond is None else beyond  # which raises

    case = Case(cost, np.exp, np.array([0.0, 1.0]))
    assert check_gradients(*case).passed
    for change in (lambda g: 0.0, lambda g: 1.01 * g, lambda g: -g):
        assert names_of_wrong(check_with(case, 0, change)) == ["theta[0]"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("x", [1e-8, 1e-4, 1e-2])
@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (np.log, lambda x: 1 / x),
        (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
        (lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda x: x * np.log(x), lambda x: np.log(x) + 1),
    ],
)
def test_near_a_singularity_the_step_shrinks(
    function: Callable[[Array], Array], derivative: Callable[[Array], Array], x: float
) -> None:
    case = Case(lambda x: float(function(x).sum()), derivative, np.array([x, 1.0]))
    assert check_gradients(*case).passed
    assert names_of_wrong(check_with(case, 0, lambda g: 1.01 * g)) == ["theta[0]"]


def test_a_cost_that_is_lost_on_both_sides_is_nonfinite() -> None:
    report = check_gradients(
        lambda x: float(np.where(x[0] == 1, x.sum(), np.nan)), np.ones_like, np.ones(2)
    )
    assert not report.passed
    assert [(c.name, c.verdict) for c in report.components] == [("theta[0]", "nonfinite")]


# What is wrong with the pair itself


def test_dropout_that_is_still_on_is_reported() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ProblemError) as caught:
        gradcheck(lambda x: float(x @ (rng.random(10) < 0.8)), np.ones_like, objective().x)
    assert caught.value.code == "nondeterministic-cost"
    assert "dropout" in str(caught.value)


@pytest.mark.parametrize("culprit", ["cost", "gradient"])
def test_a_function_that_changes_its_parameters_is_reported(culprit: str) -> None:
    def spoils(x: Array) -> None:
        x *= 1.5

    def cost(x: Array) -> float:
        value = float(x @ x)
        if culprit == "cost":
            spoils(x)
        return value

    def grad(x: Array) -> Array:
        gradient = 2 * x
        if culprit == "gradient":
            spoils(x)
        return gradient

    with pytest.raises(ProblemError, match=rf"the {culprit} changes the parameters.*theta") as e:
        gradcheck(cost, grad, np.ones(3))
    assert e.value.code == "mutated-params"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_no_number_is_named(value: float) -> None:
    report = check_with(objective(), 2, lambda g: value)
    assert not report.passed
    assert [(c.name, c.verdict) for c in report.components] == [("theta[2]", "nonfinite")]


def test_a_gradient_of_the_wrong_shape_is_reported_with_both_shapes() -> None:
    case = objective()
    with pytest.raises(ProblemError, match=r"theta.*\(9,\).*\(10,\)") as caught:
        gradcheck(case.cost, lambda x: case.grad(x)[1:], case.x)
    assert caught.value.code == "shape-mismatch"


def test_a_component_near_the_smallest_floats_does_not_end_a_check() -> None:
    params = {"w": np.array([1.0, 1e-170]), "b": np.ones(1)}  # ladders of 300 rungs

    def cost(p: dict[str, Array]) -> float:
        return float(np.sin(p["w"]).sum() + p["b"].sum())

    wrong = check_gradients(cost, lambda p: {"w": 0 * p["w"], "b": p["b"]}, params)
    assert [parameter.verdict for parameter in wrong.parameters] == ["bug", "ok"]
    assert check_gradients(cost, lambda p: {"w": np.cos(p["w"]), "b": p["b"]}, params).passed
