r"""Run a network forward to its cost, and backward to the gradient of the cost.

The network has L layers, of which all but the last are hidden. Forward, layer by layer, with
:math:`A_0 = X` and :math:`g` the activation,

.. math:: Z_l = W_l A_{l-1} + b_l, \qquad A_l = g(Z_l) \odot D_l,

where :math:`D_l` is the mask of dropout, all ones when dropout is off. The output layer stops at
:math:`Z_L`: its function and the cross-entropy are one step, `J`, the mean loss over the m
examples plus the penalty of the weights.

Backward, by the chain rule. Write :math:`dZ_l` for m times the derivative of the data's part of J
by :math:`Z_l`, one column for each example. Then

.. math::

    dZ_L &= A_L - Y \\
    dZ_{l-1} &= (W_l^T \, dZ_l) \odot D_{l-1} \odot g'(Z_{l-1}) \\
    dW_l &= \tfrac1m \, dZ_l \, A_{l-1}^T + \text{what the penalty adds} \\
    db_l &= \tfrac1m \sum_{\text{examples}} dZ_l

Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors"
(1986), in the notation of the deeplearning.ai courses, where examples are columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ._checks import check_network, check_penalty, check_targets
from ._types import Array, Params
from .activations import activation_named
from .dropout import keep_probabilities, mask
from .outputs import output_named
from .regularization import penalty


def forward(
    params: Params,
    X: Array,
    *,
    activation: str = "relu",
    keep_prob: float | Sequence[float] = 1.0,
    rng: np.random.Generator | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Run the network up to the pre-activations of its output layer.

    Parameters
    ----------
    params : mapping of str to array
        ``W1, b1, W2, b2, ...``: W_l of shape (n_l, n_{l-1}), b_l of shape (n_l, 1).
    X : array, shape (n_x, m)
        Inputs, one column for each example.
    activation : {"relu", "leaky_relu", "tanh", "sigmoid"}
        Of the hidden layers.
    keep_prob : float or sequence of float
        Probability of keeping a hidden unit: one for all hidden layers, or one for each. 1 is no
        dropout.
    rng : numpy.random.Generator, optional
        Where the masks of dropout are drawn from; not touched when `keep_prob` is 1.

    Returns
    -------
    Z : array, shape (n_y, m)
        Pre-activations of the output layer.
    cache : dict of str to array
        What the way back needs: ``A0`` (which is `X`) and, for every hidden layer, ``Z1``, ``D1``
        and ``A1``, ``Z2``, ...

    Raises
    ------
    ValueError
        When shapes do not fit, `activation` is unknown, `keep_prob` is not in (0, 1], or dropout
        has no `rng`.

    Examples
    --------
    >>> params = {"W1": np.array([[1.0], [-1.0]]), "b1": np.zeros((2, 1)),
    ...           "W2": np.array([[1.0, 1.0]]), "b2": np.zeros((1, 1))}
    >>> Z, cache = forward(params, np.array([[-3.0, 0.0, 3.0]]))  # this one knows |x|
    >>> Z.tolist()
    [[3.0, 0.0, 3.0]]
    >>> cache["A1"].tolist()
    [[0.0, 0.0, 3.0], [3.0, 0.0, 0.0]]
    """
    depth = check_network(params, X)
    g = activation_named(activation).function
    keep = keep_probabilities(keep_prob, hidden=depth - 1)
    cache = {"A0": X}
    A = X
    for layer in range(1, depth):
        Z = params[f"W{layer}"] @ A + params[f"b{layer}"]
        D = mask(Z.shape, keep[layer - 1], rng)
        A = g(Z) * D
        cache |= {f"Z{layer}": Z, f"D{layer}": D, f"A{layer}": A}
    return params[f"W{depth}"] @ A + params[f"b{depth}"], cache


def cost(
    params: Params,
    X: Array,
    Y: Array,
    *,
    activation: str = "relu",
    output: str = "softmax",
    lambd: float = 0.0,
    l1: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
    rng: np.random.Generator | None = None,
) -> float:
    """Return the mean cross-entropy of the examples, plus the penalty of the weights.

    Parameters
    ----------
    params, X, activation, keep_prob, rng
        As for `forward`.
    Y : array, shape (n_y, m)
        What is right: for a softmax a 1 among zeros in each column, for sigmoids 0 or 1 anywhere.
    output : {"softmax", "sigmoid"}
        One class out of several, or independent yes-or-no answers.
    lambd, l1 : float
        Strengths of the L2 and L1 penalties: ``lambd / (2 * m)`` times the sum of the squared
        weights, and ``l1 / (2 * m)`` times the sum of the weights' magnitudes.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As for `forward`; when `Y` does not fit, `output` is unknown or a penalty is negative.

    Examples
    --------
    A network that knows nothing gives two classes the same probability, and pays ``log(2)``:

    >>> params = {"W1": np.zeros((2, 3)), "b1": np.zeros((2, 1))}
    >>> round(cost(params, np.ones((3, 1)), np.array([[1.0], [0.0]])), 4)
    0.6931
    """
    Z, _ = forward(params, X, activation=activation, keep_prob=keep_prob, rng=rng)
    m = check_targets(Y, Z)
    losses = output_named(output).losses(Z, Y)
    return float(losses.sum()) / m + penalty(params, m, lambd=lambd, l1=l1)


