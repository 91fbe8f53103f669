"""Fast paths beside general ones: both give the same."""

from __future__ import annotations

import math
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from properties import tried

from pytest_gradcheck import (
    Problem,
    ProblemError,
    Report,
    Settings,
    check_gradients,
    diagnosis,
)
from pytest_gradcheck.numdiff import differences
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.params import gradient as gradients
from pytest_gradcheck.params.scales import rms, rms_of_each
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.problem.preflight import differs_in_all
from pytest_gradcheck.verdict import judge as judging
from pytest_gradcheck.verdict.judge import judge, relative_error

Array = npt.NDArray[np.float64]

SIZES = [3, 1, 4]
TOTAL = sum(SIZES)

finite = st.floats(-1e3, 1e3)
anything = st.one_of(finite, st.floats())
factors = st.sampled_from([1.0, 1.0, 1.0, 1 + 1e-7, 1.01, -1.0, 0.0])


def never(*_: Any) -> bool:
    return False


def theta_of(values: Array, inplace: bool = False) -> Theta:
    parts = np.split(values, np.cumsum(SIZES)[:-1])
    return Theta({f"p{i}": part.copy() for i, part in enumerate(parts)}, inplace=inplace)


@given(arrays(np.float64, TOTAL, elements=finite), st.lists(factors, min_size=8, max_size=8))
@tried(300)
def test_a_gradient_that_agrees_has_the_verdicts_of_any_gradient(
    values: Array, off: list[float]
) -> None:
    theta = theta_of(values)
    kinds = np.zeros(TOTAL, np.int8)
    approximation = Approximation(values, 1e-9 * np.abs(values), kinds, slice(0, TOTAL), {})
    gradient = values * off
    fast = judge(approximation, gradient, theta, Settings())
    with patch.object(judging, "all_agree", never):
        slow = judge(approximation, gradient, theta, Settings())
    assert fast.verdicts.tolist() == slow.verdicts.tolist()
    assert fast.errors.tolist() == slow.errors.tolist()
    assert fast.resolutions.tolist() == slow.resolutions.tolist()


def checked(values: Array, factor: float, slope: float) -> Report:
    """Return the report of sines and, without an effect or linearly, one more number."""

    def cost(p: dict[str, Array]) -> float:
        return float(np.sin(p["w"]).sum() + slope * p["b"].sum())

    def grad(p: dict[str, Array]) -> dict[str, Array]:
        return {"w": factor * np.cos(p["w"]), "b": np.array([slope])}

    return check_gradients(cost, grad, {"w": values, "b": np.array([0.5])})


@pytest.mark.parametrize(
    ("home", "name"), [(differences, "all_agree"), (diagnosis, "_is_plain")], ids=lambda of: of
)
@given(st.lists(st.integers(-30, 30), min_size=4, max_size=4), factors, st.sampled_from([0.0, 2.0]))
@tried(20)
def test_a_check_says_the_same_without_its_shortcut(
    home: Any, name: str, tenths: list[int], factor: float, slope: float
) -> None:
    values = np.array(tenths) / 10
    fast = checked(values, factor, slope)
    with patch.object(home, name, never):
        slow = checked(values, factor, slope)
    assert (fast.verdict, fast.parameters) == (slow.verdict, slow.parameters)
    assert (fast.components, fast.findings) == (slow.components, slow.findings)


@given(arrays(np.float64, TOTAL, elements=anything))
@tried(300)
def test_root_mean_squares_of_all_parameters_are_those_of_each(values: Array) -> None:
    theta = theta_of(np.ones(TOTAL))
    with np.errstate(all="ignore"):
        each = [rms(values[parameter.slice]) for parameter in theta.parameters]
        assert rms_of_each(values, theta) == pytest.approx(each, rel=1e-12)


@given(
    arrays(np.float64, 4, elements=st.floats(0.01, 100)),
    arrays(np.float64, 4, elements=st.floats(-100, 100)),
    st.sampled_from([-900, -600, 600, 900]),
)
@tried(300)
def test_the_relative_error_has_no_scale(numerical: Array, analytic: Array, power: int) -> None:
    scale = 2.0**power  # sums of squares overflow, or underflow
    assert relative_error(scale * numerical, scale * analytic) == pytest.approx(
        relative_error(numerical, analytic), rel=1e-12, abs=1e-15
    )


