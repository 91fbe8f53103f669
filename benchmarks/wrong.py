"""What a full check of a wrong gradient costs, beside one that passes, a bare loop, and peers.

Calls of the cost are given over 2 n, the least that a two-sided difference of every component
takes. The costs are networks (tanh; ReLU; tanh in float32; with an offset of 1e6) and smooth
functions of a vector; the faults are those that programmers make throughout a gradient: a factor, a
sign, a forgotten mask, an upstream gradient that is shifted, an error of 1e-4, and half of the
components doubled. Right components that are called wrong are counted too: none is allowed.

Peers in the same run: numdifftools takes some 30 calls a component, right or wrong; torch's and
SciPy's rules take two, and tell a wrong gradient from a right one as it stands, without error bars.

Usage: ``python benchmarks/wrong.py [--quick] [--seeds N]``; exits with 1 where a median is above
what is allowed, or a right component is called wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck import check_gradients

Array = npt.NDArray[np.float64]

LARGE = 2000
"""Components from which on a group's proof is a small part of the calls."""

ALLOWED = {"float64": {False: 2.1, True: 1.4}, "noisy": {False: 3.0, True: 3.0}}
"""Medians of calls over 2 n: by what limits the cost, and whether it has many components."""

ALLOWED_TIME = 1.6
"""Time of a failing check over that of the passing one, without the diagnosis of the fault."""


class Pair(NamedTuple):
    """A cost of one vector, its gradient, and where it is checked."""

    cost: Callable[[Array], float]
    grad: Callable[[Array], Array]
    x: Array


def network(kind: str, size: int, rng: np.random.Generator) -> Pair:
    """Return a network of one hidden layer and about so many weights."""
    inputs, outputs = 10, 5
    hidden = max(3, round(size / (inputs + outputs)))
    X, Y = rng.normal(size=(inputs, 20)), rng.normal(size=(outputs, 20))
    cut = hidden * inputs
    dtype = np.float32 if kind == "float32" else np.float64

    def forward(x: Array, dtype: type) -> tuple[Array, Array]:
        W, V = x[:cut].reshape(hidden, inputs), x[cut:].reshape(outputs, hidden)
        Z: Array = W.astype(dtype) @ X.astype(dtype)
        A = np.maximum(Z, 0) if kind == "ReLU" else np.tanh(Z)
        return A, V.astype(dtype) @ A / dtype(np.sqrt(hidden)) - Y.astype(dtype)

    def cost(x: Array) -> float:
        off = forward(x, dtype)[1]
        return (1e6 if kind == "offset" else 0.0) + float(0.5 * np.sum(off * off) / Y.shape[1])

    def grad(x: Array) -> Array:
        A, off = forward(x, np.float64)
        dZ2 = off / np.sqrt(hidden) / Y.shape[1]
        slope = (A > 0) if kind == "ReLU" else 1 - A**2
        dZ1 = (x[cut:].reshape(outputs, hidden).T @ dZ2) * slope
        return np.concatenate([(dZ1 @ X.T).ravel(), (dZ2 @ A.T).ravel()])

    return Pair(cost, grad, rng.normal(size=cut + outputs * hidden))


def sines(size: int, rng: np.random.Generator) -> Pair:
    """Return a weighted sum of sines, plus the square of the sum."""
    w = rng.uniform(1, 2, size)
    return Pair(
        lambda x: float(w @ np.sin(x) + x.sum() ** 2 / (2 * size)),
        lambda x: w * np.cos(x) + x.sum() / size,
        rng.normal(size=size),
    )


def scales(size: int, rng: np.random.Generator) -> Pair:
    """Return a sum of sines of numbers that spread over twelve decades."""
    s = 10 ** rng.uniform(-6, 6, size)
    return Pair(
        lambda x: float(np.sum(np.sin(x / s))),
        lambda x: np.cos(x / s) / s,
        s * rng.normal(size=size),
    )


COSTS: dict[str, tuple[str, Callable[[int, np.random.Generator], Pair]]] = {
    "tanh net": ("float64", partial(network, "tanh")),
    "ReLU net": ("float64", partial(network, "ReLU")),
    "sines": ("float64", sines),
    "twelve decades": ("float64", scales),
    "net in float32": ("noisy", partial(network, "float32")),
    "net plus 1e6": ("noisy", partial(network, "offset")),
}

FAULTS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "right": lambda g, rng: g,
    "scale": lambda g, rng: 8 * g,
    "sign": lambda g, rng: -g,
    "mask": lambda g, rng: np.where(rng.random(g.size) < 0.5, g, 0.0),
    "upstream": lambda g, rng: g * rng.choice((0.5, 1.0, 2.0), g.size),
    "1e-4": lambda g, rng: g * (1 + 2e-4),
    "half": lambda g, rng: np.where(np.arange(g.size) % 2, g, 2 * g),
}


class Run(NamedTuple):
    """A check: calls over 2 n, CPU time, and right components that it calls wrong."""

    calls: float
    seconds: float
    false: int


def checked(pair: Pair, gradient: Array, right: Array) -> Run:
    """Check a pair with a gradient."""
    start = process_time()
    report = check_gradients(pair.cost, lambda x: gradient, pair.x, mode="full", locate=False)
    seconds = process_time() - start
    bad = [c.index[0] for c in report.components if c.verdict in ("suspect", "bug", "nonfinite")]
    false = int(np.count_nonzero(gradient[bad] == right[bad]))
    return Run(report.evaluations / (2 * right.size), seconds, false)


def bare(pair: Pair) -> float:
    """Return the CPU time of a loop over two-sided differences that does nothing else."""
    x = pair.x.copy()
    start = process_time()
    for i in range(x.size):
        kept = x[i]
        for value in (kept + 1e-5, kept - 1e-5):
            x[i] = value
            pair.cost(x)
        x[i] = kept
    return process_time() - start


def ask(size: int, seeds: int) -> list[str]:
    """Print a table for costs of about so many components; return what is not as required."""
    wrong = []
    print(f"about {size:,} components: calls over 2 n (median of {seeds}), times over a bare loop")
    print(f"{'':16}" + "".join(f"{fault:>14}" for fault in FAULTS))
    for name, (limit, make) in COSTS.items():
        cells = []
        for fault, spoil in FAULTS.items():
            runs, loops = [], []
            for seed in range(seeds):
                rng = np.random.default_rng([seed, size])
                pair = make(size, rng)
                right = pair.grad(pair.x)
                runs.append(checked(pair, spoil(right, rng), right))
                loops.append(bare(pair))
            calls = median(run.calls for run in runs)
            times = median(run.seconds / loop for run, loop in zip(runs, loops, strict=True))
            cells.append(f"{calls:7.2f} ({times:4.2f})")
            if calls > ALLOWED[limit][size >= LARGE]:
                wrong.append(f"{name}, {fault}, n = {size}: {calls:.2f} times 2 n")
            if false := sum(run.false for run in runs):
                wrong.append(f"{name}, {fault}, n = {size}: {false} right ones called wrong")
        print(f"{name:16}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
    print()
    return wrong


def main() -> int:
    """Print the tables; return 1 where something is not as required."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 300 components")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    wrong = []
    for size in (60, 300) if options.quick else (60, 300, 2000):
        wrong += ask(size, options.seeds)
    print(f"not as required: {len(wrong)} (allowed: 0)")
    print("".join(f"    {line}\n" for line in wrong), end="")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
