r"""Turn the output layer's pre-activations into probabilities, and judge them by cross-entropy.

Each kind of output has a function and a loss that belong together: the *softmax* for one class out
of several, the *sigmoid* for independent yes-or-no answers. With its own cross-entropy either has
the same derivative, the plainest there is,

.. math:: \partial L / \partial Z = A - Y.

The losses are computed from ``Z``, never from ``A``: where the network is sure of itself, ``A``
rounds to 0 or 1, ``log(1 - A)`` is infinite or noise, and a difference of two such costs is noise
divided by a small step. From ``Z`` every loss, however small, is right to the last digits.

Sources: Bridle, "Probabilistic interpretation of feedforward classification network outputs"
(1990); Goodfellow, Bengio and Courville, *Deep Learning* (2016), section 6.2.2; Blanchard, Higham
and Higham, "Accurately computing the log-sum-exp and softmax functions" (2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ._checks import named
from ._types import Array
from .activations import sigmoid


def softmax(Z: Array) -> Array:
    """Return the probability of each class: ``exp(Z)``, each column divided by its sum.

    Parameters
    ----------
    Z : array, shape (n_y, m)
        A score for every class and example.

    Returns
    -------
    array, shape (n_y, m)
        Columns of probabilities, each with the sum 1.

    Examples
    --------
    >>> softmax(np.array([[1000.0], [1000.0]])).tolist()
    [[0.5], [0.5]]
    """
    # A constant taken off a whole column cancels in the quotient; the largest leaves exp(0) = 1.
    powers = np.exp(Z - Z.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))


def softmax_losses(Z: Array, Y: Array) -> Array:
    r"""Return the cross-entropy of each example, shape (m,), for a softmax output.

    `Z` and `Y` have shape (n_y, m). A column of `Y` is the right class as a 1 among zeros, or any
    probabilities with the sum 1. With :math:`z_y` the score of the right class, the loss is

    .. math:: -\log a_y = \log \sum_k e^{z_k} - z_y = \log \sum_k e^{z_k - z_y}.
    """
    # The right class's score is taken off first, inside the logarithm: taken off afterwards, it
    # would cancel and leave the rounding error of a large number in place of a small loss.
    return np.asarray(np.logaddexp.reduce(Z - (Y * Z).sum(axis=0), axis=0))


def sigmoid_losses(Z: Array, Y: Array) -> Array:
    r"""Return the cross-entropy of each example, shape (m,), for sigmoid outputs.

    `Z` and `Y` have shape (n_y, m); `Y` holds 0 or 1, or probabilities. The loss is the sum over
    the outputs of :math:`-y \log a - (1 - y) \log(1 - a)`, in which
    :math:`-\log a = \log(1 + e^{-z})` and :math:`-\log(1 - a) = \log(1 + e^{z})`.
    """
    minus_log_a = np.logaddexp(0.0, -Z)
    minus_log_1_minus_a = np.logaddexp(0.0, Z)
    return np.asarray((Y * minus_log_a + (1.0 - Y) * minus_log_1_minus_a).sum(axis=0))


class Output(NamedTuple):
    """The function of an output layer, with the loss that belongs to it."""

    function: Callable[[Array], Array]
    losses: Callable[[Array, Array], Array]


OUTPUTS = {
    "softmax": Output(softmax, softmax_losses),
    "sigmoid": Output(sigmoid, sigmoid_losses),
}


def output_named(name: str) -> Output:
    """Return the kind of output of that name, a key of `OUTPUTS`."""
    return named("output", name, OUTPUTS)
