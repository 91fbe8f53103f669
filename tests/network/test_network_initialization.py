"""The first weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pytest_gradcheck.network import initialize


@pytest.mark.parametrize(("method", "std"), [("he", (2 / 400) ** 0.5), ("xavier", 0.002**0.5)])
def test_weights_have_the_standard_deviation_of_the_method(method: str, std: float) -> None:
    W1 = initialize((400, 600), np.random.default_rng(0), method)["W1"]
    assert W1.std() == pytest.approx(std, rel=0.01)
    assert abs(W1.mean()) < std / 100


def test_biases_are_zero() -> None:
    params = initialize((3, 4, 5), np.random.default_rng(0))
    assert not params["b1"].any()
    assert not params["b2"].any()


def test_parameters_come_in_the_order_of_the_layers_with_the_shapes_of_the_course() -> None:
    params = initialize((3, 4, 5), np.random.default_rng(0))
    shapes = {name: value.shape for name, value in params.items()}
    assert list(shapes.items()) == [("W1", (4, 3)), ("b1", (4, 1)), ("W2", (5, 4)), ("b2", (5, 1))]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (initialize((3, 4), np.random.default_rng(s))["W1"] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


@pytest.mark.parametrize("activation_scale", [1.0, 100.0])
def test_he_keeps_the_size_of_relu_signals_through_twenty_layers(activation_scale: float) -> None:
    rng = np.random.default_rng(0)
    params = initialize((200,) * 21, rng)
    A = activation_scale * rng.normal(size=(200, 100))
    before = np.sqrt(np.mean(A**2))
    for layer in range(1, 21):
        A = np.maximum(params[f"W{layer}"] @ A, 0)
    assert 0.3 < np.sqrt(np.mean(A**2)) / before < 3


@pytest.mark.parametrize("sizes", [(), (3,)])
def test_fewer_than_two_sizes_are_refused(sizes: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="needs the inputs and at least one layer"):
        initialize(sizes, np.random.default_rng(0))


@pytest.mark.parametrize("size", [0, -1, 2.0])
def test_a_size_that_is_no_positive_integer_is_refused_by_position(size: int) -> None:
    with pytest.raises(ValueError, match=r"sizes\[1\] is .*must be an integer of 1 or more"):
        initialize((3, size, 2), np.random.default_rng(0))


def test_unknown_method_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(ValueError, match=r"unknown method of initialization 'xaver'.*'xavier'"):
        initialize((3, 2), np.random.default_rng(0), "xaver")