def deltas(
    params: Params, cache: Params, dZ: Array, *, activation: str = "relu"
) -> dict[str, Array]:
    """Carry the error of the output layer back to every layer below.

    Parameters
    ----------
    params, activation
        As for `forward`; an unknown activation is a ValueError here, too.
    cache : mapping of str to array
        What `forward` kept of the same network, inputs and masks.
    dZ : array, shape (n_y, m)
        The error of the output layer.

    Returns
    -------
    dict of str to array
        ``dZ1, dZ2, ...``, dZ_l of shape (n_l, m): the derivative of each example's loss by the
        pre-activations of each layer.

    Examples
    --------
    >>> params = {"W1": np.array([[1.0], [-1.0]]), "b1": np.zeros((2, 1)),
    ...           "W2": np.array([[5.0, 7.0]]), "b2": np.zeros((1, 1))}
    >>> Z, cache = forward(params, np.array([[3.0]]))
    >>> deltas(params, cache, np.array([[1.0]]))["dZ1"].tolist()  # the second unit is off
    [[5.0], [0.0]]
    """
    g_prime = activation_named(activation).derivative
    depth = len(params) // 2
    errors = {f"dZ{depth}": dZ}
    for layer in range(depth, 1, -1):
        dA = params[f"W{layer}"].T @ dZ
        dA = dA * cache[f"D{layer - 1}"]
        dZ = dA * g_prime(cache[f"Z{layer - 1}"])
        errors[f"dZ{layer - 1}"] = dZ
    return errors


def backprop(
    params: Params,
    X: Array,
    Y: Array,
    *,
    activation: str = "relu",
    output: str = "softmax",
    lambd: float = 0.0,
    l1: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
    rng: np.random.Generator | None = None,
) -> dict[str, Array]:
    """Return the gradient of `cost`.

    Parameters
    ----------
    params, X, Y, activation, output, lambd, l1, keep_prob, rng
        As for `cost`, errors included. Under dropout, a generator in the same state gives both the
        same masks.

    Returns
    -------
    dict of str to array
        ``dW1, db1, dW2, db2, ...``, each of the shape of its parameter.

    Examples
    --------
    >>> params = {"W1": np.zeros((2, 3)), "b1": np.zeros((2, 1))}
    >>> grads = backprop(params, np.ones((3, 1)), np.array([[1.0], [0.0]]))
    >>> grads["db1"].tolist()  # more of the first class, less of the second
    [[-0.5], [0.5]]
    """
    Z, cache = forward(params, X, activation=activation, keep_prob=keep_prob, rng=rng)
    m = check_targets(Y, Z)
    check_penalty(lambd, l1)
    dZ = output_named(output).function(Z) - Y
    errors = deltas(params, cache, dZ, activation=activation)
    grads: dict[str, Array] = {}
    for layer in range(1, len(errors) + 1):
        W, A, dZ = params[f"W{layer}"], cache[f"A{layer - 1}"], errors[f"dZ{layer}"]
        dW = dZ @ A.T / m
        dW = dW + lambd / m * W
        dW = dW + l1 / (2 * m) * np.sign(W)
        db = dZ.sum(axis=1, keepdims=True) / m
        grads |= {f"dW{layer}": dW, f"db{layer}": db}
    return grads


def predict(
    params: Params, X: Array, *, activation: str = "relu", output: str = "softmax"
) -> npt.NDArray[np.int64]:
    """Return the network's answers, without dropout.

    Parameters
    ----------
    params, X, activation, output
        As for `cost`, errors included.

    Returns
    -------
    array of int
        Softmax: the number of the likeliest class, shape (m,). Sigmoid: 1 where the probability
        is above one half, else 0, shape (n_y, m).

    Examples
    --------
    >>> params = {"W1": np.eye(2), "b1": np.zeros((2, 1))}
    >>> predict(params, np.array([[3.0, 1.0], [2.0, 4.0]])).tolist()
    [0, 1]
    """
    Z, _ = forward(params, X, activation=activation)
    return _answers(Z, output)


def _answers(Z: Array, output: str) -> npt.NDArray[np.int64]:
    probabilities = output_named(output).function(Z)
    if output == "softmax":
        return np.asarray(probabilities.argmax(axis=0))
    return (probabilities > 0.5).astype(np.int64)


def accuracy(
    params: Params, X: Array, Y: Array, *, activation: str = "relu", output: str = "softmax"
) -> float:
    """Return the share of examples that the network gets right, in all of their outputs.

    Parameters
    ----------
    params, X, Y, activation, output
        As for `cost`, errors included.

    Returns
    -------
    float, from 0 to 1

    Examples
    --------
    >>> params = {"W1": np.eye(2), "b1": np.zeros((2, 1))}
    >>> accuracy(params, np.array([[3.0, 1.0], [2.0, 4.0]]), np.array([[1.0, 1.0], [0.0, 0.0]]))
    0.5
    """
    Z, _ = forward(params, X, activation=activation)
    check_targets(Y, Z)
    answers = _answers(Z, output)
    right = answers == Y.argmax(axis=0) if output == "softmax" else (answers == Y).all(axis=0)
    return float(right.mean())


def error(
    params: Params, X: Array, Y: Array, *, activation: str = "relu", output: str = "softmax"
) -> float:
    """Return the share of examples that the network gets wrong, ``1 - accuracy``.

    Parameters
    ----------
    params, X, Y, activation, output
        As for `cost`, errors included.

    Returns
    -------
    float, from 0 to 1

    Examples
    --------
    >>> params = {"W1": np.eye(2), "b1": np.zeros((2, 1))}
    >>> error(params, np.array([[3.0, 1.0], [2.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    0.0
    """
    return 1.0 - accuracy(params, X, Y, activation=activation, output=output)
