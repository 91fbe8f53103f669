"""Functions that return their own backward pass, as in thinc and JAX's vjp.

``gradcheck.vjp(f, *inputs)`` takes ``out, pullback = f(*inputs)`` with
``gradients = pullback(dout)``. Such functions chain well, and so do their checks: each alone first,
then the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import GradCheck

Array: TypeAlias = npt.NDArray[np.float64]


def affine(x: Array, W: Array, b: Array) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
    def pullback(dout: Array) -> tuple[Array, ...]:
        return dout @ W.T, x.T @ dout, dout.sum(axis=0)

    return x @ W + b, pullback


def softmax(x: Array) -> tuple[Array, Callable[[Array], Array]]:
    exponentials = np.exp(x - x.max(axis=1, keepdims=True))
    out = exponentials / exponentials.sum(axis=1, keepdims=True)

    def pullback(dout: Array) -> Array:
        return np.asarray(out * (dout - (dout * out).sum(axis=1, keepdims=True)))

    return out, pullback


def attention(
    queries: Array, keys: Array, values: Array
) -> tuple[Array, Callable[[Array], tuple[Array, Array, Array]]]:
    scale = 1 / np.sqrt(queries.shape[1])
    weights, softmax_pullback = softmax(scale * queries @ keys.T)

    def pullback(dout: Array) -> tuple[Array, Array, Array]:
        dscores = scale * softmax_pullback(dout @ values.T)
        return dscores @ keys, dscores.T @ queries, weights.T @ dout

    return weights @ values, pullback


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_affine(gradcheck: GradCheck, rng: np.random.Generator) -> None:
    gradcheck.vjp(affine, rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=4))


def test_softmax(gradcheck: GradCheck, rng: np.random.Generator) -> None:
    gradcheck.vjp(softmax, rng.normal(size=(3, 5)))


def test_attention(gradcheck: GradCheck, rng: np.random.Generator) -> None:
    gradcheck.vjp(
        attention, rng.normal(size=(3, 4)), rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    )