def leave(tree: dict[str, Array]) -> None:
    """Change nothing."""


def write(value: float, tree: dict[str, Array]) -> None:
    tree["p2"][1] = value


def replace(value: float, tree: dict[str, Array]) -> None:
    tree["p1"] = np.array([value])


def remove(tree: dict[str, Array]) -> None:
    del tree["p0"]


changes = st.one_of(
    st.sampled_from([leave, remove]),
    st.builds(partial, st.sampled_from([write, replace]), st.sampled_from([0.0, -0.0, 1.0])),
)


@pytest.mark.parametrize("inplace", [False, True])
@given(changes)
@tried(60)
def test_a_change_is_seen_at_a_glance_as_one_by_one(inplace: bool, change: Any) -> None:
    theta = theta_of(np.zeros(TOTAL), inplace)
    tree = theta.tree
    change(tree)
    assert theta.changed() == theta.storage._first_changed()


@given(arrays(np.float64, TOTAL, elements=anything))
@tried(300)
def test_a_gradient_of_the_same_bytes_does_not_differ(gradient: Array) -> None:
    assert not differs_in_all(gradient, gradient.copy(), 0.0).any()


@pytest.mark.parametrize(
    "kind", [float, np.float64, np.float32, np.array, lambda value: np.array([[value]])]
)
@given(st.floats(-1e30, 1e30))
@tried(60)
def test_a_probe_of_the_cost_returns_the_cost(kind: Any, value: float) -> None:
    theta = theta_of(np.ones(TOTAL))
    problem = Problem(lambda p: kind(value * p["p1"][0]), lambda p: p, theta.params)
    pair = Pair(problem, theta, None, Settings())
    assert pair.prober()() == pair.cost()


def flattened(answer: Any, theta: Theta) -> list[float] | str:
    try:
        return [float(value) for value in gradients.flatten_gradient(answer, theta)]
    except ProblemError as error:
        return str(error)


@given(
    st.lists(st.sampled_from([*SIZES, 2]), min_size=2, max_size=4),
    st.sampled_from([np.float64, np.float64, np.float32, object]),
)
@tried(100)
def test_a_list_of_arrays_is_read_at_once_as_one_by_one(sizes: list[int], dtype: Any) -> None:
    theta = theta_of(np.ones(TOTAL))
    answer = [np.arange(size).astype(dtype) for size in sizes]
    fast = flattened(answer, theta)
    with patch.object(gradients, "_at_once", return_value=None):
        assert flattened(answer, theta) == fast


@given(
    st.permutations(["W1", "b1", "W2"]),
    st.sampled_from(["{}", "d{}", "grad_{}"]),
    st.sampled_from([(2,), (2,), (2, 1), (3,), ()]),
    st.sampled_from([np.float64, np.float64, np.float32, object]),
    st.sampled_from(["", "", "missing", "more"]),
)
@tried(200)
def test_a_dict_of_arrays_is_read_at_once_as_one_by_one(
    order: list[str], spelling: str, shape: tuple[int, ...], dtype: Any, changed: str
) -> None:
    params = {"W1": np.ones((2, 3)), "steps": 4, "b1": np.ones(2), "W2": np.ones((1, 2))}
    shapes = {"W1": (2, 3), "b1": shape, "W2": (1, 2)}
    answer = {
        spelling.format(name): np.arange(math.prod(shapes[name])).reshape(shapes[name]) * 0.5
        for name in order
    }
    answer[spelling.format("W2")] = answer[spelling.format("W2")].astype(dtype)
    if changed == "missing":
        del answer[spelling.format("W1")]
    elif changed == "more":
        answer["loss"] = np.ones(1)
    theta = Theta(params)
    fast = flattened(answer, theta)
    with patch.object(gradients, "_at_once", return_value=None):
        assert flattened(answer, theta) == fast
