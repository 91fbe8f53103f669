"""Penalties that the cost leaves out: L2 and L1, on all parameters but biases."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import L1, L2, ProblemError, check_gradients, gradcheck
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.problem.regularization import Penalty

PARAMS = {"W1": np.array([[1.0, -2.0], [0.5, 3.0]]), "b1": np.array([4.0, -5.0])}
M = 10


def cost(p: dict[str, Any]) -> float:
    return float(np.sum(np.sin(p["W1"])) + np.sum(np.cos(p["b1"])))


def grad(p: dict[str, Any]) -> dict[str, Any]:
    return {"W1": np.cos(p["W1"]), "b1": -np.sin(p["b1"])}


def with_l2(p: dict[str, Any]) -> dict[str, Any]:
    return {**grad(p), "W1": np.cos(p["W1"]) + 0.7 / M * p["W1"]}


def with_l1(p: dict[str, Any]) -> dict[str, Any]:
    return {**grad(p), "W1": np.cos(p["W1"]) + 0.7 / (2 * M) * np.sign(p["W1"])}


@pytest.mark.parametrize(("penalty", "right"), [(L2(0.7, M), with_l2), (L1(0.7, M), with_l1)])
def test_a_penalty_is_added_to_the_cost(penalty: Penalty, right: Any) -> None:
    assert gradcheck(cost, right, PARAMS, regularization=penalty).verdict == "ok"
    left_out = check_gradients(cost, grad, PARAMS, regularization=penalty)
    assert {component.parameter for component in left_out.components} == {"W1"}
    assert not check_gradients(cost, right, PARAMS).passed


def test_the_values_are_the_courses() -> None:
    theta = Theta(PARAMS)
    squares, sizes = 1 + 4 + 0.25 + 9, 1 + 2 + 0.5 + 3
    assert L2(0.7, M).value(theta.base, theta.parameters) == pytest.approx(0.7 / 20 * squares)
    assert L1(0.7, M).value(theta.base, theta.parameters) == pytest.approx(0.7 / 20 * sizes)
    assert L2(0.7).value(theta.base, theta.parameters) == pytest.approx(0.35 * squares)


NAMES = [
    ("W1", True),
    ("weight", True),
    ("theta", True),
    ("beta", True),
    ("layers[0].W", True),
    ("blocks[1].weight", True),
    ("[0]", True),
    ("batch", True),
    ("b", False),
    ("b1", False),
    ("b12", False),
    ("B2", False),
    ("b_1", False),
    ("b_out", False),
    ("bias", False),
    ("biases", False),
    ("hidden_bias", False),
    ("bias_hh", False),
    ("fc1.bias", False),
    ("layers[0].bias", False),
    ("b[0]", False),
    ("net.b[2]", False),
]


@pytest.mark.parametrize(("name", "penalized"), NAMES)
def test_all_parameters_but_biases_are_penalized(name: str, penalized: bool) -> None:
    parameter = dataclasses.replace(Theta(np.ones(2)).parameters[0], name=name)
    assert L2(1.0).penalized(parameter) is penalized


@pytest.mark.parametrize(
    ("only", "expected"),
    [("b1", {"b1"}), ("*", {"W1", "b1"}), (("W*", "b1"), {"W1", "b1"}), (["W1"], {"W1"})],
)
def test_only_says_otherwise(only: Any, expected: set[str]) -> None:
    penalty = L2(1.0, 1, only)
    assert {p.name for p in Theta(PARAMS).parameters if penalty.penalized(p)} == expected


def test_a_penalty_on_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        ProblemError, match=r"only='W11' of the regularization .*mean 'W1'"
    ) as error:
        check_gradients(cost, grad, PARAMS, regularization=L2(0.7, M, only="W11"))
    assert error.value.code == "bad-setting"


@pytest.mark.parametrize("bad", [0.7, "l2", L2, {"lambd": 0.7}])
def test_what_is_no_penalty_is_refused(bad: Any) -> None:
    with pytest.raises(ProblemError, match=r"regularization is L2\(lambd, m\)") as error:
        check_gradients(cost, grad, PARAMS, regularization=bad)
    assert error.value.code == "bad-setting"


@pytest.mark.parametrize("penalty", [L1, L2])
@pytest.mark.parametrize("lambd", [-0.1, float("nan"), float("inf"), "0.7", None, [0.1, 0.2]])
def test_a_weight_that_no_penalty_can_have_is_refused(penalty: Any, lambd: Any) -> None:
    with pytest.raises(ProblemError, match="lambd is the weight of a penalty") as error:
        penalty(lambd, M)
    assert error.value.code == "bad-setting"


def test_a_penalty_may_be_off_and_may_be_a_numpy_number() -> None:
    theta = Theta(PARAMS)
    assert L2(0.0, M).value(theta.base, theta.parameters) == 0
    assert L2(np.float64(0.7), np.int64(M)).value(theta.base, theta.parameters) > 0


@pytest.mark.parametrize("only", [5, ["W1", 5], {"W1": 1}])
def test_what_names_no_parameters_is_refused(only: Any) -> None:
    with pytest.raises(ProblemError, match="only takes a name or a list of names") as error:
        L2(0.7, M, only)
    assert error.value.code == "bad-setting"


@pytest.mark.parametrize("m", [0, -1, float("nan"), float("inf"), "many"])
def test_a_penalty_over_no_examples_is_refused(m: Any) -> None:
    with pytest.raises(ProblemError, match="number of examples") as error:
        L2(0.7, m)
    assert error.value.code == "bad-setting"


def test_a_penalty_under_inplace_sees_the_perturbed_arrays() -> None:
    own = {key: value.copy() for key, value in PARAMS.items()}
    report = gradcheck(
        lambda: cost(own), lambda: with_l2(own), own, inplace=True, regularization=L2(0.7, M)
    )
    assert report.verdict == "ok"


def test_a_penalty_is_counted_at_the_kinks_of_its_magnitudes() -> None:
    report = check_gradients(
        lambda w: float(np.sum(w)),
        lambda w: np.where(w > 0, 1.5, 1.2),
        np.array([0.0, 1.0]),
        regularization=L1(1.0, 1),
    )
    assert (report.passed, report.verdict) == (True, "kink")


def test_penalties_are_equal_by_value_and_say_what_they_are() -> None:
    assert L2(0.7, 5) == L2(0.7, 5)
    assert repr(L1(0.5, 2)) == "L1(lambd=0.5, m=2, only=())"
