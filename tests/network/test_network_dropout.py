"""Inverted dropout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pytest_gradcheck.network import cost, forward, initialize, one_hot
from pytest_gradcheck.network.dropout import keep_probabilities, mask

X = np.random.default_rng(0).normal(size=(5, 7))
Y = one_hot([0, 1, 2, 0, 1, 2, 0])
PARAMS = initialize((5, 6, 4, 3), np.random.default_rng(1))


def test_mask_holds_zero_or_the_inverse_probability_and_has_mean_one() -> None:
    D = mask((200, 500), 0.8, np.random.default_rng(0))
    assert set(np.unique(D)) == {0.0, 1 / 0.8}
    assert D.mean() == pytest.approx(1.0, abs=0.01)


def test_no_dropout_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    cost(PARAMS, X, Y, keep_prob=1.0, rng=rng)
    assert rng.bit_generator.state == before


def test_masks_fall_on_hidden_layers_only() -> None:
    Z, cache = forward(PARAMS, X, keep_prob=0.5, rng=np.random.default_rng(0))
    assert [name for name in cache if name.startswith("D")] == ["D1", "D2"]
    np.testing.assert_array_equal(cache["A0"], X)
    np.testing.assert_allclose(Z, PARAMS["W3"] @ cache["A2"] + PARAMS["b3"])


def test_each_hidden_layer_may_have_its_own_probability() -> None:
    _, cache = forward(PARAMS, X, keep_prob=[0.5, 1.0], rng=np.random.default_rng(0))
    assert set(np.unique(cache["D1"])) == {0.0, 2.0}
    assert (cache["D2"] == 1).all()


def test_the_same_state_of_the_generator_gives_the_same_cost() -> None:
    first, again, other = (
        cost(PARAMS, X, Y, keep_prob=0.5, rng=np.random.default_rng(s)) for s in (3, 3, 4)
    )
    assert first == again != other


@pytest.mark.parametrize("keep_prob", [0.0, -0.5, 1.01, float("nan"), [0.5, 0.0]])
def test_a_probability_out_of_range_is_refused(keep_prob: float | Sequence[float]) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        cost(PARAMS, X, Y, keep_prob=keep_prob, rng=np.random.default_rng(0))


@pytest.mark.parametrize("keep_prob", [0.0, -0.5, 2.0, float("nan")])
def test_a_mask_of_a_probability_out_of_range_is_refused(keep_prob: float) -> None:
    with pytest.raises(ValueError, match=f"keep_prob is {keep_prob}: .* above 0 and at most 1"):
        mask((2, 3), keep_prob, np.random.default_rng(0))


@pytest.mark.parametrize("number", [1, 3])
def test_a_number_of_probabilities_that_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"keep_prob has {number} entries for 2 hidden layers"):
        forward(PARAMS, X, keep_prob=[0.5] * number)


def test_a_numpy_number_counts_as_one_for_all_layers() -> None:
    assert keep_probabilities(float(np.float32(0.5)), 2) == (0.5, 0.5)
    assert keep_probabilities(np.float64(0.5), 3) == (0.5, 0.5, 0.5)


def test_dropout_without_a_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="rng is None"):
        cost(PARAMS, X, Y, keep_prob=0.5)
