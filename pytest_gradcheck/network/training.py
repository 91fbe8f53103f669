"""Train a network by mini-batch gradient descent, with its learning curves kept.

An epoch goes once through the training set, a step after every batch. Then both sets are measured
without dropout and without the penalty, so that train and dev figures can be compared: the gap
between them is what `diagnose` reads.

Sources: those of the optimizers, of mini-batches and of early stopping, in their modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import numpy as np

from ._checks import check_pair
from ._types import Array, Params
from .early_stopping import EarlyStopping
from .minibatches import mini_batches
from .model import backprop, cost, error
from .optimizers import Adam, Optimizer


@dataclass(frozen=True)
class Epoch:
    """One point of the learning curves: costs and errors after an epoch, numbered from 1.

    All are without dropout and penalty. Those of the dev set are None where there is none.
    """

    number: int
    train_cost: float
    train_error: float
    dev_cost: float | None = None
    dev_error: float | None = None


@dataclass(frozen=True)
class Training:
    """What came of a training: the parameters, and the learning curves.

    `params` are those of `best_epoch`, the number of the epoch with the lowest dev cost; without a
    dev set, of the last.
    """

    params: dict[str, Array]
    history: tuple[Epoch, ...]
    best_epoch: int


def train(
    params: Params,
    X: Array,
    Y: Array,
    rng: np.random.Generator,
    *,
    dev: tuple[Array, Array] | None = None,
    optimizer: Optimizer | None = None,
    epochs: int = 50,
    batch_size: int = 64,
    patience: int | None = None,
    activation: str = "relu",
    output: str = "softmax",
    lambd: float = 0.0,
    l1: float = 0.0,
    keep_prob: float | Sequence[float] = 1.0,
    on_epoch: Callable[[Epoch], None] | None = None,
    progress: bool = False,
) -> Training:
    """Train a network.

    Parameters
    ----------
    params : mapping of str to array
        Where to start, as from `initialize`. Left as they are.
    X, Y : array, shapes (n_x, m) and (n_y, m)
        The training set.
    rng : numpy.random.Generator
        Shuffles the batches and draws the masks of dropout.
    dev : tuple of array, optional
        X and Y of the dev set.
    optimizer : Optimizer, optional
        `GradientDescent`, `Momentum` or `Adam`, which is the default.
    epochs, batch_size : int
        Times through the training set, and examples to a step.
    patience : int, optional
        Stop early, after so many epochs without a lower dev cost. Needs `dev`.
    activation, output, lambd, l1, keep_prob
        As for `cost`. The penalty belongs to the whole training set, of which each batch bears its
        share: its weight against the data does not depend on `batch_size`.
    on_epoch : callable, optional
        Called with every `Epoch` as it ends.
    progress : bool
        Show a bar on a terminal, by tqdm.

    Returns
    -------
    Training

    Raises
    ------
    ValueError
        As for `cost`; when `epochs`, `batch_size` or `patience` is below 1, or there is `patience`
        and no `dev`.
    FloatingPointError
        When the cost is no longer finite.
    ImportError
        When `progress` is asked for and tqdm is not installed.

    Examples
    --------
    >>> from pytest_gradcheck.network import initialize
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2, 200))
    >>> Y = (X[:1] * X[1:] > 0).astype(float)  # do both coordinates have the same sign?
    >>> result = train(initialize((2, 8, 1), rng), X, Y, rng, optimizer=Adam(0.03),
    ...                epochs=100, output="sigmoid")
    >>> result.history[-1].train_error < 0.05
    True
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}: it must be 1 or more")
    if patience is not None and dev is None:
        raise ValueError(f"patience is {patience} but dev is None: early stopping needs a dev set")
    m = check_pair(X, Y)
    optimizer = Adam() if optimizer is None else optimizer
    watch = EarlyStopping(patience)
    gradient = partial(backprop, activation=activation, output=output, keep_prob=keep_prob, rng=rng)
    history = []
    params = dict(params)
    for number in _numbers(epochs, progress):
        for batch in mini_batches(m, batch_size, rng):
            share = batch.size / m
            grads = gradient(params, X[:, batch], Y[:, batch], lambd=lambd * share, l1=l1 * share)
            params = optimizer.step(params, grads)
        epoch = _measure(number, params, (X, Y), dev, activation, output)
        history.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)
        if epoch.dev_cost is not None and watch.stop_after(number, epoch.dev_cost, params):
            break
    if dev is None:
        return Training(params, tuple(history), best_epoch=len(history))
    return Training(watch.best, tuple(history), watch.best_epoch)


def _measure(
    number: int,
    params: Params,
    train_set: tuple[Array, Array],
    dev_set: tuple[Array, Array] | None,
    activation: str,
    output: str,
) -> Epoch:
    figures = []
    for examples in (train_set, dev_set):
        if examples is not None:
            J = cost(params, *examples, activation=activation, output=output)
            if not math.isfinite(J):
                raise FloatingPointError(
                    f"the cost is {J} after epoch {number}: the training has diverged; "
                    "try a learning rate ten times smaller, and inputs that are normalized"
                )
            figures += [J, error(params, *examples, activation=activation, output=output)]
    return Epoch(number, *figures)


def _numbers(epochs: int, progress: bool) -> Iterable[int]:
    numbers = range(1, epochs + 1)
    if not progress:
        return numbers
    try:
        tqdm = import_module("tqdm")
    except ModuleNotFoundError as missing:
        raise ImportError(
            "progress=True draws its bar with tqdm, which is not installed: pip install tqdm"
        ) from missing
    # disable=None: no bar where there is no terminal to see it.
    bar: Iterable[int] = tqdm.tqdm(numbers, unit="epoch", disable=None)
    return bar
