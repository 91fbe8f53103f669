"""The bundled network on scikit-learn's digits: proven right, then trained.

Gradients are checked at several random initializations and again after some training, because a
fault may show only once the weights have left zero. A few examples and a small network are enough:
what is wrong in the formula is wrong for 8 hidden units too, and the check takes two calls of the
cost for every parameter.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pytest_gradcheck import GradCheck
from pytest_gradcheck.network import (
    Adam,
    Examples,
    Splits,
    accuracy,
    backprop,
    cost,
    digits,
    initialize,
    split,
    train,
)

SIZES = (64, 8, 10)  # 610 parameters


@pytest.fixture(scope="module")
def splits() -> Splits:
    images = digits()
    # Pixels are 0 to 16. Brought to about [-1, 1], no unit starts saturated.
    return split(images.X / 8 - 1, images.Y, np.random.default_rng(0))


@pytest.fixture(scope="module")
def batch(splits: Splits) -> Examples:
    return Examples(splits.train.X[:, :20], splits.train.Y[:, :20])


def test_at_random_initializations_and_after_training(
    gradcheck: GradCheck, batch: Examples
) -> None:
    """Check at three initializations, and after 30 steps of gradient descent from each."""
    report = gradcheck(
        cost,
        backprop,
        partial(initialize, SIZES),  # called with a random generator, a new one for every seed
        batch.X,
        batch.Y,
        seeds=3,
        train=30,
    )
    assert len(report.points) == 6


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "sigmoid"])
def test_every_activation_and_output(
    gradcheck: GradCheck, batch: Examples, activation: str, output: str
) -> None:
    """Name what the functions take beside the parameters by `data`; each takes what it knows."""
    data = {"X": batch.X, "Y": batch.Y, "activation": activation, "output": output}
    gradcheck(cost, backprop, partial(initialize, SIZES, method="xavier"), data=data)


def test_with_penalties(gradcheck: GradCheck, batch: Examples) -> None:
    """Include L2 and L1 in the cost that is differenced, as they are in the gradient.

    The usual names of a penalty are known, `lambd` and `l1` here: the pair is checked without
    them as well, so that a large penalty cannot hide a fault in the rest.
    """
    data = {"X": batch.X, "Y": batch.Y, "lambd": 0.7, "l1": 0.1}
    report = gradcheck(cost, backprop, partial(initialize, SIZES), data=data)
    assert [p.name for p in report.points][1:] == ["random initialization 1, penalty off"]


def test_with_dropout_switched_off(gradcheck: GradCheck, batch: Examples) -> None:
    """Hand the dropout of the training over unchanged: the check sets keep_prob to 1."""
    data = {"X": batch.X, "Y": batch.Y, "keep_prob": 0.8, "rng": np.random.default_rng(0)}
    report = gradcheck(cost, backprop, partial(initialize, SIZES), data=data)
    assert report.notes == ("switched off: keep_prob 0.8 -> 1.0",)


def test_the_backward_pass_of_dropout(gradcheck: GradCheck, batch: Examples) -> None:
    """Keep dropout on, every call with the same mask: so its own backward pass is checked too."""
    data = {"X": batch.X, "Y": batch.Y, "keep_prob": 0.8, "rng": np.random.default_rng(0)}
    gradcheck(cost, backprop, partial(initialize, SIZES), data=data, dropout="freeze")


def test_trained_network_reads_digits_and_its_gradients_are_still_right(
    gradcheck: GradCheck, splits: Splits, batch: Examples
) -> None:
    """Train on all of the training set, check at the end, and look at digits never seen."""
    rng = np.random.default_rng(0)
    start = initialize((64, 32, 10), rng)
    result = train(
        start, *splits.train, rng, dev=splits.dev, optimizer=Adam(0.01), epochs=10, lambd=0.5
    )
    data = {"X": batch.X, "Y": batch.Y, "lambd": 0.5}
    gradcheck(cost, backprop, result.params, data=data)
    assert accuracy(result.params, *splits.test) > 0.93
