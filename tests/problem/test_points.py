"""The points of a check: given, random initializations, after some training, the penalty off."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Problem, ProblemError, Report, Settings, check_gradients, gradcheck
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.problem.points import descend

Array = npt.NDArray[np.float64]


def sphere(w: Array) -> float:
    return float(w @ w)


def double(w: Array) -> Array:
    return 2 * w


def names(report: Report) -> list[str]:
    return [point.name for point in report.points]


def test_given_params_are_one_point() -> None:
    assert names(gradcheck(sphere, double, np.ones(3))) == ["given"]


def test_a_callable_draws_an_initialization_for_every_seed() -> None:
    drawn: list[Array] = []

    def params(rng: np.random.Generator) -> Array:
        drawn.append(rng.standard_normal(3))
        return drawn[-1]

    report = gradcheck(sphere, double, params, seeds=3)
    assert names(report) == [f"random initialization {i}" for i in (1, 2, 3)]
    assert len({tuple(values) for values in drawn}) == 3


def test_a_callable_is_one_point_by_default() -> None:
    report = gradcheck(sphere, double, lambda rng: rng.standard_normal(3))
    assert names(report) == ["random initialization 1"]


def test_a_callable_may_do_without_the_generator() -> None:
    assert names(gradcheck(sphere, double, lambda: np.ones(2))) == ["random initialization 1"]


def test_the_seed_repeats_the_initializations() -> None:
    def drawn(seed: int) -> list[float]:
        kept: list[float] = []

        def params(rng: np.random.Generator) -> Array:
            kept.append(rng.standard_normal())
            return np.full(2, kept[-1])

        gradcheck(sphere, double, params, seeds=2, seed=seed)
        return kept

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_a_callable_that_wants_more_than_a_generator_is_refused() -> None:
    def init(n_in: int, n_out: int) -> Array:
        return np.ones((n_in, n_out))

    with pytest.raises(ProblemError, match=r"init is called as params\(rng\)") as error:
        check_gradients(sphere, double, init)
    assert error.value.code == "unbound-argument"


def test_more_seeds_than_one_need_a_callable() -> None:
    with pytest.raises(ProblemError, match=r"seeds=3 .*callable params\(rng\)") as error:
        check_gradients(sphere, double, np.ones(2), seeds=3)
    assert error.value.code == "bad-setting"


def test_training_adds_a_point_where_gradient_descent_leads() -> None:
    seen: list[Array] = []

    def cost(w: Array) -> float:
        seen.append(w.copy())
        return sphere(w)

    report = gradcheck(cost, double, np.array([1.0, -2.0]), train=3, learning_rate=0.25)
    assert names(report) == ["given", "given, after 3 steps"]
    np.testing.assert_allclose(seen[-1], np.array([1.0, -2.0]) / 8, rtol=1e-3)


def test_every_initialization_is_trained() -> None:
    report = gradcheck(sphere, double, lambda rng: rng.standard_normal(2), seeds=2, train=5)
    assert names(report) == [
        "random initialization 1",
        "random initialization 1, after 5 steps",
        "random initialization 2",
        "random initialization 2, after 5 steps",
    ]


def test_training_leaves_parameters_that_are_not_checked_alone() -> None:
    seen: list[float] = []

    def cost(p: dict[str, Any]) -> float:
        seen.append(p["b"])
        return sphere(p["W"]) + float(p["b"])

    gradcheck(
        cost,
        lambda p: {"W": 2 * p["W"], "b": 1.0},
        {"W": np.ones(2), "b": 0.5},
        train=4,
        only="W",
    )
    assert set(seen) == {0.5}


def test_training_with_inplace_moves_the_network_and_puts_it_back() -> None:
    own = {"W": np.array([1.0, -2.0])}
    seen: list[Array] = []

    def cost() -> float:
        seen.append(own["W"].copy())
        return sphere(own["W"])

    gradcheck(cost, lambda: {"W": 2 * own["W"]}, own, inplace=True, train=2, learning_rate=0.25)
    np.testing.assert_allclose(seen[-1], [0.25, -0.5], rtol=1e-3)
    assert own["W"].tolist() == [1.0, -2.0]


def test_a_fault_that_shows_only_after_training_is_found() -> None:
    def grad(w: Array) -> Array:
        return np.where(w < 0.5, 2.2 * w, 2 * w)

    report = check_gradients(sphere, grad, np.ones(2), train=5)
    assert [point.passed for point in report.points] == [True, False]
    assert {component.point for component in report.components} == {"given, after 5 steps"}


def test_descent_that_runs_away_from_a_right_gradient_is_reported() -> None:
    with pytest.raises(ProblemError, match=r"'given' ran away at step \d+ of 99: lower") as error:
        check_gradients(
            lambda w: float(np.sum(w**4)), lambda w: 4 * w**3, np.array([9.0]), train=99
        )
    assert error.value.code == "nonfinite-cost"


def test_descent_to_a_cost_that_is_not_finite_is_reported_with_the_point_it_began_at() -> None:
    """Theta itself is still finite there: 1e200, whose square is not."""
    with pytest.raises(ProblemError, match=r"'given' ran away: the cost is inf after 2") as error:
        check_gradients(sphere, double, np.array([1.0]), train=2, learning_rate=1e100)
    assert error.value.code == "nonfinite-cost"


def descended(start: float, learning_rate: float) -> str | None:
    theta = Theta(np.array([start]))
    pair = Pair(Problem(sphere, double, theta.base), theta, None, Settings())
    return descend(pair, Settings(train=3, learning_rate=learning_rate), "given")


def test_descent_that_leads_upward_is_reported() -> None:
    assert descended(start=1.0, learning_rate=2.0) == (
        "gradient descent from the point 'given' led upward, from a cost of 1 to 729 in 3 steps: "
        "lower learning_rate=2"
    )


@pytest.mark.parametrize("start", [1.0, 0.0, 1e-300])
def test_descent_that_leads_downward_or_stays_is_not_worth_a_word(start: float) -> None:
    assert descended(start, learning_rate=0.1) is None


def test_a_wrong_gradient_that_leads_descent_astray_is_still_called_wrong() -> None:
    report = check_gradients(
        lambda w: float(np.sum(w**4)), lambda w: -4 * w**3, np.array([1.0, 2.0]), train=99
    )
    assert (report.passed, report.verdict, names(report)) == (False, "bug", ["given"])
    assert any("ran away" in note for note in report.notes)


@pytest.mark.parametrize("name", ["lambd", "l2", "l1", "weight_decay"])
def test_a_penalty_in_data_is_also_switched_off(name: str) -> None:
    seen: set[float] = set()

    def cost(w: Array, **data: float) -> float:
        seen.add(data[name])
        return float(np.sum(w**3)) + data[name] * sphere(w)

    report = gradcheck(
        cost, lambda w, **data: 3 * w**2 + data[name] * 2 * w, np.ones(2) / 2, data={name: 0.7}
    )
    assert names(report) == ["given", "given, penalty off"]
    assert seen == {0.7, 0.0}


@pytest.mark.parametrize("off", [0, 0.0, None, [0.0, 0.0]], ids=str)
def test_a_penalty_that_is_off_already_is_no_second_point(off: Any) -> None:
    report = gradcheck(lambda w, lambd: sphere(w), lambda w: 2 * w, np.ones(2), data={"lambd": off})
    assert names(report) == ["given"]


def test_the_penalty_is_off_after_training_as_well() -> None:
    report = gradcheck(
        lambda w, lambd: float(np.sum(np.cos(w))) + lambd * sphere(w),
        lambda w, lambd: -np.sin(w) + 2 * lambd * w,
        lambda rng: rng.standard_normal(2),
        data={"lambd": 0.5},
        train=2,
    )
    assert names(report) == [
        "random initialization 1",
        "random initialization 1, penalty off",
        "random initialization 1, after 2 steps",
        "random initialization 1, after 2 steps, penalty off",
    ]


def test_a_penalty_that_dominates_cannot_hide_a_wrong_data_gradient() -> None:
    report = check_gradients(
        lambda w, l2: float(np.sum(w**3)) + l2 * sphere(w),
        lambda w, l2: 3.1 * w**2 + 2 * l2 * w,
        np.array([0.5, 0.25]),
        data={"l2": 1e4},
        fail_on="bug",
    )
    assert [point.passed for point in report.points] == [True, False]
    assert report.worst_point.name == "given, penalty off"


def test_the_users_data_is_left_as_it_was() -> None:
    data = {"lambd": 0.5, "keep_prob": 0.8, "keep_probs": [0.5, 0.25]}
    before = {"lambd": 0.5, "keep_prob": 0.8, "keep_probs": [0.5, 0.25]}
    gradcheck(
        lambda w, lambd, keep_prob, keep_probs: lambd * sphere(w),
        lambda w, lambd: 2 * lambd * w,
        np.ones(2),
        data=data,
    )
    assert data == before


def test_a_descent_calls_the_forward_pass_of_a_network_before_its_backward_pass() -> None:
    class Net:
        def __init__(self) -> None:
            self.params = {"w": np.array([3.0, -2.0])}

        def loss(self) -> float:
            self.kept = self.params["w"].copy()
            return float(self.kept @ self.kept)

        def gradient(self) -> dict[str, Any]:
            return {"w": 2 * self.kept}

    net = Net()
    report = check_gradients(
        net.loss, net.gradient, net.params, inplace=True, train=30, learning_rate=0.4
    )
    assert [point.name for point in report.points] == ["given", "given, after 30 steps"]
    assert report.passed
    assert not any("upward" in note for note in report.notes)
