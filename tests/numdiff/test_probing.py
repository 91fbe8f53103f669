"""Probe mode: random directions see every component, and the few that are wrong are named."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import ProblemError, Report, check_gradients
from pytest_gradcheck.network import backprop, cost, initialize, one_hot
from pytest_gradcheck.numdiff.directions import Residual
from pytest_gradcheck.numdiff.probing.screen import Screen
from pytest_gradcheck.numdiff.probing.search import Look

Array = npt.NDArray[np.float64]
Params = dict[str, Array]


class Vector(NamedTuple):
    """The objective of a vector that breaks many tools, with its gradient."""

    cost: Callable[[Array], float]
    grad: Callable[[Array], Array]
    x: Array


def objective(n: int) -> Vector:
    rng = np.random.default_rng(n)
    w, x = rng.uniform(1, 2, n), rng.normal(size=n)
    return Vector(
        lambda x: float(w @ np.sin(x) + x.sum() ** 2 / (2 * n)),
        lambda x: w * np.cos(x) + x.sum() / n,
        x,
    )


def probe(case: Vector, wrong: Callable[[Array], Any] | None = None, **settings: Any) -> Report:
    """Check the objective in probe mode, its gradient changed in place by `wrong`."""

    def grad(x: Array) -> Array:
        gradient = case.grad(x)
        if wrong is not None:
            wrong(gradient)
        return gradient

    return check_gradients(case.cost, grad, case.x, **{"mode": "probe", "seed": 0, **settings})


def named(report: Report) -> set[int]:
    return {c.index[0] for c in report.components if c.verdict in ("suspect", "bug", "nonfinite")}


class Net(NamedTuple):
    """The bundled network with two hidden layers, and data for it."""

    cost: Callable[[Params], float]
    grad: Callable[[Params], Params]
    params: Params


@pytest.fixture(scope="module")
def net() -> Net:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 24)), one_hot(np.arange(24) % 10)
    params = initialize((40, 150, 30, 10), rng)
    return Net(lambda p: cost(p, X, Y), lambda p: backprop(p, X, Y), params)


def faulty(net: Net, change: Callable[[Params], object]) -> Callable[[Params], Params]:
    """Return the gradient with something changed in it."""

    def grad(params: Params) -> Params:
        gradient = {name: array.copy() for name, array in net.grad(params).items()}
        change(gradient)
        return gradient

    return grad


@pytest.mark.parametrize("n", [1000, 30_000, 200_000])
def test_a_right_gradient_passes_within_forty_calls_at_any_size(n: int) -> None:
    report = probe(objective(n))
    assert report.verdict == "ok"
    assert report.passed
    assert report.evaluations <= 40
    assert [(p.checked, p.covered) for p in report.parameters] == [(0, n)]


def test_every_parameter_of_a_network_is_covered(net: Net) -> None:
    report = check_gradients(*net, mode="probe")
    assert report.verdict == "ok"
    assert report.evaluations <= 40
    assert all(p.covered == p.size and p.checked == 0 for p in report.parameters)
    assert all(1e-5 <= p.resolution < 1e-3 for p in report.parameters)


@pytest.mark.parametrize(("faults", "calls"), [(1, 60), (5, 200), (20, 900)])
@pytest.mark.parametrize("seed", [0, 1])
def test_all_wrong_components_are_named_and_none_falsely(
    faults: int, calls: int, seed: int
) -> None:
    n = 50_000
    bad = np.random.default_rng(seed).choice(n, faults, replace=False)

    def wrong(gradient: Array) -> None:
        gradient[bad] *= 1.01

    report = probe(objective(n), wrong, seed=seed)
    assert named(report) == set(bad.tolist())
    assert report.evaluations <= calls
    assert not report.passed
    assert report.parameters[0].checked == report.parameters[0].counts["bug"] == faults


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.001, 100.0])
def test_one_component_is_named_whatever_is_wrong_with_it(factor: float) -> None:
    def wrong(gradient: Array) -> None:
        gradient[77_777] *= factor

    report = probe(objective(100_000), wrong)
    assert named(report) == {77_777}
    (component,) = report.components
    assert component.analytic == pytest.approx(factor * component.numerical, rel=1e-6, abs=1e-12)
    assert report.evaluations <= 80


def test_faults_of_one_size_that_would_cancel_under_plain_signs_are_named() -> None:
    def wrong(gradient: Array) -> None:
        gradient[[10, 20, 30, 40]] += [0.5, -0.5, 0.5, -0.5]

    assert named(probe(objective(50_000), wrong)) == {10, 20, 30, 40}


def test_neighbours_and_the_ends_are_named() -> None:
    def wrong(gradient: Array) -> None:
        gradient[[0, 1, 2, -1]] *= 1.1

    assert named(probe(objective(50_000), wrong)) == {0, 1, 2, 49_999}


@pytest.mark.parametrize("seed", range(5))
def test_a_pass_would_have_shown_a_fault_of_twice_its_resolution(seed: int) -> None:
    case = objective(100_000)
    gradient = case.grad(case.x)
    usual = int(np.argmin(np.abs(np.abs(gradient) - np.sqrt(np.mean(gradient**2)))))
    resolution = probe(case, seed=seed).parameters[0].resolution

    def wrong(gradient: Array) -> None:
        gradient[usual] *= 1 + 2 * 2 * resolution  # relative to the sum of both values

    assert named(probe(case, wrong, seed=seed)) == {usual}


def test_a_whole_array_that_is_wrong_is_sampled_and_its_factor_reported(net: Net) -> None:
    report = check_gradients(
        net.cost, faulty(net, lambda g: g.update(dW1=2 * g["dW1"])), net.params, mode="probe"
    )
    wrong = {p.name: p for p in report.parameters if p.verdict != "ok"}
    assert list(wrong) == ["W1"]
    assert wrong["W1"].counts["bug"] == wrong["W1"].checked == 20
    assert [(f.code, f.parameter, round(f.factor or 0, 6)) for f in report.findings] == [
        ("scale", "W1", 2.0)
    ]
    assert report.evaluations < 500


@pytest.mark.parametrize(
    ("part", "where"),
    [((slice(None), 20), "column 20 of 40"), ((149, slice(None)), "row 149 of 150")],
)
def test_one_slice_that_is_wrong_as_a_whole_is_reported_as_such(
    net: Net, part: tuple[Any, ...], where: str
) -> None:
    def change(gradient: Params) -> None:
        gradient["dW1"][part] *= 1.5

    report = check_gradients(net.cost, faulty(net, change), net.params, mode="probe")
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.parameter) == ("partial", "cause", "W1")
    assert f"in {where}, and right elsewhere: 1.500 x" in finding.message
    assert {c.parameter for c in report.components} == {"W1"}


def test_a_slice_of_three_axes_is_reported_with_its_axis() -> None:
    shape = (8, 30, 50)
    x = np.random.default_rng(0).normal(size=shape)

    def grad(x: Array) -> Array:
        gradient = np.cos(x)
        gradient[:, :, 31] += 0.1
        return gradient

    report = check_gradients(lambda x: float(np.sin(x).sum()), grad, x, mode="probe")
    assert "in slice 31 of axis 2 of 50" in report.findings[0].message


def test_a_small_parameter_with_something_wrong_is_differenced_in_full(net: Net) -> None:
    def change(gradient: Params) -> None:
        gradient["db2"][4] += 0.1

    report = check_gradients(net.cost, faulty(net, change), net.params, mode="probe")
    b2 = next(p for p in report.parameters if p.name == "b2")
    assert (b2.checked, b2.counts["bug"]) == (30, 1)
    assert [c.name for c in report.components] == ["b2[4, 0]"]
    assert report.relative_error == max(p.relative_error for p in report.parameters) > 1e-3


def test_a_gradient_that_was_never_filled_is_zero(net: Net) -> None:
    report = check_gradients(
        net.cost, faulty(net, lambda g: g["dW2"].fill(0)), net.params, mode="probe"
    )
    assert [(f.code, f.parameter) for f in report.findings] == [("zero", "W2")]
    assert not report.passed


def test_a_tiny_gradient_that_was_never_filled_is_caught() -> None:
    case = objective(20_000)
    report = check_gradients(lambda x: 1e-7 * case.cost(x), np.zeros_like, case.x, mode="probe")
    assert not report.passed
    assert report.findings[0].code == "zero"


def test_a_handful_of_wrong_components_is_no_factor_of_the_whole() -> None:
    def wrong(gradient: Array) -> None:
        gradient[[5, 7000]] *= 3.0

    (finding,) = probe(objective(20_000), wrong).findings
    assert finding.code == "partial"
    assert "theta is wrong only in theta[5], theta[7000]: 3.000 x" in finding.message


def test_what_could_not_be_named_within_the_calls_is_said_and_fails() -> None:
    bad = np.arange(0, 100_000, 500)

    def wrong(gradient: Array) -> None:
        gradient[bad] *= 1.5

    report = probe(objective(100_000), wrong, search_calls=300)
    assert not report.passed
    assert report.evaluations < 500
    assert named(report) < set(bad.tolist())
    assert "unnamed" in [f.code for f in report.findings]
    assert report.parameters[0].verdict == "bug"


def test_without_calls_for_a_search_a_wrong_direction_still_fails() -> None:
    def wrong(gradient: Array) -> None:
        gradient[::700] *= 1.5

    report = probe(objective(100_000), wrong, search_calls=0)
    assert not report.passed
    assert "unnamed" in [f.code for f in report.findings]
    assert report.evaluations < 150


def test_what_is_no_number_is_named_without_a_search() -> None:
    def wrong(gradient: Array) -> None:
        gradient[[3, 40_000]] = [math.nan, math.inf]

    report = probe(objective(50_000), wrong)
    assert named(report) == {3, 40_000}
    assert report.verdict == "nonfinite"
    assert report.evaluations < 60


def test_fixed_and_excluded_parameters_are_not_moved(net: Net) -> None:
    seen: list[Array] = []

    def watched(params: Params) -> float:
        seen.append(params["W1"].copy())
        return net.cost(params)

    report = check_gradients(watched, net.grad, net.params, mode="probe", exclude="W1")
    assert report.passed
    assert all(np.array_equal(values, net.params["W1"]) for values in seen)
    assert "W1" not in [p.name for p in report.parameters]


def test_a_network_that_owns_its_arrays_is_probed_in_place_and_put_back(net: Net) -> None:
    own = {name: array.copy() for name, array in net.params.items()}
    wrong = faulty(net, lambda g: g["dW1"].__setitem__((7, 9), 1.0))
    report = check_gradients(
        lambda: net.cost(own), lambda: wrong(own), own, inplace=True, mode="probe"
    )
    assert [c.name for c in report.components] == ["W1[7, 9]"]
    assert all(own[name].tobytes() == net.params[name].tobytes() for name in own)


def test_float32_arrays_in_place_are_probed_by_what_they_can_hold() -> None:
    own = np.random.default_rng(0).normal(size=30_000).astype(np.float32)
    before = own.copy()

    def value() -> float:
        return float(np.sin(own.astype(np.float64)).sum())

    for factor, verdict in ((1.0, "ok"), (2.0, "bug")):

        def grad(factor: float = factor) -> Array:
            gradient = np.cos(own.astype(np.float64))
            gradient[1234] *= factor
            return gradient

        report = check_gradients(value, grad, own, inplace=True, mode="probe", seed=1)
        assert report.verdict == verdict
    assert [c.index for c in report.components] == [(1234,)]
    assert own.tobytes() == before.tobytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("last", [3, 12, 17])
def test_arrays_are_put_back_when_a_call_is_broken_off(
    net: Net, error: type[BaseException], last: int
) -> None:
    own = {name: array.copy() for name, array in net.params.items()}
    calls = 0

    def value() -> float:
        nonlocal calls
        calls += 1
        if calls == last:
            raise error
        return net.cost(own)

    with pytest.raises(error):
        check_gradients(value, lambda: net.grad(own), own, inplace=True, mode="probe")
    assert all(own[name].tobytes() == net.params[name].tobytes() for name in own)


def test_a_kink_along_every_direction_passes_as_one_and_fails_when_strict() -> None:
    x = np.zeros(20_000)
    pair = (lambda x: float(np.maximum(x, 0).sum()), np.zeros_like, x)
    report = check_gradients(*pair, mode="probe")
    assert report.passed
    assert report.verdict == "kink"
    assert "kink" in [f.code for f in report.findings]
    assert not check_gradients(*pair, mode="probe", strict=True).passed


def test_a_noisy_cost_says_how_much_it_hides() -> None:
    case = objective(20_000)
    coarse = check_gradients(lambda x: np.float32(case.cost(x)), case.grad, case.x, mode="probe")
    assert coarse.passed or coarse.verdict == "inconclusive"
    assert coarse.parameters[0].resolution > 1e-2


def test_a_gradient_in_float32_is_no_fault() -> None:
    case = objective(100_000)
    report = check_gradients(
        case.cost, lambda x: case.grad(x).astype(np.float32), case.x, mode="probe"
    )
    assert report.verdict == "ok"
    assert report.evaluations <= 40


@pytest.mark.parametrize("size", [1e-9, 1e-7, 4e-7, 3e-6])
def test_errors_below_the_threshold_in_all_components_do_not_add_up_to_a_fault(
    size: float,
) -> None:
    case = objective(100_000)
    errors = size * np.random.default_rng(1).normal(size=100_000)

    def grad(x: Array) -> Array:
        return case.grad(x) * (1 + errors)

    report = check_gradients(case.cost, grad, case.x, mode="probe")
    assert report.passed
    assert report.evaluations <= 1000

    def wrong(x: Array) -> Array:
        gradient = grad(x)
        gradient[54_321] *= 1.5
        return gradient

    report = check_gradients(case.cost, wrong, case.x, mode="probe")
    assert named(report) == {54_321}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [1e-4, 1e-3])
def test_a_small_error_in_all_components_is_a_fault_where_one_of_it_would_be(
    size: float, seed: int
) -> None:
    case = objective(100_000)
    report = check_gradients(
        case.cost, lambda x: (1 + size) * case.grad(x), case.x, mode="probe", seed=seed
    )
    assert not report.passed
    assert {component.verdict for component in report.components} == {"suspect"}
    assert report.evaluations <= 400


def test_a_parameter_without_effect_is_vacuous(net: Net) -> None:
    params = {**net.params, "unused": np.ones(500)}

    def used(params: Params) -> Params:
        return {name: array for name, array in params.items() if name != "unused"}

    def grad(params: Params) -> Params:
        return {**net.grad(used(params)), "dunused": np.zeros(500)}

    report = check_gradients(lambda p: net.cost(used(p)), grad, params, mode="probe")
    assert report.passed
    assert [(f.code, f.parameter) for f in report.findings] == [("vacuous", "unused")]


def test_one_seed_gives_one_report() -> None:
    def wrong(gradient: Array) -> None:
        gradient[[100, 5000, 9999]] *= 1.2

    one, other = (probe(objective(20_000), wrong, seed=3).to_dict() for _ in range(2))
    assert one == other


def test_auto_beyond_ten_thousand_joins_directions_and_samples(net: Net) -> None:
    case = objective(10_001)
    report = check_gradients(case.cost, case.grad, case.x)
    assert [(p.checked, p.covered) for p in report.parameters] == [(20, 10_001)]
    small = objective(10_000)
    full = check_gradients(small.cost, small.grad, small.x)
    assert [(p.checked, p.covered) for p in full.parameters] == [(10_000, 10_000)]


def test_auto_names_what_samples_would_miss() -> None:
    def wrong(gradient: Array) -> None:
        gradient[12_345] *= 1.01

    assert named(probe(objective(20_000), wrong, mode="auto")) == {12_345}
    sampled = probe(objective(20_000), wrong, mode="sample")
    assert sampled.passed
    assert sampled.parameters[0].covered == sampled.parameters[0].checked == 20


def test_a_sample_has_the_ends_and_the_largest_gradients() -> None:
    evaluated: set[int] = set()
    x = np.linspace(1.0, 2.0, 5000)
    big = [17, 2500, 4000]
    weights = np.ones(5000)
    weights[big] = 100.0

    def value(x: Array) -> float:
        evaluated.update(np.flatnonzero(x != start).tolist() if np.sum(x != start) == 1 else [])
        return float(weights @ x**2)

    start = x.copy()
    check_gradients(value, lambda x: 2 * weights * x, x, mode="sample")
    assert {0, 4999, *big} <= evaluated
    assert len(evaluated) == 20


def test_probing_has_no_fixed_step() -> None:
    with pytest.raises(ProblemError, match="mode='probe'") as caught:
        probe(objective(20), eps=1e-7)
    assert caught.value.code == "bad-setting"


def test_the_headline_of_a_pass_says_what_was_seen() -> None:
    text = str(probe(objective(30_000))).splitlines()
    assert text[0] == "ok: 30,000 components agree along random directions"
    assert any("30,000 seen along random directions" in line for line in text)


def test_fewer_probes_take_fewer_calls() -> None:
    many, few = (probe(objective(20_000), probes=count).evaluations for count in (9, 1))
    assert many - few == 2 * 8


@pytest.mark.parametrize("mode", ["probe", "auto"])
def test_a_check_takes_a_few_copies_of_theta(mode: str) -> None:
    case = objective(200_000)
    probe(case, mode=mode)  # a first run, for imports and caches
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    assert probe(case, mode=mode).passed
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (most - before) / case.x.nbytes < 9


def test_a_full_check_holds_no_lists_of_all_components() -> None:
    w = np.random.default_rng(0).uniform(1, 2, 40_000)
    case = Vector(lambda x: float(w @ x), lambda x: w, np.ones(w.size))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    assert probe(case, mode="full").passed
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (most - before) / case.x.nbytes < 15  # a list of floats would take five alone


def test_theta_is_not_copied_again_for_a_call() -> None:
    x = np.ones(200_000)
    extra = []

    def value(x: Array) -> float:
        now, _ = tracemalloc.get_traced_memory()
        extra.append(now)
        return float(x @ x)

    tracemalloc.start()
    probe(Vector(value, lambda x: 2 * x, x))
    tracemalloc.stop()
    calls = extra[9:]  # those along random directions
    assert (max(calls) - min(calls)) / x.nbytes < 2.5


@pytest.mark.parametrize("mode", ["probe", "auto"])
def test_where_nearly_all_of_many_arrays_are_wrong_each_is_sampled(mode: Any) -> None:
    rng = np.random.default_rng(0)
    params = {f"w{k}": rng.normal(size=400) for k in range(60)}
    factors = {name: rng.choice([2.0, 3.0, -1.0], 400) for name in params}
    factors["w7"] = np.ones(400)
    report = check_gradients(
        lambda p: float(sum(np.sum(np.sin(value)) for value in p.values())),
        lambda p: {name: np.cos(value) * factors[name] for name, value in p.items()},
        params,
        mode=mode,
    )
    wrong = {parameter.name for parameter in report.parameters if parameter.verdict == "bug"}
    assert wrong == set(params) - {"w7"}
    assert report.evaluations <= 4 * 60 + 40


def test_the_first_line_of_what_could_not_be_named_says_so() -> None:
    """Nothing was differenced that is wrong, and one direction is off by what all of it adds."""

    def wrong(gradient: Array) -> None:
        gradient[350::700] *= 1.5

    report = probe(objective(100_000), wrong, search_calls=0)
    assert report.components == ()
    first = str(report).splitlines()[0]
    assert first.startswith("bug in theta: off along a random direction, by what")


@pytest.mark.parametrize("curve", [1e-3, 1.0, 1e3])
def test_a_minimum_takes_directions_no_further_look(curve: float) -> None:
    """Its gradient is 0 as one is that was never filled in, and the cost moves some way off."""
    x = np.random.default_rng(7).normal(size=40)

    def cost(z: Array) -> float:
        return 1 + curve * float(np.sum((z - x) ** 2))

    report = check_gradients(cost, lambda z: 2 * curve * (z - x), x, mode="probe")
    assert report.passed
    assert report.evaluations <= 40


@pytest.mark.parametrize("size", [1e-6, 2e-6])
def test_small_errors_that_add_up_along_a_direction_are_not_searched_for(size: float) -> None:
    """Of a few components none is off by the threshold, and their errors explain what all add."""
    case = objective(20_000)
    errors = 1 + size * np.random.default_rng(1).normal(size=20_000)
    report = probe(case._replace(grad=lambda x: case.grad(x) * errors))
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 0
    assert report.evaluations <= 200


def test_the_figure_of_a_right_gradient_is_rounding_along_directions_too() -> None:
    report = probe(objective(1000))
    assert report.relative_error < 1e-6
    assert report.parameters[0].relative_error < 1e-6


def test_a_direction_is_looked_at_four_times_more_before_its_ladder() -> None:
    """Kinks leave the step one after the other: at the fourth look the last of them is outside."""
    offs = iter([60.0, 30.0, 15.0, 0.5])
    place, weights = slice(0, 2), np.ones(2)

    def taken(_: object, __: object, shrink: float) -> Look:
        return Look(place, weights, Residual(next(offs), 1.0), shrink)

    screen: Any = SimpleNamespace(_taken=taken)
    found = Screen._closer(screen, Look(place, weights, Residual(120.0, 1.0), 1.0))
    assert found.answer.residual == 0.5
