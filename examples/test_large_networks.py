"""Networks of any size: random directions see every component, and a search names the wrong ones.

Above 10,000 parameters a check does not difference every component, which would take two calls of
the cost each. It takes some random directions over all of them, at two calls each, and a few
components of every parameter. One wrong component among tens of thousands still fails, by its name.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import GradCheck, GradientError
from pytest_gradcheck.network import backprop, cost, digits, initialize

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

WIDTHS = (64, 500, 100, 10)  # 83,610 parameters


@pytest.fixture(scope="module")
def data() -> dict[str, Array]:
    """32 scanned digits, one in each column, and what they show."""
    images = digits()
    return {"X": images.X[:, :32] / 8 - 1, "Y": images.Y[:, :32]}


def test_every_one_of_83610_components_is_seen(
    gradcheck: GradCheck, data: dict[str, Array]
) -> None:
    report = gradcheck(cost, backprop, partial(initialize, WIDTHS), data=data)
    assert report.evaluations < 300  # of which 230 for components that are looked at one by one
    assert all(parameter.covered == parameter.size for parameter in report.parameters)


def test_one_wrong_component_is_named(gradcheck: GradCheck, data: dict[str, Array]) -> None:
    def broken(params: Params, X: Array, Y: Array) -> Params:
        grads = backprop(params, X, Y)
        grads["dW3"][4, 56] += 0.01
        return grads

    with pytest.raises(GradientError, match=r"W3 is wrong only in W3\[4, 56\]"):
        gradcheck(cost, broken, partial(initialize, WIDTHS), data=data)


def test_a_row_that_was_forgotten_is_told_as_a_row(
    gradcheck: GradCheck, data: dict[str, Array]
) -> None:
    def broken(params: Params, X: Array, Y: Array) -> Params:
        grads = backprop(params, X, Y)
        grads["dW3"][-1] = 0  # as by range(n - 1)
        return grads

    with pytest.raises(GradientError) as caught:
        gradcheck(cost, broken, partial(initialize, WIDTHS), data=data, mode="probe")
    (finding,) = caught.value.report.findings
    assert "in row 9 of 10, and right elsewhere: it is 0 there" in finding.message


def batched_cost(params: Params, X: Array, Y: Array) -> Any:
    """Return half a mean squared error, of one theta or of many on a leading axis."""
    A = np.tanh(params["W1"] @ X + params["b1"])
    off = params["W2"] @ A + params["b2"] - Y
    return 0.5 * np.sum(off**2, axis=(-2, -1)) / X.shape[1]


def gradient(params: Params, X: Array, Y: Array) -> Params:
    """Return the gradient of one theta."""
    A = np.tanh(params["W1"] @ X + params["b1"])
    dZ2 = (params["W2"] @ A + params["b2"] - Y) / X.shape[1]
    dZ1 = params["W2"].T @ dZ2 * (1 - A**2)
    return {
        "dW1": dZ1 @ X.T,
        "db1": dZ1.sum(axis=1, keepdims=True),
        "dW2": dZ2 @ A.T,
        "db2": dZ2.sum(axis=1, keepdims=True),
    }


def test_a_cost_of_many_thetas_is_checked_in_blocks(
    gradcheck: GradCheck, data: dict[str, Array]
) -> None:
    few = {name: array[:, :4] for name, array in data.items()}
    gradcheck(batched_cost, gradient, partial(initialize, (64, 8, 10)), data=few, batched=True)
