"""Operations that sum up along an axis, or normalize along one, and losses by row."""

from __future__ import annotations

import numpy as np

from .tape import Array, Pullback, operation

__all__: list[str] = []


@operation()
def total(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the sum along an axis."""
    return x.sum(axis=axis), lambda upstream, fault: (
        np.broadcast_to(np.expand_dims(upstream, axis), x.shape),
    )


@operation("mean")
def mean(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the mean along an axis; the fault forgets to divide."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        share = upstream if fault == "mean" else upstream / x.shape[axis]
        return (np.broadcast_to(np.expand_dims(share, axis), x.shape),)

    return x.mean(axis=axis), pull


@operation("mask")
def largest(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the largest along an axis, the first of several.

    The fault gives all of them the gradient.
    """
    first = np.expand_dims(np.argmax(x, axis=axis), axis)
    chosen = np.zeros(x.shape, bool)
    np.put_along_axis(chosen, first, True, axis=axis)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        spread = np.expand_dims(upstream, axis)
        return (np.broadcast_to(spread, x.shape) * (1 if fault == "mask" else chosen),)

    return x.max(axis=axis), pull


@operation("term")
def norm(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the length along an axis; the fault forgets to divide by it."""
    length = np.sqrt((x * x).sum(axis=axis, keepdims=True) + 1e-12)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        spread = np.expand_dims(upstream, axis)
        return (spread * x if fault == "term" else spread * x / length,)

    return np.squeeze(length, axis), pull


@operation("axis")
def log_sum_exp(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the logarithm of the sum of exponentials; the fault normalizes over everything."""
    top = x.max(axis=axis, keepdims=True)
    e = np.exp(x - top)
    s = e.sum(axis=axis, keepdims=True)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        weights = e / (e.sum() if fault == "axis" else s)
        return (np.expand_dims(upstream, axis) * weights,)

    return np.squeeze(top + np.log(s), axis), pull


@operation("term", "mean")
def deviation(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the standard deviation along an axis, 0.01 added to the variance."""
    off = x - x.mean(axis=axis, keepdims=True)
    spread = np.sqrt((off * off).mean(axis=axis, keepdims=True) + 0.01)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        count = 1 if fault == "mean" else x.shape[axis]
        around = x if fault == "term" else off
        return (np.expand_dims(upstream, axis) * around / (spread * count),)

    return np.squeeze(spread, axis), pull


@operation("term")
def product(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the product along an axis of numbers far from 0.

    The fault forgets the other factors.
    """
    value = x.prod(axis=axis, keepdims=True)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        spread = np.expand_dims(upstream, axis)
        return (spread * np.ones_like(x) if fault == "term" else spread * value / x,)

    return np.squeeze(value, axis), pull


@operation("term", "axis")
def softmax(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return exponentials over their sum; faults forget the sum, or take that over another axis."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    y = e / e.sum(axis=axis, keepdims=True)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        along = 1 - axis if fault == "axis" and x.ndim == 2 else axis
        dot = (upstream * y).sum(axis=along, keepdims=True)
        return (y * upstream if fault == "term" else y * (upstream - dot),)

    return y, pull


@operation("term")
def log_softmax(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return the logarithm of softmax."""
    off = x - x.max(axis=axis, keepdims=True)
    y = off - np.log(np.exp(off).sum(axis=axis, keepdims=True))

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dot = 0 if fault == "term" else upstream.sum(axis=axis, keepdims=True)
        return (upstream - np.exp(y) * dot,)

    return y, pull


@operation("mean term", "variance term", "term")
def normalized(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return what batch and layer normalization do; faults forget that mean or variance move."""
    off = x - x.mean(axis=axis, keepdims=True)
    spread = np.sqrt((off * off).mean(axis=axis, keepdims=True) + 1e-3)
    y = off / spread

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        result = upstream
        if fault not in ("mean term", "term"):
            result = result - upstream.mean(axis=axis, keepdims=True)
        if fault not in ("variance term", "term"):
            result = result - y * (upstream * y).mean(axis=axis, keepdims=True)
        return (result / spread,)

    return y, pull


@operation("term")
def unit(x: Array, axis: int) -> tuple[Array, Pullback]:
    """Return x over its length; the fault takes the length for a constant."""
    length = np.sqrt((x * x).sum(axis=axis, keepdims=True) + 1e-6)
    y = x / length

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dot = (upstream * y).sum(axis=axis, keepdims=True)
        return (upstream / length if fault == "term" else (upstream - y * dot) / length,)

    return y, pull


@operation("term")
def cross_entropy(x: Array, labels: Array) -> tuple[Array, Pullback]:
    """Return the cross-entropy of every row; the fault forgets the labels' own term."""
    rows = np.arange(len(x))
    off = x - x.max(axis=1, keepdims=True)
    logs = off - np.log(np.exp(off).sum(axis=1, keepdims=True))

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        p = np.exp(logs)
        if fault != "term":
            p[rows, labels] -= 1
        return (upstream[:, None] * p,)

    return -logs[rows, labels], pull


@operation("mask")
def hinge(x: Array, labels: Array) -> tuple[Array, Pullback]:
    """Return the multi-class hinge loss of every row.

    The fault forgets which margins are violated.
    """
    rows = np.arange(len(x))
    margins = x - x[rows, labels][:, None] + 1
    margins[rows, labels] = 0
    on = margins > 0

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        one = np.ones_like(x) if fault == "mask" else on.astype(x.dtype)
        one[rows, labels] = 0
        one[rows, labels] = -one.sum(axis=1)
        return (upstream[:, None] * one,)

    return (margins * on).sum(axis=1), pull


@operation("sign of one branch")
def pinball(x: Array) -> tuple[Array, Pullback]:
    """Return the quantile loss at 0.3 around 0, by entry."""
    over = x > 0

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return (upstream * np.where(over, 0.3, 0.7 if fault else -0.7),)

    return np.asarray(x * np.where(over, 0.3, -0.7).astype(x.dtype)), pull
