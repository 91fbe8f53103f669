"""Max and average pooling, side by side."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("pool_backward",)


def pool_forward(x, scale):
    N, C, H, W = x.shape
    blocks = x.reshape(N, C, H // 2, 2, W // 2, 2)
    largest = blocks.max(axis=(3, 5))
    average = blocks.mean(axis=(3, 5))
    out = scale * largest + (1 - scale) * average
    return out, (x, blocks, largest, average, scale)


def pool_backward(dout, cache):
    x, blocks, largest, average, scale = cache
    dscale = np.sum(dout * (largest - average))
    dlargest = dout * scale
    daverage = dout * (1 - scale)
    dblocks = np.zeros_like(blocks)
    mask = blocks == largest[:, :, :, None, :, None]
    dblocks += mask * dlargest[:, :, :, None, :, None]
    dblocks += daverage[:, :, :, None, :, None] / 4
    dx = dblocks.reshape(x.shape)
    return dx, dscale


def problem():
    rng = np.random.default_rng(15)
    return Problem.layer(pool_forward, pool_backward, rng.standard_normal((2, 2, 4, 4)), 0.3)
