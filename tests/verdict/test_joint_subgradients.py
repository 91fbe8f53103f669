"""Gradients that lie between the slopes along every axis, and are subgradients, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.verdict.kinks.hulls import nearest_in_hull

Array = npt.NDArray[np.float64]


def lengths_of_groups(
    weights: Array, width: int, answer: Array
) -> tuple[Callable[[Array], float], Callable[[Array], Array]]:
    """Return a weighed sum of norms of groups of numbers, and its gradient.

    At 0 the gradient is the answer, as far as the weights have it.
    """

    def cost(x: Array) -> float:
        return float(weights @ np.linalg.norm(x.reshape(-1, width), axis=1))

    def grad(x: Array) -> Array:
        groups = x.reshape(-1, width)
        sizes = np.linalg.norm(groups, axis=1, keepdims=True)
        here = groups / np.where(sizes == 0, 1.0, sizes)
        there = answer.reshape(-1, width)
        return np.asarray(weights[:, None] * np.where(sizes == 0, there, here)).ravel()

    return cost, grad


def of_length(length: float, shape: tuple[int, int], seed: int) -> Array:
    """Return rows of that length, no number of which is beyond 1."""
    rows = np.random.default_rng(seed).uniform(0.5, 1.0, shape)
    rows *= length / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.clip(rows, -0.99, 0.99))


GROUPS = {
    "one": np.ones(1),
    "one that is concave": -np.ones(1),
    "small": np.full(1, 1e-7),
    "several": np.array([1.0, 2.0, 0.5]),
    "of either sign": np.array([1.0, -2.0, 0.5, -3.0]),
}


@pytest.mark.parametrize("width", [2, 3, 6])
@pytest.mark.parametrize("name", GROUPS)
def test_a_vector_no_longer_than_1_is_a_subgradient_of_a_norm_at_0(name: str, width: int) -> None:
    weights = GROUPS[name]
    for seed, length in enumerate((0.3, 0.9, 1.0)):
        answer = of_length(length, (weights.size, width), seed)
        cost, grad = lengths_of_groups(weights, width, answer)
        assert check_gradients(cost, grad, np.zeros(weights.size * width)).verdict == "kink"


@pytest.mark.parametrize("width", [2, 3, 6])
@pytest.mark.parametrize("name", GROUPS)
def test_a_longer_vector_is_none_though_each_of_its_numbers_may_be(name: str, width: int) -> None:
    weights = GROUPS[name]
    answer = of_length(1.3, (weights.size, width), 3)
    cost, grad = lengths_of_groups(weights, width, answer)
    report = check_gradients(cost, grad, np.zeros(weights.size * width))
    assert report.verdict == "bug"
    assert any("no subgradient" in finding.message for finding in report.findings)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_a_longer_vector_is_none_at_any_scale_of_theta(scale: float) -> None:
    answer = of_length(1.3, (1, 3), 3).ravel()
    start = {"w": np.zeros(3), "s": np.array([0.3 * scale])}

    def cost(p: dict[str, Array]) -> float:
        w = p["w"] / scale
        return float(np.linalg.norm(w) + 5 * w @ w + np.sin(p["s"] / scale).sum())

    def grad(p: dict[str, Array]) -> dict[str, Array]:
        w = p["w"] / scale
        size = np.linalg.norm(w)
        kinked = w / size if size else answer
        return {"w": (kinked + 10 * w) / scale, "s": np.cos(p["s"] / scale) / scale}

    assert check_gradients(cost, grad, start).verdict == "bug"


def test_parameters_of_either_sign_are_reported_apart() -> None:
    start = {"w": np.zeros(3), "b": np.zeros(2), "s": np.array([0.3])}

    def cost(p: dict[str, Array]) -> float:
        return float(np.linalg.norm(p["w"]) - 2 * np.linalg.norm(p["b"]) + np.sin(p["s"]).sum())

    def grad(p: dict[str, Array], w: float = 0.5, b: float = 0.5) -> dict[str, Array]:
        def unit(x: Array, answer: float) -> Array:
            return x / np.linalg.norm(x) if x.any() else np.full(x.shape, answer)

        return {"w": unit(p["w"], w), "b": -2 * unit(p["b"], b), "s": np.cos(p["s"])}

    assert check_gradients(cost, grad, start).verdict == "kink"
    for wrong, fault in {"w": {"w": 0.9}, "b": {"b": -0.9}}.items():
        report = check_gradients(cost, lambda p, fault=fault: grad(p, **fault), start)
        assert {c.parameter for c in report.components if c.verdict == "bug"} == {wrong}


def largest(tied: Array) -> Callable[[Array], Array]:
    """Return the gradient of the maximum, which is some vector where all are equal."""
    return lambda x: tied if np.ptp(x) == 0 else np.asarray(x == x.max(), float)


@pytest.mark.parametrize("mode", ["full", "sample"])
@pytest.mark.parametrize("size", [3, 4, 7])
def test_half_of_the_maximum_for_each_of_several_is_too_much(
    size: int, mode: Literal["full", "sample"]
) -> None:
    """It is what the central difference of each says."""
    half, shares = np.full(size, 0.5), np.full(size, 1 / size)
    cost = lambda x: float(x.max())  # noqa: E731
    assert check_gradients(cost, largest(half), np.ones(size), mode=mode).verdict == "bug"
    assert check_gradients(cost, largest(shares), np.ones(size), mode=mode).verdict == "kink"


@pytest.mark.parametrize("seed", range(6))
def test_any_mean_of_the_pieces_is_a_subgradient_where_they_meet(seed: int) -> None:
    rng = np.random.default_rng([11, seed])
    sign = (-1.0) ** seed
    pieces, start = rng.normal(size=(seed + 3, 4)), rng.normal(size=4).round(1)
    mean = rng.dirichlet(np.ones(len(pieces))) @ pieces
    far = pieces.mean(axis=0) + 3 * (pieces[0] - pieces.mean(axis=0))

    def cost(x: Array) -> float:
        return float(sign * (pieces @ (x - start)).max() + np.sin(x).sum())

    def grad(x: Array, there: Array) -> Array:
        heights = pieces @ (x - start)
        own = pieces[heights.argmax()] if np.ptp(heights) else there
        return np.asarray(sign * own + np.cos(x))

    assert check_gradients(cost, lambda x: grad(x, mean), start).verdict == "kink"
    assert check_gradients(cost, lambda x: grad(x, far), start).verdict == "bug"


def test_the_nearest_point_of_a_hull_is_found() -> None:
    rng = np.random.default_rng(5)
    for count, size in ((1, 3), (2, 3), (4, 3), (30, 3), (10, 40), (5, 1)):
        points, target = rng.normal(size=(count, size)), 2 * rng.normal(size=size)
        nearest = nearest_in_hull(points, target)
        beyond = target - nearest
        assert np.all((points - nearest) @ beyond <= 1e-3 * np.linalg.norm(beyond) + 1e-9)
        inside = rng.dirichlet(np.ones(count)) @ points
        assert np.allclose(nearest_in_hull(points, inside), inside, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_component_that_is_zero_because_its_terms_cancel_is_a_subgradient(seed: int) -> None:
    """Both slopes along its axis exclude 0, and a little away it has changed by all of itself."""

    def cost(x: Array) -> float:
        s, t = x[0] + x[1], x[0] - x[1]
        ramps = np.maximum([s, -s, t, -t], 0.0)
        return float(0.5 * x[0] ** 2 + ramps @ [0.05, 0.15, -0.15, 0.05] + np.sin(x[2]))

    def grad(x: Array, off: float = 0.0) -> Array:
        s, t = x[0] + x[1], x[0] - x[1]
        by_s, by_t = 0.05 if s >= 0 else -0.15, -0.15 if t > 0 else -0.05
        return np.array([x[0] + by_s + by_t + off, by_s - by_t, np.cos(x[2])])

    x = np.array([0.0, 0.0, 0.3])
    assert check_gradients(cost, grad, x, seed=seed).verdict == "kink"
    for off in (0.03, 3e-4):
        assert not check_gradients(cost, lambda x, off=off: grad(x, off), x, seed=seed).passed
