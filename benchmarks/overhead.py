"""What a passing full check costs, beside a bare loop over the same cost.

For networks of 500 to 10,000 parameters, five ways to the same numerical gradient are timed:

* ours: ``check_gradients(cost, grad, params)``, everything included: the calls that come before the
  comparison, the measurement of the cost's noise, the verdicts, the report;
* bare: a two-sided loop that perturbs the arrays in place and does nothing else;
* SciPy: ``approx_derivative(method="3-point")`` over the flat vector, with the unflattening that a
  user has to write for it;
* SciPy's check_grad: forward differences of the flat vector;
* numdifftools.Gradient, of the smallest network only, for it takes 30 calls a component.

Every run stands between two of the bare loop and is divided by their mean, so that a machine that
slows down slows both; a figure is the median of such ratios over the rounds, ours beside its
quartiles. The others, of which less depends on the last percent, are run in every fourth round, and
small networks, whose checks take milliseconds, in four times as many rounds.

Then what a tiny check takes beside the calls of its cost and gradient, in milliseconds: the least
of many, for one array of 20 numbers and for a network of four arrays.

Usage: ``python benchmarks/overhead.py [--quick] [--rounds N]``; exits with 1 where ours takes more
than 1.10 times the bare loop.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any, NamedTuple, cast

import numdifftools
import numpy as np
import numpy.typing as npt
from scipy.optimize import check_grad
from scipy.optimize._numdiff import approx_derivative

from pytest_gradcheck import check_gradients
from pytest_gradcheck.network import backprop, cost, initialize
from pytest_gradcheck.settings import Mode

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

ALLOWED = 1.10
BATCH = 32
NETWORKS: dict[str, list[tuple[int, ...]]] = {
    "bundled ReLU net": [(16, 24, 4), (32, 40, 16, 4), (64, 64, 10), (64, 100, 34, 10)],
    "plain tanh net": [(16, 24, 4), (32, 56, 4), (64, 76, 4), (64, 144, 4)],
}


class Case(NamedTuple):
    """A pair to be checked."""

    name: str
    cost: Callable[[Params], float]
    grad: Callable[[Params], Params]
    params: Params

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(array.size for array in self.params.values())


def plain_cost(params: Params, X: Array, Y: Array) -> float:
    """Return half the mean squared error of a one-layer tanh network: about the least work."""
    A = np.tanh(params["W1"] @ X + params["b1"])
    off = params["W2"] @ A + params["b2"] - Y
    return cast(float, 0.5 * np.sum(off**2) / X.shape[1])  # a np.float64, as most costs return


def plain_backprop(params: Params, X: Array, Y: Array) -> Params:
    """Return its gradient."""
    A = np.tanh(params["W1"] @ X + params["b1"])
    dZ2 = (params["W2"] @ A + params["b2"] - Y) / X.shape[1]
    dZ1 = params["W2"].T @ dZ2 * (1 - A**2)
    return {
        "dW1": dZ1 @ X.T,
        "db1": dZ1.sum(axis=1, keepdims=True),
        "dW2": dZ2 @ A.T,
        "db2": dZ2.sum(axis=1, keepdims=True),
    }


def case(kind: str, widths: tuple[int, ...]) -> Case:
    """Return a network of these layers with random weights, biases and data."""
    rng = np.random.default_rng(sum(widths))
    params = initialize(widths, rng)
    for array in params.values():
        array += 0.01 * rng.normal(size=array.shape)
    X = rng.normal(size=(widths[0], BATCH))
    if kind == "plain tanh net":
        Y = rng.normal(size=(widths[-1], BATCH))
        value, slope = partial(plain_cost, X=X, Y=Y), partial(plain_backprop, X=X, Y=Y)
        return Case(kind, value, slope, params)
    Y = np.eye(widths[-1])[:, rng.integers(widths[-1], size=BATCH)]
    return Case(kind, partial(cost, X=X, Y=Y), partial(backprop, X=X, Y=Y), params)


def bare(case: Case, eps: float = 1e-5) -> Params:
    """Return the two-sided differences of a cost, by the loop that anyone would write."""
    result = {}
    for name, array in case.params.items():
        flat = array.reshape(-1)
        slopes = np.empty(flat.size)
        for i in range(flat.size):
            kept = flat[i]
            flat[i] = kept + eps
            up = case.cost(case.params)
            flat[i] = kept - eps
            down = case.cost(case.params)
            flat[i] = kept
            slopes[i] = (up - down) / (2 * eps)
        result[name] = slopes.reshape(array.shape)
    return result


def ours(case: Case) -> None:
    """Check the pair."""
    mode: Mode = "full" if case.size > 10_000 else "auto"  # below that they are the same
    report = check_gradients(case.cost, case.grad, case.params, mode=mode)
    assert report.passed, str(report)


def flattened(case: Case) -> tuple[Callable[[Array], float], Callable[[Array], Array], Array]:
    """Return cost and gradient of a flat vector, and the vector: what SciPy asks of its users."""
    shapes = {name: array.shape for name, array in case.params.items()}
    splits = np.cumsum([array.size for array in case.params.values()])[:-1]

    def unflatten(theta: Array) -> Params:
        parts = np.split(theta, splits)
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

    def gradient(theta: Array) -> Array:
        grads = case.grad(unflatten(theta))
        return np.concatenate([grads[f"d{name}"].ravel() for name in shapes])

    theta = np.concatenate([array.ravel() for array in case.params.values()])
    return lambda theta: case.cost(unflatten(theta)), gradient, theta


def scipy_three_point(case: Case) -> None:
    """Difference the flat vector with SciPy."""
    value, _, theta = flattened(case)
    approx_derivative(value, theta, method="3-point")


def scipy_check_grad(case: Case) -> None:
    """Check the flat vector with SciPy."""
    value, gradient, theta = flattened(case)
    check_grad(value, gradient, theta)


def with_numdifftools(case: Case) -> None:
    """Difference the flat vector with numdifftools."""
    value, _, theta = flattened(case)
    numdifftools.Gradient(value)(theta)


WAYS: dict[str, Callable[[Case], Any]] = {
    "ours": ours,
    "3-point": scipy_three_point,
    "check_grad": scipy_check_grad,
    "numdifftools": with_numdifftools,
}


def seconds(way: Callable[[Case], Any], case: Case) -> float:
    """Return the CPU time of one run: others on the machine add nothing to it."""
    start = process_time()
    way(case)
    return process_time() - start


def measured(case: Case, ways: list[str], rounds: int) -> tuple[float, dict[str, Array]]:
    """Return the median time of the bare loop, and of each way its ratios to the loop."""
    loops: list[float] = []
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways:
        WAYS[way](case)  # a first run, for imports and caches
    for number in range(rounds if case.size > 1000 else 4 * rounds):
        for way in ways if number % 4 == 0 and number < rounds else ways[:1]:
            gc.collect()
            gc.disable()  # as timeit does: what one run leaves behind is not another's to clear up
            before = seconds(bare, case)
            taken = seconds(WAYS[way], case)
            loop = (before + seconds(bare, case)) / 2
            gc.enable()
            loops.append(loop)
            ratios[way].append(taken / loop)
    return float(np.median(loops)), {way: np.array(r) for way, r in ratios.items()}


def tiny() -> dict[str, tuple[Callable[[Any], float], Callable[[Any], Any], Any]]:
    """Return pairs whose calls take no time: what is left is the check."""
    rng = np.random.default_rng(3)
    shapes = {"W1": (3, 3), "b1": (3, 1), "W2": (2, 3), "b2": (2, 1)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x = rng.normal(size=20)
    return {
        "one array": (lambda x: float(x @ x), lambda x: 2 * x, x),
        "four arrays": (
            lambda params: float(sum(np.vdot(array, array) for array in params.values())),
            lambda params: {f"d{name}": 2 * array for name, array in params.items()},
            params,
        ),
    }


def least(call: Callable[[], Any], repeats: int = 1000) -> float:
    """Return the least CPU time of a call, in milliseconds, with the collector off."""
    gc.collect()
    gc.disable()
    times = []
    for _ in range(repeats):
        start = process_time()
        call()
        times.append(process_time() - start)
    gc.enable()
    return 1000 * min(times)


def constants() -> str:
    """Return what tiny checks take beside the calls of the pair, in words."""
    parts = []
    for name, (value, slope, params) in tiny().items():
        calls = check_gradients(value, slope, params).evaluations
        whole = least(partial(check_gradients, value, slope, params))
        pair = least(lambda: [value(params) for _ in range(calls)])  # noqa: B023
        pair += least(lambda: [slope(params) for _ in range(2)])  # noqa: B023
        parts.append(f"{name} {whole - pair:.2f} ms")
    return ", ".join(parts)


def main() -> int:
    """Print the table; return 1 where ours is above what is allowed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller networks")
    parser.add_argument("--rounds", type=int, default=0, help="default: 13, or 5 if quick")
    options = parser.parse_args()
    rounds = options.rounds or (5 if options.quick else 13)
    print(f"CPU time over that of a bare two-sided loop; median of {rounds} rounds [quartiles]")
    print(f"{'network':18} {'n':>6} {'a call':>7}  {'ours':>18}" + header())
    worst = 0.0
    for kind, networks in NETWORKS.items():
        for number, widths in enumerate(networks[: 2 if options.quick else len(networks)]):
            net = case(kind, widths)
            loop, ratios = measured(net, list(WAYS)[: len(WAYS) if number == 0 else 3], rounds)
            worst = max(worst, float(np.median(ratios["ours"])))
            print(row(net, loop, ratios), flush=True)
    print(f"a tiny check beside its calls: {constants()}")
    print(f"worst of ours: {worst:.3f} (allowed: {ALLOWED:.2f})")
    return int(worst > ALLOWED)


def header() -> str:
    """Return the titles of the peers' columns."""
    return "".join(f"  {way:>12}" for way in list(WAYS)[1:])


def row(case: Case, loop: float, ratios: dict[str, Array]) -> str:
    """Return a row of the table."""
    low, middle, high = np.percentile(ratios["ours"], (25, 50, 75))
    call = loop / (2 * case.size)
    text = f"{case.name:18} {case.size:>6} {call * 1e6:>4.0f} us"
    text += f"  {middle:.3f} [{low:.3f} {high:.3f}]"
    for way in list(WAYS)[1:]:
        shown = f"{np.median(ratios[way]):.2f}" if way in ratios else "-"
        text += f"  {shown:>12}"
    return text


if __name__ == "__main__":
    raise SystemExit(main())
