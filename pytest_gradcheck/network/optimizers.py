r"""Turn gradients into steps: plain gradient descent, momentum, and Adam.

Each optimizer's ``step`` returns new parameters and leaves the old ones alone, so that whoever
kept them (early stopping does) still has them. Momentum and Adam remember the gradients of former
steps: take a new optimizer for a new training, or the same one to go on. A setting outside of
its range is a ValueError.

Sources: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964), here as
the moving average of the deeplearning.ai courses; Kingma and Ba, "Adam: a method for stochastic
optimization" (2015).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ._checks import check_decays, check_positive
from ._types import Array, Params


class Optimizer(Protocol):
    """Anything with a ``step``."""

    def step(self, params: Params, grads: Params) -> dict[str, Array]:
        """Return new parameters ``W1, b1, ...``, a step against the gradients ``dW1, db1, ...``."""


@dataclass
class GradientDescent:
    r"""Go down the gradient: :math:`\theta \leftarrow \theta - \alpha \, d\theta`.

    Parameters
    ----------
    learning_rate : float
        :math:`\alpha`, positive.

    Examples
    --------
    >>> GradientDescent(0.5).step({"W1": np.array([[3.0]])}, {"dW1": np.array([[2.0]])})
    {'W1': array([[2.]])}
    """

    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        check_positive(learning_rate=self.learning_rate)

    def step(self, params: Params, grads: Params) -> dict[str, Array]:
        """Return the parameters after one step."""
        return {
            name: value - self.learning_rate * grads[f"d{name}"] for name, value in params.items()
        }


@dataclass
class Momentum:
    r"""Go along a moving average of the gradients, in which zigzags cancel.

    .. math:: v \leftarrow \beta v + (1 - \beta) \, d\theta, \qquad
              \theta \leftarrow \theta - \alpha v

    Parameters
    ----------
    learning_rate : float
        :math:`\alpha`, positive.
    beta : float
        :math:`\beta`, in [0, 1): the average is over about :math:`1 / (1 - \beta)` steps.

    Examples
    --------
    >>> Momentum(0.5, beta=0.5).step({"W1": np.array([[3.0]])}, {"dW1": np.array([[2.0]])})
    {'W1': array([[2.5]])}
    """

    learning_rate: float = 0.1
    beta: float = 0.9
    _v: dict[str, Array] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_positive(learning_rate=self.learning_rate)
        check_decays(beta=self.beta)

    def step(self, params: Params, grads: Params) -> dict[str, Array]:
        """Return the parameters after one step."""
        stepped = {}
        for name, value in params.items():
            gradient = grads[f"d{name}"]
            v = self.beta * self._v.get(name, np.zeros_like(value)) + (1 - self.beta) * gradient
            stepped[name] = value - self.learning_rate * v
            self._v[name] = v
        return stepped


@dataclass
class Adam:
    r"""Go along the average gradient, at a rate of its own for every parameter.

    .. math::

        v &\leftarrow \beta_1 v + (1 - \beta_1) \, d\theta
            && \text{(mean of the gradients)} \\
        s &\leftarrow \beta_2 s + (1 - \beta_2) \, d\theta^2
            && \text{(mean of their squares)} \\
        \theta &\leftarrow \theta - \alpha \,
            \frac{v / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)} + \varepsilon}
            && \text{(step } t = 1, 2, \ldots)

    Both averages start at 0 and would be too small at first; the divisors correct for that.

    Parameters
    ----------
    learning_rate : float
        :math:`\alpha`, positive: about how far a parameter moves in a step.
    beta1, beta2 : float
        Rates of the two averages, in [0, 1).
    epsilon : float
        Positive: keeps the quotient finite.

    Examples
    --------
    The first step is as long as the learning rate, whatever the size of the gradient:

    >>> params = Adam(0.5).step({"W1": np.array([[3.0]])}, {"dW1": np.array([[200.0]])})
    >>> params["W1"].round(6).tolist()
    [[2.5]]
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    _v: dict[str, Array] = field(default_factory=dict, init=False, repr=False)
    _s: dict[str, Array] = field(default_factory=dict, init=False, repr=False)
    _t: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        check_positive(learning_rate=self.learning_rate, epsilon=self.epsilon)
        check_decays(beta1=self.beta1, beta2=self.beta2)

    def step(self, params: Params, grads: Params) -> dict[str, Array]:
        """Return the parameters after one step."""
        self._t += 1
        stepped = {}
        for name, value in params.items():
            gradient, zero = grads[f"d{name}"], np.zeros_like(value)
            v = self.beta1 * self._v.get(name, zero) + (1 - self.beta1) * gradient
            s = self.beta2 * self._s.get(name, zero) + (1 - self.beta2) * gradient**2
            v_corrected = v / (1 - self.beta1**self._t)
            s_corrected = s / (1 - self.beta2**self._t)
            move = v_corrected / (np.sqrt(s_corrected) + self.epsilon)
            stepped[name] = value - self.learning_rate * move
            self._v[name], self._s[name] = v, s
        return stepped
