"""How often right ReLU networks are flagged that compute in float32 inside, or stand on ties.

Networks of 5-8-3 units (75 parameters) on 12 examples, with a softmax loss and a backward pass that
is right. ``float32``: one product, or all of the network, or the result is computed in float32.
``ties``: numbers of the data and of the weights are small integers and biases are zero, so that
many units stand exactly on their kink, and entries of a pooling window are equal; the backward pass
takes slope 0 at 0 and the first of several equal ones, a limit of gradients nearby.

Usage: ``python benchmarks/relu_nets.py [--seeds N] [--first N]``; exits with 1 where any is.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[Any]
Params = dict[str, Array]

UNITS, HIDDEN, CLASSES, BATCH = 5, 8, 3, 12
PLACES = ("first product", "all", "result")


def softmax(Z: Array, labels: Array) -> tuple[float, Array]:
    """Return the mean cross-entropy, and its gradient."""
    off = Z - Z.max(axis=1, keepdims=True)
    logs = off - np.log(np.exp(off).sum(axis=1, keepdims=True))
    rows = np.arange(len(Z))
    slope = np.exp(logs)
    slope[rows, labels] -= 1
    return float(-logs[rows, labels].mean()), slope / len(Z)


def gradients(params: Params, X: Array, labels: Array) -> Params:
    """Return the right gradients, in float64."""
    Z = X @ params["W1"] + params["b1"]
    A = np.maximum(Z, 0)
    _, dZ2 = softmax(A @ params["W2"] + params["b2"], labels)
    dZ1 = dZ2 @ params["W2"].T * (Z > 0)
    return {"W1": X.T @ dZ1, "b1": dZ1.sum(0), "W2": A.T @ dZ2, "b2": dZ2.sum(0)}


def single(seed: int) -> Report:
    """Check a network that computes in float32 somewhere."""
    rng = np.random.default_rng([1, seed])
    place = PLACES[seed % len(PLACES)]
    X, labels = rng.normal(size=(BATCH, UNITS)), rng.integers(CLASSES, size=BATCH)
    params = initial(rng, lambda shape: rng.normal(size=shape) / np.sqrt(shape[0]))

    def cost(params: Params) -> float:
        kind = np.float32 if place == "all" else np.float64
        first = np.float64 if place == "result" else np.float32
        Z = X.astype(first) @ params["W1"].astype(first)
        A = np.maximum(Z.astype(kind) + params["b1"].astype(kind), 0)
        value, _ = softmax(A @ params["W2"].astype(kind) + params["b2"].astype(kind), labels)
        return float(np.float32(value)) if place == "result" else value

    return check_gradients(cost, lambda params: gradients(params, X, labels), params)


def ties(seed: int) -> Report:
    """Check a network, or pooling over equal entries, at a point full of ties."""
    rng = np.random.default_rng([2, seed])
    if seed % 3 == 0:
        return pooling(rng)
    X, labels = rng.integers(-1, 2, size=(BATCH, UNITS)), rng.integers(CLASSES, size=BATCH)
    params = initial(rng, lambda shape: rng.integers(-1, 2, size=shape).astype(float))
    params["b1"][:] = params["b2"][:] = 0

    def cost(params: Params) -> float:
        A = np.maximum(X @ params["W1"] + params["b1"], 0)
        return softmax(A @ params["W2"] + params["b2"], labels)[0]

    return check_gradients(cost, lambda params: gradients(params, X, labels), params)


def pooling(rng: np.random.Generator) -> Report:
    """Check overlapping windows over a picture with a black border, weights of either sign."""
    picture = np.zeros((6, 6))
    picture[1:5, 1:5] = rng.integers(0, 3, size=(4, 4))
    weights = rng.normal(size=(5, 5))
    corners = [(i, j) for i in range(5) for j in range(5)]

    def cost(picture: Array) -> float:
        return float(sum(weights[i, j] * picture[i : i + 2, j : j + 2].max() for i, j in corners))

    def grad(picture: Array) -> Array:
        result = np.zeros_like(picture)
        for i, j in corners:
            row, column = divmod(int(np.argmax(picture[i : i + 2, j : j + 2])), 2)
            result[i + row, j + column] += weights[i, j]
        return result

    return check_gradients(cost, grad, picture)


def initial(rng: np.random.Generator, draw: Callable[[tuple[int, ...]], Array]) -> Params:
    """Return weights that are drawn, and biases."""
    return {
        "W1": draw((UNITS, HIDDEN)),
        "b1": 0.1 * rng.normal(size=HIDDEN),
        "W2": draw((HIDDEN, CLASSES)),
        "b2": 0.1 * rng.normal(size=CLASSES),
    }


def main() -> int:
    """Print how many are flagged, and what the components are called."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    flagged = 0
    for name, check in {"float32": single, "ties": ties}.items():
        wrong, counts = [], Counter[str]()
        for seed in range(options.first, options.first + options.seeds):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report = check(seed)
            if report.verdict in ("suspect", "bug", "nonfinite"):
                wrong.append(seed)
            for parameter in report.points[0].parameters:
                counts.update(parameter.counts)
            counts["calls"] += report.evaluations
        shares = ", ".join(f"{kind} {count:,}" for kind, count in counts.items() if count)
        print(f"{name}: {len(wrong)} of {options.seeds:,} flagged; {shares}")
        print(f"  seeds: {wrong[:20]}" if wrong else "")
        flagged += len(wrong)
    return int(flagged > 0)


if __name__ == "__main__":
    raise SystemExit(main())
