"""pandas: series and frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from natural_calls import natural

rng = np.random.default_rng(7)
FRAME = pd.DataFrame(rng.normal(size=(6, 3)), columns=["age", "income", "height"])
TARGET = pd.Series(rng.normal(size=6))


def slopes() -> Any:
    return pd.Series([0.5, -0.2, 0.3], index=FRAME.columns)


@natural("theta")
def a_series(check: Any, k: float) -> Any:
    def cost(beta: Any) -> Any:
        return ((FRAME @ beta - TARGET) ** 2).sum()

    return check(cost, lambda beta: k * 2 * FRAME.T @ (FRAME @ beta - TARGET), slopes())


@natural("beta")
def a_series_in_a_dict(check: Any, k: float) -> Any:
    def cost(p: Any) -> Any:
        return ((FRAME @ p["beta"] + p["intercept"] - TARGET) ** 2).mean()

    def grad(p: Any) -> Any:
        off = 2 * (FRAME @ p["beta"] + p["intercept"] - TARGET) / len(TARGET)
        return {"beta": k * FRAME.T @ off, "intercept": off.sum()}

    return check(cost, grad, {"beta": slopes(), "intercept": 0.4})


@natural("theta")
def a_frame(check: Any, k: float) -> Any:
    def cost(weights: Any) -> Any:
        return float(np.exp(weights).to_numpy().sum())

    return check(cost, lambda weights: k * np.exp(weights), FRAME / 3)


@natural("theta")
def a_series_and_a_numpy_gradient(check: Any, k: float) -> Any:
    X, y = FRAME.to_numpy(), TARGET.to_numpy()

    def cost(beta: Any) -> Any:
        return np.log1p(np.exp(X @ beta.to_numpy())).sum() - y @ X @ beta.to_numpy()

    def grad(beta: Any) -> Any:
        return k * (X.T @ (1 / (1 + np.exp(-X @ beta.to_numpy()))) - X.T @ y)

    return check(cost, grad, slopes())


@natural("w")
def a_layer_of_frames(check: Any, k: float) -> Any:
    def forward(x: Any, w: Any) -> Any:
        return x @ w, (x, w)

    def backward(dout: Any, cache: Any) -> Any:
        x, w = cache
        return pd.DataFrame(np.outer(dout, w), x.index, x.columns), k * x.T @ dout

    return check.layer(forward, backward, FRAME, slopes())
