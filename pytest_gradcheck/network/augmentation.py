"""Make new training examples of old ones, by changes that leave the label as it is.

A shifted seven is a seven, and so is one with some noise. Both are cheaper than collecting more
data and work against variance in the same way. Augment the training set only, after the split and
before normalization: the dev and test sets must stay what the network will meet.

Sources: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to
visual document analysis" (2003); Bishop, "Training with noise is equivalent to Tikhonov
regularization" (1995).
"""

from __future__ import annotations

import numpy as np

from ._checks import check_examples
from ._types import Array


def shift(
    X: Array,
    rng: np.random.Generator,
    *,
    shape: tuple[int, int],
    pixels: int = 1,
    background: float = 0.0,
) -> Array:
    """Move every image by a random number of pixels, down or up and right or left.

    Parameters
    ----------
    X : array, shape (height * width, m)
        Images as columns, row by row.
    rng : numpy.random.Generator
    shape : tuple of int
        (height, width).
    pixels : int
        The farthest shift, in each direction.
    background : float
        Value of the pixels that come in from outside.

    Returns
    -------
    array, shape of `X`
        New images, one for each of `X`, in the same order.

    Raises
    ------
    ValueError
        When `X` does not hold images of that shape, or `pixels` is negative.

    Examples
    --------
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> shift(X, np.random.default_rng(2), shape=(2, 2)).reshape(2, 2).tolist()  # up, and right
    [[0.0, 3.0], [0.0, 0.0]]
    """
    check_examples("X", X)
    height, width = shape
    if X.shape[0] != height * width:
        raise ValueError(
            f"X has shape {X.shape}, but images of shape {shape} have {height * width} pixels: "
            f"X must be of shape ({height * width}, m)"
        )
    if pixels < 0:
        raise ValueError(f"pixels is {pixels}: the farthest shift must be 0 or more")
    m = X.shape[1]
    images = X.T.reshape(m, height, width)
    margin = ((0, 0), (pixels, pixels), (pixels, pixels))
    framed = np.pad(images, margin, constant_values=background)
    # A window of the image's size, moved about in the frame: where it starts is random.
    top, left = rng.integers(0, 2 * pixels + 1, size=(2, m, 1))
    rows = top + np.arange(height)
    columns = left + np.arange(width)
    moved = framed[np.arange(m)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return np.ascontiguousarray(moved.reshape(m, -1).T)


def add_noise(X: Array, rng: np.random.Generator, *, std: float) -> Array:
    """Add normal noise to every value.

    Parameters
    ----------
    X : array, shape (n_x, m)
    rng : numpy.random.Generator
    std : float
        Standard deviation of the noise, in the units of `X`. The result is not clipped to the
        range of `X`.

    Returns
    -------
    array, shape of `X`

    Raises
    ------
    ValueError
        When `X` holds no examples, or `std` is negative or not finite.

    Examples
    --------
    >>> X = np.zeros((64, 1000))
    >>> round(float(add_noise(X, np.random.default_rng(0), std=0.5).std()), 2)
    0.5
    """
    check_examples("X", X)
    if not 0 <= std < np.inf:
        raise ValueError(f"std is {std}: the standard deviation of the noise must be 0 or more")
    return X + rng.normal(0.0, std, size=X.shape)
