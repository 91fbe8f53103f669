"""Set examples apart for choosing a network (dev) and for judging it (test).

All three sets must come from one distribution, or the dev set aims at the wrong target: hence the
examples are shuffled before they are split, and split in each class alike. The test set is for one
honest figure at the end; without the need for one, a dev set alone will do.

Source: Ng, *Machine Learning Yearning* (2018), chapters 5 to 7. The digits are those of Alpaydin
and Kaynak, "Optical recognition of handwritten digits" (1998), as scikit-learn ships them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._checks import check_fractions, check_pair
from ._types import Array


class Examples(NamedTuple):
    """Inputs and targets, one column for each example."""

    X: Array
    Y: Array


@dataclass(frozen=True)
class Splits:
    """The three sets of examples; the test set may hold none."""

    train: Examples
    dev: Examples
    test: Examples


def split(
    X: Array, Y: Array, rng: np.random.Generator, *, dev: float = 0.15, test: float = 0.15
) -> Splits:
    """Split examples at random into train, dev and test sets, each class in proportion.

    Parameters
    ----------
    X, Y : array, shapes (n_x, m) and (n_y, m)
        Examples with equal columns in `Y` are of one class.
    rng : numpy.random.Generator
        Shuffles; the same state gives the same split.
    dev, test : float
        Shares of the examples. `test` may be 0; what both leave is the train set.

    Returns
    -------
    Splits
        Every example in exactly one of ``train``, ``dev`` and ``test``.

    Raises
    ------
    ValueError
        When X and Y have unequal numbers of columns, a share is not between 0 and 1, or a set that
        was asked for would be empty.

    Examples
    --------
    >>> X, Y = np.arange(20.0).reshape(1, 20), one_hot([0, 1] * 10)
    >>> splits = split(X, Y, np.random.default_rng(0), dev=0.2, test=0.1)
    >>> splits.train.X.shape, splits.dev.X.shape, splits.test.X.shape
    ((1, 14), (1, 4), (1, 2))
    >>> splits.dev.Y.sum(axis=1).tolist()
    [2.0, 2.0]
    """
    m = check_pair(X, Y)
    sizes = _sizes(m, dev, test)
    order = rng.permutation(m)
    classes = np.unique(Y, axis=1, return_inverse=True)[1].reshape(m)
    remaining = order[np.argsort(classes[order], kind="stable")]
    parts = []
    for size in sizes:
        taken, remaining = _evenly(remaining, size)
        part = rng.permutation(taken)
        parts.append(Examples(X[:, part], Y[:, part]))
    return Splits(train=parts[2], dev=parts[0], test=parts[1])


def _sizes(m: int, dev: float, test: float) -> tuple[int, int, int]:
    check_fractions(dev=dev, test=test)
    n_dev, n_test = round(dev * m), round(test * m)
    n_train = m - n_dev - n_test
    for name, size, wanted in (("dev", n_dev, True), ("test", n_test, test > 0)):
        if wanted and size < 1:
            raise ValueError(f"the {name} set would be empty: {name} is too small for {m} examples")
    if n_train < 1:
        raise ValueError(f"the train set would be empty: dev={dev} and test={test} leave nothing")
    return n_dev, n_test, n_train


def _evenly(
    sequence: npt.NDArray[np.intp], n: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Take `n` entries at even distances, so that of every stretch the same share is taken."""
    positions = (2 * np.arange(n) + 1) * len(sequence) // (2 * max(n, 1))
    return sequence[positions], np.delete(sequence, positions)


def one_hot(labels: Sequence[int] | npt.NDArray[np.integer], classes: int | None = None) -> Array:
    """Return labels as columns with a single 1.

    Parameters
    ----------
    labels : sequence of int, length m
        From 0 to ``classes - 1``.
    classes : int, optional
        Number of classes; by default one more than the largest label.

    Returns
    -------
    array, shape (classes, m)

    Raises
    ------
    ValueError
        When the labels are not a sequence of integers, one is out of range, or `classes` is below
        1.

    Examples
    --------
    >>> one_hot([0, 2], classes=3).tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    numbers = np.asarray(labels)
    if numbers.ndim != 1 or numbers.size == 0 or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(
            f"labels are of shape {numbers.shape} and type {numbers.dtype}: they must be a "
            "sequence of one integer or more, one for each example"
        )
    classes = max(int(numbers.max()) + 1, 1) if classes is None else classes
    if classes < 1:
        raise ValueError(f"classes is {classes}: there must be 1 or more")
    outside = np.flatnonzero((numbers < 0) | (numbers >= classes))
    if outside.size:
        raise ValueError(
            f"labels[{outside[0]}] is {numbers[outside[0]]}: with {classes} classes the labels "
            f"must lie between 0 and {classes - 1}"
        )
    Y = np.zeros((classes, numbers.size))
    Y[numbers, np.arange(numbers.size)] = 1.0
    return Y


def digits() -> Examples:
    """Load 1797 handwritten digits, images of 8 by 8 pixels, from scikit-learn.

    Returns
    -------
    X : array, shape (64, 1797)
        The brightness of each pixel, from 0 to 16, row by row.
    Y : array, shape (10, 1797)
        The digit, one-hot.

    Raises
    ------
    ImportError
        When scikit-learn is not installed.

    Examples
    --------
    >>> X, Y = digits()
    >>> X.shape, Y.shape
    ((64, 1797), (10, 1797))
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as missing:
        raise ImportError(
            "the digits come with scikit-learn, which is not installed: "
            "pip install 'pytest-gradcheck[digits]'"
        ) from missing
    images, labels = load_digits(return_X_y=True)
    return Examples(np.ascontiguousarray(images.T), one_hot(labels))
