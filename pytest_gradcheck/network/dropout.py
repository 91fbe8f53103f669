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
    """Return one probability for each hidden layer, of one for all or one for each."""
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
    """Draw what activations of shape (n_l, m) are multiplied by: 0, or ``1 / keep_prob``.

    With a `keep_prob` of 1 nothing is drawn, and `rng` may be None.
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
