r"""Draw the first weights at the scale that keeps signals alive through many layers.

A unit that sums ``n_in`` inputs multiplies their variance by ``n_in`` times that of its weights. A
product other than 1 grows or shrinks with every layer, as a power of the depth: activations and
gradients explode or vanish. Hence a standard deviation that depends on the width of the layer:

* *He*, :math:`\sqrt{2 / n_{in}}`: the 2 makes up for the half of its inputs that a ReLU sets to 0;
* *Xavier* or *Glorot*, :math:`\sqrt{2 / (n_{in} + n_{out})}`: for tanh, a compromise between the
  signal going forward (1 / n_in) and the error going backward (1 / n_out).

The weights must be random, for two units that start alike stay alike. The biases need not be, and
start at zero.

Sources: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
networks" (2010); He, Zhang, Ren and Sun, "Delving deep into rectifiers" (2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np

from ._checks import named
from ._types import Array


def he_std(n_in: int, n_out: int) -> float:
    """Return He's standard deviation for `n_in` inputs; the `n_out` units play no part."""
    return sqrt(2 / n_in)


def xavier_std(n_in: int, n_out: int) -> float:
    """Return Xavier Glorot's standard deviation for a layer of `n_in` inputs and `n_out` units."""
    return sqrt(2 / (n_in + n_out))


METHODS: dict[str, Callable[[int, int], float]] = {"he": he_std, "xavier": xavier_std}


def initialize(
    sizes: Sequence[int], rng: np.random.Generator, method: str = "he"
) -> dict[str, Array]:
    """Draw the parameters of a network.

    Parameters
    ----------
    sizes : sequence of int
        Units of every layer, the inputs first: ``(64, 32, 10)`` has 64 inputs, 32 hidden units and
        10 outputs.
    rng : numpy.random.Generator
    method : {"he", "xavier"}
        He's scale for ReLUs, Xavier's for tanh and sigmoid.

    Returns
    -------
    dict of str to array
        ``W1, b1, W2, b2, ...``: W_l of shape (n_l, n_{l-1}), b_l of shape (n_l, 1).

    Raises
    ------
    ValueError
        When there are fewer than two sizes, one is not a positive integer, or `method` is unknown.

    Examples
    --------
    >>> params = initialize((3, 5, 2), np.random.default_rng(0))
    >>> {name: value.shape for name, value in params.items()}
    {'W1': (5, 3), 'b1': (5, 1), 'W2': (2, 5), 'b2': (2, 1)}
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes is {tuple(sizes)}: it needs the inputs and at least one layer")
    for layer, size in enumerate(sizes):
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"sizes[{layer}] is {size!r}: it must be an integer of 1 or more")
    std = named("method of initialization", method, METHODS)
    params = {}
    for layer in range(1, len(sizes)):
        n_in, n_out = sizes[layer - 1], sizes[layer]
        params[f"W{layer}"] = rng.normal(0.0, std(n_in, n_out), size=(n_out, n_in))
        params[f"b{layer}"] = np.zeros((n_out, 1))
    return params
