"""The score of a Kalman filter's likelihood, by the adjoint of the filter."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("score",)


def filtered(params, y):
    a, c, q, r = params["a"], params["c"], np.exp(params["log_q"]), np.exp(params["log_r"])
    x, P = 0.0, 1.0
    steps, nll = [], 0.0
    for obs in y:
        x_pred = a * x
        P_pred = a * a * P + q
        v = obs - c * x_pred
        S = c * c * P_pred + r
        K = P_pred * c / S
        steps.append((x, P, x_pred, P_pred, v, S, K))
        x = x_pred + K * v
        P = (1 - K * c) * P_pred
        nll = nll + 0.5 * (np.log(S) + v * v / S)
    return nll, (a, c, q, r, steps)


def likelihood(params, y):
    return filtered(params, y)[0]


def score(params, y):
    _, (a, c, q, r, steps) = filtered(params, y)
    da = dc = dq = dr = 0.0
    dx = dP = 0.0
    for x, P, x_pred, P_pred, v, S, K in reversed(steps):
        dK = dx * v - dP * c * P_pred
        dc = dc - dP * K * P_pred
        dx_pred = dx
        dP_pred = dP * (1 - K * c)
        dv = dx * K + v / S
        dS = 0.5 / S - 0.5 * v * v / S**2
        dP_pred = dP_pred + dK * c / S
        dc = dc + dK * P_pred / S
        dS = dS - dK * P_pred * c / S**2
        dP_pred = dP_pred + dS * c * c
        dc = dc + 2 * dS * c * P_pred
        dr = dr + dS
        dx_pred = dx_pred - dv * c
        dc = dc - dv * x_pred
        da = da + dx_pred * x + 2 * dP_pred * a * P
        dq = dq + dP_pred
        dx = dx_pred * a
        dP = dP_pred * a * a
    return {"a": da, "c": dc, "log_q": dq * q, "log_r": dr * r}


def problem():
    rng = np.random.default_rng(30)
    params = {"a": 0.8, "c": 1.2, "log_q": -0.5, "log_r": 0.2}
    return Problem(likelihood, score, params, (rng.standard_normal(5),))
