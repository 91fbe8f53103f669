"""Switch hidden units off at random while training, so that no unit leans on any other.

Every example meets another random part of the network. *Inverted* dropout divides what is left by
the probability of being kept, so that the expected activation stays the same and nothing has to be
scaled when the network is used, without dropout.

Dropout is for training only. A gradient check needs it off (``keep_prob=1.0``), or the same masks
in every call: a difference of two costs under two masks tells nothing about a gradient.

Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to
prevent neural networks from overfitting" (2014).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._types import Array


def keep_probabilities(keep_prob: float | Sequence[float], hidden: int) -> tuple[float, ...]:
    """Return the probability of keeping a unit for each hidden layer.

    Parameters
    ----------
    keep_prob : float or sequence of float
        One for all hidden layers, or one for each.
    hidden : int
        Number of hidden layers.

    Returns
    -------
    tuple of float, length `hidden`

    Raises
    ------
    ValueError
        When one is not above 0 and at most 1, or there are more or fewer than hidden layers.

    Examples
    --------
    >>> keep_probabilities(0.8, 2)
    (0.8, 0.8)
    >>> keep_probabilities([0.5, 1.0], 2)
    (0.5, 1.0)
    """
    each = (
        (keep_prob,) * hidden
        if isinstance(keep_prob, (int, float, np.number))
        else tuple(keep_prob)
    )
    if len(each) != hidden:
        raise ValueError(
            f"keep_prob has {len(each)} entries for {hidden} hidden layers: "
            "give one number for all, or one for each"
        )
    for probability in each:
        _check_probability(probability)
    return each


def _check_probability(keep_prob: float) -> None:
    if not 0 < keep_prob <= 1:
        raise ValueError(
            f"keep_prob is {keep_prob}: the probability of keeping a unit must be above 0 and "
            "at most 1 (1 switches dropout off)"
        )


def mask(shape: tuple[int, ...], keep_prob: float, rng: np.random.Generator | None) -> Array:
    """Draw what the activations are multiplied by: 0, or ``1 / keep_prob``.

    Parameters
    ----------
    shape : tuple of int
        Shape of the activations, (n_l, m).
    keep_prob : float
        Probability of keeping a unit. With 1 nothing is drawn.
    rng : numpy.random.Generator or None
        Where the mask is drawn from; may be None when nothing is drawn.

    Returns
    -------
    array, shape `shape`

    Raises
    ------
    ValueError
        When `keep_prob` is not above 0 and at most 1, or a mask is to be drawn and `rng` is None.

    Examples
    --------
    >>> mask((2, 3), 0.5, np.random.default_rng(1)).tolist()
    [[0.0, 0.0, 2.0], [0.0, 2.0, 2.0]]
    """
    _check_probability(keep_prob)
    if keep_prob == 1:
        return np.ones(shape)
    if rng is None:
        raise ValueError(
            f"keep_prob is {keep_prob} but rng is None: dropout draws its masks from a generator, "
            "such as rng=numpy.random.default_rng(0)"
        )
    return (rng.random(shape) < keep_prob) / keep_prob
