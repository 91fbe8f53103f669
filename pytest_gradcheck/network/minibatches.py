"""Deal the training examples into small batches, and take a step after each of them.

The gradient of a few dozen examples points nearly where that of all would, at a fraction of the
price. The examples are shuffled anew for every epoch, or the same batches would come in the same
order each time.

Source: Bottou, "Large-scale machine learning with stochastic gradient descent" (2010).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def mini_batches(
    m: int, batch_size: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Deal the numbers of all examples into batches, in random order.

    Parameters
    ----------
    m, batch_size : int
        Examples in all, and in a batch; the last batch holds what is left.
    rng : numpy.random.Generator

    Yields
    ------
    array of int, length at most `batch_size`
        Columns of the examples: ``X[:, batch]``.

    Raises
    ------
    ValueError
        When `batch_size` is below 1.

    Examples
    --------
    >>> [batch.size for batch in mini_batches(10, 4, np.random.default_rng(0))]
    [4, 4, 2]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: a batch must hold 1 example or more")
    order = rng.permutation(m)
    for start in range(0, m, batch_size):
        yield order[start : start + batch_size]
