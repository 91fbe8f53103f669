"""Layers written by hand: a convolution, batch normalization and an LSTM.

``gradcheck.layer(forward, backward, *inputs)`` takes ``out, cache = forward(*inputs)`` and
``gradients = backward(dout, cache)``. The upstream gradient `dout` is drawn at random: an upstream
of ones would cancel in a normalizing layer and let faults through. Inputs take their names from
the arguments of `forward`, so that a failure says ``w[0, 2, 1, 1]``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import GradCheck, GradientError

Array: TypeAlias = npt.NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# A convolution: images (N, C, H, W), filters (F, C, HH, WW), stride 1, padding 1.


def conv_forward(x: Array, w: Array, b: Array) -> tuple[Array, Any]:
    """Slide every filter over every image."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))
    out = np.einsum("nchwij,fcij->nfhw", windows, w) + b[:, None, None]
    return out, (windows, w)


def conv_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """Return dx, dw and db."""
    windows, w = cache
    dw = np.einsum("nfhw,nchwij->fcij", dout, windows)
    db = dout.sum(axis=(0, 2, 3))
    # Each output spreads its gradient over the window it was read from.
    (_, _, height, width), (_, _, rows, columns) = dout.shape, w.shape
    dpadded = np.zeros((*windows.shape[:2], height + rows - 1, width + columns - 1))
    for i in range(rows):
        for j in range(columns):
            spread = np.einsum("nfhw,fc->nchw", dout, w[:, :, i, j])
            dpadded[:, :, i : i + height, j : j + width] += spread
    return dpadded[:, :, 1:-1, 1:-1], dw, db


def test_convolution(gradcheck: GradCheck, rng: np.random.Generator) -> None:
    x, w, b = rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(2, 3, 3, 3)), rng.normal(size=2)
    gradcheck.layer(conv_forward, conv_backward, x, w, b)


# Batch normalization in training: mean and variance are those of the batch, and so functions of x.


def batchnorm_forward(x: Array, gamma: Array, beta: Array) -> tuple[Array, Any]:
    """Bring every feature to mean 0 and variance 1 over the batch, then scale and shift it."""
    std = np.sqrt(x.var(axis=0) + 1e-5)
    x_hat = (x - x.mean(axis=0)) / std
    return gamma * x_hat + beta, (x_hat, std, gamma)


def batchnorm_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """Return dx, dgamma and dbeta."""
    x_hat, std, gamma = cache
    dx_hat = dout * gamma
    # What reaches x through the batch's mean and variance is taken off.
    dx = (dx_hat - dx_hat.mean(axis=0) - x_hat * (dx_hat * x_hat).mean(axis=0)) / std
    return dx, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def batchnorm_backward_with_constant_statistics(
    dout: Array, cache: Any
) -> tuple[Array, Array, Array]:
    """Return gradients that are right in evaluation, where mean and variance are constants."""
    x_hat, std, gamma = cache
    return dout * gamma / std, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def test_batch_normalization(gradcheck: GradCheck, rng: np.random.Generator) -> None:
    x, gamma, beta = 3 * rng.normal(size=(6, 4)) + 1, rng.normal(size=4), rng.normal(size=4)
    gradcheck.layer(batchnorm_forward, batchnorm_backward, x, gamma, beta)


@pytest.mark.xfail(raises=GradientError, strict=True, reason="dx leaves mean and variance out")
def test_batch_normalization_with_constant_statistics(
    gradcheck: GradCheck, rng: np.random.Generator
) -> None:
    x, gamma, beta = 3 * rng.normal(size=(6, 4)) + 1, rng.normal(size=4), rng.normal(size=4)
    gradcheck.layer(batchnorm_forward, batchnorm_backward_with_constant_statistics, x, gamma, beta)


# An LSTM over a sequence: x (T, N, D), first hidden state h0 (N, H). The four gates stand side by
# side in one matrix product: input, forget, output and candidate.


def sigmoid(z: Array) -> Array:
    """Return the logistic function, in a form that cannot overflow."""
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def lstm_forward(x: Array, h0: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, Any]:
    """Return the hidden states of all time steps, (T, N, H)."""
    h, c = h0, np.zeros_like(h0)
    states, steps = [], []
    for x_t in x:
        i, f, o, g = np.split(x_t @ Wx + h @ Wh + b, 4, axis=1)
        i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
        before = (x_t, h, c)
        c = f * c + i * g
        h = o * np.tanh(c)
        states.append(h)
        steps.append((*before, i, f, o, g, c))
    return np.stack(states), (steps, Wx, Wh)


def lstm_backward(dout: Array, cache: Any) -> dict[str, Array]:
    """Go back through time; gradients by name are as good as a tuple of them."""
    steps, Wx, Wh = cache
    dx = np.zeros((len(steps), *steps[0][0].shape))
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wx.shape[1])
    dh_next, dc_next = np.zeros_like(dout[0]), np.zeros_like(dout[0])
    for t in range(len(steps) - 1, -1, -1):
        x_t, h, c, i, f, o, g, c_new = steps[t]
        # A state counts twice: in this step's output, and in all that follows.
        dh = dout[t] + dh_next
        tanh_c = np.tanh(c_new)
        dc = dc_next + dh * o * (1 - tanh_c**2)
        dz = np.hstack(
            [
                dc * g * i * (1 - i),
                dc * c * f * (1 - f),
                dh * tanh_c * o * (1 - o),
                dc * i * (1 - g**2),
            ]
        )
        dx[t] = dz @ Wx.T
        dWx += x_t.T @ dz
        dWh += h.T @ dz
        db += dz.sum(axis=0)
        dh_next, dc_next = dz @ Wh.T, dc * f
    return {"dx": dx, "dh0": dh_next, "dWx": dWx, "dWh": dWh, "db": db}


def test_lstm(gradcheck: GradCheck, rng: np.random.Generator) -> None:
    T, N, D, H = 4, 2, 3, 5
    gradcheck.layer(
        lstm_forward,
        lstm_backward,
        rng.normal(size=(T, N, D)),
        rng.normal(size=(N, H)),
        rng.normal(size=(D, 4 * H)) / 2,
        rng.normal(size=(H, 4 * H)) / 2,
        rng.normal(size=4 * H) / 2,
    )
