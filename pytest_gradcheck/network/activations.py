"""Bend each layer's output, so that layers on top of each other are more than one linear map.

Every function works element by element on the pre-activations ``z``, of any shape, and stands
beside its derivative, which takes the same ``z``. In backpropagation the derivative decides how
much of the error passes through a unit: ReLU passes all or nothing, the sigmoid never more than a
quarter, which is why deep networks of sigmoids learn slowly.

Sources: LeCun et al., "Efficient BackProp" (1998) for tanh and sigmoid; Nair and Hinton,
"Rectified linear units improve restricted Boltzmann machines" (2010); Maas, Hannun and Ng,
"Rectifier nonlinearities improve neural network acoustic models" (2013) for the leaky ReLU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ._checks import named
from ._types import Array

#: What a leaky ReLU lets through below zero: enough to bring a dead unit back to life.
LEAK = 0.01


def relu(z: Array) -> Array:
    """Return ``z`` where it is positive, else 0.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> relu(np.array([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 3.0]
    """
    return np.maximum(z, 0.0)


def relu_derivative(z: Array) -> Array:
    """Return 1 where the unit is active, else 0.

    At 0 itself, the kink, every slope from 0 to 1 is a valid subgradient; 0 is the usual choice.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> relu_derivative(np.array([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    return np.where(z > 0, 1.0, 0.0)


def leaky_relu(z: Array) -> Array:
    """Return ``z`` where it is positive, else `LEAK` times ``z``.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> leaky_relu(np.array([-2.0, 0.0, 3.0])).tolist()
    [-0.02, 0.0, 3.0]
    """
    return np.where(z > 0, z, LEAK * z)


def leaky_relu_derivative(z: Array) -> Array:
    """Return 1 where the unit is active, else `LEAK`.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> leaky_relu_derivative(np.array([-2.0, 3.0])).tolist()
    [0.01, 1.0]
    """
    return np.where(z > 0, 1.0, LEAK)


def tanh(z: Array) -> Array:
    """Return the hyperbolic tangent, a sigmoid stretched to run from -1 to 1.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> tanh(np.array([0.0, 100.0])).tolist()
    [0.0, 1.0]
    """
    return np.tanh(z)


def tanh_derivative(z: Array) -> Array:
    """Return ``1 - tanh(z)**2``.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> tanh_derivative(np.array([0.0, 100.0])).tolist()
    [1.0, 0.0]
    """
    return 1.0 - np.tanh(z) ** 2


def sigmoid(z: Array) -> Array:
    """Return ``1 / (1 + exp(-z))``, without overflow for any ``z``.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    # exp(-|z|) never overflows. Below zero the fraction is expanded by exp(z), which also keeps
    # the small values exact to the last digit.
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def sigmoid_derivative(z: Array) -> Array:
    """Return ``sigmoid(z) * (1 - sigmoid(z))``.

    Parameters
    ----------
    z : array, any shape

    Returns
    -------
    array, shape of `z`

    Examples
    --------
    >>> sigmoid_derivative(np.array([0.0])).tolist()
    [0.25]
    """
    # 1 - sigmoid(z) loses every digit once sigmoid(z) rounds to 1; sigmoid(-z) is the same number.
    return sigmoid(z) * sigmoid(-z)


class Activation(NamedTuple):
    """A function of the pre-activations, with its derivative."""

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


ACTIVATIONS = {
    "relu": Activation(relu, relu_derivative),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative),
    "tanh": Activation(tanh, tanh_derivative),
    "sigmoid": Activation(sigmoid, sigmoid_derivative),
}


def activation_named(name: str) -> Activation:
    """Return the activation of that name, a key of `ACTIVATIONS`."""
    return named("activation", name, ACTIVATIONS)
