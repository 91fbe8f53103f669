"""A convolution as one matrix product, through im2col and col2im."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("conv_backward", "col2im")


def indices(C, H, W, k):
    out_h, out_w = H - k + 1, W - k + 1
    i0 = np.tile(np.repeat(np.arange(k), k), C)
    j0 = np.tile(np.arange(k), k * C)
    i1 = np.repeat(np.arange(out_h), out_w)
    j1 = np.tile(np.arange(out_w), out_h)
    c = np.repeat(np.arange(C), k * k).reshape(-1, 1)
    return c, i0.reshape(-1, 1) + i1, j0.reshape(-1, 1) + j1


def im2col(x, k):
    N, C, H, W = x.shape
    c, i, j = indices(C, H, W, k)
    cols = x[:, c, i, j]
    return cols.transpose(1, 2, 0).reshape(k * k * C, -1)


def col2im(dcols, shape, k):
    N, C, H, W = shape
    dx = np.zeros(shape)
    c, i, j = indices(C, H, W, k)
    patches = dcols.reshape(C * k * k, -1, N).transpose(2, 0, 1)
    np.add.at(dx, (slice(None), c, i, j), patches)
    return dx


def conv_forward(x, w, b):
    F, C, k, _ = w.shape
    N, _, H, W = x.shape
    cols = im2col(x, k)
    res = w.reshape(F, -1) @ cols + b.reshape(-1, 1)
    out = res.reshape(F, H - k + 1, W - k + 1, N).transpose(3, 0, 1, 2)
    return out, (x, w, cols)


def conv_backward(dout, cache):
    x, w, cols = cache
    F, C, k, _ = w.shape
    db = dout.sum(axis=(0, 2, 3))
    dres = dout.transpose(1, 2, 3, 0).reshape(F, -1)
    dw = (dres @ cols.T).reshape(w.shape)
    dcols = w.reshape(F, -1).T @ dres
    dx = col2im(dcols, x.shape, k)
    return dx, dw, db


def problem():
    rng = np.random.default_rng(14)
    return Problem.layer(
        conv_forward,
        conv_backward,
        rng.standard_normal((2, 2, 4, 3)),
        rng.standard_normal((3, 2, 2, 2)),
        rng.standard_normal(3),
    )
