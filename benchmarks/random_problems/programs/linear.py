"""Operations of linear algebra: products, factorizations, distances, attention."""

from __future__ import annotations

import numpy as np

from .tape import Array, Pullback, operation

__all__: list[str] = []


@operation("axis", "transposed inside")
def dense(x: Array, w: Array, b: Array) -> tuple[Array, Pullback]:
    """Return x @ w + b.

    Faults sum b's gradient over the wrong axis, or take w for its transpose.
    """

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        back = w if fault == "transposed inside" and w.shape[0] == w.shape[1] else w.T
        if fault == "axis" and upstream.shape[0] == upstream.shape[1]:
            bias = upstream.sum(axis=1)
        elif fault == "axis":
            bias = np.full_like(b, upstream.sum())
        else:
            bias = upstream.sum(axis=0)
        return upstream @ back, x.T @ upstream, bias

    return x @ w + b, pull


@operation("symmetrized")
def product_with_itself(x: Array) -> tuple[Array, Pullback]:
    """Return x @ x.T / n + I, positive definite.

    The fault takes the upstream gradient for symmetric.
    """
    n = x.shape[1]

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        both = 2 * upstream if fault == "symmetrized" else upstream + upstream.T
        return (both @ x / n,)

    return x @ x.T / n + np.eye(len(x), dtype=x.dtype), pull


@operation("transposed inside")
def matmul(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return x @ y."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        square = y.shape[0] == y.shape[1]
        back = y if fault == "transposed inside" and square else y.T
        return upstream @ back, x.T @ upstream

    return x @ y, pull


@operation()
def outer(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return the outer product of two vectors."""
    return np.outer(x, y), lambda upstream, fault: (upstream @ y, upstream.T @ x)


@operation("term")
def cholesky(a: Array) -> tuple[Array, Pullback]:
    """Return the factor L of the symmetric part of a; the fault forgets to halve the diagonal."""
    factor = np.linalg.cholesky((a + a.T) / 2)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        inner = np.tril(factor.T @ np.tril(upstream))
        if fault != "term":
            inner[np.diag_indices(len(a))] /= 2
        left = np.linalg.solve(factor.T, inner)
        s = np.linalg.solve(factor.T, left.T).T
        return ((s + s.T) / 2,)

    return factor, pull


@operation("transposed inside")
def log_determinant(a: Array) -> tuple[Array, Pullback]:
    """Return log |det a|, as one number in a vector."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        inverse = np.linalg.inv(a)
        return (upstream * (inverse if fault else inverse.T),)

    return np.array([np.linalg.slogdet(a)[1]], dtype=a.dtype), pull


@operation("transposed inside")
def inverse(a: Array) -> tuple[Array, Pullback]:
    """Return the inverse; the fault forgets one transposition."""
    b = np.linalg.inv(a)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return (-(b if fault else b.T) @ upstream @ b.T,)

    return b, pull


@operation("sign of one term")
def solve(a: Array, y: Array) -> tuple[Array, Pullback]:
    """Return the solution x of a @ x = y, for a matrix y.

    The fault forgets the minus of a's gradient.
    """
    x = np.linalg.solve(a, y)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        back = np.linalg.solve(a.T, upstream)
        return (back if fault else -back) @ x.T, back

    return x, pull


@operation("term")
def distances(x: Array) -> tuple[Array, Pullback]:
    """Return squared distances between all rows; the fault forgets the second of each pair."""
    off = x[:, None, :] - x[None, :, :]

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        forces = 2 * upstream[:, :, None] * off
        first, second = forces.sum(axis=1), forces.sum(axis=0)
        return (first if fault else first - second,)

    return (off * off).sum(axis=2), pull


@operation("term", "factor forgotten")
def attention(q: Array, k: Array, v: Array) -> tuple[Array, Pullback]:
    """Return softmax(q @ k.T / sqrt(d)) @ v; faults forget softmax' second term, or the root."""
    scale = 1 / np.sqrt(q.shape[1]).astype(q.dtype)
    scores = q @ k.T * scale
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        dp = upstream @ v.T
        dot = 0 if fault == "term" else (dp * p).sum(axis=1, keepdims=True)
        ds = p * (dp - dot) * (1 if fault == "factor forgotten" else scale)
        return ds @ k, ds.T @ q, p.T @ upstream

    return p @ v, pull


@operation("term")
def quadratic_form(x: Array, a: Array) -> tuple[Array, Pullback]:
    """Return x' a x by row; the fault takes a for symmetric."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        both = 2 * a if fault else a + a.T
        return upstream[:, None] * (x @ both), (x * upstream[:, None]).T @ x

    return np.asarray(((x @ a) * x).sum(axis=1)), pull
