"""lmfit: parameters with bounds and expressions."""

from __future__ import annotations

from typing import Any

import lmfit
import numpy as np

from natural_calls import natural

T = np.linspace(0, 2, 9)
DATA = 2 * np.exp(-1.3 * T)


def parameters() -> Any:
    params = lmfit.Parameters()
    params.add("amp", 1.5, min=0)
    params.add("rate", 1.0)
    params.add("offset", 0.1, vary=False)
    return params


def cost(params: Any) -> Any:
    p = params.valuesdict()
    return float(np.sum((p["amp"] * np.exp(-p["rate"] * T) + p["offset"] - DATA) ** 2))


def slopes(params: Any) -> Any:
    p = params.valuesdict()
    decay = np.exp(-p["rate"] * T)
    off = 2 * (p["amp"] * decay + p["offset"] - DATA)
    return off @ decay, off @ (-T * p["amp"] * decay)


@natural("amp")
def a_gradient_by_name(check: Any, k: float) -> Any:
    def grad(params: Any) -> Any:
        amp, rate = slopes(params)
        return {"amp": k * amp, "rate": rate}

    return check(cost, grad, parameters())


@natural("rate")
def a_gradient_in_the_order_of_those_that_vary(check: Any, k: float) -> Any:
    def grad(params: Any) -> Any:
        amp, rate = slopes(params)
        return np.array([amp, k * rate])

    return check(cost, grad, parameters())
