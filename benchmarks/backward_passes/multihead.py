"""Self-attention of two heads over a batch, by einsum."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("backward",)
HEADS = 2


def split(x):
    B, T, C = x.shape
    return x.reshape(B, T, HEADS, C // HEADS).transpose(0, 2, 1, 3)


def merge(x):
    B, H, T, D = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * D)


def forward(x, W_qkv, W_out):
    qkv = x @ W_qkv
    q, k, v = (split(part) for part in np.split(qkv, 3, axis=-1))
    scale = q.shape[-1] ** -0.5
    logits = np.einsum("bhtd,bhsd->bhts", q, k) * scale
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    probs = weights / weights.sum(-1, keepdims=True)
    heads = np.einsum("bhts,bhsd->bhtd", probs, v)
    context = merge(heads)
    return context @ W_out, (x, W_qkv, W_out, q, k, v, probs, context, scale)


def backward(dout, cache):
    x, W_qkv, W_out, q, k, v, probs, context, scale = cache
    d_W_out = np.einsum("btc,bto->co", context, dout)
    d_context = dout @ W_out.T
    d_heads = split(d_context)
    d_probs = np.einsum("bhtd,bhsd->bhts", d_heads, v)
    d_v = np.einsum("bhts,bhtd->bhsd", probs, d_heads)
    d_logits = probs * (d_probs - (d_probs * probs).sum(-1, keepdims=True))
    d_q = np.einsum("bhts,bhsd->bhtd", d_logits, k) * scale
    d_k = np.einsum("bhts,bhtd->bhsd", d_logits, q) * scale
    d_qkv = np.concatenate([merge(d_q), merge(d_k), merge(d_v)], axis=-1)
    d_W_qkv = np.einsum("btc,bto->co", x, d_qkv)
    d_x = d_qkv @ W_qkv.T
    return d_x, d_W_qkv, d_W_out


def problem():
    rng = np.random.default_rng(21)
    return Problem.layer(
        forward,
        backward,
        rng.standard_normal((2, 3, 4)),
        rng.standard_normal((4, 12)),
        rng.standard_normal((4, 3)),
    )
