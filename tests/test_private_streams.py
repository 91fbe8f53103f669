"""What a check draws is no number that a test draws from a seed of its own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import check_gradients

Array = npt.NDArray[np.float64]


def first_draws(seed: int) -> set[float]:
    """Return what tests draw first from a seed, by the usual calls."""
    rng, old, plain = np.random.default_rng(seed), np.random.RandomState(seed), random.Random(seed)
    draws = [
        np.random.default_rng(seed).normal(size=40),
        np.random.default_rng([seed]).normal(size=40),
    ]
    draws += [rng.random(40), old.normal(size=40), np.random.RandomState(seed).uniform(size=40)]
    draws += [np.random.default_rng(seed).uniform(-1, 1, 40)]
    return {float(x) for part in draws for x in part} | {plain.random() for _ in range(40)}


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_initializations_are_not_those_of_a_generator_with_the_same_seed(seed: int) -> None:
    drawn: list[Array] = []

    def params(rng: np.random.Generator) -> Array:
        drawn.append(np.concatenate([rng.normal(size=4), rng.random(4)]))
        return drawn[-1]

    def cost(x: Array) -> float:
        return float(x @ x)

    assert check_gradients(cost, lambda x: 2 * x, params, seeds=3, seed=seed).passed
    mine = {float(x) for part in drawn for x in part}
    assert len(mine) == 24
    assert not mine & first_draws(seed)


@pytest.mark.parametrize("mode", ["full", "probe", "sample"])
def test_a_check_leaves_the_global_generators_alone_and_does_not_hang_on_them(mode: Any) -> None:
    x = np.linspace(0.3, 2, 300)
    thetas: list[list[Any]] = []
    for seed in (0, 1):
        np.random.seed(seed)
        random.seed(seed)
        before = repr(np.random.get_state()), random.getstate()
        asked: list[Any] = []

        def cost(x: Array, asked: list[Any] = asked) -> float:
            asked.append(x.tobytes())
            return float(np.sin(x).sum())

        check_gradients(cost, np.cos, x, mode=mode, seed=0)
        assert (repr(np.random.get_state()), random.getstate()) == before
        thetas.append(asked)
    assert thetas[0] == thetas[1]


@pytest.mark.parametrize("seed", range(5))
def test_directions_are_not_those_of_a_generator_with_the_same_seed(seed: int) -> None:
    """A cost along which a test's own vector is special is not probed along that vector."""
    x = np.ones(40)
    moved: list[Array] = []

    def cost(y: Array) -> float:
        moved.append(y - x)
        return float(np.sin(y).sum())

    check_gradients(cost, np.cos, x, mode="probe", seed=seed)
    own = np.random.default_rng(seed).uniform(-1, 1, 40)
    own += np.copysign(0.5, own)
    for step in moved:
        size = float(np.linalg.norm(step) * np.linalg.norm(own))
        assert abs(float(step @ own)) < 0.7 * size or not size
