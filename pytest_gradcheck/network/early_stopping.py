"""Stop when the dev set's cost no longer falls, and keep the parameters from when it was lowest.

A network first learns what all examples share, later what is peculiar to the training set. From
then on its cost on examples it does not learn from rises, while that of the training set falls
further. The dev cost is not smooth, hence some patience.

Source: Prechelt, "Early stopping: but when?" (1998).
"""

from __future__ import annotations

import math

from ._types import Array, Params


class EarlyStopping:
    """Watch the dev cost from epoch to epoch.

    Parameters
    ----------
    patience : int or None
        Epochs to go on without a lower dev cost; None never stops, but keeps the best all the same.
        A patience below 1 is a ValueError.

    Attributes
    ----------
    best : dict of str to array
        Parameters of the epoch with the lowest dev cost.
    best_epoch : int
        Its number; 0 before the first.

    Examples
    --------
    >>> watch = EarlyStopping(patience=2)
    >>> [watch.stop_after(epoch, cost, {}) for epoch, cost in enumerate([3.0, 1.0, 2.0, 2.0], 1)]
    [False, False, False, True]
    >>> watch.best_epoch
    2
    """

    def __init__(self, patience: int | None = None) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"patience is {patience}: it must be 1 epoch or more, or None")
        self.patience = patience
        self.best: dict[str, Array] = {}
        self.best_epoch = 0
        self._lowest = math.inf

    def stop_after(self, epoch: int, dev_cost: float, params: Params) -> bool:
        """Note the dev cost and the parameters after an epoch, and say whether it was the last.

        It was, when `patience` epochs have gone by without a lower cost. The arrays are kept as
        they are, not copied.
        """
        if dev_cost < self._lowest:
            self._lowest, self.best_epoch, self.best = dev_cost, epoch, dict(params)
        return self.patience is not None and epoch - self.best_epoch >= self.patience
