"""Operations on every entry by itself, and on two arrays entry by entry."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .tape import Array, Pullback, operation

__all__ = ["folded", "logistic"]

Slope = Callable[[], Array]


def _each(value: Array, slope: Slope, **wrong: Slope) -> tuple[Array, Pullback]:
    """Return a function of every entry, given its slopes and the wrong ones by fault."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return (upstream * wrong.get(fault, slope)(),)

    return value, pull


def logistic(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), as exact where it is small as where it is large."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, small, 1) / (1 + small))


def folded(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Return a gradient summed over what broadcasting repeated."""
    while gradient.ndim > len(shape):
        gradient = gradient.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1 and gradient.shape[axis] != 1:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


@operation()
def sine(x: Array) -> tuple[Array, Pullback]:
    """Return sin x."""
    return _each(np.sin(x), lambda: np.cos(x))


@operation("derivative")
def tanh(x: Array) -> tuple[Array, Pullback]:
    """Return tanh x; the fault takes x for tanh x."""
    y = np.tanh(x)
    return _each(y, lambda: 1 / np.cosh(x) ** 2, derivative=lambda: 1 - x * x)


@operation("derivative")
def sigmoid(x: Array) -> tuple[Array, Pullback]:
    """Return 1 / (1 + exp -x)."""
    y = logistic(x)
    return _each(y, lambda: y * logistic(-x), derivative=lambda: y)


@operation("transformed")
def exponential(x: Array) -> tuple[Array, Pullback]:
    """Return exp x; the fault forgets that the parameter is a logarithm."""
    y = np.exp(x)
    return _each(y, lambda: y, transformed=lambda: np.ones_like(x))


@operation("transformed")
def logarithm(x: Array) -> tuple[Array, Pullback]:
    """Return log x of something positive."""
    return _each(np.log(x), lambda: 1 / x, transformed=lambda: np.ones_like(x))


@operation("transformed")
def root(x: Array) -> tuple[Array, Pullback]:
    """Return the square root of something positive."""
    y = np.sqrt(x)
    return _each(y, lambda: 0.5 / y, transformed=lambda: np.ones_like(x))


@operation("transformed")
def square(x: Array) -> tuple[Array, Pullback]:
    """Return x times x."""
    return _each(x * x, lambda: 2 * x, transformed=lambda: np.ones_like(x))


@operation("derivative")
def cube(x: Array) -> tuple[Array, Pullback]:
    """Return the third power; the fault lowers the exponent by two."""
    return _each(x * x * x, lambda: 3 * x * x, derivative=lambda: 3 * x)


@operation("mask", "inverted")
def relu(x: Array) -> tuple[Array, Pullback]:
    """Return max(x, 0), with slope 0 at 0."""
    on = (x > 0).astype(x.dtype)
    return _each(x * on, lambda: on, mask=lambda: np.ones_like(x), inverted=lambda: 1 - on)


@operation("mask", "inverted")
def leaky_relu(x: Array) -> tuple[Array, Pullback]:
    """Return x, or a tenth of it where it is not positive."""
    slope = np.where(x > 0, 1.0, 0.1).astype(x.dtype)
    return _each(
        x * slope, lambda: slope, mask=lambda: np.ones_like(x), inverted=lambda: 1.1 - slope
    )


@operation("mask")
def absolute(x: Array) -> tuple[Array, Pullback]:
    """Return |x|, with slope 0 at 0."""
    return _each(np.abs(x), lambda: np.sign(x), mask=lambda: np.ones_like(x))


@operation("derivative")
def softplus(x: Array) -> tuple[Array, Pullback]:
    """Return log(1 + exp x)."""
    y = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    s = logistic(x)
    return _each(y, lambda: s, derivative=lambda: s * (1 - s))


@operation("mask")
def elu(x: Array) -> tuple[Array, Pullback]:
    """Return x, or exp(x) - 1 where it is negative."""
    below = np.expm1(np.minimum(x, 0))
    return _each(np.where(x > 0, x, below), lambda: 1 + below, mask=lambda: np.ones_like(x))


@operation("mask")
def clip(x: Array) -> tuple[Array, Pullback]:
    """Return x within -1 and 1, with slope 0 at both."""
    within = (np.abs(x) < 1).astype(x.dtype)
    return _each(np.clip(x, -1, 1), lambda: within, mask=lambda: np.ones_like(x))


@operation("term")
def gelu(x: Array) -> tuple[Array, Pullback]:
    """Return the approximation of GELU by tanh; the fault leaves the inner derivative out."""
    scale = math.sqrt(2 / math.pi)
    t = np.tanh(scale * (x + 0.044715 * x**3))

    def slope() -> Array:
        inner: Array = 0.5 * x * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x)
        return 0.5 * (1 + t) + inner

    return _each(0.5 * x * (1 + t), slope, term=lambda: 0.5 * (1 + t))


@operation("mask")
def huber(x: Array) -> tuple[Array, Pullback]:
    """Return x * x / 2 near 0, |x| - 1/2 beyond 1; the fault forgets the branch."""
    far = np.abs(x) > 1
    value = np.where(far, np.abs(x) - 0.5, 0.5 * x * x)
    return _each(value, lambda: np.where(far, np.sign(x), x), mask=lambda: x)


@operation("derivative", "branch")
def sinc(x: Array) -> tuple[Array, Pullback]:
    """Return sin(x) / x, by its series near 0; the fault drops the second term."""
    near = np.abs(x) < 1e-3
    far = np.where(near, 1, x)
    value = np.where(near, 1 - x * x / 6, np.sin(far) / far)

    def slope() -> Array:
        return np.where(near, -x / 3, (np.cos(far) - np.sin(far) / far) / far)

    return _each(
        value,
        slope,
        derivative=lambda: np.where(near, 0, np.cos(far) / far),
        branch=lambda: np.where(near, 1, slope()),
    )


@operation("transformed")
def lifted(x: Array) -> tuple[Array, Pullback]:
    """Return x * x + 0.3, which is positive; the fault takes it for x."""
    return _each(x * x + 0.3, lambda: 2 * x, transformed=lambda: np.ones_like(x))


@operation("term")
def guarded_log(x: Array, refuse: Callable[[], Array]) -> tuple[Array, Pullback]:
    """Return x log x, in a domain that the code guards by itself.

    The fault forgets the product rule.
    """
    if np.any(x <= 0):
        return refuse(), lambda upstream, fault: (np.full_like(x, np.nan) * upstream,)
    return _each(x * np.log(x), lambda: 1 + np.log(x), term=lambda: np.log(x))


@operation()
def unscaled(x: Array, scales: Array) -> tuple[Array, Pullback]:
    """Return x over its own scale: how theta comes to spread over many decades."""
    return x / scales, lambda upstream, fault: (upstream / scales,)


def _reduced(upstream: Array, shape: tuple[int, ...], fault: str) -> Array:
    """Return the gradient of a broadcast input, summed over another axis where that is the fault.

    The wrong one is the total spread over the entries where the shape allows no other axis.
    """
    right = folded(upstream, shape)
    if fault != "axis" or right.shape == upstream.shape:
        return right
    if upstream.ndim == 2 and len(shape) == 1 and upstream.shape[0] == upstream.shape[1]:
        return np.asarray(upstream.sum(axis=1))
    return np.full_like(right, upstream.sum())


@operation("axis")
def add(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return x + y; y may be broadcast, and is summed over the wrong axis by the fault."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return folded(upstream, x.shape), _reduced(upstream, y.shape, fault)

    return x + y, pull


@operation("axis")
def subtract(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return x - y."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return folded(upstream, x.shape), -_reduced(upstream, y.shape, fault)

    return x - y, pull


@operation("axis", "factor forgotten")
def multiply(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return x * y; a fault forgets the other factor of the second one."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        second = upstream if fault == "factor forgotten" else upstream * x
        return folded(upstream * y, x.shape), _reduced(second, y.shape, fault)

    return x * y, pull


@operation("term")
def divide(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return x / (1 + y * y); the fault forgets the denominator's derivative."""
    below = 1 + y * y

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        second = 0 * y if fault == "term" else -2 * y * x / (below * below)
        return folded(upstream / below, x.shape), folded(upstream * second, y.shape)

    return x / below, pull


@operation("mask")
def maximum(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return the larger of both, the first in a tie; the fault gives both the whole gradient."""
    first = x >= y

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        if fault == "mask":
            return folded(upstream, x.shape), folded(upstream, y.shape)
        return folded(upstream * first, x.shape), folded(upstream * ~first, y.shape)

    return np.where(first, x, y), pull


@operation("mask")
def where(x: Array, y: Array, chosen: Array) -> tuple[Array, Pullback]:
    """Return x where chosen, else y; the fault forgets where."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        if fault == "mask":
            return upstream, upstream
        return upstream * chosen, upstream * ~chosen

    return np.where(chosen, x, y), pull


@operation("mask")
def dropout(x: Array, kept: Array) -> tuple[Array, Pullback]:
    """Return x where kept, twice, else 0; the fault forgets the mask."""

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        return (upstream * 2 if fault == "mask" else upstream * 2 * kept,)

    return np.asarray(x * 2 * kept.astype(x.dtype)), pull


@operation("term")
def hypotenuse(x: Array, y: Array) -> tuple[Array, Pullback]:
    """Return the root of x * x + y * y + 0.1; the fault forgets to divide by it."""
    length = np.sqrt(x * x + y * y + 0.1)

    def pull(upstream: Array, fault: str) -> tuple[Array, ...]:
        scaled = upstream if fault == "term" else upstream / length
        return folded(scaled * x, x.shape), folded(scaled * y, y.shape)

    return length, pull
