"""Operations that use the same weights again and again: recurrences and inner iterations."""

from __future__ import annotations

import numpy as np

from .elementwise import logistic
from .tape import Array, Pullback, operation

__all__: list[str] = []


@operation("last step", "first step", "accumulated", "derivative", "truncated")
def recurrence(x: Array, w: Array, u: Array, b: Array) -> tuple[Array, Pullback]:
    """Return h = tanh(x[t] @ w + h @ u + b) over the rows of x.

    Faults drop a step, assign where weights are shared, or do not flow from step to step.
    """
    states = [np.zeros(len(u), x.dtype)]
    for row in x:
        states.append(np.tanh(row @ w + states[-1] @ u + b))

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dx, dw, du, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
        after = np.zeros(len(u), x.dtype)
        steps = range(len(x))[::-1]
        steps = steps[1:] if fault == "last step" else steps
        for t in steps[:-1] if fault == "first step" else steps:
            h = states[t + 1]
            dz = (upstream[t] + after) * ((1 - h) if fault == "derivative" else (1 - h * h))
            dx[t] = w @ dz
            du = np.outer(states[t], dz) + (0 if fault == "accumulated" else du)
            dw += np.outer(x[t], dz)
            db += dz
            after = 0 * dz if fault == "truncated" else u @ dz
        return dx, dw, du, db

    return np.stack(states[1:]), pull


@operation("gates", "term")
def gated(x: Array, w: Array) -> tuple[Array, Pullback]:
    """Return c = sigmoid(f) c + sigmoid(i) tanh(x @ w3) over the rows of x.

    With f, i = x @ w1, x @ w2.

    Faults exchange the gates, or do not flow through the forget gate.
    """
    f, i, g = (x @ one for one in w.reshape(x.shape[1], 3, -1).transpose(1, 0, 2))
    f, i, g = logistic(f), logistic(i), np.tanh(g)
    states = [np.zeros(f.shape[1], x.dtype)]
    for t in range(len(x)):
        states.append(f[t] * states[-1] + i[t] * g[t])

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dz = np.zeros((len(x), 3, f.shape[1]), x.dtype)
        after = np.zeros(f.shape[1], x.dtype)
        for t in reversed(range(len(x))):
            dc = upstream[t] + after
            dz[t, 0] = dc * states[t] * f[t] * (1 - f[t])
            dz[t, 1] = dc * g[t] * i[t] * (1 - i[t])
            dz[t, 2] = dc * i[t] * (1 - g[t] * g[t])
            after = dc * (1 if fault == "term" else f[t])
        if fault == "gates":
            dz = dz[:, [1, 0, 2]]
        flat = dz.reshape(len(x), -1)
        return flat @ w.T, x.T @ flat

    return np.stack(states[1:]), pull


@operation("last step", "truncated")
def smoothed(x: Array, a: Array) -> tuple[Array, Pullback]:
    """Return h = a h + x[t], over the rows of x, with one number a."""
    states = [np.zeros_like(x[0])]
    for row in x:
        states.append(a * states[-1] + row)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dx, da = np.zeros_like(x), np.zeros_like(a)
        after = np.zeros_like(x[0])
        for t in range(len(x))[::-1][bool(fault == "last step") :]:
            dh = upstream[t] + after
            dx[t] = dh
            da = da + (dh * states[t]).sum()
            after = 0 * dh if fault == "truncated" else a * dh
        return dx, np.asarray(da).reshape(a.shape)

    return np.stack(states[1:]), pull


@operation("truncated", "term")
def fixed_point(x: Array, a: Array, tolerance: float) -> tuple[Array, Pullback]:
    """Return y = tanh(x + a y) / 2, iterated to a tolerance, with one number a.

    Faults differentiate the last iteration alone, or forget the iteration for a.
    """
    y = np.zeros_like(x)
    for _ in range(200):
        before, y = y, np.tanh(x + a * y) / 2
        if np.max(np.abs(y - before)) <= tolerance:
            break

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        exact = y
        for _ in range(60):
            exact = np.tanh(x + a * exact) / 2
        slope = (1 - 4 * exact * exact) / 2
        dx = upstream * slope / (1 if fault == "truncated" else 1 - a * slope)
        da = (upstream * slope if fault == "term" else dx) * exact
        return dx, np.asarray(da.sum()).reshape(a.shape)

    return y, pull


@operation("last step", "term")
def flow(x: Array, w: Array, steps: int) -> tuple[Array, Pullback]:
    """Return euler's steps of x' = tanh(x @ w); faults drop the last, or forget the identity."""
    states = [x]
    for _ in range(steps):
        states.append(states[-1] + 0.3 * np.tanh(states[-1] @ w))

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dw = np.zeros_like(w)
        for state in states[-2 - (fault == "last step") :: -1]:
            y = np.tanh(state @ w)
            dz = 0.3 * upstream * (1 - y * y)
            dw += state.T @ dz
            upstream = dz @ w.T if fault == "term" else upstream + dz @ w.T
        return upstream, dw

    return states[-1], pull
