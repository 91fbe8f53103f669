"""Parameters, cache and gradients as dataclasses."""

from dataclasses import dataclass

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("backward",)


@dataclass
class Params:
    K: np.ndarray
    bias: np.ndarray
    out: np.ndarray


@dataclass
class Cache:
    params: Params
    pre: np.ndarray
    post: np.ndarray
    pooled: np.ndarray
    score: np.ndarray


def forward(params, signal, label):
    width = params.K.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(signal, width)
    pre = windows @ params.K + params.bias
    post = np.where(pre > 0, pre, 0.1 * pre)
    pooled = post.mean(axis=0)
    score = pooled @ params.out
    loss = np.log1p(np.exp(-label * score))
    return loss, Cache(params, pre, post, pooled, score)


def backward(cache, signal, label):
    p = cache.params
    width = p.K.shape[0]
    windows = np.lib.stride_tricks.sliding_window_view(signal, width)
    d_score = -label / (1 + np.exp(label * cache.score))
    d_out = cache.pooled * d_score
    d_pooled = p.out * d_score
    d_post = np.ones_like(cache.post) * d_pooled / len(cache.post)
    d_pre = d_post * np.where(cache.pre > 0, 1.0, 0.1)
    d_K = windows.T @ d_pre
    d_bias = d_pre.sum(axis=0)
    return Params(K=d_K, bias=d_bias, out=d_out)


def problem():
    rng = np.random.default_rng(36)
    params = Params(rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal(4))
    data = {"signal": rng.standard_normal(9), "label": -1.0}
    return Problem(forward, backward, params, data=data)
