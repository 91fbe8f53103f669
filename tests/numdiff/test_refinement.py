"""What first differences leave open: the verdicts of whole ladders, at a fraction of the calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.numdiff import refinement
from pytest_gradcheck.numdiff.evaluators import Differences, SerialEvaluator
from pytest_gradcheck.numdiff.ladder import Kind, Slope
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.refinement.groups import proven_bars
from pytest_gradcheck.numdiff.refinement.looks import bars_of, looked_closer
from pytest_gradcheck.numdiff.refinement.outward import Outward, looked_outward
from pytest_gradcheck.numdiff.refinement.undecided import Settled, Undecided
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]


class Case(NamedTuple):
    """A cost, its gradient, and the point of the check."""

    cost: Callable[[Array], float]
    grad: Callable[[Array], Array]
    x: Array


def sines(n: int, rng: np.random.Generator) -> Case:
    w = rng.uniform(1, 2, n)
    return Case(
        lambda x: float(w @ np.sin(x) + x.sum() ** 2 / (2 * n)),
        lambda x: w * np.cos(x) + x.sum() / n,
        rng.normal(size=n),
    )


def offset(n: int, rng: np.random.Generator) -> Case:
    """Return a cost that is limited by the rounding of a large constant."""
    whole = sines(n, rng)
    return Case(lambda x: 1e6 + whole.cost(x), whole.grad, whole.x)


def scales(n: int, rng: np.random.Generator) -> Case:
    """Return a cost of parameters and slopes over 18 decades."""
    S = 10 ** rng.uniform(-9, 9, n)
    return Case(
        lambda x: float(np.sum(np.sin(x / S) + 0.1 * (x / S)[::-1] * (x / S))),
        lambda x: (np.cos(x / S) + 0.2 * (x / S)[::-1]) / S,
        S * rng.normal(size=n),
    )


def network(n: int, rng: np.random.Generator, kind: type = float) -> Case:
    """Return a tanh layer of about so many weights, that may compute in float32."""
    rows, columns = max(2, n // 10), 10
    X, Y = rng.normal(size=(columns, 16)), rng.normal(size=(rows, 16))

    def cost(x: Array) -> float:
        A = np.tanh(x.reshape(rows, columns).astype(kind) @ X.astype(kind))
        return float(0.5 * np.mean((A - Y.astype(kind)) ** 2))

    def grad(x: Array) -> Array:
        A = np.tanh(x.reshape(rows, columns) @ X)
        return np.asarray(((A - Y) * (1 - A**2) / Y.size) @ X.T).ravel()

    return Case(cost, grad, rng.normal(size=rows * columns))


def kinked(n: int, rng: np.random.Generator) -> Case:
    """Return a cost with a kink at a distance of 1e-10 to 1e-2 beside every component."""
    x = rng.normal(size=n)
    at = x + rng.choice((-1.0, 1.0), n) * 10 ** rng.uniform(-10, -2, n)
    a, b = rng.normal(size=n), rng.normal(size=n)
    return Case(
        lambda x: float(np.sum(a * np.abs(x - at) + b * np.sin(x))),
        lambda x: a * np.sign(x - at) + b * np.cos(x),
        x,
    )


CASES = {"sines": sines, "offset": offset, "scales": scales, "network": network, "kinked": kinked}

FAULTS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "scale": lambda g, _: 8 * g,
    "sign": lambda g, _: -g,
    "mask": lambda g, rng: np.where(rng.random(g.size) < 0.5, g, 0.0),
    "upstream": lambda g, _: np.roll(g, 1),
    "small": lambda g, _: g * (1 + 2e-4),
    "half": lambda g, _: np.where(np.arange(g.size) % 2, g, 2 * g),
}


def checked(case: Case, gradient: Array, **settings: Any) -> Report:
    return check_gradients(case.cost, lambda x: gradient, case.x, **settings)


def wrong(report: Report) -> set[int]:
    bad = ("suspect", "bug", "nonfinite")
    return {component.index[0] for component in report.components if component.verdict in bad}


UNSCALED = {("scales", "mask"), ("scales", "upstream")}
"""Faults whose gradients tell a wrong length of components, where sizes spread over decades."""


@pytest.fixture
def ladders(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes every open component climb a ladder, as a reference."""

    def switch() -> None:
        def unproven(_: Any, first: refinement.Undecided, __: Any) -> Array:
            return np.full_like(first.values, np.nan)

        monkeypatch.setattr(refinement, "proven_bars", unproven)
        monkeypatch.setattr(refinement, "looked_closer", lambda *_: iter(()))
        monkeypatch.setattr(refinement, "looked_outward", lambda _, open_, __: Outward.none(open_))

    return switch


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["sines", "network", "scales"])
def test_a_wrong_gradient_takes_hardly_more_calls_than_a_right_one(name: str, fault: str) -> None:
    rng = np.random.default_rng(1)
    case = CASES[name](400, rng)
    gradient = FAULTS[fault](case.grad(case.x), rng)
    report = checked(case, gradient)
    assert not report.passed
    if (name, fault) not in UNSCALED:
        # Some 1.2 as a rule; how many are looked at again hangs on a processor's rounding.
        assert report.evaluations <= 2.1 * 2 * case.x.size


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CASES)
def test_verdicts_are_those_of_ladders(name: str, fault: str, ladders: Callable[[], None]) -> None:
    rng = np.random.default_rng(2)
    case = CASES[name](40, rng)
    right = case.grad(case.x)
    gradient = FAULTS[fault](right, rng)
    quick = checked(case, gradient)
    ladders()
    slow = checked(case, gradient)
    assert wrong(quick) >= wrong(slow)
    assert np.all(gradient[list(wrong(quick))] != right[list(wrong(quick))])
    assert quick.evaluations < 1.01 * slow.evaluations  # beside kinks, ladders do it all


