"""Layers and pullbacks as costs: names of the inputs, and the upstream gradient."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.problem.layers import layer, name_of, named, pullback

Array = npt.NDArray[np.float64]


def conv(x: Any, w: Any, /, b: Any = None, *rest: Any, stride: int = 1) -> Any:
    return x, w, b, rest, stride


class Dense:
    def forward(self, x: Any, w: Any) -> Any:
        return x @ w, (x, w)

    def __call__(self, x: Any) -> Any:
        return x


NAMES: dict[str, tuple[Any, int, list[str]]] = {
    "arguments": (conv, 2, ["x", "w"]),
    "an argument with a default": (conv, 3, ["x", "w", "b"]),
    "arguments beyond those named": (conv, 5, ["x", "w", "b", "rest[0]", "rest[1]"]),
    "a method": (Dense().forward, 2, ["x", "w"]),
    "a callable object": (Dense(), 1, ["x"]),
    "a partial": (functools.partial(conv, 1), 2, ["w", "b"]),
    "a function that tells no signature": (max, 2, ["inputs[0]", "inputs[1]"]),
    "any number": (lambda *xs: xs, 2, ["xs[0]", "xs[1]"]),
}


@pytest.mark.parametrize(("function", "count", "names"), NAMES.values(), ids=NAMES.keys())
def test_inputs_take_the_names_of_the_arguments(function: Any, count: int, names: Any) -> None:
    inputs = tuple(range(count))
    assert named(function, inputs) == dict(zip(names, inputs, strict=True))


def test_a_layer_is_a_cost_that_hands_its_gradient_the_upstream_one() -> None:
    def forward(x: Array) -> tuple[Array, str]:
        return 2 * x, "cache"

    cost, gradient = layer(forward, lambda dout, cache: (dout, cache))
    value, rest = cost({"x": np.arange(3.0)})
    dout, cache = gradient(rest)
    assert cache == "cache"
    assert value == pytest.approx(float(dout @ (2 * np.arange(3.0))))
    assert cost({"x": np.arange(3.0)})[0] == value


def test_a_pullback_gets_an_upstream_gradient_like_the_output() -> None:
    seen: list[Any] = []
    cost, gradient = pullback(lambda x: ({"a": x, "b": [x[0]]}, seen.append))
    gradient(cost({"x": np.ones((2, 2))})[1])
    assert seen[0]["a"].shape == (2, 2)
    assert seen[0]["b"][0].shape == (2,)


def test_a_turned_layer_goes_by_the_names_of_the_users_functions() -> None:
    cost, gradient = layer(Dense().forward, conv)
    assert (name_of(cost), name_of(gradient)) == ("Dense.forward", "conv")
    assert name_of(pullback(functools.partial(conv, 1))[1]) == "the pullback of conv"
    assert name_of(Dense()) == "Dense"
