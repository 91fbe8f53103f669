"""Operations that move entries: gather, scatter, sort, windows, tables."""

from __future__ import annotations

import numpy as np

from .tape import Array, Pullback, operation

__all__: list[str] = []


@operation("accumulated", "off by one")
def gather(x: Array, rows: Array) -> tuple[Array, Pullback]:
    """Return rows of a table, some more than once; faults assign, or take the next row."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        result = np.zeros_like(x)
        if fault == "accumulated":
            result[rows] = upstream
        else:
            np.add.at(result, (rows + (fault == "off by one")) % len(x), upstream)
        return (result,)

    return x[rows], pull


@operation("off by one")
def scatter(x: Array, rows: Array, count: int) -> tuple[Array, Pullback]:
    """Return rows added up into others; the fault reads the next one."""
    out = np.zeros((count, *x.shape[1:]), x.dtype)
    np.add.at(out, rows, x)
    return out, lambda upstream, fault: (upstream[(rows + bool(fault)) % count],)


@operation("order")
def sort(x: Array) -> tuple[Array, Pullback]:
    """Return sorted along the last axis; the fault does not put the gradient back in order."""
    order = np.argsort(x, axis=-1, kind="stable")

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        result = np.zeros_like(x)
        np.put_along_axis(result, order, upstream, axis=-1)
        return (upstream if fault else result,)

    return np.take_along_axis(x, order, axis=-1), pull


@operation("direction", "last step")
def cumulated(x: Array) -> tuple[Array, Pullback]:
    """Return sums from the first row on; faults sum the wrong way, or start one row late."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        if fault == "direction":
            return (np.cumsum(upstream, axis=0),)
        if fault == "last step":
            upstream = upstream.copy()
            upstream[-1] = 0
        return (np.cumsum(upstream[::-1], axis=0)[::-1],)

    return np.cumsum(x, axis=0), pull


@operation("order")
def reshaped(x: Array, shape: tuple[int, ...]) -> tuple[Array, Pullback]:
    """Return the same entries in another shape; the fault reads them column by column."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return (upstream.reshape(x.shape, order="F" if fault else "C"),)

    return x.reshape(shape), pull


@operation("order")
def transpose(x: Array) -> tuple[Array, Pullback]:
    """Return rows for columns; the fault reshapes where it should transpose."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return (upstream.reshape(x.shape) if fault else upstream.T,)

    return x.T, pull


@operation("crosswise")
def joined(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return two arrays one above the other; the fault cuts the gradient in the wrong order."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        if fault:
            return upstream[len(y) :], upstream[: len(y)]
        return upstream[: len(x)], upstream[len(x) :]

    return np.concatenate([x, y]), pull


@operation("off by one", "accumulated")
def windows(x: Array, length: int) -> tuple[Array, Pullback]:
    """Return all windows of rows, summed; faults assign where windows overlap, or miss by a row."""
    count = len(x) - length + 1

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        result = np.zeros_like(x)
        for k in range(length):
            if fault == "accumulated":
                result[k : k + count] = upstream
            else:
                result[k : k + count] += upstream
        return (np.roll(result, 1, axis=0) if fault == "off by one" else result,)

    return np.asarray(sum(x[k : k + count] for k in range(length))), pull


@operation("off by one")
def part(x: Array, start: int, stop: int) -> tuple[Array, Pullback]:
    """Return some rows, times 2; the fault puts their gradient one row off."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        result = np.zeros_like(x)
        result[start:stop] = 2 * upstream
        return (np.roll(result, 1, axis=0) if fault else result,)

    return 2 * x[start:stop], pull


@operation("order")
def reversed_(x: Array) -> tuple[Array, Pullback]:
    """Return rows from last to first; the fault does not reverse them back."""
    return x[::-1], lambda upstream, fault: (upstream if fault else upstream[::-1],)


@operation("accumulated", "mask")
def max_pooled(x: Array, length: int, stride: int) -> tuple[Array, Pullback]:
    """Return the largest of each window of a row, windows overlap.

    Faults assign, or forget the mask.
    """
    starts = np.arange(0, x.shape[1] - length + 1, stride)
    view = np.stack([x[:, s : s + length] for s in starts], axis=1)
    chosen = np.argmax(view, axis=2)
    rows = np.arange(len(x))[:, None]

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        result = np.zeros_like(x)
        if fault == "mask":
            for k in range(length):
                np.add.at(result, (rows, starts[None, :] + k), upstream)
        elif fault == "accumulated":
            result[rows, starts[None, :] + chosen] = upstream
        else:
            np.add.at(result, (rows, starts[None, :] + chosen), upstream)
        return (result,)

    return np.take_along_axis(view, chosen[:, :, None], axis=2)[:, :, 0], pull


@operation("mean")
def mean_pooled(x: Array, length: int) -> tuple[Array, Pullback]:
    """Return the mean of windows of a row next to each other; the fault forgets to divide."""
    count = x.shape[1] // length
    view = x[:, : count * length].reshape(len(x), count, length)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        share = upstream / (1 if fault else length)
        result = np.zeros_like(x)
        result[:, : count * length] = np.repeat(share, length, axis=1)
        return (result,)

    return view.mean(axis=2), pull


@operation("flipped", "accumulated")
def convolved(x: Array, w: Array) -> tuple[Array, Pullback]:
    """Return every row correlated with a filter.

    Faults flip the filter, or assign to its gradient.
    """
    length = x.shape[1] - len(w) + 1

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        used = w[::-1] if fault == "flipped" else w
        for k in range(len(w)):
            dx[:, k : k + length] += used[k] * upstream
            each = (x[:, k : k + length] * upstream).sum(axis=1)
            dw[k] = each[-1] if fault == "accumulated" else each.sum()
        return dx, dw

    return np.asarray(sum(w[k] * x[:, k : k + length] for k in range(len(w)))), pull


@operation("off by one")
def looked_up(x: Array, table: Array) -> tuple[Array, Pullback]:
    """Return linear interpolation in a table over -3 to 3, constant beyond.

    The fault reads one further.
    """
    last = len(table) - 1
    at = (np.clip(x, -3, 3) + 3) / 6 * last
    below = np.minimum(at.astype(np.intp), last - 1)
    weight = at - below

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        low = np.minimum(below + bool(fault), last - 1)
        slope = (table[low + 1] - table[low]) * last / 6 * (np.abs(x) < 3)
        dtable = np.zeros_like(table)
        np.add.at(dtable, low, upstream * (1 - weight))
        np.add.at(dtable, low + 1, upstream * weight)
        return upstream * slope, dtable

    return table[below] * (1 - weight) + table[below + 1] * weight, pull