@pytest.mark.parametrize("seed", range(4))
def test_a_right_component_near_a_kink_is_never_called_wrong(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = kinked(40, rng)
    right = case.grad(case.x)
    for fault in FAULTS.values():
        gradient = np.where(rng.random(right.size) < 0.7, fault(right, rng), right)
        found = list(wrong(checked(case, gradient)))
        assert np.all(gradient[found] != right[found])


@pytest.mark.parametrize("name", ["float32", "offset"])
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_where_noise_limits_a_check_takes_six_calls_a_component(
    name: str, fault: str | None
) -> None:
    rng = np.random.default_rng(1)
    case = offset(300, rng) if name == "offset" else sines(300, rng)
    if name == "float32":
        exact = case.cost
        case = case._replace(cost=lambda x: float(np.float32(exact(x))))
    right = case.grad(case.x)
    gradient = FAULTS[fault](right, rng) if fault else right
    report = checked(case, gradient)
    found = list(wrong(report))
    assert np.all(gradient[found] != right[found])
    if (name, fault) != ("float32", "small"):  # which noise hides
        assert bool(found) == bool(fault)
    if fault not in (None, "small", "upstream"):
        assert len(found) > 0.8 * np.count_nonzero(gradient != right)
    assert report.evaluations <= 6 * right.size


@pytest.mark.parametrize("fault", ["scale", "sign", "mask", "upstream", "half"])
def test_few_components_in_float32_take_no_more_calls_for_each_than_many(fault: str) -> None:
    calls = []
    for seed in range(40):  # of five, the median is 5.2 to 7.4, as a processor rounds
        rng = np.random.default_rng(seed)
        case = network(60, rng, np.float32)
        report = checked(case, FAULTS[fault](case.grad(case.x), rng), seed=0)
        calls.append(report.evaluations)
    assert np.median(calls) <= 6.5 * 60


def test_an_error_that_noise_hides_in_most_components_is_found_in_the_loudest() -> None:
    """A look outward is content with an error bar of 1e-3; a tenth of that is seen by ladders."""
    rng = np.random.default_rng(3)
    w, x = np.ones(60), rng.normal(size=60)
    w[7] = 10.0

    def cost(x: Array) -> float:
        return float(np.float32(300 + w @ np.sin(x)))

    right = w * np.cos(x)
    gradient = right.copy()
    gradient[7] *= 1 + 1e-3
    report = checked(Case(cost, lambda x: gradient, x), gradient)
    assert wrong(report) == {7}


def test_error_bars_of_groups_and_looks_hold() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for name in ("sines", "network", "offset", "scales"):
            case = CASES[name](80, rng)
            right = case.grad(case.x)
            for component in checked(case, 1.5 * right).components:
                off = abs(component.numerical - right[component.index])
                assert off <= component.error_bar
                assert component.error_bar <= 1e-3 * abs(component.numerical)


def test_error_bars_of_groups_hold_where_truncation_errors_cancel_in_a_sum() -> None:
    for seed in range(60):
        case = CASES["scales"](80, np.random.default_rng(seed))
        right = case.grad(case.x)
        for component in checked(case, 1.5 * right).components:
            assert abs(component.numerical - right[component.index]) <= component.error_bar


def test_a_single_ripple_among_many_is_not_proven_by_its_group() -> None:
    """The sum over a group must not hide one difference that is off by as much as it disagrees."""
    rng = np.random.default_rng(3)
    plain = sines(64, rng)
    w = np.zeros(64)
    w[17] = 1.0

    def cost(x: Array) -> float:
        return plain.cost(x) + 1e-5 * float(np.sin(1e5 * (w @ x)))

    right = plain.grad(plain.x) + w * np.cos(1e5 * plain.x[17])
    gradient = np.where(np.arange(64) == 17, right, 3 * right)
    assert wrong(check_gradients(cost, lambda x: gradient, plain.x)) == set(range(64)) - {17}


def test_what_a_longer_step_decides_no_ladder_leaves_open() -> None:
    """The longest step need not be a rung, and a ladder that tells less takes nothing away."""
    counts = {"ok": 0, "inconclusive": 0}
    for seed in range(40):
        rng = np.random.default_rng([seed, 107])
        w, x = rng.uniform(0.5, 2, 3), rng.normal(size=3)

        def cost(x: Array, w: Array = w) -> float:
            return 5 + round(float(w @ np.sin(x / 2)), 5)

        right = w * np.cos(x / 2) / 2
        report = check_gradients(cost, lambda x, right=right: right, x, seed=seed)
        for verdict in counts:
            counts[verdict] += report.parameters[0].counts[verdict]
    assert sum(counts.values()) == 120
    assert counts["inconclusive"] <= 10


# One component


def differenced(
    cost: Callable[[float], float], step: float, tolerance: float = 1.0, length: float = 1.0
) -> Undecided:
    """Return a component at 0, whose gradient is 1, after one difference at a step."""
    ahead, behind = np.array([cost(step)]), np.array([cost(-step)])
    return Undecided(
        np.arange(1),
        np.array([length]),
        np.ones(1),
        np.array([tolerance]),
        Differences(ahead, behind, np.array([2 * step])),
        np.full(1, 1e-16 / step),
        cost(0.0),
        1e-5,
    )


def evaluator_of(cost: Callable[[float], float]) -> SerialEvaluator:
    theta = Theta(np.zeros(1))
    return SerialEvaluator(lambda: cost(float(theta.tree[0])), theta, cost(0.0))


def test_a_large_gap_of_the_slopes_of_a_smooth_cost_is_no_kink() -> None:
    """It is proportional to the step, and the two differences lie apart by a part of it."""

    def cost(t: float) -> float:
        return t + 1e3 * t**2 + 1e4 * t**3

    found = bars_of(differenced(cost, 1e-3), differenced(cost, 1e-4))
    assert found.consistent
    assert found.error_bars[0] < 2e-3


def test_a_small_gap_is_a_kink_where_the_differences_lie_apart_by_more_of_it() -> None:
    """The cost bends between the two steps: the slope ahead is another there."""

    def cost(t: float) -> float:
        return t + 1e-3 * abs(t) + 1e-3 * max(t - 2e-4, 0.0)

    found = bars_of(differenced(cost, 1e-3), differenced(cost, 1e-4))
    assert found.error_bars[0] >= 1e-3  # half of the gap at the finer step


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("slope", [1.0, -1.0])
def test_a_cost_that_moves_on_one_side_alone_moves(side: float, slope: float) -> None:
    def cost(t: float) -> float:
        return slope * max(side * t, 0.0)

    assert bars_of(differenced(cost, 1e-3), differenced(cost, 1e-4)).consistent
    still = differenced(lambda t: 0.0, 1e-3), differenced(lambda t: 0.0, 1e-4)
    assert not bars_of(*still).consistent


def test_a_gradient_that_a_closer_look_bears_out_needs_no_ladder() -> None:
    """The first difference is off by the truncation of a step that was far too long."""

    def cost(t: float) -> float:
        return t + 20 * t**2 + 100 * t**3

    noise = Noise(1e-17, 1.0, 1.0, moved=True)
    (look,) = looked_closer(evaluator_of(cost), differenced(cost, 1e-2, 1e-2), noise)
    assert look.settled.numbers.tolist() == [0]
    assert abs(look.settled.values[0] - 1) <= look.settled.error_bars[0] <= 1e-2


@pytest.mark.parametrize("length", [0.2, 1.0, 10.0])
def test_the_longest_step_outward_is_three_tenths_of_a_length(length: float) -> None:
    def cost(t: float) -> float:
        return t

    open_ = differenced(cost, 1e-3 * length, tolerance=1e-9, length=length)
    loud = Noise(1e-6 * length, 1.0, 1.0, moved=True)
    open_ = open_.after(open_.differences, np.full(1, 8e-3))
    outward = looked_outward(evaluator_of(cost), open_, loud)
    assert outward.after.steps == pytest.approx([0.3 * length])


@pytest.mark.parametrize(("gap", "is_asked"), [(1.0, True), (2.0, False), (3.0, True)])
def test_groups_leave_out_what_is_off_by_half_of_a_gap(gap: float, is_asked: bool) -> None:
    """Those are right components beside a kink within the step, which no group bears out."""
    theta, calls, step, each = Theta(np.full(20, 0.5)), [0.0], 1e-4, np.ones(20)

    def cost() -> float:
        calls.append(1.0)
        return 1.0

    # all residuals are 1, and the gaps so many times that
    ahead, behind = 1 + step * (1 + 0.5 * gap), 1 - step * (1 - 0.5 * gap)
    both = Differences(ahead * each, behind * each, 2 * step * each)
    open_ = Undecided(
        np.arange(20), each, 0 * each, 1e-3 * each, both, 1e-9 * each, 1.0, suspect=1e-5
    )
    noise = Noise(1e-16, 1.0, 1.0, moved=True)
    assert np.isnan(proven_bars(SerialEvaluator(cost, theta, 1.0), open_, noise)).all()
    assert (len(calls) > 1) == is_asked


def outward_of(cost: Callable[[float], float]) -> tuple[Outward, int]:
    """Look outward where noise leaves the first error bar ten times too wide; count the calls.

    The step grows by two rungs then, and the bar there is three quarters of the tolerance.
    """
    calls = [0]

    def counted(t: float) -> float:
        calls[0] += 1
        return cost(t)

    open_ = differenced(cost, 1e-2, tolerance=1e-3)
    open_ = open_.after(open_.differences, np.full(1, 1e-2))
    noise = Noise(1e-2 * 1e-2 / 8, 2.0, 2.0, moved=True)
    evaluator = evaluator_of(counted)
    calls[0] = 0
    return looked_outward(evaluator, open_, noise), calls[0]


@pytest.mark.parametrize("third", [0.2, 1.0, -1.0, 10.0])
def test_no_ladder_climbs_where_truncation_and_rounding_hide_a_component(third: float) -> None:
    outward, calls = outward_of(lambda t: t + 20 * t**2 + third * t**3)
    assert calls == 4
    assert outward.settled.numbers.tolist() == [0]
    assert abs(outward.settled.values[0] - 1) <= outward.settled.error_bars[0]
    assert 1e-3 < outward.settled.error_bars[0] < 1.1e-2  # undecided, and no wider than before


@pytest.mark.parametrize("slope", [1 - 2.5e-3, 1 + 2.5e-3])
def test_a_fault_is_not_taken_for_truncation(slope: float) -> None:
    """It is the same at both steps."""
    outward, calls = outward_of(lambda t: slope * t + 20 * t**2)
    assert calls == 4
    assert not outward.settled.numbers.size


def test_a_fault_that_shows_between_the_two_steps_is_left_to_a_ladder() -> None:
    outward, _ = outward_of(lambda t: (1 + 8e-3) * t + 20 * t**2 + t**3)
    assert not outward.settled.numbers.size


def test_a_look_that_meets_the_end_of_a_ladders_error_bar_may_replace_it() -> None:
    climbed = {
        3: Slope(1.0, 0.5),
        4: Slope(1.0, 0.5),
        5: Slope(1.0, 0.125),
        6: Slope(1.0, 0.5, Kind.KINK, (0.0, 2.0)),
    }
    held = Settled(np.arange(3, 7), np.array([1.5, 1.625, 1.0, 1.0]), np.full(4, 0.25))
    assert dict(refinement._told_better(climbed, held)) == {3: Slope(1.5, 0.25)}
