"""The cost and its gradient, against an independent cost that takes complex numbers.

A complex step, the imaginary part of J(theta + ih) / h, is a derivative without any difference and
hence without rounding: it agrees with a right gradient to nearly all digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.network import (
    accuracy,
    backprop,
    cost,
    error,
    forward,
    initialize,
    one_hot,
    predict,
)

Complex = npt.NDArray[np.complex128]
Params = dict[str, npt.NDArray[np.float64]]

STRAIGHT: dict[str, Callable[[Complex], Complex]] = {
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "leaky_relu": lambda z: np.where(z.real > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "sigmoid": lambda z: np.asarray(1 / (1 + np.exp(-z)), dtype=np.complex128),
}
SIZES = (4, 6, 5, 3)
M = 8


def problem(seed: int) -> tuple[Params, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    params = initialize(SIZES, rng, "xavier")
    for layer in (1, 2, 3):
        params[f"b{layer}"] = rng.normal(size=(SIZES[layer], 1))
    return params, rng.normal(size=(SIZES[0], M)), one_hot(rng.integers(0, 3, M), classes=3)


def textbook_cost(
    params: dict[str, Any],
    X: npt.NDArray[np.float64],
    Y: npt.NDArray[np.float64],
    *,
    activation: str,
    output: str,
    lambd: float,
    l1: float,
) -> complex:
    A1 = STRAIGHT[activation](params["W1"] @ X + params["b1"] + 0j)
    A2 = STRAIGHT[activation](params["W2"] @ A1 + params["b2"])
    Z3 = params["W3"] @ A2 + params["b3"]
    if output == "softmax":
        J = -np.sum(Y * np.log(np.exp(Z3) / np.exp(Z3).sum(axis=0))) / M
    else:
        A3 = 1 / (1 + np.exp(-Z3))
        J = -np.sum(Y * np.log(A3) + (1 - Y) * np.log(1 - A3)) / M
    for name in ("W1", "W2", "W3"):
        W = params[name]
        J += lambd / (2 * M) * np.sum(W * W) + l1 / (2 * M) * np.sum(np.where(W.real > 0, W, -W))
    return complex(J)


def complex_step(function: Callable[[dict[str, Any]], complex], params: Params) -> Params:
    grads = {}
    for name, value in params.items():
        gradient = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[index] += 1e-30j
            gradient[index] = function({**params, name: moved}).imag / 1e-30
        grads[f"d{name}"] = gradient
    return grads


def two_sided(function: Callable[[Params], float], params: Params, step: float) -> Params:
    grads = {}
    for name, value in params.items():
        gradient = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            up, down = value.copy(), value.copy()
            up[index] += step
            down[index] -= step
            rise = function({**params, name: up}) - function({**params, name: down})
            gradient[index] = rise / (2 * step)
        grads[f"d{name}"] = gradient
    return grads


def assert_equal_gradients(found: Params, expected: Params, *, rtol: float, atol: float) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=rtol, atol=atol, err_msg=name)


every_kind = [
    pytest.mark.parametrize("activation", STRAIGHT),
    pytest.mark.parametrize("output", ["softmax", "sigmoid"]),
    pytest.mark.parametrize(("lambd", "l1"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.4), (0.7, 0.4)]),
    pytest.mark.parametrize("seed", range(3)),
]


def for_every_kind(test: Callable[..., None]) -> Callable[..., None]:
    for mark in every_kind:
        test = mark(test)
    return test


@for_every_kind
def test_cost_is_that_of_the_textbook(
    activation: str, output: str, lambd: float, l1: float, seed: int
) -> None:
    kind: dict[str, Any] = {"activation": activation, "output": output, "lambd": lambd, "l1": l1}
    expected = textbook_cost(*problem(seed), **kind).real
    assert cost(*problem(seed), **kind) == pytest.approx(expected, rel=1e-12)


@for_every_kind
def test_backprop_agrees_with_the_complex_step(
    activation: str, output: str, lambd: float, l1: float, seed: int
) -> None:
    kind: dict[str, Any] = {"activation": activation, "output": output, "lambd": lambd, "l1": l1}
    params, X, Y = problem(seed)
    expected = complex_step(lambda moved: textbook_cost(moved, X, Y, **kind), params)
    assert_equal_gradients(backprop(params, X, Y, **kind), expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("keep_prob", [1.0, 0.7, [0.5, 0.9]])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_backprop_agrees_with_two_sided_differences_of_cost_under_the_same_masks(
    activation: str, output: str, keep_prob: float | list[float]
) -> None:
    params, X, Y = problem(seed=5)

    def kind() -> dict[str, Any]:
        return {
            "activation": activation,
            "output": output,
            "lambd": 0.7,
            "l1": 0.4,
            "keep_prob": keep_prob,
            "rng": np.random.default_rng(11),
        }

    expected = two_sided(lambda moved: cost(moved, X, Y, **kind()), params, step=1e-5)
    assert_equal_gradients(backprop(params, X, Y, **kind()), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_backprop_is_right_for_any_number_of_layers(depth: int) -> None:
    rng = np.random.default_rng(depth)
    params = initialize((3, *[4] * (depth - 1), 2), rng)
    X, Y = rng.normal(size=(3, 6)), one_hot([0, 1, 1, 0, 0, 1])
    expected = two_sided(lambda moved: cost(moved, X, Y, activation="tanh"), params, step=1e-5)
    found = backprop(params, X, Y, activation="tanh")
    assert_equal_gradients(found, expected, rtol=1e-6, atol=1e-9)


def test_gradient_does_not_depend_on_how_often_each_example_is_given() -> None:
    params, X, Y = problem(seed=0)
    twice = backprop(params, np.hstack([X, X]), np.hstack([Y, Y]))
    assert_equal_gradients(twice, backprop(params, X, Y), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_a_saturated_network_has_a_finite_cost_and_gradient(output: str) -> None:
    params, X, Y = problem(seed=0)
    huge = {name: 1e3 * value for name, value in params.items()}
    assert np.isfinite(cost(huge, X, Y, output=output))
    assert all(np.isfinite(g).all() for g in backprop(huge, X, Y, output=output).values())


def test_neither_cost_nor_backprop_changes_what_it_is_given() -> None:
    params, X, Y = problem(seed=0)
    before = {name: value.copy() for name, value in params.items()} | {"X": X.copy(), "Y": Y.copy()}
    cost(params, X, Y, lambd=0.7)
    backprop(params, X, Y, lambd=0.7)
    for name, value in {**params, "X": X, "Y": Y}.items():
        np.testing.assert_array_equal(value, before[name])


def test_predict_gives_the_likeliest_class_or_the_answers_above_one_half() -> None:
    params = {"W1": np.eye(2), "b1": np.zeros((2, 1))}
    X = np.array([[3.0, -1.0, 0.0], [2.0, 4.0, -1.0]])
    assert predict(params, X).tolist() == [0, 1, 0]
    assert predict(params, X, output="sigmoid").tolist() == [[1, 0, 0], [1, 1, 0]]


def test_accuracy_counts_examples_right_in_all_of_their_outputs() -> None:
    params = {"W1": np.eye(2), "b1": np.zeros((2, 1))}
    X = np.array([[3.0, -1.0, 0.0, 1.0], [2.0, 4.0, -1.0, -1.0]])
    Y = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert accuracy(params, X, Y, output="sigmoid") == 0.5
    assert error(params, X, Y, output="sigmoid") == 0.5
    assert accuracy(params, X, one_hot([0, 1, 0, 1])) == 0.75


class TestMisfits:
    params, X, Y = problem(seed=0)

    def test_inputs_as_rows_are_told_to_be_transposed(self) -> None:
        with pytest.raises(ValueError, match=r"X of shape \(8, 4\) needs X\.T"):
            forward(self.params, self.X.T)

    def test_inputs_of_another_size_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"W1 has shape \(6, 4\), but X gives it 3 inputs"):
            forward(self.params, self.X[:3])

    def test_layers_that_do_not_fit_are_named(self) -> None:
        with pytest.raises(ValueError, match=r"W2 has shape \(5, 5\), but W1 gives it 6 inputs"):
            forward({**self.params, "W2": np.ones((5, 5))}, self.X)

    @pytest.mark.parametrize("shape", [(5,), (1, 5), (6, 1)])
    def test_a_bias_of_the_wrong_shape_is_named(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"b2 has shape .* must be of shape \(5, 1\)"):
            forward({**self.params, "b2": np.ones(shape)}, self.X)

    @pytest.mark.parametrize("missing", ["W1", "b2", "W3"])
    def test_a_missing_parameter_is_refused(self, missing: str) -> None:
        rest = {name: value for name, value in self.params.items() if name != missing}
        with pytest.raises(ValueError, match=r"params holds .* without a gap, and nothing else"):
            forward(rest, self.X)

    def test_foreign_and_no_parameters_are_refused(self) -> None:
        with pytest.raises(ValueError, match="params holds"):
            forward({**self.params, "gamma": np.ones(1)}, self.X)
        with pytest.raises(ValueError, match="params holds"):
            forward({}, self.X)

    @pytest.mark.parametrize("use", [cost, backprop, accuracy])
    def test_targets_of_the_wrong_shape_are_refused(self, use: Callable[..., Any]) -> None:
        with pytest.raises(ValueError, match=r"Y has shape \(8, 3\), but .* shape \(3, 8\)"):
            use(self.params, self.X, self.Y.T)

    def test_labels_for_targets_are_pointed_to_one_hot(self) -> None:
        with pytest.raises(ValueError, match="one_hot makes it of labels"):
            cost(self.params, self.X, np.zeros(8))

    def test_no_examples_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"X of shape \(4, 0\) holds no examples"):
            cost(self.params, self.X[:, :0], self.Y[:, :0])

    def test_what_is_no_array_is_refused(self) -> None:
        wrong: Any = self.X.tolist()
        with pytest.raises(ValueError, match="X is list: it must be a NumPy array"):
            forward(self.params, wrong)
        with pytest.raises(ValueError, match="Y is list"):
            cost(self.params, self.X, wrong)

    def test_misspelt_names_are_refused_with_the_nearest_right_one(self) -> None:
        with pytest.raises(ValueError, match="did you mean 'relu'"):
            cost(self.params, self.X, self.Y, activation="relus")
        with pytest.raises(ValueError, match="did you mean 'sigmoid'"):
            backprop(self.params, self.X, self.Y, output="sigmoide")
