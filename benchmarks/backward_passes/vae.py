"""A variational autoencoder with its noise drawn beforehand."""

from types import SimpleNamespace

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("elbo_backward",)


def elbo(params, x, noise):
    p = SimpleNamespace(**params)
    h = np.tanh(x @ p.We + p.be)
    mu = h @ p.Wm
    logvar = h @ p.Wv
    std = np.exp(0.5 * logvar)
    z = mu + std * noise
    g = np.tanh(z @ p.Wd + p.bd)
    recon = g @ p.Wo
    kl = -0.5 * np.sum(1 + logvar - mu**2 - np.exp(logvar))
    loss = 0.5 * np.sum((recon - x) ** 2) + kl
    return loss, SimpleNamespace(p=p, h=h, mu=mu, logvar=logvar, std=std, z=z, g=g, recon=recon)


def elbo_backward(cache, x, noise):
    c, p = cache, cache.p
    drecon = c.recon - x
    dWo = c.g.T @ drecon
    dg = drecon @ p.Wo.T
    dpre_g = dg * (1 - c.g**2)
    dWd = c.z.T @ dpre_g
    dbd = dpre_g.sum(axis=0)
    dz = dpre_g @ p.Wd.T
    dmu = dz + c.mu
    dstd = dz * noise
    dlogvar = dstd * 0.5 * c.std + 0.5 * (np.exp(c.logvar) - 1)
    dWm = c.h.T @ dmu
    dWv = c.h.T @ dlogvar
    dh = dmu @ p.Wm.T + dlogvar @ p.Wv.T
    dpre_h = dh * (1 - c.h**2)
    dWe = x.T @ dpre_h
    dbe = dpre_h.sum(axis=0)
    return {"We": dWe, "be": dbe, "Wm": dWm, "Wv": dWv, "Wd": dWd, "bd": dbd, "Wo": dWo}


def problem():
    rng = np.random.default_rng(25)
    shapes = {
        "We": (4, 3),
        "be": (3,),
        "Wm": (3, 2),
        "Wv": (3, 2),
        "Wd": (2, 3),
        "bd": (3,),
        "Wo": (3, 4),
    }
    params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    data = {"x": rng.standard_normal((3, 4)), "noise": rng.standard_normal((3, 2))}
    return Problem(elbo, elbo_backward, params, data=data)
