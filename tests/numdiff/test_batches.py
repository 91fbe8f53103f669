"""Batched mode: a cost that takes many thetas on a leading axis, in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import L2, Problem, ProblemError, Report, check_gradients
from pytest_gradcheck.numdiff import evaluators
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]
Params = dict[str, Any]

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 8)), RNG.normal(size=(3, 8))
PARAMS: Params = {
    "W1": RNG.normal(size=(5, 6)),
    "b1": RNG.normal(size=(5, 1)),
    "W2": RNG.normal(size=(3, 5)),
    "scale": 0.7,
    "depth": 2,
}


def cost(params: Params) -> Any:
    """Return the cost of each of many thetas, or of one."""
    A = np.tanh(params["W1"] @ X + params["b1"])
    scale = np.asarray(params["scale"])[..., None, None]
    off = scale * (params["W2"] @ A) - Y
    return 0.5 * np.sum(off**2, axis=(-2, -1)) / X.shape[1]


def grad(params: Params) -> Params:
    """Return the gradient of one theta."""
    A = np.tanh(params["W1"] @ X + params["b1"])
    Z = params["W2"] @ A
    dZ = params["scale"] * (params["scale"] * Z - Y) / X.shape[1]
    dA = params["W2"].T @ dZ * (1 - A**2)
    return {
        "dW1": dA @ X.T,
        "db1": dA.sum(axis=1, keepdims=True),
        "dW2": dZ @ A.T,
        "dscale": np.sum(dZ / params["scale"] * Z),
    }


def wrong(params: Params) -> Params:
    gradient = grad(params)
    gradient["dW1"][2, 3] *= 1.01
    return gradient


def refused(cost: Callable[..., Any], grad: Any = grad, params: Any = PARAMS, **more: Any) -> str:
    with pytest.raises(ProblemError) as caught:
        check_gradients(cost, grad, params, batched=True, **more)
    assert caught.value.code == "bad-setting"
    return str(caught.value)


def told(report: Report) -> list[tuple[str, str]]:
    return [(c.name, c.verdict) for c in report.components]


@pytest.mark.parametrize("settings", [{}, {"eps": 1e-5}, {"mode": "sample"}, {"mode": "probe"}])
def test_a_batched_check_finds_what_a_loop_finds(settings: dict[str, Any]) -> None:
    for gradient in (grad, wrong):
        loop = check_gradients(cost, gradient, PARAMS, seed=1, **settings)
        batched = check_gradients(cost, gradient, PARAMS, seed=1, batched=True, **settings)
        assert (batched.verdict, told(batched)) == (loop.verdict, told(loop))


def test_evaluations_count_thetas() -> None:
    thetas = 0

    def counted(params: Params) -> Any:
        nonlocal thetas
        thetas += len(params["W1"])
        return cost(params)

    assert check_gradients(counted, grad, PARAMS, batched=True).evaluations == thetas


def test_a_full_check_takes_few_calls() -> None:
    calls = 0

    def counted(params: Params) -> Any:
        nonlocal calls
        calls += 1
        return cost(params)

    report = check_gradients(counted, grad, PARAMS, batched=True)
    assert report.evaluations > 2 * 51
    assert calls < 30


def test_blocks_are_bounded_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []

    def counted(x: Array) -> Any:
        rows.append(len(x))
        return np.sum(x**2, axis=-1)

    monkeypatch.setattr(evaluators, "BLOCK_BYTES", 8 * 100 * 10)
    check_gradients(counted, lambda x: 2 * x, np.ones(100), batched=True)
    assert max(rows) == 10
    rows.clear()
    monkeypatch.setattr(evaluators, "BLOCK_BYTES", 8 * 10)
    assert check_gradients(counted, lambda x: 2 * x, np.ones(100), batched=True).passed
    assert max(rows) == evaluators.TRIED_ROWS  # and two a block: the sides of one component


def test_leaves_have_a_leading_axis_and_what_is_held_fixed_has_none() -> None:
    shapes: set[tuple[Any, ...]] = set()

    def watched(params: Params) -> Any:
        shapes.add((params["W1"].shape[1:], np.shape(params["scale"])[1:], params["depth"]))
        return cost(params)

    check_gradients(watched, grad, PARAMS, batched=True)
    assert shapes == {((5, 6), (), 2)}


def test_a_penalty_is_added_to_every_theta() -> None:
    def decayed(params: Params) -> Params:
        gradient = grad(params)
        for name in ("W1", "W2", "scale"):
            gradient[f"d{name}"] = gradient[f"d{name}"] + 0.5 / 8 * params[name]
        return gradient

    report = check_gradients(cost, decayed, PARAMS, batched=True, regularization=L2(0.5, 8))
    assert report.verdict == "ok"


def test_data_by_name_and_a_penalty_in_it_are_checked_with_and_without() -> None:
    def penalized(params: Params, lambd: float) -> Any:
        return cost(params) + lambd * np.sum(params["W2"] ** 2, axis=(-2, -1))

    def slope(params: Params, lambd: float) -> Params:
        gradient = grad(params)
        return {**gradient, "dW2": gradient["dW2"] + 2 * lambd * params["W2"]}

    report = check_gradients(penalized, slope, PARAMS, data={"lambd": 0.1}, batched=True)
    assert [point.verdict for point in report.points] == ["ok", "ok"]


def test_a_theta_outside_of_the_domain_does_not_spoil_its_neighbours_in_a_block() -> None:
    def inside(x: Array) -> Any:
        if np.any(x[..., 0] > 1.0):
            raise np.linalg.LinAlgError("singular")
        return np.sum(x**2, axis=-1)

    x = np.array([1.0, 0.5, 0.2])
    report = check_gradients(inside, lambda x: 2 * x, x, batched=True)
    assert report.verdict == check_gradients(inside, lambda x: 2 * x, x).verdict == "ok"


def test_a_cost_that_returns_one_number_is_refused_with_the_remedy() -> None:
    said = refused(lambda p: np.sum(cost(p)))
    assert "a vector of 1 costs is due" in said
    assert "sum(axis=(-2, -1))" in said


def test_a_cost_that_minds_the_leading_axis_is_refused_with_the_remedy() -> None:
    def plain(x: Array) -> float:
        return float(x @ np.diag([1.0, 2.0, 3.0]) @ x)

    said = refused(plain, lambda x: x, np.ones(3))
    assert "leading axis" in said
    assert "leave batched=True out" in said


def test_a_cost_that_mixes_the_thetas_of_a_block_is_refused() -> None:
    said = refused(lambda p: np.broadcast_to(np.mean(cost(p)), p["W1"].shape[:1]))
    assert "does not keep the thetas of a block apart" in said


def test_a_cost_that_raises_anyhow_is_said_to_raise() -> None:
    def broken(params: Params) -> float:
        raise OSError("no data")

    with pytest.raises(ProblemError, match=r"cost-raised: broken raised OSError"):
        check_gradients(broken, grad, PARAMS, batched=True)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem(lambda p: (cost(p), grad(p)), True, PARAMS), "grad=True"),
        (Problem(cost, lambda cache: cache, PARAMS, data={}), "cache"),
        (Problem(cost, grad, dict(PARAMS), settings={"inplace": True}), "inplace=True"),
    ],
    ids=["joint", "cache", "inplace"],
)
def test_what_has_no_leading_axis_is_refused(problem: Problem, said: str) -> None:
    settings = {**problem.settings, "batched": True}
    with pytest.raises(ProblemError, match=said) as caught:
        check_gradients(problem.cost, problem.grad, problem.params, data=problem.data, **settings)
    assert caught.value.code == "bad-setting"


def test_a_cost_that_changes_the_params_is_reported() -> None:
    def changing(params: Params) -> Any:
        params["W1"] *= 1.001
        return cost(params)

    with pytest.raises(ProblemError, match="mutated-params: the cost changes"):
        check_gradients(changing, grad, PARAMS, batched=True)


@pytest.mark.parametrize("factor", [1.0, -1.0, 1 + 2e-4, 0.0])
def test_ladders_ask_in_blocks_and_say_what_single_calls_say(factor: float) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=60)
    at = x + rng.choice((-1.0, 1.0), 60) * 10 ** rng.uniform(-9, -4, 60)
    theta, blocks = Theta(x), [0]

    def value(x: Array) -> Any:
        return np.sum(np.abs(x - at) + np.sin(x), axis=-1)

    def costs(rows: Array) -> Array:
        blocks[0] += 1
        return np.asarray(value(rows))

    def alone() -> float:
        return float(value(theta.tree))

    gradient = factor * (np.sign(x - at) + np.cos(x))
    requests = [
        evaluators.LadderRequest(k, 6e-6, 1.0, float(gradient[k]), 1e-5) for k in range(x.size)
    ]
    single = evaluators.SerialEvaluator(alone, theta, alone())
    many = evaluators.BatchedEvaluator(costs, alone, theta, alone())
    expected = single.slopes(requests, 1e-14, 1e-5)
    for one, other in zip(many.slopes(requests, 1e-14, 1e-5), expected, strict=True):
        assert one.kind == other.kind
        assert abs(one.value - other.value) <= one.error_bar + other.error_bar
    assert blocks[0] < 400
