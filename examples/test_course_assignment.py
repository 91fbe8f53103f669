"""The gradient-checking assignment of the deeplearning.ai course, as a pytest test.

A network of three layers, LINEAR -> RELU -> LINEAR -> RELU -> LINEAR -> SIGMOID. Its functions are
used exactly as the assignment asks for them: `forward_propagation_n` returns the cost and a cache,
`backward_propagation_n` takes that cache, and theirs is all there is to write. Two faults hide in
the backward pass that students are handed: dW2 is twice too large, and db1 four times.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import GradCheck, GradientError, check_gradients

Array: TypeAlias = npt.NDArray[np.float64]
Params: TypeAlias = dict[str, Array]
Cache: TypeAlias = tuple[Array, ...]


# What a student writes: forward and backward.


def forward_propagation_n(X: Array, Y: Array, parameters: Params) -> tuple[float, Cache]:
    """Return the mean cross-entropy, and what the way back needs."""
    W1, b1 = parameters["W1"], parameters["b1"]
    W2, b2 = parameters["W2"], parameters["b2"]
    W3, b3 = parameters["W3"], parameters["b3"]

    Z1 = W1 @ X + b1
    A1 = np.maximum(0, Z1)
    Z2 = W2 @ A1 + b2
    A2 = np.maximum(0, Z2)
    Z3 = W3 @ A2 + b3
    A3 = 1 / (1 + np.exp(-Z3))

    cost = -np.mean(Y * np.log(A3) + (1 - Y) * np.log(1 - A3))
    return float(cost), (Z1, A1, W1, b1, Z2, A2, W2, b2, Z3, A3, W3, b3)


def backward_propagation_n(X: Array, Y: Array, cache: Cache) -> Params:
    """Return the gradients, with two faults."""
    m = X.shape[1]
    _, A1, _, _, _, A2, W2, _, _, A3, W3, _ = cache

    dZ3 = A3 - Y
    dW3 = 1.0 / m * dZ3 @ A2.T
    db3 = 1.0 / m * np.sum(dZ3, axis=1, keepdims=True)

    dA2 = W3.T @ dZ3
    dZ2 = dA2 * (A2 > 0)
    dW2 = 1.0 / m * dZ2 @ A1.T * 2  # fault 1
    db2 = 1.0 / m * np.sum(dZ2, axis=1, keepdims=True)

    dA1 = W2.T @ dZ2
    dZ1 = dA1 * (A1 > 0)
    dW1 = 1.0 / m * dZ1 @ X.T
    db1 = 4.0 / m * np.sum(dZ1, axis=1, keepdims=True)  # fault 2

    # dZ and dA are no parameters' gradients; the check passes them over.
    return {
        **{"dZ3": dZ3, "dW3": dW3, "db3": db3},
        **{"dA2": dA2, "dZ2": dZ2, "dW2": dW2, "db2": db2},
        **{"dA1": dA1, "dZ1": dZ1, "dW1": dW1, "db1": db1},
    }


def corrected_backward_propagation_n(X: Array, Y: Array, cache: Cache) -> Params:
    """Return the gradients, without the faults."""
    gradients = backward_propagation_n(X, Y, cache)
    return {**gradients, "dW2": gradients["dW2"] / 2, "db1": gradients["db1"] / 4}


# What the check needs: a few examples, and some parameters. Two or three examples would do; with
# more of them, fewer units are dead, and a dead unit tests nothing.


rng = np.random.default_rng(1)
X = rng.normal(size=(4, 10))
Y = rng.integers(0, 2, size=(1, 10)).astype(float)


def parameters(rng: np.random.Generator) -> Params:
    """Draw a network of 4 inputs, 5 and 3 hidden units, and one output."""
    shapes = {"W1": (5, 4), "b1": (5, 1), "W2": (3, 5), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


# The tests. X and Y are handed over by name; `parameters` is the one argument left over, so it
# takes the parameters, and `cache` takes what forward_propagation_n returned beside the cost.


@pytest.mark.xfail(raises=GradientError, strict=True, reason="dW2 is twice too large")
def test_dW2_as_handed_out(gradcheck: GradCheck) -> None:
    gradcheck(
        forward_propagation_n,
        backward_propagation_n,
        parameters,
        data={"X": X, "Y": Y},
        only="W2",
    )


@pytest.mark.xfail(raises=GradientError, strict=True, reason="db1 is four times too large")
def test_db1_as_handed_out(gradcheck: GradCheck) -> None:
    gradcheck(
        forward_propagation_n,
        backward_propagation_n,
        parameters,
        data={"X": X, "Y": Y},
        only="b1",
    )


def test_all_the_rest_is_right_as_handed_out(gradcheck: GradCheck) -> None:
    gradcheck(
        forward_propagation_n,
        backward_propagation_n,
        parameters,
        data={"X": X, "Y": Y},
        exclude=["W2", "b1"],
    )


def test_one_check_finds_both_faults_and_their_size() -> None:
    """Read the report of a check: it names the parameters that are wrong, and the factors."""
    report = check_gradients(
        forward_propagation_n, backward_propagation_n, parameters, data={"X": X, "Y": Y}
    )
    assert {c.parameter for c in report.components} == {"W2", "b1"}
    factors = {f.parameter: f.factor for f in report.findings if f.code == "scale"}
    assert factors == {"W2": pytest.approx(2), "b1": pytest.approx(4)}


def test_corrected(gradcheck: GradCheck) -> None:
    gradcheck(
        forward_propagation_n,
        corrected_backward_propagation_n,
        parameters,
        data={"X": X, "Y": Y},
        seeds=3,
    )


def test_corrected_with_the_figure_of_the_course() -> None:
    """Take the assignment's fixed step, so that its figure can be compared with anyone's.

    At a fixed step the smallest gradients drown in rounding, so that some components of this right
    gradient look suspect. The assignment looks at the norm over all of theta alone, and so does
    this test; `gradcheck` without `eps` tells rounding from a fault.
    """
    report = check_gradients(
        forward_propagation_n,
        corrected_backward_propagation_n,
        parameters,
        data={"X": X, "Y": Y},
        eps=1e-7,
    )
    assert report.relative_error < 2e-7  # what the assignment asks for
