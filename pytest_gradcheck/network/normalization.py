r"""Bring every input feature to mean 0 and variance 1, by the training set's figures.

Features of unlike scales stretch the cost into a narrow valley, down which gradient descent
zigzags. Normalized, the valley is round and one learning rate suits every direction.

The mean :math:`\mu` and the standard deviation :math:`\sigma` are measured on the *training* set
alone, and :math:`(x - \mu) / \sigma` is applied to all sets: they must undergo the same
transformation, and figures that include the dev or test set would tell the network of examples it
has not seen.

Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998), section 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._checks import check_examples
from ._types import Array


@dataclass(frozen=True)
class Normalizer:
    """The mean and the scale of each feature of a training set, to be applied to any set.

    Both have shape (n_x, 1). The scale is the standard deviation; 1 for a feature that does not
    vary.

    Examples
    --------
    >>> normalize = Normalizer.fit(np.array([[1.0, 3.0], [5.0, 5.0]]))
    >>> normalize(np.array([[3.0, 7.0], [5.0, 6.0]])).tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, X: Array) -> Normalizer:
        """Measure the training set, of shape (n_x, m).

        Raises
        ------
        ValueError
            When X holds no examples, or a feature's mean or variance is not finite.
        """
        check_examples("X", X)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = X.mean(axis=1, keepdims=True)
            scale = X.std(axis=1, keepdims=True)
        bad = np.flatnonzero(~np.isfinite(mean + scale))
        if bad.size:
            raise ValueError(
                f"X[{bad[0]}] has mean {mean[bad[0], 0]} and standard deviation "
                f"{scale[bad[0], 0]}: remove its NaN, infinite or huge values first"
            )
        # The mean of equal values is rounded, so that their deviation need not come out as 0.
        # A constant pixel, say the corner of every image, is only moved to 0.
        constant = (X[:, :1] == X).all(axis=1, keepdims=True)
        return cls(mean=mean, scale=np.where(constant | (scale == 0), 1.0, scale))

    def __call__(self, X: Array) -> Array:
        """Normalize any set, of shape (n_x, m), by the training set's figures.

        Raises
        ------
        ValueError
            When X has not the features of the training set.
        """
        if X.ndim != 2 or X.shape[0] != self.mean.shape[0]:
            raise ValueError(
                f"X has shape {X.shape}, but the training set had {self.mean.shape[0]} features: "
                f"X must be of shape ({self.mean.shape[0]}, m)"
            )
        return (X - self.mean) / self.scale
