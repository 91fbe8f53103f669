"""Training, up to a network that reads handwritten digits."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.network import (
    Adam,
    Epoch,
    Examples,
    GradientDescent,
    Normalizer,
    accuracy,
    backprop,
    cost,
    digits,
    error,
    initialize,
    one_hot,
    shift,
    split,
    train,
)

START = initialize((2, 6, 2), np.random.default_rng(0))


def blobs(m: int, seed: int, noise: float = 0.3) -> Examples:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, m)
    return Examples(labels * 2.0 - 1 + noise * rng.normal(size=(2, m)), one_hot(labels, classes=2))


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize("seed", range(3))
def test_digits_are_read_with_at_least_97_percent_in_seconds(seed: int) -> None:
    pytest.importorskip("sklearn")
    generator = np.random.default_rng(seed)
    splits = split(*digits(), generator)
    X = np.hstack([splits.train.X, shift(splits.train.X, generator, shape=(8, 8))])
    Y = np.hstack([splits.train.Y, splits.train.Y])
    normalize = Normalizer.fit(X)
    began = time.thread_time()  # of this thread alone, however busy the machine is
    result = train(
        initialize((64, 128, 10), generator),
        normalize(X),
        Y,
        generator,
        dev=(normalize(splits.dev.X), splits.dev.Y),
        optimizer=Adam(0.003),
        epochs=40,
        patience=8,
        lambd=1.0,
    )
    assert time.thread_time() - began < 30
    assert accuracy(result.params, normalize(splits.test.X), splits.test.Y) >= 0.97


def test_one_step_on_a_full_batch_is_one_step_down_the_whole_gradient() -> None:
    X, Y = blobs(20, seed=2)
    result = train(
        START, X, Y, rng(), epochs=1, batch_size=20, optimizer=GradientDescent(0.1), lambd=0.7
    )
    grads = backprop(START, X, Y, lambd=0.7)
    for name, value in START.items():
        np.testing.assert_allclose(result.params[name], value - 0.1 * grads[f"d{name}"], rtol=1e-12)


@pytest.mark.parametrize("penalty", ["lambd", "l1"])
def test_batches_share_the_penalty_of_the_whole_set(penalty: str) -> None:
    # Small steps through an epoch add up to the sum of the batches' gradients at the start: that
    # of the whole set, times the number of batches.
    X, Y = blobs(30, seed=2)
    tiny = GradientDescent(1e-7)
    strength: Any = {penalty: 5.0}
    result = train(START, X, Y, rng(), epochs=1, batch_size=10, optimizer=tiny, **strength)
    grads = backprop(START, X, Y, **strength)
    for name, value in START.items():
        moved = (value - result.params[name]) / 1e-7
        np.testing.assert_allclose(moved, 3 * grads[f"d{name}"], rtol=1e-4, atol=1e-6)


def test_the_parameters_given_are_left_alone() -> None:
    before = {name: value.copy() for name, value in START.items()}
    train(START, *blobs(20, seed=2), rng(), epochs=2)
    for name, value in START.items():
        np.testing.assert_array_equal(value, before[name])


def test_the_same_seed_gives_the_same_network() -> None:
    X, Y = blobs(50, seed=2)
    one, two = (train(START, X, Y, rng(), epochs=3, keep_prob=0.8).params for _ in range(2))
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])


def test_learning_curves_are_measured_after_each_epoch_without_dropout_and_penalty() -> None:
    train_set, dev_set = blobs(50, seed=2), blobs(30, seed=3)
    result = train(
        START, *train_set, rng(), dev=dev_set, epochs=4, lambd=3.0, keep_prob=0.8, batch_size=16
    )
    assert [epoch.number for epoch in result.history] == [1, 2, 3, 4]
    best = result.history[result.best_epoch - 1]
    assert best.train_cost == cost(result.params, *train_set)
    assert best.train_error == error(result.params, *train_set)
    assert best.dev_cost == cost(result.params, *dev_set)
    assert best.dev_error == error(result.params, *dev_set)


def test_without_a_dev_set_the_last_parameters_are_kept() -> None:
    X, Y = blobs(50, seed=2)
    result = train(START, X, Y, rng(), epochs=3)
    assert result.best_epoch == 3
    assert result.history[-1].dev_cost is None
    assert result.history[-1].train_cost == cost(result.params, X, Y)


def test_early_stopping_keeps_the_parameters_of_the_lowest_dev_cost() -> None:
    train_set, dev_set = blobs(20, seed=2, noise=2.0), blobs(200, seed=3, noise=2.0)
    params = initialize((2, 40, 2), np.random.default_rng(0))
    result = train(
        params, *train_set, rng(), dev=dev_set, optimizer=Adam(0.03), epochs=200, patience=5
    )
    costs = [epoch.dev_cost for epoch in result.history if epoch.dev_cost is not None]
    assert len(costs) == result.best_epoch + 5 < 200
    assert cost(result.params, *dev_set) == min(costs) == costs[result.best_epoch - 1]


def test_the_callback_gets_every_epoch_as_it_ends() -> None:
    seen: list[Epoch] = []
    result = train(START, *blobs(20, seed=2), rng(), epochs=3, on_epoch=seen.append)
    assert tuple(seen) == result.history


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    train(START, *blobs(20, seed=2), rng(), epochs=2)
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_drawn_by_tqdm_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def bar(numbers: Iterable[int], **settings: object) -> Iterable[int]:
        calls.append(settings)
        return numbers

    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=bar))
    assert len(train(START, *blobs(20, seed=2), rng(), epochs=2, progress=True).history) == 2
    assert calls == [{"unit": "epoch", "disable": None}]


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        train(START, *blobs(20, seed=2), rng(), progress=True)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_training_that_diverges_stops_with_advice() -> None:
    with pytest.raises(FloatingPointError, match=r"after epoch .*learning rate ten times smaller"):
        train(START, *blobs(50, seed=2), rng(), optimizer=GradientDescent(1e200), lambd=1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"patience": 3}, "early stopping needs a dev set"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"keep_prob": 1.5}, "keep_prob is 1.5"),
        ({"lambd": -1.0}, "lambd is -1.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(START, *blobs(20, seed=2), rng(), **settings)


def test_sets_that_do_not_fit_are_refused() -> None:
    X, Y = blobs(20, seed=2)
    empty: npt.NDArray[np.float64] = np.ones((2, 0))
    with pytest.raises(ValueError, match=r"has 20 examples and Y of shape .* has 19"):
        train(START, X, Y[:, 1:], rng())
    with pytest.raises(ValueError, match="holds no examples"):
        train(START, X, Y, rng(), dev=(empty, empty))
