"""The feed-forward block of a transformer: norm, GELU, residual."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("block_backward", "gelu_backward")
ROOT = np.sqrt(2.0 / np.pi)


def gelu(x):
    inner = ROOT * (x + 0.044715 * x**3)
    return 0.5 * x * (1.0 + np.tanh(inner))


def gelu_backward(dout, x):
    cube = 0.044715 * x**3
    tanh_out = np.tanh(ROOT * (x + cube))
    sech = 1.0 - tanh_out**2
    local = 0.5 * (1.0 + tanh_out) + 0.5 * x * sech * ROOT * (1.0 + 3 * 0.044715 * x**2)
    return dout * local


def block_forward(inp, g, fc, proj):
    rms = np.sqrt(np.mean(inp**2, axis=-1, keepdims=True) + 1e-6)
    unit = inp / rms
    normed = unit * g
    fch = normed @ fc
    act = gelu(fch)
    out = act @ proj
    res = inp + out
    return res, {
        "inp": inp,
        "g": g,
        "fc": fc,
        "proj": proj,
        "rms": rms,
        "unit": unit,
        "normed": normed,
        "fch": fch,
        "act": act,
    }


def block_backward(dres, cache):
    inp, rms, unit = cache["inp"], cache["rms"], cache["unit"]
    dout = dres
    dact = dout @ cache["proj"].T
    dproj = cache["act"].T @ dout
    dfch = gelu_backward(dact, cache["fch"])
    dnormed = dfch @ cache["fc"].T
    dfc = cache["normed"].T @ dfch
    dg = np.sum(dnormed * unit, axis=0)
    dunit = dnormed * cache["g"]
    drms = -np.sum(dunit * inp, axis=-1, keepdims=True) / rms**2
    dinp = dunit / rms
    dinp = dinp + drms * inp / (rms * inp.shape[-1])
    dinp += dres
    return {"inp": dinp, "g": dg, "fc": dfc, "proj": dproj}


def problem():
    rng = np.random.default_rng(35)
    return Problem.layer(
        block_forward,
        block_backward,
        rng.standard_normal((3, 4)),
        rng.standard_normal(4),
        rng.standard_normal((4, 5)),
        rng.standard_normal((5, 4)),
    )
